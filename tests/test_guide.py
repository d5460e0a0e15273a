"""Guidance: what is exact is exact, what is biased is biased by as much as is written down, and correction mends it."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conformance import bowl, denoised, gaussian, mixture
from oracles import SIGMAS, chain, close, conditioned, covariance, gaussian_mean, normal
from sciencegen.constrain import Affine, Box, Pin
from sciencegen.energy import Denoised, Potential, Residual
from sciencegen.exact import Gaussian
from sciencegen.guide import Moments, Projected, Tweedie, dps
from sciencegen.layout import Layout
from sciencegen.mcmc import HMC
from sciencegen.sample import Ancestral, Euler, Heun, Multistep, karras

# Four numbers of a chain, the first and the third measured: the posterior is known.
PRIOR = Gaussian(torch.zeros(4, dtype=torch.float64), chain(4, 0.7))
A, Y, NOISE = torch.eye(4, dtype=torch.float64)[[0, 2]], torch.tensor([1.5, -0.75], dtype=torch.float64), 0.3
MEAN, COV = conditioned(PRIOR.center, PRIOR.cov, A, Y, NOISE)
LAW = Residual(lambda x: x[..., [0, 2]] - Y, NOISE)
GRID = karras(25, dtype=torch.float64)
SEEDS = torch.arange(6000)


def errors(energy, sampler):
    """Of the mean and of the covariance, the largest entry; drawing alone makes errors of about 0.01."""
    x = sampler(energy, sampler.start(len(SEEDS), 4, SEEDS), SEEDS)
    return float((x.mean(0) - MEAN).abs().max()), float((x.mT.cov() - COV).abs().max())


# --- the table of biases -----------------------------------------------------------------------------------------

LIFTS = {"on x_sigma": PRIOR + LAW, "Tweedie": Tweedie(PRIOR, LAW)}


@pytest.mark.parametrize("sampler", [Heun, Ancestral, Multistep])
@pytest.mark.parametrize("name, low, high", [("on x_sigma", 0.25, 0.4), ("Tweedie", 0.15, 0.3)])
def test_known_bias_uncorrected_guidance_misses_the_posterior(name, low, high, sampler):
    """Means are off by 0.33 on x_sigma, by 0.19 (Ancestral) and 0.22 (Heun, Multistep) at Tweedie's mean."""
    assert low < errors(LIFTS[name], sampler(GRID))[0] < high


@pytest.mark.parametrize("sampler", [Heun, Ancestral, Multistep])
def test_known_bias_tweedie_without_backprop_misses_the_posterior(sampler):
    assert 0.2 < errors(Tweedie(PRIOR, LAW, backprop=False), sampler(GRID))[0] < 0.4


@pytest.mark.parametrize("sampler", [Heun, Ancestral, Multistep])
@pytest.mark.parametrize("name", LIFTS)
def test_correction_mends_every_exact_lift(name, sampler):
    kernel = HMC(lambda sigma: 0.5 * (sigma**2 + NOISE**2).sqrt(), leaps=5, repeats=3)
    mean, cov = errors(LIFTS[name], sampler(GRID, kernel))
    assert mean < 0.04
    assert cov < 0.04


@pytest.mark.parametrize("sampler", [Heun, Multistep])
def test_moments_are_right_without_correction(sampler):
    mean, cov = errors(Moments(PRIOR, A, Y, NOISE), sampler(karras(60, dtype=torch.float64)))
    assert mean < 0.03
    assert cov < 0.04


# --- Tweedie -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("weight", [0.0, 1.0, -3.0, 50.0])
def test_a_linear_objective_tilts_a_gaussian_at_every_level(sigma, weight):
    m, cov, c, x = normal(5), covariance(5), normal(5, seed=2), 3 * normal(20, 5, seed=3)
    tilted = Tweedie(Gaussian(m, cov), weight * Potential(lambda x: x @ c))
    wanted = Gaussian(m - weight * cov @ c, cov)
    close(tilted.score(x, sigma), wanted.score(x, sigma), 1e-11)
    difference = tilted(x, sigma) - wanted(x, sigma)
    close(difference, difference[:1].expand(20), 1e-11)  # a constant


@pytest.mark.parametrize("sigma", SIGMAS)
def test_without_backprop_it_is_exact_for_unit_gaussians_and_not_for_others(sigma):
    unit, x = Gaussian(torch.zeros(3).double(), torch.ones(3).double()), normal(5, 3)
    close(Tweedie(unit, bowl(), backprop=False).score(x, sigma), Tweedie(unit, bowl()).score(x, sigma), 1e-12)
    other = gaussian(3)
    off = Tweedie(other, bowl(), backprop=False).score(x, sigma) - Tweedie(other, bowl()).score(x, sigma)
    pull = Tweedie(other, bowl()).score(x, sigma) - other.score(x, sigma)
    share = float(off.detach().norm() / pull.detach().norm())
    assert share > (0.1 if sigma > 0.1 else 1e-6), "the mean's Jacobian is an approximation"


def test_a_term_is_taken_at_tweedies_mean_with_the_level_of_a_unit_gaussian():
    seen = []

    class Recorded(Potential):
        def forward(self, x, sigma):
            seen.append((x.detach(), sigma))
            return super().forward(x, sigma)

    prior, x = gaussian(3), normal(5, 3)
    sigma = torch.tensor([[0.01], [0.3], [1.0], [3.0], [10.0]], dtype=torch.float64)
    for backprop in (True, False):
        Tweedie(prior, Recorded(lambda x: (x**2).sum(-1)), backprop).score(x, sigma)
        mean, level = seen.pop()
        close(level, sigma / (1 + sigma**2).sqrt())
        for row, s in enumerate(sigma):
            close(mean[row], gaussian_mean(x[row], float(s), prior.center, prior.cov))


def test_at_level_zero_all_lifts_are_the_sum():
    prior, x = mixture(3), normal(5, 3)
    wanted = (prior + bowl()).score(x, 1e-6)
    for backprop in (True, False):
        close(Tweedie(prior, bowl(), backprop).score(x, 1e-6), wanted, 1e-8)


def test_only_exact_terms_guide():
    assert Tweedie(mixture(3), bowl()).exact
    assert not Tweedie(mixture(3), bowl(), backprop=False).exact
    assert not Tweedie(denoised(), bowl()).exact
    with pytest.raises(TypeError, match="only the score of Denoised is known"):
        Tweedie(mixture(3), denoised())


@pytest.mark.parametrize(
    "function, error, text",
    [
        (lambda x: x.sum(-1, keepdim=True), ValueError, r"got energies of shape \(5, 1\) .*; expected one number"),
        (lambda x: x.detach().sum(-1), TypeError, "got an energy without a gradient from Potential"),
    ],
)
def test_a_term_that_cannot_guide_is_refused(function, error, text):
    for backprop in (True, False):
        with pytest.raises(error, match=text):
            Tweedie(mixture(3), Potential(function), backprop).score(normal(5, 3), 1.0)


def test_the_formula_of_a_guided_energy():
    assert repr(Tweedie(gaussian(3), 3.0 * bowl())) == "Tweedie(Gaussian, 3.0·Potential)"
    assert repr(Projected(gaussian(3), Box(-1, 1))) == "Projected(Gaussian, Box(low=-1, high=1))"


@pytest.mark.parametrize("squared, power", [(False, 1), (True, 2)])
def test_scalar_guidance_adds_the_distance_to_the_data_at_tweedies_mean(squared, power):
    prior, x, sigma = gaussian(4), normal(5, 4), torch.tensor(0.7, dtype=torch.float64)
    for measure in (A, lambda x: x @ A.mT):
        energy = dps(prior, measure, Y, lambda sigma: 3.0 / sigma, squared)
        added = energy(x, sigma) - prior(x, sigma)
        level = sigma / (1 + sigma**2).sqrt()  # of a term at Tweedie's mean
        close(added, 3.0 / level * (prior.mean(x, sigma) @ A.mT - Y).norm(dim=-1) ** power, 1e-12)


# --- Moments -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sigma", SIGMAS)
@given(st.integers(1, 4), st.integers(0, 50))
def test_the_score_of_moments_is_the_posteriors_in_as_many_iterations_as_measurements(sigma, count, seed):
    m, cov, matrix = normal(6, seed=seed), covariance(6, seed), normal(count, 6, seed=seed + 1)
    y, x = normal(count, seed=seed + 2), sigma * normal(5, 6, seed=seed + 3)
    posterior = Gaussian(*conditioned(m, cov, matrix, y, 0.3))
    wanted = posterior.score(x, sigma)
    for measure, seen in ((matrix, y), (lambda x: x @ matrix.mT - 7.0, y - 7.0)):
        close(Moments(Gaussian(m, cov), measure, seen, 0.3, iterations=count + 1).score(x, sigma), wanted, 1e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_moments_with_a_noise_for_each_measurement_and_data_for_each_row(sigma):
    noise, data, x = torch.tensor([0.1, 2.0], dtype=torch.float64), normal(5, 2, seed=4), normal(5, 4)
    got = Moments(PRIOR, A, data, noise).score(x, sigma)
    for row in range(5):
        scaled = conditioned(PRIOR.center, PRIOR.cov, A / noise[:, None], data[row] / noise, 1.0)
        close(got[row], Gaussian(*scaled).score(x[row], sigma), 1e-9)


def test_twenty_iterations_are_enough_for_a_hundred_measurements():
    d = 200
    steps = torch.arange(d, dtype=torch.float64)
    cov = torch.exp(-(steps[:, None] - steps).abs() / 8)
    matrix = normal(100, d, seed=1) / d**0.5
    truth = torch.linalg.cholesky(cov) @ normal(d, seed=2)
    y = matrix @ truth + 0.1 * normal(100, seed=3)
    prior = Gaussian(torch.zeros(d, dtype=torch.float64), cov)
    posterior = Gaussian(*conditioned(prior.center, cov, matrix, y, 0.1))
    for sigma, bound in ((0.01, 1e-6), (0.3, 1e-3), (1.0, 3e-3), (10.0, 1e-2)):
        x = sigma * normal(5, d, seed=4)
        got, wanted = Moments(prior, matrix, y, 0.1).score(x, sigma), posterior.score(x, sigma)
        assert float((got - wanted).norm() / wanted.norm()) < bound


def test_moments_without_a_matrix_at_ten_thousand_unknowns():
    """Independent unknowns of many variances, every other one measured: the posterior is a product."""
    d, noise, sigma = 10_000, 0.5, 0.7
    variance = torch.linspace(0.5, 2.0, d, dtype=torch.float64)
    prior = Denoised(lambda x, sigma: x * variance / (variance + sigma**2))
    y, x = normal(d // 2, seed=1), normal(3, d)
    seen = torch.arange(d) % 2 == 0
    data = torch.zeros(d, dtype=torch.float64).index_put((seen.nonzero()[:, 0],), y)
    left = torch.where(seen, 1 / (1 / variance + 1 / noise**2), variance)
    wanted = (torch.where(seen, left * data / noise**2, 0.0) - x) / (left + sigma**2)
    start = time.process_time()
    got = Moments(prior, lambda x: x[..., ::2], y, noise).score(x, sigma)
    assert time.process_time() - start < 2, "seconds; a dense solve of 5000 measurements takes longer"
    close(got, wanted, 1e-9)


def test_moments_of_a_field_with_a_spectrum():
    """A stationary field by Fourier transform, seen at 64 of 10,000 places."""
    d, noise, sigma = 10_000, 0.1, 2.0
    spectrum = 5 * torch.exp(-((torch.fft.rfftfreq(d).double() * 600) ** 2)) + 0.01

    def filtered(x, gain):
        return torch.fft.irfft(torch.fft.rfft(x) * gain, n=d)

    def net(x, sigma):
        return filtered(x, spectrum / (spectrum + sigma**2))

    places = torch.arange(64) * 150
    x, y = 2 * normal(2, d), normal(64, seed=1)
    impulse = torch.zeros(d, dtype=torch.float64)
    impulse[0] = 1
    smooth = spectrum / (spectrum + sigma**2)
    kernel = filtered(impulse, sigma**2 * smooth)  # covariance of the clean state given x
    lags = (places[:, None] - places) % d
    gap = y - net(x, sigma)[:, places]
    weight = torch.linalg.solve(kernel[lags] + noise**2 * torch.eye(64), gap.mT).mT
    back = torch.zeros_like(x).index_add(-1, places, weight)
    wanted = (net(x, sigma) - x) / sigma**2 + filtered(back, smooth)
    close(Moments(Denoised(net), lambda x: x[..., places], y, noise, 40).score(x, sigma), wanted, 1e-6)


def test_moments_survive_a_network_whose_jacobian_is_no_covariance():
    for net in (lambda x, sigma: -x, lambda x, sigma: x.flip(-1) - 0.5 * x, lambda x, sigma: torch.sin(9 * x)):
        score = Moments(Denoised(net), torch.eye(4).double()[:3], torch.ones(3), 1e-3).score(normal(50, 4), 1.0)
        assert bool(score.isfinite().all())


def test_a_seeded_sample_of_moments_is_the_same_every_time_and_in_any_batch():
    """With fewer iterations than it takes to converge, a memory of the last call would show."""
    matrix, y = normal(20, 30, seed=1), normal(20, seed=2)
    energy = Moments(Gaussian(normal(30), covariance(30)), matrix, y, 0.05, iterations=4)
    sampler, seeds = Heun(karras(10, dtype=torch.float64)), torch.arange(4)
    start = sampler.start(4, 30, seeds)
    first = sampler(energy, start, seeds)
    assert torch.equal(sampler(energy, start, seeds), first)
    close(sampler(energy, start[2:3], seeds[2:3]), first[2:3], 1e-9)


# --- Projected ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sampler", [Euler, Heun, Ancestral, Multistep])
def test_a_constraint_holds_to_machine_precision_at_level_zero(sampler):
    matrix, b = normal(2, 4, seed=1), normal(2, seed=2)
    energy = Projected(PRIOR, Affine(matrix, b))
    run = sampler(torch.cat([karras(20, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)]))
    x = run(energy, run.start(100, 4, SEEDS[:100]), SEEDS[:100])
    close(x @ matrix.mT, b.expand(100, 2), 1e-13)
    free = x - x.mean(0)
    assert float(free.norm(dim=-1).mean()) > 0.3, "the rest is still random"


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_mean_of_a_projected_prior_is_the_projected_mean(sigma):
    matrix, b, x = normal(2, 4, seed=1), normal(2, seed=2), normal(10, 4)
    project = Affine(matrix, b)
    got = Projected(PRIOR, project).mean(x, sigma)
    close(got, project(PRIOR.mean(x, sigma)), 1e-12)
    close(got @ matrix.mT, b.expand(10, 2), 1e-12)


def test_known_bias_a_pinned_coordinate_shifts_its_neighbours():
    """Given the first of a pair with correlation 0.8, the second is N(0.8, 0.36); Moments know, a pin does not."""
    prior, seeds = Gaussian(torch.zeros(2).double(), chain(2, 0.8)), torch.arange(4000)
    first = Layout(x=(2,))["x"][:1]
    grid = torch.cat([karras(40, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])
    found = {}
    for sampler in (Heun(grid), Ancestral(grid)):
        pinned = Projected(prior, Pin(first, torch.ones(1)))
        x = sampler(pinned, sampler.start(4000, 2, seeds), seeds)
        assert bool((x[:, 0] == 1).all())
        found[type(sampler)] = float(x[:, 1].mean()) - 0.8
    assert -0.6 < found[Heun] < -0.35
    assert -0.45 < found[Ancestral] < -0.2
    told = Moments(prior, torch.eye(2).double()[:1], torch.ones(1), 1e-3)
    heun = Heun(karras(40, dtype=torch.float64))
    x = heun(told, heun.start(4000, 2, seeds), seeds)
    assert abs(float(x[:, 1].mean()) - 0.8) < 0.04
    assert abs(float(x[:, 1].std()) - 0.6) < 0.03
