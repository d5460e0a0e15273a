"""Forecasts against the exact conditional law: mean, covariance, leads inside of the first window and far past it."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from PIL import Image

from oracles import chain
from sciencegen.compose import chain as windows_less_overlaps
from sciencegen.energy import Residual
from sciencegen.exact import Gaussian
from sciencegen.forecasts import Forecast
from sciencegen.layout import Layout, Variable
from sciencegen.measure import Entries
from sciencegen.nets.mlp import MLP
from sciencegen.priors import Denoiser
from sciencegen.sample import Heun, karras
from sciencegen.tasks import Problem, forecast, invert

D = torch.float64
RHO, FRAMES, MANY = 0.95, 8, 4000
LAYOUT = Layout(u=Variable((FRAMES,), loc=10.0, scale=2.0, dims=("time",), units="m",
                           coords={"time": 0.5 * np.arange(FRAMES)}))
PROBLEM = Problem(LAYOUT, Gaussian(torch.zeros(FRAMES, dtype=D), chain(FRAMES, RHO)))
HISTORY = 10 + 2 * torch.tensor([0.5, 1.0], dtype=D)
SEEDS = torch.arange(MANY)


@pytest.mark.parametrize("memory", [1, 4, 7])
def test_a_forecast_of_a_linear_chain_is_its_conditional_at_any_lead(memory):
    found = forecast(PROBLEM, HISTORY, 27, MANY, memory=memory, seeds=SEEDS, progress=False)
    x = torch.tensor((found.frames.u.values[0] - 10) / 2)
    lead = torch.arange(1, 28, dtype=D)
    spread = RHO ** (lead[:, None] - lead).abs() * (1 - RHO ** (2 * torch.minimum(lead[:, None], lead)))
    assert bool(((x.mean(0) - RHO**lead).abs() < 4 * (spread.diagonal() / MANY).sqrt()).all())
    wide = (spread**2 + spread.diagonal()[:, None] * spread.diagonal()) / MANY  # of a covariance's estimate
    assert bool(((torch.cov(x.mT) - spread).abs() < 5 * wide.sqrt()).all())
    assert found.nfev == 0


def test_a_forecast_is_written_with_its_history_and_read_back(tmp_path):
    found = forecast(PROBLEM, HISTORY, 3, 4, seeds=SEEDS[:4], progress=False)
    again = Forecast.load(found.save(tmp_path / "forecast.nc"))
    assert again.frames.identical(found.frames)
    assert again.history.identical(found.history)
    assert again.frames.time.values.tolist() == [0.5, 1.0, 1.5]
    np.testing.assert_array_equal(again.seeds, found.seeds)


def moments(x: torch.Tensor, mean: torch.Tensor, cov: torch.Tensor) -> None:
    """``x (M, d)`` has this mean and covariance, up to what the draws leave open."""
    wide, many = cov.diagonal(), len(x)
    assert bool(((x.mean(0) - mean).abs() < 4.5 * (wide / many).sqrt()).all())
    assert bool(((torch.cov(x.mT) - cov).abs() < 5.5 * ((wide[:, None] * wide + cov**2) / many).sqrt()).all())


def test_all_frames_at_once_fall_back_to_climatology_and_windows_in_turn_do_not():
    """Of 29 frames the mean eight frames behind the second: at once about .47, in turn .66, as it should be."""
    layout = LAYOUT.grown("u", length=29)
    at_once = Problem(layout, windows_less_overlaps(PROBLEM.prior, layout, overlap=1))
    found = invert(at_once, Entries("u", slice(2)), HISTORY, 2e-3, Heun(karras(40, 2e-3, 80.0, dtype=D)), 800,
                   SEEDS[:800], progress=False)
    in_turn = forecast(PROBLEM, HISTORY, 8, 800, memory=1, seeds=SEEDS[:800], progress=False)
    wanted, spread = RHO**8, (1 - RHO**16) ** 0.5
    means = [(x.mean() - 10) / 2 for x in (found.samples.u.values[:, 9], in_turn.frames.u.values[0, :, -1])]
    assert abs(means[0] - wanted) > 5 * spread / 800**0.5
    assert abs(means[1] - wanted) < 4.5 * spread / 800**0.5


def test_each_member_goes_on_from_its_own_history():
    histories = 10 + 2 * torch.linspace(-2, 2, 5, dtype=D)[:, None]
    members = forecast(PROBLEM, histories.repeat_interleave(800, 0), 3, MANY, seeds=SEEDS, progress=False)
    samples = forecast(PROBLEM, histories[:, None], 3, 800, seeds=SEEDS[:800], progress=False)
    for means in (members.frames.u.values[0, :, 0].reshape(5, 800).mean(1), samples.frames.u.values[..., 0].mean(1)):
        np.testing.assert_allclose((means - 10) / 2, RHO * np.linspace(-2, 2, 5), atol=4.5 * (0.0975 / 800) ** 0.5)


def test_the_same_seed_gives_the_same_member_in_any_company():
    seeds = torch.arange(12).reshape(3, 4)
    histories = 10 + torch.randn(3, 1, 2, dtype=D, generator=torch.Generator().manual_seed(0))
    net = Denoiser(MLP(FRAMES, 8, 1).double(), PROBLEM.prior, given=[[0, 1], [0, 1, 2, 3]])
    for prior in (PROBLEM.prior, net):
        problem = Problem(LAYOUT, prior)
        whole = forecast(problem, histories, 9, 4, seeds=seeds, progress=False)
        alone = forecast(problem, histories[1:2], 9, 1, seeds=seeds[1:2, 2:3], progress=False)
        np.testing.assert_allclose(alone.frames.u[0, 0], whole.frames.u[1, 2], rtol=1e-12)
        assert whole.nfev == (0 if prior is PROBLEM.prior else 2 * 12 + 2)


def drifting(frames: int) -> torch.Tensor:
    """The covariance of ``frames`` of ``u' = .9 u + p + kick`` in its stationary law, and of ``p ~ N(0, .1)``."""
    lag = torch.arange(frames, dtype=D)
    own = 0.9 ** (lag[:, None] - lag).abs() / (1 - 0.81)
    cov = torch.zeros(frames + 1, frames + 1, dtype=D)
    cov[:frames, :frames] = own + 0.1 * 100
    cov[frames, :] = cov[:, frames] = 0.1 * 10
    cov[frames, frames] = 0.1
    return cov


def conditioned(cov: torch.Tensor, known: list[int], wanted: list[int], value: torch.Tensor):
    gain = torch.linalg.solve(cov[known][:, known], cov[known][:, wanted]).mT
    return gain @ value, cov[wanted][:, wanted] - gain @ cov[known][:, wanted]


def test_a_parameter_is_drawn_once_from_what_the_history_says_and_held():
    layout = Layout(u=Variable((4,), dims=("time",)), p=())
    problem = Problem(layout, Gaussian(torch.zeros(5, dtype=D), drifting(4)))
    history = torch.tensor([1.0, 0.2], dtype=D)
    found = forecast(problem, history, 12, MANY, memory=1, seeds=SEEDS, progress=False)
    whole = torch.cat([torch.tensor(found.frames[k].values[0]).reshape(MANY, -1) for k in ("u", "p")], -1)
    # memory 1: the first window is told the last frame alone
    moments(whole, *conditioned(drifting(13), [0], list(range(1, 14)), history[1:]))
    held = forecast(problem, history, 12, MANY, {"p": torch.tensor(0.5)}, memory=1, seeds=SEEDS, progress=False)
    value = torch.tensor([0.2, 0.5], dtype=D)
    moments(torch.tensor(held.frames.u.values[0]), *conditioned(drifting(13), [0, 13], list(range(1, 13)), value))


def forced(frames: int) -> torch.Tensor:
    """The covariance of ``u' = .9 u + f + kick`` over ``frames``, from rest, and of its forcing ``f``."""
    own = torch.zeros(2 * frames, 3 * frames, dtype=D)  # of u and f in kicks, forcings and the start
    for t in range(frames):
        own[frames + t, frames + t] = 1
        own[t] = 0.9 * own[t - 1] + own[frames + t - 1] if t else 0
        own[t, t] = 3.0 if not t else 1.0
    return own @ own.mT


def test_a_forcing_that_is_known_ahead_is_followed():
    layout = Layout(u=Variable((3,), dims=("time",)), f=Variable((3,), dims=("time",)))
    problem = Problem(layout, Gaussian(torch.zeros(6, dtype=D), forced(3)))
    forcing = torch.sin(torch.arange(9, dtype=D))
    found = forecast(problem, {"u": torch.tensor([1.0], dtype=D)}, 8, MANY, {"f": forcing}, seeds=SEEDS,
                     progress=False)
    mean, spread = [torch.tensor(1.0, dtype=D)], [0.0]
    for t in range(8):
        mean.append(0.9 * mean[-1] + forcing[t])
        spread.append(0.81 * spread[-1] + 1)
    x = torch.tensor(found.frames.u.values[0])
    assert bool(((x.mean(0) - torch.stack(mean[1:])).abs() < 4.5 * (torch.tensor(spread[1:]) / MANY).sqrt()).all())
    np.testing.assert_allclose(x.var(0), spread[1:], rtol=5 * (2 / MANY) ** 0.5)
    with pytest.raises(ValueError, match="got 5 frames of 'f' in given; expected 9: those of the horizon, and before"):
        forecast(problem, {"u": torch.ones(1)}, 8, 4, {"f": forcing[:5]}, progress=False)


# --- laws and events ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kick", [0.5, 0.05])
def test_a_law_brings_the_dynamics_that_a_prior_lacks_with_the_kicks_of_its_noise(kick):
    """Of frames that are independent of each other; a law with less noise than there are kicks spreads too little."""
    layout = Layout(u=Variable((2,), dims=("time",)))
    problem = Problem(layout, Gaussian(torch.zeros(2, dtype=D), 4 * torch.eye(2, dtype=D)))
    law = Residual(lambda x: x[..., 1:] - 0.8 * x[..., :1], kick)
    found = forecast(problem, torch.tensor([2.0], dtype=D), 6, MANY, laws=law, seeds=SEEDS, progress=False)
    left = 1 / (1 / 4 + 1 / kick**2)
    gain = 0.8 * left / kick**2
    k = torch.arange(1, 7, dtype=D)
    spread = left * (1 - gain ** (2 * k)) / (1 - gain**2)
    x = torch.tensor(found.frames.u.values[0])
    assert bool(((x.mean(0) - 2 * gain**k).abs() < 4.5 * (spread / MANY).sqrt()).all())
    np.testing.assert_allclose(x.var(0), spread, rtol=5 * (2 / MANY) ** 0.5)
    assert found.nfev == 0


def test_a_rare_event_has_its_probability_by_the_members_weights():
    above = 3.5
    short = lambda u: torch.relu(above - (u[:, -1] - 10) / 2)
    found = forecast(PROBLEM, HISTORY, 16, 1024, objective=short, weight=20.0, seeds=SEEDS[:1024], progress=False)
    said = found.probability(lambda frames: frames.u.isel(time=-1) > 10 + 2 * above)
    spread = (1 - RHO**32) ** 0.5
    exact = float(torch.special.ndtr(torch.tensor((RHO**16 - above) / spread, dtype=D)))
    assert exact < 1e-3
    assert abs(float(said.probability[0]) - exact) < 4 * float(said.error[0])
    assert float(said.error[0]) < 0.1 * exact
    assert float(said.effective[0]) > 0.1 * 1024
    with pytest.raises(ValueError, match="expected a prior with a Gaussian inside, without laws"):
        forecast(PROBLEM, HISTORY, 4, 4, objective=lambda u: u[:, 0], laws=Residual(lambda x: x, 1.0), progress=False)


# --- scores -------------------------------------------------------------------------------------------------------

def test_scores_find_a_forecast_that_spreads_too_much_or_too_little():
    count, horizon = 300, 8
    lower = torch.linalg.cholesky(chain(2 + horizon, RHO))
    truth = 10 + 2 * torch.randn(count, 2 + horizon, dtype=D, generator=torch.Generator().manual_seed(1)) @ lower.mT
    found = forecast(PROBLEM, truth[:, None, :2], horizon, 32, seeds=torch.arange(32), progress=False)
    for stretch in (1.0, 1.2, 0.8):
        mean = found.frames.u.mean("member")
        made = found.frames.assign(u=mean + stretch * (found.frames.u - mean))
        scores = Forecast(made, found.history, found.weights, 0, "", 0, found.seeds).scores({"u": truth.numpy()})
        skill = scores.u.sel(score="spread_skill")
        assert (abs(skill - stretch) < 4 / (2 * count) ** 0.5 * stretch).all()
        exact = 2 * np.sqrt((1 - RHO ** (2 * np.arange(1, horizon + 1))) / np.pi)
        assert (abs(scores.u.sel(score="crps") / exact - 1) < 0.15).all()
        covered = float(scores.u.sel(score="coverage").mean())
        assert abs(covered - 0.9) < 0.03 if stretch == 1 else abs(covered - 0.9) > 0.025


def test_a_tilted_forecast_scores_by_its_weights_as_one_that_is_not():
    """Members that are drawn high are no worse, once each counts for what it is; without weights they are."""
    space = torch.eye(3, dtype=D) + 0.5
    layout = Layout(u=Variable((4, 3), dims=("time", "x")))
    problem = Problem(layout, Gaussian(torch.zeros(12, dtype=D), torch.kron(chain(4, 0.9), space)))
    history, truth = torch.ones(1, 3, dtype=D), {"u": np.zeros((1, 2, 3))}
    high = forecast(problem, history, 2, 2048, objective=lambda u: -u[:, -1].sum(-1), weight=0.4,
                    seeds=torch.arange(2048), progress=False)
    plain = forecast(problem, history, 2, 2048, seeds=torch.arange(2048), progress=False).scores(truth).u
    bare = Forecast(high.frames, high.history, 0 * high.weights, 0, "", 0, high.seeds).scores(truth).u
    assert float(bare.sel(score="crps")[-1] - plain.sel(score="crps")[-1]) > 0.1
    for name in ("crps", "energy_score", "error", "spread"):
        np.testing.assert_allclose(high.scores(truth).u.sel(score=name), plain.sel(score=name), rtol=0.1)


def test_a_forecast_is_drawn_and_filmed_whatever_axes_it_has(tmp_path):
    for shape in ((), (6,), (4, 4)):
        dims = ("time", "x", "y")[: 1 + len(shape)]
        size = int(np.prod(shape))
        layout = Layout(u=Variable((3, *shape), dims=dims))
        cov = torch.kron(chain(3, 0.9), torch.eye(size, dtype=D))
        found = forecast(Problem(layout, Gaussian(torch.zeros(3 * size, dtype=D), cov)), torch.zeros(1, *shape), 2, 3,
                         progress=False)
        _, axes = found.plot({"u": np.zeros((1, 3, *shape))})
        assert {line.get_label() for line in axes["scores"].lines} == {"error", "spread", "crps"}
        pyplot.close("all")
    found.film(tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3
