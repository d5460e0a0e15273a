"""Kernels: an adjusted one keeps its target, an unadjusted one has the bias that theory gives it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from conformance import bowl, denoised, gaussian, mixture
from oracles import chain, close, normal, within
from sciencegen.energy import Potential, Residual
from sciencegen.exact import Gaussian, Mixture
from sciencegen.guide import Moments, Tweedie
from sciencegen.layout import Layout
from sciencegen.mcmc import HMC
from sciencegen.nets.mlp import ScalarMLP
from sciencegen.priors import EnergyNet
from sciencegen.random import Streams
from sciencegen.sample import Heun

COUNT = 20000
NOISE = Streams(torch.arange(COUNT))
UNIT = Gaussian(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
WEIGHTS = torch.tensor([0.3, 0.7], dtype=torch.float64)
CENTERS = torch.tensor([[-1.0], [1.5]], dtype=torch.float64)
WIDTHS = torch.tensor([0.5, 0.8], dtype=torch.float64)
PAIR = Mixture(WEIGHTS, CENTERS, WIDTHS)


def pair_cdf(x, sigma=0.0):
    widths = (WIDTHS**2 + sigma**2).sqrt()
    return sum(float(w) * stats.norm.cdf(x, float(m), float(s)) for w, m, s in zip(WEIGHTS, CENTERS, widths))


def drawn_from_pair():
    which = (Streams(torch.arange(COUNT), 50).uniform(1) > WEIGHTS[0]).long()[:, 0]
    return CENTERS[which] + WIDTHS[which, None] * Streams(torch.arange(COUNT), 51).normal(1)


# --- the target is kept ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("leaps", [1, 5])
@pytest.mark.parametrize("step", [0.5, 1.3])
def test_an_adjusted_kernel_keeps_a_normal_distribution(leaps, step):
    x, info = HMC(step, leaps, repeats=10)(UNIT, NOISE.at(60).normal(1), 0.0, NOISE)
    within(x, 0, 1)
    within(x**2, 1, math.sqrt(2))
    assert stats.kstest(x[:, 0], "norm").pvalue > 1e-3
    assert float(info.acceptance.min()) < 0.999, "nothing was ever doubted: this would not test the acceptance"


@pytest.mark.parametrize("leaps", [1, 5])
@pytest.mark.parametrize("step", [0.3, 0.9])
def test_an_adjusted_kernel_keeps_a_mixture(leaps, step):
    x, _ = HMC(step, leaps, repeats=10)(PAIR, drawn_from_pair(), 0.0, NOISE)
    assert stats.kstest(x[:, 0], pair_cdf).pvalue > 1e-3


def test_an_adjusted_kernel_reaches_its_target_from_elsewhere():
    start = torch.full((COUNT, 1), 2.0, dtype=torch.float64)
    x, _ = HMC(0.7, leaps=4, repeats=25)(PAIR, start, 0.7, NOISE)
    assert stats.kstest(x[:, 0], lambda x: pair_cdf(x, 0.7)).pvalue > 1e-3


def test_an_adjusted_kernel_keeps_the_target_of_its_level():
    sigma, cov = 0.7, chain(3, 0.8)
    noisy = cov + sigma**2 * torch.eye(3)
    start = NOISE.at(60).normal(3) @ torch.linalg.cholesky(noisy).mT
    x, _ = HMC(0.8, leaps=3, repeats=5)(Gaussian(torch.zeros(3).double(), cov), start, sigma, NOISE)
    for i in range(3):
        for j in range(3):
            within(x[:, i] * x[:, j], float(noisy[i, j]), float((noisy[i, i] * noisy[j, j] + noisy[i, j] ** 2).sqrt()))


@pytest.mark.parametrize("step", [0.5, 1.0, 1.4])
def test_known_bias_unadjusted_langevin_is_too_wide(step):
    x, info = HMC(step, adjusted=False, repeats=25)(UNIT, NOISE.at(60).normal(1), 0.0, NOISE)
    variance = 1 / (1 - step**2 / 4)
    within(x**2, variance, math.sqrt(2) * variance)
    assert abs(variance - 1) > 4.5 * math.sqrt(2 / COUNT), "the bias is larger than the error of this test"
    close(info.acceptance, torch.ones(COUNT, dtype=torch.float64))


def test_known_bias_correction_shrinks_with_the_step():
    biases = []
    for step in (1.0, 0.5):
        x, _ = HMC(step, leaps=4, adjusted=False, repeats=10)(UNIT, NOISE.at(60).normal(1), 0.0, NOISE)
        biases.append(float((x**2).mean()) - 1)
    assert biases[0] > 3 * biases[1] > 0


def test_acceptance_is_the_mean_probability():
    """Of a proposal of MALA from N(0, 1): E min(1, exp(-delta)), by quadrature over state and momentum."""
    step = 1.5
    grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    x, p = torch.meshgrid(grid, grid, indexing="ij")
    half = p - step / 2 * x
    y = x + step * half
    end = half - step / 2 * y
    density = torch.exp(-(x**2 + p**2) / 2) / (2 * math.pi) * 0.01**2
    wanted = float((density * torch.exp((x**2 + p**2 - y**2 - end**2) / 2).clamp_max(1)).sum())
    _, info = HMC(step, repeats=3)(UNIT, NOISE.at(60).normal(1), 0.0, NOISE)
    within(info.acceptance, wanted, 0.5)
    assert 0.5 < wanted < 0.95


def test_small_steps_are_always_accepted_and_energy_error_is_of_second_order():
    rejected = []
    for step in (0.2, 0.1):
        _, info = HMC(step, leaps=round(1 / step))(bowl(), normal(COUNT, 3), 0.0, NOISE)
        rejected.append(1 - float(info.acceptance.mean()))
    assert 3 < rejected[0] / rejected[1] < 5.5


# --- refusals ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    "energy",
    [denoised(), gaussian(3) + denoised(), Tweedie(gaussian(3), bowl(), backprop=False),
     Moments(gaussian(3), torch.eye(3).double()[:1], torch.ones(1), 0.1)],
    ids=repr,
)
def test_an_adjusted_kernel_refuses_a_score_and_names_the_alternative(energy):
    text = r"of which only the score is known; .*HMC\(..., adjusted=False\), or exact terms \(EnergyNet, Tweedie with"
    with pytest.raises(TypeError, match=text):
        HMC(0.1)(energy, normal(2, 3), 1.0)
    x, _ = HMC(0.1, adjusted=False)(energy, normal(2, 3), 1.0)
    assert bool(x.isfinite().all())


# --- rows and seeds ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("adjusted", [True, False])
def test_rows_decide_for_themselves(adjusted):
    kernel = HMC(0.9, leaps=3, adjusted=adjusted, repeats=4)
    x, noise = normal(6, 3), Streams(torch.arange(6))
    together, info = kernel(mixture(3), x, 0.3, noise)
    for row in range(6):
        alone, its = kernel(mixture(3), x[row: row + 1], 0.3, Streams(torch.tensor([row])))
        close(alone[0], together[row])
        close(its.acceptance[0], info.acceptance[row])
    for bad in (1e6, torch.inf, torch.nan):
        broken = x.clone()
        broken[2] = bad
        others, its = kernel(mixture(3), broken, 0.3, noise)
        keep = torch.arange(6) != 2
        close(others[keep], together[keep])
        close(its.acceptance[keep], info.acceptance[keep])


def test_levels_may_differ_by_row():
    kernel, x, sigma = HMC(lambda s: 0.5 * s, leaps=2), normal(3, 3), torch.tensor([[0.1], [1.0], [5.0]]).double()
    together, _ = kernel(mixture(3), x, sigma, Streams(torch.arange(3)))
    for row in range(3):
        alone, _ = kernel(mixture(3), x[row: row + 1], float(sigma[row]), Streams(torch.tensor([row])))
        close(alone[0], together[row])


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-1, 100))
def test_a_seeded_kernel_can_be_repeated(seed, step):
    noise, x = Streams(torch.tensor([seed, 7]), step), normal(2, 3)
    kernel = HMC(0.4, leaps=2, repeats=2)
    first, _ = kernel(mixture(3), x, 0.3, noise)
    torch.randn(3)
    assert torch.equal(kernel(mixture(3), x, 0.3, noise)[0], first)
    assert not torch.equal(kernel(mixture(3), x, 0.3, noise.at(step + 1))[0], first)


def test_repeats_and_calls_use_fresh_noise():
    """Two repeats are not one walk twice, and a kernel without seeds is not the same twice."""
    free = Potential(lambda x: 0 * x.sum(-1))
    x = torch.zeros(COUNT, 1, dtype=torch.float64)
    once, _ = HMC(1.0)(free, x, 1.0, NOISE)
    twice, _ = HMC(1.0, repeats=2)(free, x, 1.0, NOISE)
    within(once * (twice - once), 0, 1)
    within(twice**2, 2, 2 * math.sqrt(2))
    first, second = HMC(1.0)(free, x[:3], 1.0), HMC(1.0)(free, x[:3], 1.0)
    assert bool((first[0] != second[0]).all())


def test_the_decision_is_independent_of_the_momentum():
    """Shared bits would let through only some momenta: with a flat target of two levels they all have one chance."""
    steps = Potential(lambda x: torch.where(x[..., 0] > 0, math.log(2), 0.0) + 0 * x.sum(-1))
    start = torch.full((COUNT, 1), -1e-9, dtype=torch.float64)
    x, info = HMC(1.0)(steps, start, 0.0, NOISE)
    up, down = (x > 0)[:, 0], (x < -1e-8)[:, 0]
    within(up.double(), 0.25, math.sqrt(3 / 16))
    within(down.double(), 0.5, 0.5)
    within(x[up], math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi))
    within(info.acceptance, 0.75, 0.25)


# --- steps -------------------------------------------------------------------------------------------------------

def test_a_step_for_each_coordinate_is_a_change_of_units():
    units, kernel = torch.tensor([1e-3, 1.0, 50.0], dtype=torch.float64), {"leaps": 3, "repeats": 4}
    z, noise, cov = normal(100, 3), Streams(torch.arange(100)), chain(3, 0.5)
    plain, info = HMC(0.7, **kernel)(Gaussian(torch.zeros(3).double(), cov), z, 0.0, noise)
    scaled = Gaussian(torch.zeros(3).double(), units[:, None] * cov * units)
    for step in (0.7 * units, lambda sigma: 0.7 * units):
        x, its = HMC(step, **kernel)(scaled, units * z, 0.0, noise)
        close(x / units, plain, 1e-8)
        close(its.acceptance, info.acceptance, 1e-8)


def test_a_step_that_is_a_function_of_the_level():
    x, noise = normal(100, 3), Streams(torch.arange(100))
    for sigma in (0.1, 2.0):
        by_level, _ = HMC(lambda s: 0.5 * s)(mixture(3), x, sigma, noise)
        assert torch.equal(by_level, HMC(0.5 * sigma)(mixture(3), x, sigma, noise)[0])


# --- walls -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("beyond", [math.nan, math.inf], ids=str)
def test_proposals_without_an_energy_are_rejected(beyond):
    """What is left is N(0, 1) cut off at 1."""
    wall = Potential(lambda x: torch.where(x[..., 0].abs() > 1, beyond, x[..., 0] ** 2 / 2))
    x, info = HMC(0.7, leaps=2, repeats=40)(wall, torch.zeros(COUNT, 1, dtype=torch.float64), 0.0, NOISE)
    assert float(x.abs().max()) <= 1
    assert stats.kstest(x[:, 0], stats.truncnorm(-1, 1).cdf).pvalue > 1e-3
    assert 0.2 < float(info.acceptance.mean()) < 0.9
    assert bool(info.acceptance.isfinite().all())


def test_a_step_that_is_far_too_large_stays_where_it_is():
    stiff = Residual(lambda x: x**3, noise=1e-6)
    x = normal(50, 2)
    y, info = HMC(1e3, leaps=10)(stiff, x, 0.0, Streams(torch.arange(50)))
    assert torch.equal(y, x)
    assert float(info.acceptance.max()) == 0


def test_arguments_are_left_alone_and_precision_is_kept():
    x = normal(4, 3)
    before = x.clone()
    y, info = HMC(0.5, leaps=3)(mixture(3), x, 0.3)
    assert torch.equal(x, before)
    assert y.dtype == info.acceptance.dtype == torch.float64
    y, info = HMC(0.5)(mixture(3).float(), x.float(), 0.3)
    assert y.dtype == info.acceptance.dtype == torch.float32
    y, info = HMC(0.5)(mixture(3), x.reshape(2, 2, 3), 0.3)
    assert (y.shape, info.acceptance.shape) == ((2, 2, 3), (2, 2))


# --- learned values ----------------------------------------------------------------------------------------------

def learned(lowest: float = 2e-3) -> EnergyNet:
    return EnergyNet(ScalarMLP(3, 8, 1).double(), gaussian(3), lowest=lowest)


def test_what_is_learned_says_from_which_level_on_its_value_is_to_be_believed():
    net, view = learned(), Layout(u=(3,), v=(2,))["u"]
    for energy in (net, 2.0 * net + bowl(), net.on(view), Tweedie(net, bowl())):
        assert energy.exact_from == pytest.approx(0.02)
    for energy in (net, 2.0 * net + bowl(), net.on(view)):
        assert energy.lowest == 2e-3
    assert bowl().exact_from == UNIT.exact_from == UNIT.lowest == 0.0


@pytest.mark.parametrize("energy", [learned(), learned() + bowl()], ids=["net", "sum"])
def test_an_adjusted_kernel_refuses_levels_at_which_a_learned_value_is_not_to_be_believed(energy):
    x, told = normal(4, 3), r"got the noise level 0.019 and .* believed from 0.02 on.*karras\(steps, low=0.02\)"
    with pytest.raises(ValueError, match=told):
        HMC(0.01)(energy, x, 0.019)
    with pytest.raises(ValueError, match=told):
        HMC(0.01)(energy, x, torch.tensor([[1.0], [0.019], [1.0], [1.0]]).double())
    HMC(0.01)(energy, x, torch.tensor(0.02))  # in 32 bits
    HMC(0.01, adjusted=False)(energy, x, 0.002)


def test_a_path_that_ends_too_low_is_refused_before_anything_is_computed():
    energy, grid = learned(), torch.tensor([1.0, 0.1, 0.01, 0.0])
    energy.net = None  # a call would fail
    with pytest.raises(ValueError, match="got the noise level 0.01"):
        Heun(grid, HMC(0.01))(energy, normal(2, 3))
    with pytest.raises(TypeError, match="only the score"):
        Heun(grid, HMC(0.01))(denoised(), normal(2, 3))
