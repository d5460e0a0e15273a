"""Scores: equal to closed forms, unbiased for any number of samples, and the same as SciPy's where it has them."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from oracles import close, covariance, normal
from sciencegen.exact import Gaussian
from sciencegen.metrics import (
    coverage,
    crps,
    diversity,
    energy_distance,
    interval,
    mmd,
    relative_error,
    tweedie_error,
)


def between(a, b, f=lambda d: d):
    """Mean of ``f`` of all distances, by two loops."""
    return np.mean([f(np.linalg.norm(p - q)) for p in a.numpy() for q in b.numpy()])


def unlike(a, f=lambda d: d):
    """Mean of ``f`` of the distances of different points."""
    rows = list(enumerate(a.numpy()))
    return np.mean([f(np.linalg.norm(p - q)) for i, p in rows for j, q in rows if i != j])


# --- errors -----------------------------------------------------------------------------------------------------

def test_relative_error_is_per_row_and_has_no_units():
    truth = normal(4, 3, 5)
    close(relative_error(1.1 * truth, truth), torch.full((4, 3), 0.1, dtype=torch.float64))
    close(relative_error(truth + 0.5, truth, 2), 0.5 * math.sqrt(15) / truth.flatten(1).norm(dim=1))
    close(relative_error(1e6 * (truth + 0.5), 1e6 * truth), relative_error(truth + 0.5, truth))


# --- forecasts --------------------------------------------------------------------------------------------------

def test_crps_is_its_definition():
    samples, truth = normal(7, 4, seed=1), normal(4, seed=2)
    pairs = (samples[:, None] - samples).abs().sum((0, 1)) / (7 * 6)
    close(crps(samples, truth), (samples - truth).abs().mean(0) - pairs / 2)


@pytest.mark.parametrize("count", [2, 5, 50])
def test_crps_of_a_normal_ensemble_is_the_closed_form_whatever_its_size(count):
    y = torch.tensor([-1.0, 0.0, 2.5], dtype=torch.float64)
    cdf, pdf = (torch.as_tensor(f(y.numpy())) for f in (stats.norm.cdf, stats.norm.pdf))
    exact = y * (2 * cdf - 1) + 2 * pdf - 1 / math.sqrt(math.pi)
    repeats = 200_000 // count
    scores = crps(normal(count, repeats, 3), y.expand(repeats, 3))
    assert ((scores.mean(0) - exact).abs() < 5 * scores.std(0) / math.sqrt(repeats)).all()


def test_crps_is_best_for_the_forecast_that_the_truth_is_drawn_from():
    truth = normal(20_000, seed=3)
    score = {(m, s): float(crps(m + s * normal(20, 20_000, seed=4), truth).mean())
             for m, s in [(0, 1), (0.3, 1), (0, 0.7), (0, 1.4)]}
    assert min(score, key=score.get) == (0, 1)


def test_crps_of_a_sharp_forecast_is_the_absolute_error():
    truth = normal(5)
    close(crps((truth + 0.3).expand(4, 5), truth), torch.full((5,), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("count, level", [(19, 0.9), (100, 0.9), (9, 0.8), (50, 0.5), (3, 0.5)])
def test_coverage_of_exchangeable_samples_is_nominal(count, level):
    draws = normal(count + 1, 40_000, seed=count)
    got = float(coverage(draws[1:], draws[0], level))
    assert abs(got - level) < 5 * math.sqrt(level * (1 - level) / 40_000) + 0.02 / count


def test_coverage_between_order_statistics_is_scipys_weibull_quantile():
    samples, truth = normal(30, 500, seed=1), normal(500, seed=2)
    low, high = stats.mstats.mquantiles(samples.numpy(), [0.1, 0.9], alphap=0, betap=0, axis=0)
    inside = (low <= truth.numpy()) & (truth.numpy() <= high)
    assert float(coverage(samples, truth, 0.8)) == pytest.approx(inside.mean())


@pytest.mark.parametrize("count, level", [(19, 0.9), (39, 0.95), (199, 0.99)])
def test_the_outermost_samples_are_an_interval_in_single_precision_too(count, level):
    samples = normal(count, 40).float()
    assert float(coverage(samples, samples.amin(0), level)) == 1
    assert float(coverage(samples, samples.amax(0), level)) == 1
    assert float(coverage(samples, samples.amax(0) + 1e-3, level)) == 0


def test_coverage_shows_a_forecast_that_is_too_sharp_and_one_that_is_too_wide():
    truth = normal(5000, seed=5)
    narrow, wide = (float(coverage(s * normal(99, 5000, seed=6), truth)) for s in (0.5, 2.0))
    assert narrow == pytest.approx(2 * stats.norm.cdf(0.5 * 1.645) - 1, abs=0.03)
    assert wide > 0.99


# --- sets of samples --------------------------------------------------------------------------------------------

def test_diversity_is_the_mean_distance_of_pairs():
    outlines = normal(6, 10, 2)
    pairs = [(a - b).square().sum(-1).mean().sqrt() for i, a in enumerate(outlines) for b in outlines[:i]]
    close(diversity(outlines), torch.stack(pairs).mean())
    close(diversity(outlines + 3.0), diversity(outlines))
    close(diversity(2.0 * outlines), 2.0 * diversity(outlines))
    close(diversity(torch.stack([outlines[0], outlines[0] + torch.tensor([3.0, 4.0])])), torch.tensor(5.0).double())
    close(diversity(outlines[:1].expand(5, -1, -1)), torch.tensor(0.0).double())


def test_distances_of_sets_are_their_definitions():
    a, b = normal(9, 3, seed=1), 0.5 + normal(7, 3, seed=2)
    assert float(energy_distance(a, b)) == pytest.approx(2 * between(a, b) - unlike(a) - unlike(b))
    kernel = lambda d: math.exp(-(d**2) / (2 * 0.8**2))
    assert float(mmd(a, b, 0.8)) == pytest.approx(unlike(a, kernel) + unlike(b, kernel) - 2 * between(a, b, kernel))


def test_energy_distance_is_scipys_but_for_its_bias():
    a, b = normal(40, 1, seed=1), 1 + 2 * normal(30, 1, seed=2)
    biased = 2 * between(a, b) - unlike(a) * 39 / 40 - unlike(b) * 29 / 30
    assert stats.energy_distance(a[:, 0], b[:, 0]) ** 2 == pytest.approx(biased)
    assert float(energy_distance(a, b)) == pytest.approx(biased - unlike(a) / 40 - unlike(b) / 30)


def test_energy_distance_of_shifted_normals_is_the_closed_form():
    shift = 1.5  # E|N(m, 2)| is a folded normal's mean
    folded = lambda m: stats.foldnorm.mean(m / math.sqrt(2), scale=math.sqrt(2))
    pairs = [(normal(200, 1, seed=k), shift + normal(100, 1, seed=500 + k)) for k in range(100)]
    got = torch.stack([energy_distance(*pair) for pair in pairs])
    assert abs(float(got.mean()) - 2 * (folded(shift) - folded(0))) < 5 * float(got.std()) / 10


def test_mmd_of_normals_is_the_closed_form():
    mean = lambda variance, shift: (1 + variance) ** -1 * math.exp(-(shift**2) / (1 + variance))  # two axes, width 1
    exact = mean(2, 0) + mean(2 * 0.25, 0) - 2 * mean(1.25, 1.0)
    got = torch.stack([mmd(normal(100, 2, seed=k), 1.0 + 0.5 * normal(150, 2, seed=900 + k), 1.0) for k in range(100)])
    assert abs(float(got.mean()) - exact) < 5 * float(got.std()) / 10


@pytest.mark.parametrize("distance", [energy_distance, mmd])
def test_sets_drawn_alike_are_at_distance_zero_in_the_mean(distance):
    got = torch.stack([distance(normal(20, 2, seed=k), normal(5, 2, seed=1000 + k)) for k in range(300)])
    assert abs(float(got.mean())) < 5 * float(got.std()) / math.sqrt(300)
    assert (got < 0).any(), "unbiased, so sometimes below zero"


def test_mmd_takes_the_median_distance_as_width():
    a, b = normal(6, 2, seed=1), normal(5, 2, seed=2)
    width = float(torch.pdist(torch.cat([a, b])).median())
    close(mmd(a, b), mmd(a, b, width))
    close(mmd(100 * a, 100 * b), mmd(a, b))


# --- repetitions ------------------------------------------------------------------------------------------------

def test_interval_is_scipys():
    values = normal(6)
    low, high = stats.t.interval(0.95, 5, loc=values.mean(), scale=stats.sem(values))
    got = interval(values)
    assert (float(got.mean), float(got.low), float(got.high)) == pytest.approx((float(values.mean()), low, high))
    assert float(interval([1.0, 2.0, 3.0]).mean) == 2.0


def test_interval_holds_the_mean_as_often_as_it_says():
    got = interval(normal(4, 20_000), 0.9)
    assert float(((got.low < 0) & (got.high > 0)).double().mean()) == pytest.approx(0.9, abs=0.01)


# --- energies ---------------------------------------------------------------------------------------------------

SIGMAS = [0.05, 0.5, 5.0]


def test_tweedie_error_of_a_gaussian_is_the_closed_form():
    cov = covariance(3)
    clean = normal(40_000, 3) @ torch.linalg.cholesky(cov).mT
    variances = torch.linalg.eigvalsh(cov)
    exact = torch.stack([(variances / (variances + s**2)).mean() for s in SIGMAS])
    close(tweedie_error(Gaussian(torch.zeros(3).double(), cov), clean, SIGMAS) / exact, torch.ones(3).double(), 0.02)


def test_tweedie_error_above_the_exact_is_the_error_of_the_score():
    cov, wrong = covariance(2), covariance(2, seed=7)
    clean = normal(40_000, 2) @ torch.linalg.cholesky(cov).mT
    exact, model = Gaussian(torch.zeros(2).double(), cov), Gaussian(torch.ones(2).double(), wrong)
    floor = tweedie_error(exact, clean, SIGMAS)
    for s, lowest, got in zip(SIGMAS, floor, tweedie_error(model, clean, SIGMAS) - floor):
        x = clean + s * normal(*clean.shape, seed=9)
        wanted = s**2 * (model.score(x, s) - exact.score(x, s)).square().mean()
        assert abs(got - wanted) < 5 * 2 * (lowest * wanted / clean.numel()).sqrt() + 0.01 * wanted < 0.4 * wanted


def test_tweedie_error_is_reproducible_and_keeps_no_graph():
    energy, clean = Gaussian(torch.zeros(2), torch.ones(2)), normal(50, 2).float().requires_grad_()
    first = tweedie_error(energy, clean, torch.tensor(SIGMAS))
    assert first.dtype == torch.float32
    assert not first.requires_grad
    assert torch.equal(first, tweedie_error(energy, clean, SIGMAS))
    assert not torch.equal(first, tweedie_error(energy, clean, SIGMAS, seed=1))


# --- refusals ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: relative_error(normal(3), normal(4)), r"got shapes \(3,\) and \(4,\)"),
        (lambda: crps(normal(5, 3), normal(4)), r"got samples \(5, 3\) for a truth \(4,\)"),
        (lambda: crps(normal(1, 3), normal(3)), "S >= 2"),
        (lambda: crps(normal(3), normal(3)), r"expected \(S, \*B\)"),
        (lambda: coverage(normal(18, 3), normal(3)), "got 18 samples for an interval of 0.9"),
        (lambda: coverage(normal(18, 3), normal(3), 1.0), r"a level in \(0, 1\)"),
        (lambda: diversity(normal(1, 3, 2)), "at least 2 of them"),
        (lambda: energy_distance(normal(3, 2), normal(3, 1)), r"expected \(S, d\) and \(T, d\)"),
        (lambda: mmd(normal(1, 2), normal(3, 2)), "at least 2 each"),
        (lambda: interval(normal(1)), "at least 2 repetitions"),
        (lambda: interval(normal(3), 95), r"level in \(0, 1\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
