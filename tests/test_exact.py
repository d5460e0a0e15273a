"""Gaussians and mixtures: their means are the conditional expectations, their densities are normalised."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conformance import gaussian, mixture
from oracles import SIGMAS, close, covariance, gaussian_mean, mixture_mean, normal
from sciencegen.exact import Gaussian, Mixture
from sciencegen.layout import Layout

WEIGHTS, MEANS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), normal(3, 2, seed=2)
WIDTHS = torch.tensor([0.2, 0.5, 0.1], dtype=torch.float64)


@pytest.mark.parametrize("sigma", SIGMAS)
@given(st.integers(1, 6), st.integers(0, 100))
def test_the_mean_of_a_gaussian_is_its_conditional_expectation(sigma, d, seed):
    m, cov, x = normal(d, seed=seed), covariance(d, seed), 3 * normal(5, d, seed=seed + 1)
    close(Gaussian(m, cov).mean(x, sigma), gaussian_mean(x, sigma, m, cov), 1e-11)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_mean_of_a_mixture_is_its_conditional_expectation(sigma):
    x = 2 * normal(50, 2)
    wanted = mixture_mean(x, sigma, WEIGHTS, MEANS, WIDTHS)
    close(Mixture(WEIGHTS, MEANS, WIDTHS).mean(x, sigma), wanted)
    close(Mixture(10 * WEIGHTS, MEANS, WIDTHS).mean(x, sigma), wanted)


def test_the_energy_of_a_gaussian_is_minus_torchs_log_density():
    m, cov, x = normal(3), covariance(3), normal(5, 3, seed=1)
    for sigma in SIGMAS:
        density = torch.distributions.MultivariateNormal(m, cov + sigma**2 * torch.eye(3, dtype=torch.float64))
        close(Gaussian(m, cov)(x, sigma), -density.log_prob(x))


@pytest.mark.parametrize("sigma", [0.0, 0.1, 1.0, 3.0])
@pytest.mark.parametrize(
    "energy",
    [
        Gaussian(torch.tensor([0.5]).double(), torch.tensor([0.3]).double()),
        Mixture(WEIGHTS, MEANS[:, :1], WIDTHS),
        Mixture(WEIGHTS, MEANS[:, :1], 0.4),
    ],
    ids=["Gaussian", "Mixture", "Mixture of one width"],
)
def test_densities_are_normalised(energy, sigma):
    x = torch.linspace(-30, 30, 60001, dtype=torch.float64)
    assert float(torch.trapezoid(torch.exp(-energy(x[:, None], sigma)), x)) == pytest.approx(1, abs=1e-9)


def test_the_density_of_a_mixture_is_normalised_in_the_plane():
    x = torch.linspace(-5, 5, 401, dtype=torch.float64)
    plane = torch.stack(torch.meshgrid(x, x, indexing="ij"), dim=-1)
    density = torch.exp(-Mixture(WEIGHTS, MEANS, WIDTHS)(plane, 0.1))
    assert float(density.sum() * (x[1] - x[0]) ** 2) == pytest.approx(1, abs=1e-9)


def test_a_mixture_of_one_is_a_gaussian():
    one, x = Mixture(torch.ones(1), MEANS[:1], 0.7), normal(5, 2)
    for sigma in SIGMAS:
        same = Gaussian(MEANS[0], torch.full((2,), 0.49, dtype=torch.float64))
        close(one(x, sigma), same(x, sigma))
        close(one.score(x, sigma), same.score(x, sigma))


def test_a_mixture_is_safe_far_away():
    x = torch.full((1, 2), 1e4, dtype=torch.float64)
    score = Mixture(WEIGHTS, MEANS, WIDTHS).score(x, 0.01)
    assert bool(score.isfinite().all())
    assert bool((score < 0).all())


@pytest.mark.parametrize("energy", [gaussian(4), mixture(4)], ids=["Gaussian", "Mixture"])
def test_a_marginal_integrates_the_rest_out(energy):
    layout = Layout(a=(2,), b=(2,))
    rest = torch.linspace(-12, 12, 241, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(rest, rest, indexing="ij"), dim=-1)
    for sigma in (0.1, 1.0):
        for kept in normal(3, 2):
            whole = torch.cat([kept.expand_as(grid), grid], dim=-1)
            integral = torch.exp(-energy(whole, sigma)).sum() * (rest[1] - rest[0]) ** 2
            got = torch.exp(-energy.marginal(layout["a"])(kept[None], sigma)[0])
            assert float(got) == pytest.approx(float(integral), rel=1e-6)


def test_a_marginal_takes_coordinates_in_the_order_of_the_view():
    m, cov, u = normal(3), covariance(3), Layout(u=(3,))["u"]
    swapped = Gaussian(m, cov).marginal(u[2] & u[0])
    close(swapped(normal(5, 2), 0.3), Gaussian(m[[2, 0]], cov[[2, 0]][:, [2, 0]])(normal(5, 2), 0.3))


def test_a_diagonal_covariance_may_be_given_as_its_diagonal():
    m, variance, x = normal(3), torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64), normal(5, 3, seed=1)
    close(Gaussian(m, variance).score(x, 0.5), -(x - m) / (variance + 0.25))


def test_a_singular_covariance_is_an_exact_constraint_at_every_level():
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    line = Gaussian(torch.zeros(2).double(), torch.outer(direction, direction))
    mean = line.mean(normal(5, 2), 0.5)
    across = torch.stack([-direction[1], direction[0]])
    close(mean @ across, torch.zeros_like(mean[:, 0]), 1e-12)


@pytest.mark.parametrize(
    "wrong, text",
    [
        (lambda: Gaussian(torch.zeros(2), torch.eye(3)), r"got mean \(2,\) and cov \(3, 3\); expected \(d,\)"),
        (lambda: Gaussian(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]])), "not symmetric"),
        (lambda: Gaussian(torch.zeros(2), torch.tensor([1.0, -0.1])), "eigenvalue -0.1; expected none below zero"),
        (lambda: Mixture(torch.tensor([1.0, 0.0]), torch.zeros(2, 3), 1.0), r"got weights \[1.0, 0.0\]"),
        (lambda: Mixture(torch.ones(3), torch.zeros(2, 3), 1.0), r"and means \(2, 3\); expected \(k,\) positive"),
        (lambda: gaussian(4).marginal(Layout(u=(4,))["u"].each()), "got a view with copies, 'u.each\\(\\)'"),
        (lambda: mixture(4).marginal(Layout(u=(4,))["u"].each()), "expected one part"),
    ],
)
def test_what_is_wrong_is_said(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
