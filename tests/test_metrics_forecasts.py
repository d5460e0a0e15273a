"""Scores of forecasts: closed forms of Gaussian ensembles and of plane waves, and what other packages say."""

import math

import numpy as np
import pytest
import scoringrules
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from the_well.benchmark.metrics import NRMSE

from oracles import close, normal, within
from sciencegen import metrics
from sciencegen.metrics import (
    correlation,
    coverage,
    crps,
    effective_size,
    energy_score,
    high_correlation_time,
    nrmse_apebench,
    nrmse_pdebench,
    quantile,
    rank_histogram,
    rmse,
    spectrum,
    spectrum_ratio,
    spread_skill,
    vrmse,
)


def positive(*shape: int, seed: int = 0) -> torch.Tensor:
    return normal(*shape, seed=seed).exp()


# --- ensembles ----------------------------------------------------------------------------------------------------

def test_crps_and_energy_score_are_those_of_scoringrules():
    samples, truth = normal(9, 4, 6, seed=1), normal(4, 6, seed=2)
    theirs = scoringrules.crps_ensemble(truth.numpy(), samples.numpy(), m_axis=0, estimator="fair")
    close(crps(samples, truth), torch.from_numpy(theirs))
    theirs = scoringrules.es_ensemble(truth.numpy(), samples.numpy(), m_axis=0, v_axis=-1, estimator="fair")
    close(energy_score(samples, truth), torch.from_numpy(theirs))


def test_weighted_scores_are_their_definitions():
    samples, truth, weights = normal(7, 4, 3, seed=1), normal(4, 3, seed=2), positive(7, 4)
    share = weights / weights.sum(0)
    pairs = share[:, None] * share / (1 - share.square().sum(0))
    apart = samples[:, None] - samples
    wanted = (share[..., None] * (samples - truth).abs()).sum(0) - (pairs[..., None] * apart.abs()).sum((0, 1)) / 2
    close(crps(samples, truth, weights), wanted)
    wanted = (share * (samples - truth).norm(dim=-1)).sum(0) - (pairs * apart.norm(dim=-1)).sum((0, 1)) / 2
    close(energy_score(samples, truth, 1, weights), wanted)
    close(metrics.variance(samples, weights), (pairs[..., None] * apart.square()).sum((0, 1)) / 2)


@given(st.floats(0.1, 10))
def test_equal_weights_of_any_size_change_nothing(weight):
    samples, truth = normal(19, 5, seed=1), normal(5, seed=2)
    weights = torch.full((19,), weight, dtype=torch.float64)
    close(crps(samples, truth, weights), crps(samples, truth))
    close(energy_score(samples, truth, 1, weights), energy_score(samples, truth))
    close(coverage(samples, truth, 0.9, weights), coverage(samples, truth))
    close(spread_skill(samples, truth, weights), spread_skill(samples, truth))
    close(effective_size(weights), torch.tensor(19.0).double())


def test_weights_score_the_law_that_they_aim_at():
    draws = 1.5 * normal(2000, 50)
    weights = torch.exp(-draws.square() / 2 * (1 - 1 / 2.25))  # N(0, 1.5^2) to N(0, 1)
    y = torch.full((50,), 0.7, dtype=torch.float64)
    exact = 0.7 * (2 * stats.norm.cdf(0.7) - 1) + 2 * stats.norm.pdf(0.7) - 1 / math.sqrt(math.pi)
    score = crps(draws, y, weights)
    assert abs(float(score.mean()) - exact) < 5 * float(score.std()) / math.sqrt(50)
    assert float(crps(draws, y).mean()) - exact > 20 * float(score.std()) / math.sqrt(50)
    upper = quantile(draws, 0.9, weights)
    assert abs(float(upper.mean()) - stats.norm.ppf(0.9)) < 5 * float(upper.std()) / math.sqrt(50)


def test_energy_score_of_one_number_is_the_crps():
    samples, truth = normal(6, 5, 1, seed=1), normal(5, 1, seed=2)
    close(energy_score(samples, truth), crps(samples, truth)[:, 0])


def test_energy_score_of_normals_is_the_closed_form():
    radius = math.sqrt(8 / math.pi)  # E|N(0, I)| in three axes
    score = energy_score(normal(4, 20_000, 3), torch.zeros(20_000, 3).double())
    within(score, radius - radius / math.sqrt(2), float(score.std()))


def test_energy_score_sees_members_that_do_not_vary_together_which_crps_forgives():
    shared = normal(20, 3000, 1, seed=1).expand(-1, -1, 4)
    truth, apart = normal(3000, 1, seed=2).expand(-1, 4), normal(20, 3000, 4, seed=3)
    gap = energy_score(apart, truth) - energy_score(shared, truth)
    assert float(gap.mean()) > 10 * float(gap.std()) / math.sqrt(3000)
    gap = (crps(apart, truth) - crps(shared, truth)).mean(-1)
    assert abs(float(gap.mean())) < 5 * float(gap.std()) / math.sqrt(3000)


@pytest.mark.parametrize("count", [2, 5, 50])
@pytest.mark.parametrize("stretch", [0.8, 1.0, 1.2])
def test_spread_skill_is_one_for_exchangeable_members_whatever_their_number(count, stretch):
    draws = normal(count + 1, 20_000, seed=count)
    centre = draws[1:].mean(0)
    got = float(spread_skill(centre + stretch * (draws[1:] - centre), draws[0]))
    assert got == pytest.approx(stretch, abs=0.03)


def test_quantiles_are_weibulls():
    samples = normal(30, 40)
    theirs = stats.mstats.mquantiles(samples.numpy(), [0.1, 0.37, 0.9], alphap=0, betap=0, axis=0)
    for share, wanted in zip([0.1, 0.37, 0.9], theirs):
        close(quantile(samples, share), torch.from_numpy(np.asarray(wanted)))


# --- ranks --------------------------------------------------------------------------------------------------------

def test_ranks_of_exchangeable_members_are_even_and_chi2_is_scipys():
    draws = normal(10, 5000)
    got = rank_histogram(draws[1:], draws[0])
    theirs = stats.chisquare(got.counts.numpy())
    assert float(got.chi2) == pytest.approx(theirs.statistic)
    assert float(got.p) == pytest.approx(theirs.pvalue)
    assert got.counts.shape == (10,)
    assert float(got.counts.sum()) == 5000
    assert got.p > 0.001


def test_ranks_show_members_too_much_alike_as_a_cup():
    got = rank_histogram(0.5 * normal(9, 5000, seed=1), normal(5000, seed=2))
    assert got.p < 1e-10
    assert got.counts[[0, -1]].min() > 2 * got.counts[1:-1].max()


def test_ranks_are_counted_and_ties_shared():
    members = torch.tensor([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0], [3.0, 1.0, 2.0]], dtype=torch.float64)
    wanted = torch.tensor([0.25 + 1 / 3, 0.25 + 1 / 3, 1.25 + 1 / 3, 0.25], dtype=torch.float64)
    close(rank_histogram(members, torch.tensor([2.5, 1.0, 0.0]).double()).counts, wanted)


# --- spectra ------------------------------------------------------------------------------------------------------

def test_the_spectrum_of_a_wave_is_its_mean_square_in_one_place():
    x = torch.arange(16).double() * 2 * math.pi / 16
    close(spectrum(3 * torch.cos(5 * x + 0.3)), 4.5 * torch.nn.functional.one_hot(torch.tensor(5), 9).double())
    plane = 2 * torch.cos(3 * x[:, None] - 4 * x)
    close(spectrum(plane, 2), 2 * torch.nn.functional.one_hot(torch.tensor(5), 12).double())


@given(st.integers(3, 12), st.integers(3, 12))
def test_powers_add_up_to_the_mean_square(rows, columns):
    field = normal(2, rows, columns)
    close(spectrum(field).sum(-1), field.square().mean(-1))
    close(spectrum(field, 2).sum(-1), field.square().mean((-1, -2)))


def test_the_ratio_of_spectra_finds_the_band_that_is_too_rough():
    x = torch.arange(64).double() * 2 * math.pi / 64
    truth = sum(torch.cos(k * x) for k in range(1, 33))
    got = spectrum_ratio(torch.stack([truth + torch.cos(20 * x), truth + torch.cos(20 * x)])[:, None], truth[None])
    close(got.edges, torch.tensor([1, 2, 6, 14, 33]))
    close(got.ratio, torch.tensor([1.0, 1.0, 1.0, (17 * 0.5 + 2 + 1) / (18 * 0.5 + 1)], dtype=torch.float64))
    rougher = spectrum_ratio(1.1 * truth.expand(2, 1, 64), truth[None], top=10).ratio
    close(rougher, torch.full((4,), 1.21, dtype=torch.float64))


# --- fields -------------------------------------------------------------------------------------------------------

def test_vrmse_is_that_of_the_well():
    estimate, truth = normal(3, 8, 8, seed=1), normal(3, 8, 8, seed=2)
    truth[1] *= 1e-4  # where their epsilon counts

    class Meta:
        n_spatial_dims = 2

    theirs = NRMSE.eval(estimate[..., None], truth[..., None], Meta, norm_mode="std")
    close(vrmse(estimate, truth, 2), theirs[..., 0])
    mean = truth.mean((-1, -2), keepdim=True).expand_as(truth)
    close(vrmse(mean, truth, 2, 0.0), torch.full((3,), math.sqrt(63 / 64), dtype=torch.float64))


def test_rmse_and_nrmse_are_their_definitions():
    truth = normal(4, 6, 10)
    scale = torch.linspace(0.1, 0.6, 6).double()[:, None]
    close(rmse(truth + scale, truth), scale[:, 0].expand(4, 6))
    estimate = truth * (1 + scale)
    close(nrmse_pdebench(estimate, truth), scale.mean())
    close(nrmse_apebench(estimate, truth), scale.log().mean().exp())
    close(nrmse_apebench(estimate, truth, frames=2), scale[:2].log().mean().exp())
    one = truth + scale * positive(4, 1, 1)
    per = (one - truth).norm(dim=-1) / truth.norm(dim=-1)
    close(nrmse_apebench(one, truth), per.mean(0).log().mean().exp())


def test_the_time_of_high_correlation_has_two_definitions():
    x = torch.arange(32).double() * 2 * math.pi / 32
    angles = torch.tensor([[0.1, 0.2, 0.9, 0.3], [0.1, 0.3, 0.4, 0.6], [1.5, 1.5, 1.5, 0.1]]).double()
    truth = torch.cos(x).expand(3, 4, 32)
    estimate = 5 + 2 * (angles.cos()[..., None] * torch.cos(x) + angles.sin()[..., None] * torch.sin(x))
    close(correlation(estimate, truth), angles.cos())
    got = high_correlation_time(estimate, truth, frame=0.5)
    close(got.first, torch.tensor([1.0, 2.0, 0.0]).double())
    counted = (angles.cos().mean(0) >= 0.8).sum() * 0.5  # only the last frame
    close(got.counted, counted.double())
    estimate[1, 2:] = math.nan
    close(high_correlation_time(estimate, truth).first, torch.tensor([2.0, 2.0, 0.0]).double())


@pytest.mark.parametrize("call, message", [
    (lambda: crps(normal(5, 3), normal(3), positive(4)), r"got weights \(4,\) for samples \(5, 3\)"),
    (lambda: crps(normal(5, 3), normal(3), -positive(5)), "not negative"),
    (lambda: crps(normal(3, 3), normal(3), torch.tensor([0.0, 2.0, 0.0])), "weights of which one is all"),
    (lambda: coverage(normal(30, 3), normal(3), 0.9, positive(30)**3), "counted as equal ones"),
    (lambda: energy_score(normal(5, 3), normal(3), 2), "at least 2 axes"),
    (lambda: rmse(normal(3, 2), normal(3, 1)), "expected equal ones"),
    (lambda: high_correlation_time(normal(3, 2), normal(3, 2)), r"expected \(samples, time"),
    (lambda: nrmse_apebench(normal(3, 2), normal(3, 2)), r"expected \(samples, time"),
])
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
