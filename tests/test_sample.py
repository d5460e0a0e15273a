"""Samplers: their order on an exact flow, what they draw, and that a seeded sample is the same in any company."""

import dataclasses
import math

import pytest
import torch
from scipy import stats

from conformance import decay, gaussian, law, mixture
from oracles import chain, close, covariance, gaussian_flow, normal, order, within
from sciencegen.energy import Potential
from sciencegen.exact import Gaussian, Mixture
from sciencegen.guide import Tweedie
from sciencegen.layout import Layout
from sciencegen.mcmc import HMC, Walk
from sciencegen.random import Streams
from sciencegen.sample import Ancestral, Annealed, Euler, Heun, Multistep, karras

SAMPLERS = [Euler, Heun, Ancestral, Multistep]
FLOWS = [Euler, Heun, Multistep]
every = pytest.mark.parametrize("sampler", SAMPLERS)


def grid(steps, low=2e-3, high=80.0, zero=False):
    sigmas = karras(steps, low, high, dtype=torch.float64)
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]) if zero else sigmas


def draws(sampler, energy, count, size):
    seeds = torch.arange(count)
    return sampler(energy, sampler.start(count, size, seeds), seeds)


# --- grids -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("steps, low, high, rho", [(1, 2e-3, 80.0, 7.0), (18, 0.1, 3.0, 3.0), (200, 1e-4, 1e3, 7.0)])
def test_a_karras_grid_falls_evenly_in_the_root_of_sigma(steps, low, high, rho):
    sigmas = karras(steps, low, high, rho, dtype=torch.float64)
    assert sigmas.shape == (steps + 1,)
    assert float(sigmas[0]) == pytest.approx(high, rel=1e-12)
    assert float(sigmas[-1]) == pytest.approx(low, rel=1e-12)
    jumps = (sigmas ** (1 / rho)).diff()
    close(jumps / jumps[0], torch.ones_like(jumps), 1e-9)
    assert float(jumps[0]) < 0


def test_the_default_grid_is_edms_in_torchs_default_precision():
    assert karras(18).dtype == torch.get_default_dtype()
    assert [round(float(s), 3) for s in karras(18)[[0, -1]]] == [80.0, 0.002]


@pytest.mark.parametrize("steps, low, high", [(0, 0.1, 1.0), (5, 1.0, 0.1), (5, 0.0, 1.0), (5, -1.0, 1.0)])
def test_a_bad_grid_is_refused(steps, low, high):
    with pytest.raises(ValueError, match=f"got steps={steps}, low={low}, high={high}; expected steps >= 1"):
        karras(steps, low, high)


@every
@pytest.mark.parametrize(
    "sigmas",
    [[1.0], [1.0, 1.0], [1.0, 2.0], [3.0, 1.0, 2.0], [1.0, math.nan], [1.0, -1.0], [3, 1], [[3.0, 1.0]], []],
    ids=str,
)
def test_bad_levels_are_refused(sampler, sigmas):
    with pytest.raises(ValueError, match="got sigmas .*; expected two or more falling noise levels"):
        sampler(torch.tensor(sigmas))


@every
def test_a_sampler_is_data(sampler):
    run = sampler(grid(3), HMC(0.1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.corrector = None
    assert dataclasses.replace(run, corrector=None).corrector is None


# --- orders ------------------------------------------------------------------------------------------------------

M, C = normal(3), covariance(3)


@pytest.mark.parametrize("sampler, wanted", [(Euler, 1), (Heun, 2), (Multistep, 2)])
@pytest.mark.parametrize("high, low", [(10.0, 0.1), (80.0, 2e-3)])
def test_the_order_of_convergence(sampler, wanted, high, low):
    """Measured 0.95 to 0.99, 2.01 to 2.07 and 2.01 to 2.07."""
    x = high * normal(20, 3, seed=3)
    exact, steps = gaussian_flow(x, high, low, M, C), [16, 32, 64, 128]
    errors = [float((sampler(grid(n, low, high))(Gaussian(M, C), x) - exact).norm()) for n in steps]
    assert abs(order(errors, steps) - wanted) < 0.2
    assert errors[-1] < 0.05 * float(exact.norm())


@pytest.mark.parametrize("sampler, wanted", [(Heun, 2), (Multistep, 2)])
def test_the_order_of_convergence_on_an_uneven_grid(sampler, wanted):
    """Short and long steps in turn, of one to three in the logarithm: what was before counts by its length."""
    x, errors, steps = 10 * normal(20, 3, seed=3), [], [16, 32, 64, 128]
    for n in steps:
        jumps = torch.tensor([0.5, 1.5], dtype=torch.float64).repeat(n // 2).cumsum(0) / n
        sigmas = 10.0 * torch.exp(-math.log(100.0) * torch.cat([jumps.new_zeros(1), jumps]))
        errors.append(float((sampler(sigmas)(Gaussian(M, C), x) - gaussian_flow(x, 10.0, 0.1, M, C)).norm()))
    assert abs(order(errors, steps) - wanted) < 0.2


def test_a_lone_multistep_is_of_first_order():
    x, steps = 10 * normal(20, 3, seed=3), [16, 32, 64, 128]
    exact = gaussian_flow(x, 10.0, 0.1, M, C)
    errors = []
    for n in steps:
        y, run = x, Multistep(grid(n, 0.1, 10.0))
        for a, b in zip(run.levels, run.levels[1:]):
            y, _, _ = run.step(Gaussian(M, C), y, a, b, run.init(y), None)
        errors.append(float((y - exact).norm()))
    assert abs(order(errors, steps) - 1) < 0.2


@pytest.mark.parametrize("sampler", FLOWS)
def test_the_flow_to_a_point_is_straight(sampler):
    point, x = normal(3), normal(5, 3, seed=1)
    sure = Gaussian(point, torch.zeros(3, 3, dtype=torch.float64))
    close(sampler(torch.tensor([10.0, 4.0, 3.0, 0.5]).double())(sure, x), point + 0.05 * (x - point), 1e-12)
    close(sampler(torch.tensor([10.0, 0.0]).double())(sure, x), point.expand(5, 3), 1e-12)


VARIANCES = torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)


def narrowing(sigmas):
    """The share of ``VARIANCES`` that Ancestral ends with: it is linear, so that no sample has to be drawn."""
    run, energy = Ancestral(sigmas), Gaussian(torch.zeros(3, dtype=torch.float64), VARIANCES)
    twins = Streams(torch.zeros(2, dtype=torch.long))
    spread, probe = sigmas[0] ** 2, torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, 3)
    for a, b in zip(run.levels, run.levels[1:]):
        (pushed, moved), _, _ = run.step(energy, probe, a, b, run.init(probe), twins)
        spread = (moved - pushed) ** 2 * spread + (pushed / twins.normal(3)[0]) ** 2
    return spread / (VARIANCES + sigmas[-1] ** 2)


def test_known_bias_ancestral_is_too_narrow_by_its_first_order():
    """By 21 to 25 % at 40 steps, by 3 to 4 % at 320, by nothing in the limit."""
    steps = [80, 160, 320]
    errors = torch.stack([1 - narrowing(grid(n)) for n in steps])
    for of_one in errors.mT:
        assert abs(order(of_one.tolist(), steps) - 1) < 0.1
        assert 0 < float(of_one[-1]) < 0.04
        assert 2 * float(of_one[-1] - of_one[-2] / 2) == pytest.approx(0, abs=6e-3), "Richardson's limit"
    at_40 = 1 - narrowing(grid(40))
    assert bool(((0.2 < at_40) & (at_40 < 0.26)).all())


def test_ancestral_draws_what_its_recursion_says():
    x = draws(Ancestral(grid(20)), Gaussian(torch.zeros(3, dtype=torch.float64), VARIANCES), 20000, 3)
    for i, variance in enumerate(VARIANCES * narrowing(grid(20))):
        within(x[:, i], 0, math.sqrt(variance))
        within(x[:, i] ** 2, float(variance), math.sqrt(2) * float(variance))


@pytest.mark.parametrize("sampler", FLOWS)
def test_known_bias_a_start_that_is_not_wide_enough(sampler):
    """The flow from N(0, S^2) misses a mean of 8 by 8 / S; from S = 80 that is 0.1."""
    high, mean = 40.0, torch.full((1,), 8.0, dtype=torch.float64)
    start = torch.zeros(1, 1, dtype=torch.float64)
    x = sampler(grid(200, high=high))(Gaussian(mean, torch.ones(1).double()), start)
    assert float(8 - x) == pytest.approx(8 / math.sqrt(1 + high**2), abs=0.02)


# --- what is drawn -----------------------------------------------------------------------------------------------

WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
MEANS = torch.tensor([[3.0, 0.0], [-3.0, 1.0], [0.0, -4.0]], dtype=torch.float64)
WIDTHS = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)


@pytest.mark.parametrize("sampler, steps, width", [(Heun, 40, 0.02), (Multistep, 60, 0.02), (Ancestral, 300, 0.06)])
def test_modes_have_their_weights_means_and_widths(sampler, steps, width):
    count = 6000
    x = draws(sampler(grid(steps)), Mixture(WEIGHTS, MEANS, WIDTHS), count, 2)
    which = torch.cdist(x, MEANS).argmin(-1)
    for k, (weight, mean, std) in enumerate(zip(WEIGHTS, MEANS, WIDTHS)):
        mode = x[which == k]
        within((which == k).double(), float(weight), math.sqrt(float(weight * (1 - weight))))
        for i in range(2):
            assert abs(float(mode[:, i].mean() - mean[i])) < 4.5 * float(std) / math.sqrt(len(mode)) + 0.005
        spread = float(((mode - mean) ** 2).mean().sqrt() / std)
        assert abs(spread - 1) < width + 4.5 / math.sqrt(4 * len(mode))


@pytest.mark.parametrize("sampler", [Heun, Multistep])
def test_a_gaussian_is_drawn_with_its_mean_and_covariance(sampler):
    m, cov = normal(3), covariance(3)
    x = draws(sampler(grid(60)), Gaussian(m, cov), 6000, 3)
    for i in range(3):
        assert abs(float(x[:, i].mean() - m[i])) < 4.5 * math.sqrt(float(cov[i, i]) / 6000) + 0.02
        for j in range(3):
            deviation = math.sqrt(float(cov[i, i] * cov[j, j] + cov[i, j] ** 2) / 6000)
            assert abs(float(x.mT.cov()[i, j] - cov[i, j])) < 4.5 * deviation + 0.01 * float(cov.max())


def test_the_start_is_normal_scaled_and_of_the_grids_precision():
    start = Euler(grid(3, high=7.0)).start(20000, 2, torch.arange(20000))
    assert stats.kstest(start.flatten() / 7, "norm").pvalue > 1e-3
    assert start.dtype == torch.float64
    assert Euler(karras(3)).start(2, 2).dtype == torch.float32


# --- composition -------------------------------------------------------------------------------------------------

T, RHO = 6, 0.8
U = Layout(u=(T,))["u"]
ZERO = torch.zeros(2, dtype=torch.float64)
LONG = Gaussian(ZERO, chain(2, RHO)).on(U.windows(2, 1)) - Gaussian(ZERO[:1], chain(1, RHO)).on(U[1:-1].windows(1, 1))


def test_windows_minus_overlaps_are_the_chain_at_level_zero():
    whole, x = Gaussian(torch.zeros(T, dtype=torch.float64), chain(T, RHO)), normal(10, T)
    close(LONG.score(x, 0.0), whole.score(x, 0.0), 1e-12)
    close(LONG(x, 0.0), whole(x, 0.0), 1e-12)
    assert float((LONG.score(x, 1.0) - whole.score(x, 1.0)).abs().max()) > 0.1, "but not above it"


@every
def test_known_bias_uncorrected_composition_misses_the_covariance(sampler):
    """By 0.37 to 0.44 of a variance of one."""
    x = draws(sampler(grid(30)), LONG, 4000, T)
    assert float((x.mT.cov() - chain(T, RHO)).abs().max()) > 0.25


@pytest.mark.parametrize("sampler", [Ancestral, Multistep])
def test_corrected_composition_finds_the_covariance(sampler):
    """Measured 0.014 with 40,000 draws; with 12,000 drawing alone makes errors of about 0.03.

    Multistep has to forget after a correction: the mean that it remembered, of where the sample was before, once left
    errors of 0.2 to 0.7.
    """
    kernel = HMC(lambda sigma: 0.5 * (sigma**2 + 0.3**2).sqrt(), leaps=5, repeats=2)
    x = draws(sampler(grid(24), kernel), LONG, 12000, T)
    assert float((x.mT.cov() - chain(T, RHO)).abs().max()) < 0.05


def test_annealing_follows_its_levels_to_the_last():
    """From a start as wide as the first level, with no step but the kernel's."""
    kernel = HMC(lambda sigma: 0.5 * (sigma**2 + 0.3**2).sqrt(), leaps=8, repeats=6)
    x = draws(Annealed(grid(16, 0.02, 3.0), kernel), LONG, 6000, T)
    assert float((x.mT.cov() - chain(T, RHO)).abs().max()) < 0.06


def test_annealing_is_its_corrector_alone():
    class Halve:
        def check(self, energy, sigma):
            """It walks anything."""

        def __call__(self, energy, x, sigma, noise=None):
            return x / 2, Walk(energy.evaluate(x / 2, sigma), torch.ones(len(x)))

    x = normal(3, 2)
    assert torch.equal(Annealed(grid(4), Halve())(gaussian(2), x), x / 16)
    with pytest.raises(ValueError, match="got no corrector; expected a kernel, which is all that Annealed moves by"):
        Annealed(grid(3))


# --- seeds -------------------------------------------------------------------------------------------------------

def runs():
    kernel = HMC(lambda sigma: 0.3 * (1 + sigma), leaps=2, repeats=2)
    return [Annealed(grid(5), kernel)] + [sampler(grid(5, zero=zero), corrector) for sampler in SAMPLERS
                                          for zero in (False, True) for corrector in (None, kernel)]


@pytest.mark.parametrize("run", runs(), ids=lambda run: f"{type(run).__name__}, {run.corrector and 'corrected'}")
def test_a_seeded_sample_is_the_same_alone_and_in_any_batch(run):
    energy, seeds = Tweedie(mixture(3), law()) + decay * gaussian(3), torch.tensor([5, 2**61, -3, 0, 77])
    start = run.start(5, 3, seeds)
    together = run(energy, start, seeds)
    assert bool(together.isfinite().all())
    assert torch.equal(run(energy, start, seeds), together)
    order = torch.tensor([3, 0, 4])
    assert torch.equal(run.start(3, 3, seeds[order]), start[order])
    close(run(energy, start[order], seeds[order]), together[order], 1e-9)
    for row in range(5):
        assert torch.equal(run.start(1, 3, seeds[row: row + 1])[0], start[row])
        close(run(energy, start[row: row + 1], seeds[row: row + 1])[0], together[row], 1e-9)


@every
def test_other_seeds_are_other_samples(sampler):
    run = sampler(grid(5), HMC(0.1))
    x = draws(run, mixture(3), 50, 3)
    assert len(x.flatten().unique()) == 150
    start = run.start(1, 3, torch.tensor([0])).expand(2, 3)
    walked = run(mixture(3), start, torch.tensor([1, 2]))
    assert bool((walked[0] != walked[1]).all()), "the corrector's noise differs by row"


@every
def test_without_seeds_noise_is_fresh_and_follows_torchs_generator(sampler):
    run, energy = sampler(grid(5), HMC(0.1)), mixture(3)
    torch.manual_seed(0)
    first = run(energy, run.start(2, 3))
    assert bool((run(energy, run.start(2, 3)) != first).all())
    torch.manual_seed(0)
    assert torch.equal(run(energy, run.start(2, 3)), first)


def test_start_steps_and_corrections_share_no_noise():
    """Ancestral's own noise, the start's and the kernel's momenta, recorded where they are drawn."""
    noise, places = Streams(torch.arange(4000)), []

    class Recorded:
        def check(self, energy, sigma):
            pass

        def __call__(self, energy, x, sigma, noise=None):
            places.append((noise.step, noise.stream))
            return HMC(0.1, repeats=2)(energy, x, sigma, noise)

    run = Ancestral(grid(3), Recorded())
    draws(run, gaussian(2), 10, 2)
    assert places == [(0, 1), (1, 1), (2, 1)]
    free = Potential(lambda x: 0 * x.sum(-1))
    start = run.start(4000, 1, noise.seeds)
    moved = torch.cat([x for _, x, _ in Ancestral(grid(3)).path(free, torch.zeros_like(start), noise.seeds)], dim=-1)
    for walk in torch.cat([moved[:, :1], moved.diff()], dim=-1).mT:
        within(start[:, 0] / start.std() * walk / walk.std(), 0, 1)
    used = [noise.at(step, stream).normal(1) for step in (-1, 0, 1, 2) for stream in range(5)]
    for i, a in enumerate(used):
        for b in used[:i]:
            within(a * b, 0, 1)


@pytest.mark.parametrize("seeds", [torch.zeros(2), torch.zeros(3, dtype=torch.long), torch.zeros((), dtype=torch.long)])
def test_bad_seeds_are_refused(seeds):
    run = Euler(grid(3))
    for ask in (lambda: run.start(2, 3, seeds), lambda: run(gaussian(3), torch.zeros(2, 3).double(), seeds)):
        with pytest.raises(ValueError, match=r"got seeds of shape .*; expected \(2,\) integers, one per row"):
            ask()


# --- paths -------------------------------------------------------------------------------------------------------

@every
def test_a_path_is_the_samples_history(sampler):
    run, energy, seeds = sampler(grid(6, zero=True), HMC(0.1)), mixture(3), torch.arange(4)
    start = run.start(4, 3, seeds)
    before = start.clone()
    sigmas, states, infos = zip(*run.path(energy, start, seeds))
    assert list(sigmas) == run.levels[1:]
    assert torch.equal(states[-1], run(energy, start, seeds))
    assert torch.equal(start, before)
    assert [info.acceptance is None for info in infos] == [False] * 6 + [True], "there is nothing to correct at zero"
    assert all(info.acceptance.shape == (4,) for info in infos[:-1])
    for sigma, x, info in zip(sigmas[:-1], states, infos):
        assert info.level == sigma
        for found, wanted in zip(info.evaluation[:2], energy.evaluate(x, sigma)[:2], strict=True):
            close(found, wanted)
    for before, (_, _, info) in zip([start, *states], sampler(grid(2)).path(energy, start, seeds)):
        assert info.acceptance is None
        close(info.evaluation.score, energy.score(before, info.level)) if before is start else None


@every
def test_a_path_can_be_left_and_its_states_are_ones_own(sampler):
    run, seeds = sampler(grid(6)), torch.arange(4)
    start, seen = run.start(4, 3, seeds), []
    for _, x, _ in run.path(gaussian(3), start, seeds):
        seen.append((x, x.clone()))
        if len(seen) == 3:
            break
    assert all(torch.equal(x, copy) for x, copy in seen)
    assert torch.is_grad_enabled()


@every
def test_a_sampler_works_in_the_precision_of_its_state(sampler):
    run = sampler(grid(4), HMC(0.1))
    x = run(gaussian(3).float(), run.start(2, 3).float())
    assert x.dtype == torch.float32
