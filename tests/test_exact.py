"""Gaussians and mixtures: their means are the conditional expectations, their densities are normalised."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conformance import diagonal, gaussian, low_rank, mixture, scalar
from oracles import SIGMAS, close, covariance, gaussian_mean, mixture_mean, normal
from sciencegen.exact import Gaussian, Mixture
from sciencegen.layout import Layout, View

WEIGHTS, MEANS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), normal(3, 2, seed=2)
U4 = Layout(u=(4,))["u"]
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


@pytest.mark.parametrize(
    "energy",
    [gaussian(4), diagonal(4), scalar(4), low_rank(4), low_rank(4, 3), mixture(4)],
    ids=["Gaussian", "diagonal", "one variance", "low rank", "low rank, dense marginal", "Mixture"],
)
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


# --- the forms of a covariance -----------------------------------------------------------------------------------

def dense(gaussian):
    """The same Gaussian by its matrix, column by column."""
    eye = torch.eye(gaussian.center.numel()).to(gaussian.center)
    return Gaussian(gaussian.center, gaussian.back(gaussian.modes(eye) * gaussian.variances))


FORMS = {"diagonal": diagonal(7), "one variance": scalar(7), "low rank": low_rank(7, 3), "rank 1": low_rank(7),
         "all but one": low_rank(7, 6), "rank 3, nearly singular": Gaussian(
             normal(7), torch.tensor([4.0, 2.0, 1.0, 1e-8]).double(), torch.linalg.qr(normal(7, 3)).Q)}
forms = pytest.mark.parametrize("gaussian", FORMS.values(), ids=FORMS)


@forms
@pytest.mark.parametrize("sigma", SIGMAS)
def test_every_form_is_the_dense_one(gaussian, sigma):
    x, same = 2 * normal(2, 5, 7), dense(gaussian)
    for level in (sigma, torch.full((2, 5, 1), sigma, dtype=torch.float64)):
        (value, score, _), (wanted, slope, _) = gaussian.evaluate(x, level), same.evaluate(x, level)
        close(score, slope, 1e-9)
        close(value, wanted, 1e-9)
    close(gaussian.mean(x, sigma), gaussian_mean(x, sigma, same.center, same.cov), 1e-9)


@forms
def test_modes_keep_lengths_and_lead_back(gaussian):
    x = normal(2, 5, 7)
    modes = gaussian.modes(x)
    close(modes.norm(dim=-1), x.norm(dim=-1))
    close(gaussian.back(modes), x)
    root = gaussian.back(gaussian.variances.sqrt() * gaussian.modes(x))
    close(gaussian.back(gaussian.variances.sqrt() * gaussian.modes(root)), x @ dense(gaussian).cov)


@forms
@pytest.mark.parametrize("rows", [[6, 0], [3], [1, 5, 2, 0, 4], [2, 1, 0, 3, 4, 5]])
def test_the_marginal_of_every_form_is_the_dense_ones(gaussian, rows):
    view = View(torch.tensor(rows), 0, 7, "some")
    x, got, wanted = normal(5, len(rows)), gaussian.marginal(view), dense(gaussian).marginal(view)
    for sigma in SIGMAS:
        close(got.score(x, sigma), wanted.score(x, sigma), 1e-9)
        close(got(x, sigma), wanted(x, sigma), 1e-9)


@forms
def test_no_form_but_the_dense_one_holds_a_square(gaussian):
    assert gaussian.cov is None
    assert all(v.shape != (7, 7) for v in gaussian.state_dict().values())


@pytest.mark.parametrize("gaussian", [*FORMS.values(), gaussian(7)], ids=[*FORMS, "dense"])
def test_a_state_makes_the_same_gaussian(gaussian):
    again = Gaussian.from_state(gaussian.state_dict())
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in gaussian.state_dict().items())
    assert torch.equal(again.score(normal(3, 7), 0.3), gaussian.score(normal(3, 7), 0.3))


def test_parts_may_differ_in_what_they_have_beyond_the_axes():
    """Two parts of 3 and 4 numbers, each with axes and a rest of its own, together are their product."""
    parts = [Gaussian(normal(d, seed=d), torch.tensor([2.0, r]).double(), torch.linalg.qr(normal(d, 1, seed=d)).Q)
             for d, r in ((3, 0.5), (4, 0.01))]
    axes = torch.block_diag(*(p.axes for p in parts))
    variances = torch.cat([*(p.variances[:1] for p in parts), *(p.variances[1:] for p in parts)])
    whole = Gaussian(torch.cat([p.center for p in parts]), variances, axes)
    layout, x = Layout(a=(3,), b=(4,)), normal(5, 7)
    for sigma in SIGMAS:
        for both in (whole, dense(whole), Gaussian.from_state(whole.state_dict())):
            close(both(x, sigma), parts[0](x[:, :3], sigma) + parts[1](x[:, 3:], sigma))
            apart = [parts[0].score(x[:, :3], sigma), parts[1].score(x[:, 3:], sigma)]
            close(both.score(x, sigma), torch.cat(apart, -1))
        close(whole.marginal(layout["b"]).score(x[:, 3:], sigma), parts[1].score(x[:, 3:], sigma))
    with pytest.raises(ValueError, match="whose coordinates differ in what they have beyond the axes"):
        whole.marginal(layout["a"] & layout["b"][:2])
    with pytest.raises(ValueError, match="got axes that mix coordinates with unequal variances beyond them"):
        Gaussian(whole.center, variances[1:], torch.linalg.qr(normal(7, 1)).Q)


def test_axes_in_16_bits_are_made_orthonormal_again():
    first = low_rank(300, 40).float()
    again = Gaussian.from_state({k: v.half() if k == "axes" else v for k, v in first.state_dict().items()})
    assert again.axes.dtype == torch.float32
    close(again.axes.mT @ again.axes, torch.eye(40), 1e-6)
    close(again.axes, first.axes, 1e-3)
    assert float((first.axes.half().float().mT @ first.axes.half().float() - torch.eye(40)).abs().max()) > 1e-5


def test_what_16_bits_move_a_state_by_is_left_beyond_the_axes():
    """States of the first Gaussian differ from the axes read back by as much as the variance there now allows."""
    first = Gaussian(torch.zeros(300), torch.cat([torch.rand(40) + 0.5, torch.zeros(1)]),
                     torch.linalg.qr(normal(300, 40)).Q.float())
    again = Gaussian.from_state({k: v.half() if k == "axes" else v for k, v in first.state_dict().items()})
    x = first.back(normal(2000, 340).float() * first.variances.sqrt())
    beyond = again.modes(x)[:, 40:]
    assert float(again.variances[40:].sum()) == pytest.approx(float(beyond.square().sum(-1).mean()), rel=0.3)


# --- fitted to data ----------------------------------------------------------------------------------------------

def test_what_is_fitted_densely_is_mean_and_covariance():
    rows = normal(50, 4) @ normal(4, 4, seed=1)
    got = Gaussian.fit(rows, floor=0.1)
    close(got.center, rows.mean(0))
    close(got.cov, rows.mT.cov() + 0.1 * torch.eye(4))


@pytest.mark.parametrize("count, size", [(60, 12), (12, 60)])
@pytest.mark.parametrize("rank", [1, 3, 9])
def test_what_is_fitted_has_the_leading_axes_and_the_mean_variance_of_the_others(count, size, rank):
    rows = 1.0 + normal(count, size) * torch.logspace(0, -3, size, dtype=torch.float64)
    got, (values, vectors) = Gaussian.fit(rows, rank, floor=0.01), torch.linalg.eigh(rows.mT.cov())
    close(got.variances[:rank], values.flip(0)[:rank] + 0.01, 1e-9)
    close(got.variances[rank:], (values[:-rank].mean() + 0.01).expand(size), 1e-9)
    close((got.axes * vectors.flip(1)[:, :rank]).sum(0).abs(), torch.ones(rank).double(), 1e-6)
    close(got.axes.mT @ got.axes, torch.eye(rank).double(), 1e-13)


def test_rank_0_is_one_variance_for_all():
    rows = normal(50, 4) * torch.tensor([1.0, 2.0, 3.0, 4.0])
    close(Gaussian.fit(rows, 0).variances, rows.var(0).mean())


def test_data_of_low_rank_are_fitted_exactly():
    rows = (normal(200, 3) @ normal(3, 50, seed=1) + 2).float()
    got, wanted = Gaussian.fit(rows, 3, floor=1e-3), Gaussian.fit(rows, floor=1e-3)
    assert got.axes.dtype == torch.float32
    close(got.score(rows[:5], 0.5), wanted.score(rows[:5], 0.5), 1e-4)


@pytest.mark.parametrize(
    "wrong, text",
    [
        (lambda: Gaussian(torch.zeros(2), torch.eye(3)), r"got mean \(2,\) and cov \(3, 3\); expected \(d,\)"),
        (lambda: Gaussian(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]])), "not symmetric"),
        (lambda: Gaussian(torch.zeros(2), torch.tensor([1.0, -0.1])), "eigenvalue -0.1; expected none below zero"),
        (lambda: Gaussian(torch.zeros(2), torch.tensor(-1.0)), "eigenvalue -1; expected none below zero"),
        (lambda: Gaussian(torch.zeros(3), torch.ones(2), torch.eye(3)[:, :2]), r"cov \(2,\) and axes \(3, 2\); exp"),
        (lambda: Gaussian(torch.zeros(3), torch.ones(4), torch.eye(3)), "expected .* with 0 < k < d"),
        (lambda: Gaussian(torch.zeros(3), torch.ones(2), torch.ones(3, 1)), "orthonormal only to 2; expected columns"),
        (lambda: Gaussian.fit(normal(5, 9), 4), "got rank 4 for 5 rows of 9 numbers; expected 0 to 3, or None"),
        (lambda: gaussian(4).marginal(U4[1] & U4[1]), "got a coordinate twice in '.*'; expected each one once"),
        (lambda: Mixture(torch.tensor([1.0, 0.0]), torch.zeros(2, 3), 1.0), r"got weights \[1.0, 0.0\]"),
        (lambda: Mixture(torch.ones(3), torch.zeros(2, 3), 1.0), r"and means \(2, 3\); expected \(k,\) positive"),
        (lambda: gaussian(4).marginal(Layout(u=(4,))["u"].each()), "got a view with copies, 'u.each\\(\\)'"),
        (lambda: mixture(4).marginal(Layout(u=(4,))["u"].each()), "expected one part"),
    ],
)
def test_what_is_wrong_is_said(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
