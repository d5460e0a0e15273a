"""A next-frame network: what it says without training, its losses on Gaussian data, its draws, its directory."""

import math
from functools import partial

import numpy as np
import pytest
import torch
import xarray
from torch import nn

import sciencegen as sg
from conformance import awake
from oracles import close, covariance, normal
from sciencegen.cli.train import train_own
from sciencegen.energy import Residual
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.nets.mlp import MLP
from sciencegen.nets.zero import Zero
from sciencegen.priors import Draw, Model, Recipe, Stepper
from sciencegen.priors.contexts import DECADES, Context
from sciencegen.priors.stepper import ALPHA
from sciencegen.random import Streams
from sciencegen.train import Packed, Training, train

D = torch.float64
DATA, LAYOUT = Gaussian(normal(5, seed=1), covariance(5)), Layout(u=(5,))
PAST = LAYOUT["u"][:2]
GIVEN = [PAST]


class Echo(nn.Module):
    """Says the noise that it is told, so that a Stepper's draws have the Gaussian's law."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, u, c, keep):
        return self.one * u * (keep > 0)


class Spoken(nn.Module):
    """Says the global noise vector, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.one, self.calls = nn.Parameter(torch.ones(())), 0

    def forward(self, u, c, keep):
        self.calls += 1
        assert c.shape == (len(u), 4)
        assert not bool((u * (keep > 0)).any())
        return self.one * torch.cat([u[:, :2], c[:, 1:]], -1)


def drawn(count, seed=0):
    """Rows of a step of training."""
    streams = Streams(torch.arange(count) + seed * 2**32)
    return Draw(torch.ones(count, 1, dtype=D), streams.normal(5), torch.zeros(count, dtype=torch.long),
                streams.at(0, 1).uniform(4))


def rows(count, seed=3):
    white = Streams(torch.arange(count) + seed * 2**32).normal(5)
    return DATA.center + DATA.back(DATA.variances.sqrt() * DATA.modes(white))


def ahead(prior, value, seeds):
    return prior.ahead(PAST, None)(value, Streams(seeds))


def test_without_a_network_the_next_frame_is_the_conditional_mean():
    prior, exact = Stepper(Zero(False), DATA, given=GIVEN), DATA.given(PAST)
    x = normal(7, 5)
    close(ahead(prior, x[:, :2], torch.arange(7)), exact.center(x), 1e-12)


def test_draws_of_a_network_that_says_its_noise_have_the_conditional_law():
    prior, exact = Stepper(Echo(), DATA, given=GIVEN, members=2), DATA.given(PAST).rest
    value = DATA.center[:2].expand(20_000, 2)
    found = ahead(prior, value, torch.arange(20_000))
    close(found.mean(0), exact.center, 5 * float(exact.deviations().max()) / 20_000**0.5)
    close(torch.cov(found.mT), exact.cov, 5 * 1.5 * float(exact.cov.abs().max()) / 20_000**0.5)
    vector = Stepper(Spoken(), DATA, given=GIVEN, members=2, vector=3)
    close(torch.cov(ahead(vector, value, torch.arange(20_000)).mT), exact.cov,
          5 * 1.5 * float(exact.cov.abs().max()) / 20_000**0.5)


def test_a_draw_depends_on_its_own_seed_alone():
    prior = Stepper(awake(MLP(5, 16, 2)), DATA, given=GIVEN, members=2)
    value, seeds = normal(6, 2), torch.arange(6)
    whole = ahead(prior, value, seeds)
    close(ahead(prior, value[3:4], seeds[3:4]), whole[3:4], 1e-12)
    assert float((ahead(prior, value, seeds + 9) - whole).abs().min()) > 0


def test_the_squared_error_is_one_where_the_gaussian_is_right():
    loss = Stepper(Zero(False), DATA, given=GIVEN).plan_loss(rows(20_000), drawn(20_000)).run()
    close(loss.mean(), torch.ones((), dtype=D), 5 * math.sqrt(2 / 3 / 20_000))


@pytest.mark.parametrize("members", [2, 3])
def test_the_almost_fair_score_of_members_of_the_right_law(members):
    # E|X - y| = E|X - X'| = 2 / sqrt(pi) for unit normals, whatever their correlation between coordinates
    loss = Stepper(Echo(), DATA, given=GIVEN, members=members).plan_loss(rows(20_000), drawn(20_000)).run()
    wanted = 2 / math.sqrt(math.pi) * (1 - (1 - (1 - ALPHA) / members) / 2)
    close(loss.mean(), torch.tensor(wanted, dtype=D), 5 * float(loss.std()) / 20_000**0.5)


def test_the_score_is_least_near_the_right_spread():
    prior, found = Stepper(Echo(), DATA, given=GIVEN, members=2), []
    for spread in (0.8, 1.0, 1.2):
        with torch.no_grad():
            prior.net.one.fill_(spread)
        found.append(float(prior.plan_loss(rows(20_000), drawn(20_000)).run().mean()))
    assert found[1] < min(found[0], found[2])


def test_noise_on_what_is_known_adds_what_it_moves_the_mean_by():
    size, exact = 0.9, DATA.given(PAST)
    gain = torch.linalg.solve(DATA.cov[:2, :2], DATA.cov[:2, 2:]).mT * DATA.deviations()[:2]
    mean = size**2 * (1 - 100**-DECADES) / (2 * DECADES * math.log(10))  # of the square of a log-uniform size
    wanted = 1 + mean * (torch.linalg.inv(exact.rest.cov) @ gain @ gain.mT).trace() / 3
    prior = Stepper(Zero(False), DATA, given=GIVEN, context=Context(size))
    loss = prior.plan_loss(rows(20_000), drawn(20_000)).run()
    close(loss.mean(), wanted, 5 * float(loss.std()) / 20_000**0.5)


def test_members_of_a_step_cost_one_call():
    net = Spoken()
    Stepper(net, DATA, given=GIVEN, members=3, vector=3).plan_loss(rows(8), drawn(8)).run()
    assert net.calls == 1


def test_several_contexts_are_trained_by_their_share():
    prior = Stepper(awake(MLP(5, 16, 2)), DATA, given=[PAST, LAYOUT["u"][:4]])
    draw, clean = drawn(6), rows(6)
    draw = draw._replace(part=torch.tensor([0, 2, 1, 2, 2, 0]))
    both = prior.plan_loss(clean, draw).run()
    one = Stepper(prior.net, DATA, given=[LAYOUT["u"][:4]]).plan_loss(clean, drawn(6)).run()
    close(both[draw.part == 2], one[draw.part == 2], 1e-12)
    first = Stepper(prior.net, DATA, given=GIVEN).plan_loss(clean, drawn(6)).run()
    close(both[draw.part < 2], first[draw.part < 2], 1e-12)


def test_what_it_is_not_is_refused_in_words():
    prior = Stepper(Zero(False), DATA, given=GIVEN)
    for ask in (prior, prior.score, prior.given(PAST).mean):
        with pytest.raises(TypeError, match="draws frames and knows no density"):
            ask(normal(2, 5), torch.tensor(1.0))
    with pytest.raises(ValueError, match="one part or more to step from"):
        Stepper(Zero(False), DATA)
    with pytest.raises(ValueError, match="no marginals"):
        Stepper(Zero(False), DATA, marginals=[[0]], given=GIVEN)
    for wrong in ({"members": 0}, {"members": 1, "vector": 3}, {"members": 2, "vector": -1},
                  {"context": Context(means=0.5)}):
        with pytest.raises(ValueError, match="for a Stepper"):
            Stepper(Zero(False), DATA, given=GIVEN, **wrong)


def test_a_trained_one_is_saved_loaded_and_judged_by_its_loss(tmp_path):
    state = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    after = (1.5 * state[:, :1]).sin() + 0.1 * state[:, 1:]  # not linear
    data = torch.cat([state[:, :1], after], -1)
    packed = Packed(Layout(u=(2,)), data[:3000], data[3000:3500], data[3500:])
    how = Training(kind=partial(Stepper, members=2, context=Context(0.01)), net=Recipe("sciencegen.nets.mlp.MLP",
                   {"size": 2, "width": 16, "depth": 1}), gaussian=Gaussian(torch.zeros(2), torch.ones(2)),
                   given=((("u", 1),),), steps=150, batch=64, rate=1e-2)
    model = train(packed, how, tmp_path, progress=False)
    assert "denoising" not in model.training
    assert model.training["held_out"]["network"] < 0.4
    loaded = Model.load(tmp_path / "model")
    assert isinstance(loaded.energy, Stepper)
    assert loaded.energy.config() == model.energy.config()
    first, value = loaded.layout["u"][:1], torch.full((4000, 1), 0.7)
    found = loaded.energy.ahead(first, None)(value, Streams(torch.arange(4000)))
    assert torch.equal(found, model.energy.ahead(first, None)(value, Streams(torch.arange(4000))))
    assert abs(float(found.mean()) - math.sin(1.05)) < 0.15
    assert 0.03 < float(found.std()) < 0.3


def chained(prior):
    """A model of two frames of two numbers."""
    layout = Layout(u=Variable((2, 2), dims=("time", "x")))
    return Model(layout, prior, Recipe("sciencegen.nets.zero.Zero", {"scalar": False}))


def test_a_forecast_steps_frame_by_frame_at_a_call_each():
    factor = torch.tensor([[0.9, 0.2], [-0.2, 0.9]], dtype=D)
    power = 10 * torch.eye(2, dtype=D)
    after = factor @ power @ factor.mT + 0.1 * torch.eye(2, dtype=D)
    joint = torch.cat([torch.cat([power, power @ factor.mT], 1), torch.cat([factor @ power, after], 1)])
    model = chained(Stepper(Zero(False), Gaussian(torch.zeros(4, dtype=D), joint), given=[[0, 1]]).double())
    start = normal(3, 1, 1, 2)
    found = sg.forecast(model, start, 5, members=2, progress=False)
    frames, wanted = torch.as_tensor(found.frames["u"].values), start[:, 0, 0]
    for lead in range(5):
        wanted = wanted @ factor.mT
        close(frames[:, 0, lead], wanted, 1e-8)
    assert found.nfev == 5


def test_what_asks_for_a_score_is_refused_by_a_forecast():
    model = chained(Stepper(Zero(False), Gaussian(torch.zeros(4), torch.ones(4)), given=[[0, 1]]))
    with pytest.raises(TypeError, match="draws frames and knows no density"):
        sg.forecast(model, torch.zeros(1, 2), 2, 2, laws=Residual(lambda x: x[..., :1], 0.1), progress=False)
    with pytest.raises(ValueError, match="got an objective for Stepper"):
        sg.forecast(model, torch.zeros(1, 2), 2, 2, objective=lambda u: u.sum((-2, -1)), progress=False)


def test_a_file_trains_one_on_the_command_line(tmp_path, capsys):
    times, cells = np.arange(6.0), np.arange(8.0)
    waves = np.sin(cells - times[:, None] + np.arange(10.0)[:, None, None]).astype("f4")
    coords = {"time": times, "x": cells}
    xarray.Dataset({"u": (("sample", "time", "x"), waves)}, coords).to_netcdf(tmp_path / "waves.nc")
    train_own(str(tmp_path / "waves.nc"), window=2, periodic="x", stepper=True, steps=2, out=tmp_path / "out")
    kept = Model.load(tmp_path / "out" / "model")
    assert isinstance(kept.energy, Stepper)
    assert kept.energy.members == 2
    with pytest.raises(ValueError, match="got --stepper for states without time"):
        train_own(str(tmp_path / "waves.nc"), window=1, stepper=True, steps=2, out=tmp_path / "other")
