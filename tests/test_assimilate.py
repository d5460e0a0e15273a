"""Assimilation: Kalman's filter and the smoother of Rauch, Tung and Striebel are met by windows of a Gaussian prior."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import sciencegen as sg
from sciencegen.nets.zero import Zero
from sciencegen.physics.kalman import LinearGaussian
from sciencegen.priors.diffusion import Denoiser
from sciencegen.tasks.chains import Chain, framed
from sciencegen.tasks.kalman import Belief, Chooser, Closed, Mixing
from sciencegen.tasks.particles import Particles
from sciencegen.tasks.sweeps import Draws, Kalman

N, LENGTH, STEP = 4, 6, 0.5


def system() -> LinearGaussian:
    """A ring of four numbers, stationary."""
    matrix = 0.9 * torch.eye(N, dtype=torch.float64).roll(1, 0) + 0.05 * torch.eye(N, dtype=torch.float64)
    kick = 0.2 * torch.eye(N, dtype=torch.float64) + 0.05
    cov = kick
    for _ in range(400):
        cov = matrix @ cov @ matrix.mT + kick
    return LinearGaussian(torch.zeros(N, dtype=torch.float64), cov, matrix, kick)


def window_cov(model: LinearGaussian, length: int = LENGTH) -> torch.Tensor:
    blocks = torch.zeros(length, N, length, N, dtype=torch.float64)
    for s in range(length):
        across = model.covariance
        for t in range(s, length):
            blocks[t, :, s], blocks[s, :, t] = across, across.mT
            across = model.matrix @ across
    return blocks.reshape(length * N, length * N)


def layout(length: int = LENGTH) -> sg.Layout:
    coords = {"time": STEP * np.arange(length), "x": np.arange(N, dtype=float)}
    return sg.Layout(u=sg.Variable((length, N), loc=1.0, scale=2.0, dims=("time", "x"), coords=coords))


def prior(model: LinearGaussian, length: int = LENGTH) -> sg.Gaussian:
    return sg.Gaussian(torch.zeros(length * N, dtype=torch.float64), window_cov(model, length) / 4)  # unit-scale


def readings(model: LinearGaussian, frames: int, every: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A truth ``(frames, N)`` about zero, and what the first and third number are read as on every ``every`` frame."""
    draw = torch.Generator().manual_seed(seed)
    root, kick = torch.linalg.cholesky(model.covariance), torch.linalg.cholesky(model.kick)
    path = [root @ torch.randn(N, generator=draw, dtype=torch.float64)]
    for _ in range(frames - 1):
        path.append(model.matrix @ path[-1] + kick @ torch.randn(N, generator=draw, dtype=torch.float64))
    truth = torch.stack(path)
    seen = truth[::every, ::2]
    return truth, seen + 0.3 * torch.randn(seen.shape, generator=draw, dtype=torch.float64)


def observed(seen: torch.Tensor, every: int) -> sg.Observations:
    where = [[STEP * every * t, x] for t in range(len(seen)) for x in (0.0, 2.0)]
    return sg.Observations({"u": sg.Readings(where, 1 + seen.flatten(), 0.3)})


def exact(model: LinearGaussian, seen: torch.Tensor, every: int, frames: int, smooth: bool):
    reads = torch.eye(N, dtype=torch.float64)[::2]
    filtered = model.filter(reads, 0.3, seen, range(0, frames, every), frames)
    return model.smooth(filtered) if smooth else filtered


def silent(chain: Chain, model: LinearGaussian, smooth: bool, obs: sg.Observations, frames: int) -> torch.Tensor:
    """The centre's own path: a member without noise."""
    closed = Closed(torch.zeros(chain.known.size).double(), window_cov(model) / 4, chain)
    center = torch.zeros(chain.known.size, dtype=torch.float64)
    draws = Draws(torch.zeros(1), lambda count: center[None].clone(), lambda shared, _: shared @ closed.gain.mT,
                  closed, center, closed.whole)
    sights = chain.sights(obs.measure(framed(chain.layout, frames)), frames, obs.data, obs.noise)
    made = Kalman()(chain, sights, draws, smooth)
    return made.states[:, chain.places(frames)].reshape(frames, N) * 2


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("memory", [1, 3, 5])
def test_windows_of_a_gaussian_have_the_exact_mean(smooth, every, memory):
    model, frames = system(), 17
    _, seen = readings(model, frames, every)
    mean = silent(Chain(layout(), memory, frames), model, smooth, observed(seen, every), frames)
    wanted = exact(model, seen, every, frames, smooth).mean
    torch.testing.assert_close(mean, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", ["smooth", "filter"])
def test_members_have_the_exact_mean_and_covariance(mode):
    model, frames, members = system(), 14, 3000
    _, seen = readings(model, frames, 2)
    found = sg.assimilate(sg.Problem(layout(), prior(model)), observed(seen, 2), frames, members, mode,
                          seeds=torch.arange(members))
    x = torch.as_tensor(found.frames.u.values[0]).double() - 1
    beliefs = exact(model, seen, 2, frames, mode == "smooth")
    spread = beliefs.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert float(((x.mean(0) - beliefs.mean) / spread).abs().max()) < 4.5 / members**0.5
    assert float((x.var(0) / spread**2 - 1).abs().max()) < 4.5 * (2 / members) ** 0.5
    assert found.config["readings"]["share"] == 1
    assert found.nfev == 0


def test_the_filter_of_the_last_frame_is_the_smoother_of_it():
    model, frames = system(), 11
    _, seen = readings(model, frames, 1)
    problem, obs = sg.Problem(layout(), prior(model)), observed(seen, 1)
    smooth, filtered = (sg.assimilate(problem, obs, frames, 8, mode, seeds=torch.arange(8)).frames.u.values
                        for mode in ("smooth", "filter"))
    np.testing.assert_array_equal(smooth[:, :, -1], filtered[:, :, -1])
    assert np.abs(smooth[:, :, 0] - filtered[:, :, 0]).max() > 0.01


def test_what_is_ahead_is_a_forecast_from_the_last_frame():
    model, frames, members = system(), 9, 3000
    _, seen = readings(model, frames, 1)
    found = sg.assimilate(sg.Problem(layout(), prior(model)), observed(seen, 1), frames, members, "filter", ahead=4,
                          seeds=torch.arange(members))
    assert found.frames.sizes["time"] == frames + 4
    mean, cov = (v[-1] for v in exact(model, seen, 1, frames, False)[:2])
    for _ in range(4):
        mean, cov = model.ahead(mean, cov)
    x = torch.as_tensor(found.frames.u.values[0, :, -1]).double() - 1
    assert float(((x.mean(0) - mean) / cov.diagonal().sqrt()).abs().max()) < 4.5 / members**0.5
    assert float((x.var(0) / cov.diagonal() - 1).abs().max()) < 4.5 * (2 / members) ** 0.5


def test_times_between_frames_are_read_between_them():
    model, frames = system(), 9
    where = [[STEP * 4.5, 1.0], [STEP * 4.25, 3.0]]
    obs = sg.Observations({"u": sg.Readings(where, [2.0, 0.0], 0.1)})
    found = sg.assimilate(sg.Problem(layout(), prior(model)), obs, frames, 400, seeds=torch.arange(400))
    u = found.frames.u.values[0] - 1
    cov = window_cov(model, frames)
    rows = torch.zeros(2, frames, N, dtype=torch.float64)
    rows[0, 4:6, 1], rows[1, 4, 3], rows[1, 5, 3] = 0.5, 0.75, 0.25
    rows = rows.flatten(1)
    wanted = cov @ rows.mT @ torch.linalg.solve(rows @ cov @ rows.mT + 0.01 * torch.eye(2).double(),
                                                torch.tensor([1.0, -1.0]).double())
    spread = cov.diagonal().sqrt().reshape(frames, N)
    assert float(((torch.as_tensor(u.mean(0)) - wanted.reshape(frames, N)) / spread).abs().max()) < 4.5 / 400**0.5


def test_a_parameter_is_counted_once():
    """A level that all frames share, read through them: its posterior is that of all readings together, not of each."""
    length, frames, members = 4, 20, 3000
    rest, own = 0.5, 1.0  # variances of independent frames about the level, and of the level
    cov = torch.full((length + 1, length + 1), own, dtype=torch.float64)
    cov[:length, :length] += rest * torch.eye(length, dtype=torch.float64)
    lay = sg.Layout(u=sg.Variable((length,), dims=("time",), coords={"time": np.arange(length)}), level=())
    obs = sg.Observations({"u": sg.Readings(np.arange(frames)[:, None], np.full(frames, 1.3), 0.1)})
    found = sg.assimilate(sg.Problem(lay, sg.Gaussian(torch.zeros(length + 1, dtype=torch.float64), cov)), obs, frames,
                          members, seeds=torch.arange(members))
    variance = 1 / (1 / own + frames / (rest + 0.01))
    level = found.frames.level.values[0]
    assert abs(level.var() / variance - 1) < 4.5 * (2 / members) ** 0.5
    assert abs(level.mean() - 1.3 * variance * frames / (rest + 0.01)) < 4.5 * (variance / members) ** 0.5


def test_an_ensemble_near_a_gaussian_keeps_its_closed_form():
    """A prior whose network may say something, but does not: members' own covariances are not believed instead."""
    model, frames, members = system(), 16, 48
    _, seen = readings(model, frames, 1)
    chain, obs = Chain(layout(), 3, frames), observed(seen, 1)
    mean = torch.zeros(chain.known.size).double()
    closed, root = Closed(mean, window_cov(model) / 4, chain), torch.linalg.cholesky(window_cov(model) / 4)
    kick = torch.linalg.cholesky(closed.rest + 1e-12 * torch.eye(len(closed.rest)))
    draw = torch.Generator().manual_seed(0)
    white = lambda *shape: torch.randn(*shape, generator=draw, dtype=torch.float64)
    draws = Draws(torch.arange(members), lambda n: white(n, len(root)) @ root.mT,
                  lambda shared, _: shared @ closed.gain.mT + white(len(shared), len(kick)) @ kick.mT, closed, None,
                  closed.whole)
    sights = chain.sights(obs.measure(framed(chain.layout, frames)), frames, obs.data, obs.noise)
    made = Kalman()(chain, sights, draws, True)
    assert {m.share for m in made.used} == {1.0}
    beliefs = exact(model, seen, 1, frames, True)
    x = 2 * made.states[:, chain.places(frames)].reshape(members, frames, N)
    ratio = x.var(0).mean() / beliefs.covariance.diagonal(dim1=-2, dim2=-1).mean()
    assert 0.8 < float(ratio) < 1.2


def test_an_ensemble_alone_is_right_with_many_members():
    model, frames, members = system(), 10, 2000
    _, seen = readings(model, frames, 2)
    problem = sg.Problem(layout(), prior(model))
    chain = Chain(layout(), 2, frames)
    obs = observed(seen, 2)
    noise = torch.Generator().manual_seed(1)
    mean = torch.zeros(chain.known.size).double()
    closed, root = Closed(mean, window_cov(model) / 4, chain), torch.linalg.cholesky(window_cov(model) / 4)
    kick = torch.linalg.cholesky(closed.rest + 1e-12 * torch.eye(len(closed.rest)))
    white = lambda *shape: torch.randn(*shape, generator=noise, dtype=torch.float64)
    draws = Draws(torch.arange(members), lambda n: white(n, len(root)) @ root.mT,
                  lambda shared, _: shared @ closed.gain.mT + white(len(shared), len(kick)) @ kick.mT)
    sights = chain.sights(obs.measure(framed(problem.layout, frames)), frames, obs.data, obs.noise)
    x = 2 * Kalman()(chain, sights, draws, True).states[:, chain.places(frames)].reshape(members, frames, N)
    beliefs = exact(model, seen, 2, frames, True)
    spread = beliefs.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert float(((x.mean(0) - beliefs.mean) / spread).square().mean().sqrt()) < 0.1
    assert abs(float((x.var(0) / spread**2).mean()) - 1) < 0.1


@pytest.mark.parametrize("smooth", [True, False])
def test_particles_have_the_exact_mean_and_variance(smooth):
    model, frames, members, length = system(), 5, 800, 2
    _, seen = readings(model, frames, 1)
    problem = sg.Problem(layout(length), prior(model, length))
    found = sg.assimilate(problem, observed(seen, 1), frames, members, "smooth" if smooth else "filter",
                          method=Particles(2000, 40, 1000), seeds=torch.arange(members))
    x = torch.as_tensor(found.frames.u.values[0]).double() - 1
    beliefs = exact(model, seen, 1, frames, smooth)
    spread = beliefs.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert float(((x.mean(0) - beliefs.mean) / spread).square().mean().sqrt()) < 0.15  # of a few hundred that count
    assert abs(float((x.var(0) / spread**2).mean()) - 1) < 0.15
    assert 1 < found.config["readings"]["effective size"]["least"] < 16000


def test_a_history_is_where_the_horizon_begins():
    model, frames = system(), 7
    truth, seen = readings(model, frames + 2, 1)
    problem = sg.Problem(layout(), prior(model))
    found = sg.assimilate(problem, observed(seen[2:], 1), frames, 500, "filter", history=(1 + truth[:2])[None],
                          memory=2, seeds=torch.arange(500))
    start = replace(model, mean=model.matrix @ truth[1], covariance=model.kick)
    beliefs = start.filter(torch.eye(N).double()[::2], 0.3, seen[2:], range(frames), frames)
    x = torch.as_tensor(found.frames.u.values[0]).double() - 1
    spread = beliefs.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert float(((x.mean(0) - beliefs.mean) / spread).abs().max()) < 4.5 / 500**0.5 + 0.05


def test_seeds_are_the_members_and_the_algebra_changes_nothing():
    model = system()
    _, seen = readings(model, 9, 2)
    energy = prior(model)
    ask = lambda e, n=6: sg.assimilate(sg.Problem(layout(), e), observed(seen, 2), 9, n, seeds=torch.arange(n)
                                       ).frames.u.values
    first = ask(energy)
    np.testing.assert_array_equal(first, ask(energy))
    np.testing.assert_array_equal(first, ask(1.0 * energy))
    np.testing.assert_array_equal(first, ask(energy / 2 + energy / 2))
    np.testing.assert_allclose(first, ask(energy, 9)[:, :6], rtol=1e-6, atol=1e-6)


def test_a_network_that_says_nothing_costs_no_call():
    model = system()
    _, seen = readings(model, 9, 2)
    data = prior(model).float()
    given = [layout()["u"][:k] for k in range(1, LENGTH)]
    plain = Denoiser(Zero(), data, given=given)
    found, wanted = (sg.assimilate(sg.Problem(layout(), e), observed(seen, 2), 9, 4, seeds=torch.arange(4))
                     for e in (plain, data))
    assert found.nfev == 0
    np.testing.assert_array_equal(found.frames.u.values, wanted.frames.u.values)


def test_inflation_answers_to_members_that_are_too_sure():
    draw = torch.Generator().manual_seed(0)
    chain = Chain(layout(), 1, 6)
    chooser = Chooser([Mixing(0.0, i) for i in (1.0, 1.5, 4.0)])
    members = 0.1 * torch.randn(40, chain.known.size, generator=draw, dtype=torch.float64)
    belief = Belief(members, members.mean(0), None)
    obs = observed(0.6 * torch.randn(6, 2, generator=draw, dtype=torch.float64), 1)
    (sights,) = chain.sights(obs.measure(framed(chain.layout, 6)), 6, obs.data, torch.full((12,), 0.05))
    assert [chooser.told(belief, sight).inflation for sight in sights][-1] == 4.0


@pytest.mark.parametrize("wrong, words", [
    ({"horizon": 4}, "at times 0 to 4; expected 0 to 1.5, the 4 frames of the horizon"),
    ({"horizon": 0}, "horizon=0"),
    ({"mode": "smoother"}, "'smooth' or 'filter'"),
    ({"members": 1}, "2 or more"),
    ({"memory": 6}, "memory=6; expected 1 to 5"),
    ({"seeds": torch.arange(3)}, r"expected \(5,\)"),
    ({"history": torch.zeros(1, N)}, "1 frames; expected 3 or more"),
])
def test_what_does_not_fit_is_refused(wrong, words):
    model = system()
    _, seen = readings(model, 9, 2)
    asked = {"horizon": 9, "members": 5, **wrong}
    with pytest.raises(ValueError, match=words):
        sg.assimilate(sg.Problem(layout(), prior(model)), observed(seen, 2), **asked)


def test_readings_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="1 of 2 values that are not finite"):
        sg.Readings([[0.0, 1.0], [0.5, 1.0]], [1.0, np.nan], 0.1)


def test_a_layout_without_time_is_refused():
    flat = sg.Layout(u=(3,))
    with pytest.raises(ValueError, match="first axis is called time"):
        sg.assimilate(sg.Problem(flat, sg.Gaussian(torch.zeros(3), torch.ones(3))),
                      sg.Observations({"u": sg.Readings([[0.0]], [1.0], 0.1)}), 4)
