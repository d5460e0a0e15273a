"""Trainings of windows: a linear system ends as its chain, the sampler of a roll-out is written and read."""

import math

import numpy as np
import pytest
import torch
import xarray

from oracles import close, normal
from sciencegen.layout import Layout, Variable
from sciencegen.nets.suited import of_windows
from sciencegen.priors import zoo
from sciencegen.priors.contexts import Context
from sciencegen.sample import Refine
from sciencegen.states import States, markov
from sciencegen.symmetries import Shift
from sciencegen.tasks import forecast
from sciencegen.tasks.forecast import chosen
from sciencegen.train import Training, train, windows
from sciencegen.train.bases import Choice


def travelling(samples=20, frames=12, cells=32, kick=0.3):
    """A wave that goes one cell a frame and is damped, with kicks."""
    u, found = normal(samples, cells), []
    for k in range(frames):
        found.append(u)
        u = 0.9 * u.roll(1, -1) + kick * normal(samples, cells, seed=k + 1)
    return xarray.Dataset({"u": (("sample", "time", "x"), torch.stack(found, 1).float().numpy())},
                          {"x": np.arange(cells), "time": np.arange(frames)})


def states(length=2, **how):
    return States(travelling(**how), ["u"], length=length, symmetries=(Shift(("x",)),))


def test_what_is_not_said_is_what_suits_windows():
    given = states()
    how = windows.suit(given, Training(width=8))
    assert windows.applies(given, Training())
    assert how.given == ((("u", 1),),)
    assert how.kind.keywords["context"] == Context(0.005, 0.5, 80.0, balanced=True)
    assert how.net.path.endswith("FieldResNet")
    assert sum(how.shares) == pytest.approx(1.0)
    assert not windows.applies(given, Training(given=()))
    assert not windows.applies(states(length=1), Training())


def test_a_linear_system_ends_as_its_chain_and_forecasts_without_a_call(tmp_path):
    model = train(states(), Training(steps=4, width=8), tmp_path, progress=False)
    assert not model.training["better"]
    made = forecast(model, normal(1, 32).float(), 5, members=3, seeds=torch.arange(3), progress=False)
    assert made.nfev == 0
    assert made.frames.u.shape == (1, 3, 5, 32)


def test_the_error_given_a_frame_is_that_of_the_conditional_gaussian():
    given = states()
    gaussian, view = markov(given), given.layout["u"][:1]
    rows, sigma = normal(4000, given.layout.size).float(), 0.5
    rest = gaussian.given(view).rest
    drawn = rows.clone()
    center = gaussian.given(view).center(rows)
    drawn[:, 32:] = center + rest.back(rest.variances.sqrt() * rest.modes(rows[:, 32:]))
    wanted = float((rest.variances / (rest.variances + sigma**2)).mean())
    assert windows.given_error(gaussian, drawn, view, torch.tensor([sigma])) == pytest.approx(wanted, rel=0.02)


def test_the_error_of_a_mean_is_the_variance_that_is_left():
    given = states()
    gaussian, view = markov(given), given.layout["u"][:1]
    rows = normal(4000, given.layout.size).float()
    rest = gaussian.given(view).rest
    rows[:, 32:] = gaussian.given(view).center(rows) + rest.back(rest.variances.sqrt() * rest.modes(rows[:, 32:]))
    wanted = float(rest.variances.mean())
    assert windows.mean_error(gaussian, rows, view, 1e3) == pytest.approx(wanted, rel=0.03)


def test_few_calls_are_chosen_where_more_are_hardly_better(monkeypatch):
    scores = {None: 0.5000, (80.0,): 0.5008}
    monkeypatch.setattr(windows, "_score", lambda e, s, t, m, levels: scores.get(levels and tuple(levels), 0.9))
    given = states()
    found = windows.sampled(markov(given), given, windows.suit(given, Training(width=8)))
    assert found["levels"] == [80.0]
    scores[(80.0,)] = 0.6
    found = windows.sampled(markov(given), given, windows.suit(given, Training(width=8)))
    assert found["levels"] is None
    assert found["crps"] == 0.5


def test_a_roll_out_is_scored_as_its_ensemble_deserves():
    """One frame ahead, drawn in closed form: the fair CRPS of the right Gaussian is its deviation over root pi."""
    given = states(samples=60, frames=4)
    starts = given.longer(3).valid.physical(list(range(6)))
    score = windows._score(markov(given), given, starts, 1, None)
    spread = float(markov(given).given(given.layout["u"][:1]).rest.variances.mean().sqrt())
    first = spread / math.pi**0.5
    assert first < score < 1.5 * first


def test_the_sampler_of_a_model_is_the_one_that_its_training_chose():
    gaussian = markov(states())
    assert chosen(gaussian, {"forecast": {"levels": [80.0, 0.5]}}).levels == Refine.at(80.0, 0.5).levels
    assert not isinstance(chosen(gaussian, {}), Refine)
    assert not isinstance(chosen(gaussian, {"forecast": {"memory": 1, "levels": None}}), Refine)


def test_longer_windows_are_of_the_same_samples():
    given = states()
    longer = given.longer(5)
    close(longer.valid.physical([0])["u"][:, :2], given.valid.physical([0])["u"])
    assert [part.tolist() for part in longer.cut.samples] == [part.tolist() for part in given.cut.samples]


def test_without_held_out_rows_a_window_has_its_chain():
    from sciencegen.train.bases import chosen as gaussian
    given = States(travelling(samples=2), ["u"], length=2, split=(1.0, 0, 0), symmetries=(Shift(("x",)),))
    choice = gaussian(given, None, [given.layout["u"][:1]], Training().levels)
    assert isinstance(choice, Choice)
    close(choice.gaussian.center, markov(given).center)


@pytest.mark.parametrize("layout", [Layout(u=(3,)), Layout(u=Variable((2, 5), dims=("time", "x")))], ids=str)
def test_of_no_grid_there_is_no_network_for_windows(layout):
    assert of_windows(layout) is None


@pytest.mark.parametrize("name, length", [("ks", 2), ("spde", 8)])
def test_shipped_priors_go_on(name, length):
    model = zoo(name)
    assert model.layout.variables["u"].shape == (length, 64)
    made = forecast(model, 0.1 * normal(1, 64).float(), 4, members=2, seeds=torch.arange(2), progress=False)
    assert bool(np.isfinite(made.frames.u.values).all())
