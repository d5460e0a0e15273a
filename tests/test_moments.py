"""Moment matching against the closed form where it is hard: fields of few modes, hundreds of points, 0.1 % noise.

The prior is the joint Gaussian of a random source and its solution of Poisson's equation, smooth enough that what the
points say is nearly the same: a system with a condition number of a million. Everything is compared with Bayes' answer,
of which a perfect sampler is off by the spread of its finitely many samples alone.
"""

import math

import pytest
import torch

from oracles import SIGMAS, Counted, close, conditioned, covariance, normal
from sciencegen.energy import Denoised, Potential
from sciencegen.exact import Gaussian
from sciencegen.guide import Tweedie, dps
from sciencegen.linear.gram import compressed
from sciencegen.mcmc import HMC
from sciencegen.metrics import coverage
from sciencegen.moments import Moments
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet
from sciencegen.random import Streams
from sciencegen.sample import Ancestral, Multistep, karras

D = torch.float64
SIDE, POINTS, TRUTHS, SAMPLES = 12, 100, 10, 24
HALF = SIDE**2
GRID = karras(32, dtype=D)


def poisson() -> torch.Tensor:
    """``F (2 n^2, n^2)``: source and solution of unit mean square are ``F z`` with ``z ~ N(0, 1)``."""
    k = torch.arange(1, SIDE + 1, dtype=D)
    sine = torch.sin(math.pi * k[:, None] * k / (SIDE + 1))
    modes, laplacian = torch.kron(sine, sine), math.pi**2 * (k[:, None] ** 2 + k**2).flatten()
    source = modes / (laplacian + 9 * math.pi**2)
    return torch.cat([f / f.square().sum(-1).mean().sqrt() for f in (source, source / laplacian)])


FACTOR = poisson()
PRIOR = Gaussian(torch.zeros(2 * HALF, dtype=D), FACTOR @ FACTOR.mT)
BLIND = Denoised(PRIOR.mean)  # the same, with nothing known of it but its denoiser


def case(part: int, noise: float) -> tuple[torch.Tensor, ...]:
    """Places, data of a few truths, and Bayes' mean and covariance factor for each."""
    where = torch.randperm(HALF, generator=torch.Generator().manual_seed(3))[:POINTS] + part * HALF
    truth = normal(TRUTHS, HALF, seed=1) @ FACTOR.mT
    data, seen = truth[:, where] + noise * normal(TRUTHS, POINTS, seed=2), FACTOR[where]
    precision = torch.eye(HALF, dtype=D) + seen.mT @ seen / noise**2
    mean = torch.linalg.solve(precision, (data @ seen / noise**2).mT).mT @ FACTOR.mT
    return where, truth, data, mean, torch.linalg.solve(precision, FACTOR.mT).mT * FACTOR


def posterior(part: int, noise: float, dtype: torch.dtype = D, sampler=Multistep, corrector=None, grid=GRID, **how
              ) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Error of the mean and of single samples in units of Bayes', each ``(source, solution)``, and the coverage."""
    where, truth, data, mean, spread = case(part, noise)
    A = torch.eye(2 * HALF, dtype=dtype)[where]
    seeds = torch.arange(TRUTHS * SAMPLES)
    prior = BLIND if dtype == D else Denoised(PRIOR_32.mean)
    energy = Moments(prior, A, data.repeat_interleave(SAMPLES, 0).to(dtype), noise, **how)
    run = sampler(grid.to(dtype), corrector)
    x = run(energy, run.start(len(seeds), 2 * HALF, seeds), seeds)
    x = energy.draw(x, run.sigmas[-1], Streams(seeds, 99)) if energy.around else energy.mean(x, run.sigmas[-1])
    x = x.detach().double().unflatten(0, (TRUTHS, SAMPLES))
    per_part = lambda v: v.reshape(-1, 2, HALF).sum(-1).mean(0)
    risk = per_part(spread.sum(-1)[None])
    # What finitely many samples scatter is known, and taken away; what is left is error.
    beyond = per_part((x.mean(1) - mean) ** 2) - risk / SAMPLES
    one = per_part(((x - mean[:, None]) ** 2).flatten(0, 1))
    covered = float(coverage(x.transpose(0, 1), truth))
    return (1 + beyond.clamp_min(0) / risk).sqrt(), (1 + one / risk).sqrt(), covered


PRIOR_32 = Gaussian(PRIOR.center.float(), PRIOR.cov.float())


@pytest.mark.parametrize("iterations", [0, 20])
@pytest.mark.parametrize("noise", [1e-2, 1e-3])
@pytest.mark.parametrize("part", [0, 1], ids=["forward", "inverse"])
def test_the_posterior_of_a_stiff_problem_is_bayes(part, noise, iterations):
    mean, sample, covered = posterior(part, noise, around=PRIOR, iterations=iterations)
    assert float(mean.max()) < 1.02
    assert float(sample.max()) < 1.02 * math.sqrt(2)
    assert float(sample.min()) > 0.97 * math.sqrt(2), "not too sharp either"
    assert abs(covered - 0.9) < 0.06  # of a few independent modes in each of ten truths


@pytest.mark.parametrize("iterations", [0, 20])
def test_single_precision_is_enough_at_a_thousandth_of_noise(iterations):
    mean, sample, _ = posterior(1, 1e-3, torch.float32, around=PRIOR_32, iterations=iterations)
    assert float(mean.max()) < 1.02
    assert float(sample.max()) < 1.02 * math.sqrt(2)


def test_known_bias_without_the_gaussian_twenty_iterations_are_too_few():
    where, _, data, *_ = case(1, 1e-3)
    A, x = torch.eye(2 * HALF, dtype=D)[where], normal(TRUTHS, 2 * HALF, seed=7)
    for sigma in (0.3, 1.0, 10.0):
        exact = Moments(BLIND, A, data, 1e-3, 0, around=PRIOR).score(sigma * x, sigma)
        for around, low, high in ((None, 1e-2, 10.0), (PRIOR, 0.0, 1e-6)):
            error = (Moments(BLIND, A, data, 1e-3, 20, around=around).score(sigma * x, sigma) - exact).norm()
            assert low <= float(error / exact.norm()) < high


def test_a_corrector_mends_what_the_sampler_discretises_away():
    """Ancestral steps shrink the spread; a few unadjusted Langevin steps a level bring much of it back."""
    kernel = HMC(lambda sigma: 0.7 * sigma, adjusted=False, repeats=3)
    how = {"around": PRIOR, "iterations": 0, "sampler": Ancestral, "grid": karras(16, dtype=D)}
    _, plain, _ = posterior(1, 1e-2, **how)
    mean, mended, _ = posterior(1, 1e-2, corrector=kernel, **how)
    ideal = math.sqrt(2)
    assert float(plain.max()) < 0.92 * ideal
    assert float((mended - ideal).abs().max()) < 0.7 * float((plain - ideal).abs().max())
    assert float(mean.max()) < 1.02


def test_known_bias_scalar_guidance_is_far_from_bayes_whatever_its_weight():
    where, _, data, mean, spread = case(1, 1e-2)
    A, seeds = torch.eye(2 * HALF, dtype=D)[where], torch.arange(TRUTHS)
    sampler = Multistep(karras(50, dtype=D))
    found = []
    for weight in (0.1, 0.3, 1.0, 3.0):
        energy = dps(BLIND, A, data, lambda t, w=weight: w * (1 - t**2) / t**2)
        x = sampler(energy, sampler.start(TRUTHS, 2 * HALF, seeds), seeds)
        one = ((x - mean) ** 2)[:, :HALF].sum(-1).mean()
        found.append(float((1 + one / spread.sum(-1)[:HALF].sum()).sqrt()))
    assert min(f for f in found if math.isfinite(f)) > 1.2 * math.sqrt(2), found


# --- the score ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("form", ["dense", "low rank", "diagonal", "one variance"])
def test_around_the_priors_gaussian_one_iteration_is_exact(form, sigma):
    axes = torch.linalg.qr(normal(6, 2, seed=5))[0]
    prior = {"dense": lambda m: Gaussian(m, covariance(6)), "diagonal": lambda m: Gaussian(m, normal(6).abs() + 0.1),
             "low rank": lambda m: Gaussian(m, torch.tensor([2.0, 1.0, 0.3]).double(), axes),
             "one variance": lambda m: Gaussian(m, torch.tensor(0.7).double())}[form](normal(6, seed=1))
    matrix, y, x, noise = normal(3, 6, seed=2), normal(3, seed=3), sigma * normal(5, 6, seed=4), 1e-2
    cov = prior.back(prior.variances * prior.modes(torch.eye(6, dtype=D)))
    wanted = Gaussian(*conditioned(prior.center, cov, matrix, y, noise)).score(x, sigma)
    for iterations in (0, 1, 20):
        close(Moments(prior, matrix, y, noise, iterations, around=prior).score(x, sigma), wanted, 1e-6)
        function = Moments(prior, lambda x: x @ matrix.mT - 7.0, y - 7.0, noise, iterations, around=prior)
        close(function.score(x, sigma), wanted, 1e-6)


def test_levels_may_differ_from_row_to_row():
    energy = Moments(PRIOR, torch.eye(2 * HALF, dtype=D)[:20], normal(20), 1e-2, 1, around=PRIOR)
    x, sigma = normal(3, 2 * HALF), torch.tensor([[0.1], [3.0], [0.1]], dtype=D)
    together = energy.score(x, sigma)
    for row in range(3):
        close(energy.score(x[row], sigma[row]), together[row], 1e-9)
        close(energy.score(x[row: row + 1], sigma[row, 0])[0], together[row], 1e-9)


@pytest.mark.parametrize("kind, net", [(Denoiser, MLP), (EnergyNet, ScalarMLP)])
def test_without_iterations_a_score_is_one_call_and_no_backward_pass(kind, net):
    counted = Counted(net(4, width=8, depth=1).double())
    prior = kind(counted, Gaussian(normal(4), covariance(4)))
    counted.rows.clear()
    energy = Moments(prior, torch.eye(4, dtype=D)[:2], torch.ones(2), 0.1, 0, around=prior.gaussian())
    with torch.no_grad():
        energy.score(normal(5, 4), 0.5)
    assert len(counted.rows) == 1
    assert counted.backward == (0 if kind is Denoiser else counted.backward)
    if kind is Denoiser:  # a new network adds nothing to its Gaussian, so one iteration is enough and no more are taken
        around = prior.gaussian()
        Moments(prior, torch.eye(4, dtype=D)[:2], torch.ones(2), 0.1, 20, around=around).score(normal(5, 4), 0.5)
        assert counted.backward == 2


def test_a_prior_that_is_nearly_its_gaussian_takes_a_few_iterations():
    """Its Jacobian is off by 30 % in places; the stiff part is in the Gaussian."""
    prior = Gaussian(PRIOR.center, PRIOR.cov + 0.3 * (FACTOR * torch.linspace(0, 1, HALF, dtype=D)) @ FACTOR.mT)
    where, _, data, *_ = case(1, 1e-3)
    A, x = torch.eye(2 * HALF, dtype=D)[where], normal(TRUTHS, 2 * HALF, seed=7)
    exact = Moments(prior, A, data, 1e-3, 0, around=prior).score(x, 1.0)
    errors = [float((Moments(prior, A, data, 1e-3, n, around=PRIOR).score(x, 1.0) - exact).norm() / exact.norm())
              for n in (0, 6)]
    assert errors[1] < 2e-2 * errors[0] or errors[1] < 1e-3


def test_a_jacobian_that_is_no_covariance_leaves_the_gaussians_step():
    A, y, x = torch.eye(4, dtype=D)[:3], torch.ones(3), normal(50, 4)
    for net in (lambda x, sigma: -x, lambda x, sigma: x.flip(-1) - 0.5 * x, lambda x, sigma: torch.sin(9 * x)):
        energy = Moments(Denoised(net), A, y, 1e-3, around=Gaussian(torch.zeros(4).double(), covariance(4)))
        assert bool(energy.score(x, 1.0).isfinite().all())


# --- a measurement that is not linear ----------------------------------------------------------------------------

@pytest.mark.parametrize("around", [None, Gaussian(torch.zeros(2).double(), torch.ones(2).double())])
def test_a_measurement_that_is_not_linear_is_linearised_at_tweedies_mean(around):
    prior, x, sigma = Gaussian(torch.zeros(2).double(), covariance(2)), normal(5, 2), 0.5
    energy = Moments(prior, lambda x: torch.sinh(x[..., :1]) + x[..., 1:], torch.ones(1), 0.1, around=around)
    got = energy.score(x, sigma)
    for row in range(5):
        mean = prior.mean(x[row], sigma)
        A = torch.stack([mean[0].cosh(), torch.ones((), dtype=D)])[None]
        seen = mean[:1].sinh() + mean[1:]
        straight = Moments(prior, A, torch.ones(1) - seen + A @ mean, 0.1)
        close(got[row], straight.score(x[row], sigma), 1e-3 if around else 1e-9)


def test_a_draw_meets_data_of_a_measurement_that_is_not_linear():
    prior = Gaussian(torch.zeros(2).double(), torch.tensor([1.0, 0.25], dtype=D))
    energy = Moments(prior, lambda x: x[..., :1] + 0.3 * x[..., :1] ** 3, torch.tensor([2.0]), 1e-4, around=prior)
    x, seeds = normal(200, 2), torch.arange(200)
    one, four = (energy.draw(x, torch.tensor(0.3).double(), Streams(seeds), steps) for steps in (1, 6))
    miss = lambda x: float((energy.measure(x) - 2.0).abs().max())
    assert miss(four) < 6e-4 < 1e-2 < miss(one)


# --- the draw ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_a_draw_is_the_posterior_given_the_noisy_state_at_every_level(sigma):
    m, cov, matrix, y, x = normal(3), covariance(3), normal(2, 3, seed=1), normal(2, seed=2), 2 * normal(3, seed=4)
    prior, count = Gaussian(m, cov), 20_000
    energy = Moments(prior, matrix, y, 0.2, around=prior)
    got = energy.draw(x.expand(count, 3), torch.tensor(sigma, dtype=D), Streams(torch.arange(count)))
    both = torch.cat([matrix / 0.2, torch.eye(3, dtype=D) / sigma])
    mean, spread = conditioned(m, cov, both, torch.cat([y / 0.2, x / sigma]), 1.0)
    variances = spread.diagonal()
    assert bool(((got.mean(0) - mean).abs() < 5 * (variances / count).sqrt()).all())
    error = ((variances[:, None] * variances + spread**2) / count).sqrt()
    assert bool(((got.mT.cov() - spread).abs() < 5 * error).all())


def test_a_draw_is_the_same_for_the_same_seed_in_any_batch():
    energy = Moments(PRIOR, torch.eye(2 * HALF, dtype=D)[:9], torch.ones(9), 1e-2, around=PRIOR)
    x, seeds, sigma = normal(4, 2 * HALF), torch.arange(4), torch.tensor(0.1, dtype=D)
    together = energy.draw(x, sigma, Streams(seeds))
    close(energy.draw(x[2:3], sigma, Streams(seeds[2:3])), together[2:3], 1e-9)
    assert not torch.allclose(together, energy.draw(x, sigma, Streams(seeds + 9)))


# --- small things ------------------------------------------------------------------------------------------------

def test_columns_of_one_variance_are_compressed_without_a_trace():
    modes, variances = normal(4, 30), torch.cat([normal(5, seed=1).abs(), torch.full((25,), 0.3, dtype=D)])
    few, kept = compressed(modes, variances)
    assert few.shape == (4, 9)
    for f in (lambda v: v, lambda v: v / (v + 2)):
        close(few * f(kept) @ few.mT, modes * f(variances) @ modes.mT, 1e-12)
    same, one = compressed(modes[:, :3], torch.tensor(0.5, dtype=D))
    close(same, modes[:, :3])
    close(one, torch.full((3,), 0.5, dtype=D))


def test_the_gaussian_of_a_prior():
    data = Gaussian(normal(4), covariance(4))
    assert data.gaussian() is data
    assert Denoiser(MLP(4, 8, 1), data).gaussian() is data
    assert BLIND.gaussian() is None
    assert Tweedie(data, Potential(lambda x: x.sum(-1))).gaussian() is None


@pytest.mark.parametrize("noise, more, message", [
    (0.0, {}, "got noise 0.0; expected positive numbers"),
    (torch.tensor([1.0, -1.0]), {}, "expected positive numbers"),
    (0.1, {"iterations": 0}, "got 0 iterations and around=None; expected one or more, or none with a Gaussian"),
])
def test_what_cannot_be_solved_is_refused(noise, more, message):
    with pytest.raises(ValueError, match=message):
        Moments(PRIOR, torch.eye(2 * HALF, dtype=D)[:2], torch.ones(2), noise, **more)
