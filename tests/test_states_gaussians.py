"""Gaussians of training rows: each is a covariance that can be written down, and by wave number few rows go far."""

import numpy as np
import pytest
import torch
import xarray

from oracles import close
from sciencegen.states import States, by_part, candidates, low_rank, low_rank_by_part, spectral, unit
from sciencegen.states.waves import Waves
from sciencegen.symmetries import Shift

GRID = (5, 4)


def fields(count, seed=0, grid=GRID):
    """Two fields that waves of one noise make, a third over one more axis, and the noise's mean as a number."""
    draw = np.random.default_rng(seed)
    noise = np.fft.fft2(draw.standard_normal((count, *grid)))
    k = np.fft.fftfreq(grid[0])[:, None] ** 2 + np.fft.fftfreq(grid[1]) ** 2
    shift = np.exp(-2j * np.pi * np.fft.fftfreq(grid[0]))[:, None]
    u, v = (np.fft.ifft2(noise * f / (0.01 + k)).real for f in (1, shift))
    w = np.stack([u, 3 * v + 0.1 * draw.standard_normal(u.shape)], 1)
    data = {"u": u, "v": v, "w": w, "m": u.mean((1, 2)) + 0.1 * draw.standard_normal(count)}
    dims = {"u": ("sample", "x", "y"), "v": ("sample", "x", "y"), "w": ("sample", "z", "x", "y"), "m": ("sample",)}
    return xarray.Dataset({k: (dims[k], 5 + v) for k, v in data.items()})


def states(count=40, seed=0, parts=("u", "w", "m"), **options):
    return States(fields(count, seed), list(parts), split=(1, 0, 0), **options)


def covariance(data):
    """The matrix of a Gaussian of any form, ``(d, d)``."""
    one = torch.eye(data.center.numel())
    return data.back(data.variances * data.modes(one))


def shifted(made, cov):
    """The mean over all shifts of a covariance."""
    index = [made.layout[name].index for name in made.layout.variables]
    total = torch.zeros_like(cov)
    for i in range(GRID[0]):
        for j in range(GRID[1]):
            moved = torch.cat([at.roll((i, j), (-2, -1)).flatten() if at.ndim > 1 else at.flatten() for at in index])
            total += cov[moved][:, moved]
    return total / (GRID[0] * GRID[1])


def test_the_unit_one():
    data = unit(states())
    assert float(data.center.abs().max()) == 0
    assert float((data.variances - 1).abs().max()) == 0


def test_by_part_has_the_mean_of_each_coordinate_and_the_variance_of_each_part():
    made = states()
    rows, data = made.train.tensor().double(), by_part(made)
    close(data.center.double(), rows.mean(0), 1e-6)
    parts = rows.var(0).split([20, 40, 1])
    close(data.variances.double(), torch.cat([p.mean().expand(len(p)) for p in parts]), 1e-5)


def test_of_low_rank_it_has_the_covariance_along_its_axes():
    made = states()
    cov, data = torch.cov(made.train.tensor().double().T), low_rank(made, 7)
    values = torch.linalg.eigvalsh(cov).flip(0)
    close(data.variances[:7].double(), values[:7], 1e-3)
    close(data.variances[7:].double(), values[7:].mean().expand(61), 1e-3)


def test_by_part_of_low_rank_it_has_the_covariance_between_the_axes():
    made = states()
    cov, data = torch.cov(made.train.tensor().double().T).float(), low_rank_by_part(made, 5)
    close(data.axes.mT @ cov @ data.axes, data.axes.mT @ covariance(data) @ data.axes, 1e-3)
    assert data.axes.shape == (61, 11)
    whole = states(400, parts=("m", "u"))
    close(covariance(low_rank_by_part(whole, 100)), torch.cov(whole.train.tensor().double().T).float(), 1e-4)


def test_by_wave_number_it_is_the_mean_over_all_shifts():
    """The covariance of the rows about a level mean, in every position: to rounding, with all axes but one pair."""
    made = states()
    rows = made.train.tensor().double()
    data = spectral(made, ("x", "y"), 60)
    level = Waves.of(made.layout, ("x", "y")).level(rows.mean(0))
    close(data.center.double(), level, 1e-6)
    apart = rows - level
    whole = shifted(made, (apart.T @ apart / (len(rows) - 1)).float())
    close(covariance(data), whole, 2e-4)


def test_its_axes_are_waves_in_both_phases():
    data = spectral(states(), ("x", "y"), 9)
    close(data.axes.mT @ data.axes, torch.eye(data.axes.shape[1]), 1e-5)
    values = data.variances[: data.axes.shape[1]]
    pairs = {round(float(v), 5): int((values - v).abs().lt(1e-6 * v).sum()) for v in values}
    assert set(pairs.values()) <= {1, 2}
    close(covariance(data), shifted(states(), covariance(data)), 1e-4)


def test_a_spectrum_keeps_lengths_and_a_constant_has_wave_number_zero():
    made = states()
    waves, x = Waves.of(made.layout, ("x", "y")), torch.randn(3, 61, dtype=torch.float64)
    close(waves.spectrum(x).abs().square().sum((1, 2)), x.square().sum(1), 1e-12)
    assert float(waves.spectrum(waves.level(x[0])[None])[:, 1:].abs().max()) < 1e-12


def test_few_rows_go_far_by_wave_number():
    """Energy of held-out rows, of 16 rows: by wave number below every other."""
    made = states(16, symmetries=[Shift(("x", "y"))])
    plain = states(16)
    fresh = {k: torch.from_numpy(v.values) for k, v in fields(200, 1)[["u", "w", "m"]].items()}
    held = made.layout.pack(**fresh).float()
    scores = {name: float(data(held, torch.tensor(0.3)).mean()) for name, data in candidates(plain).items()}
    scores["by wave number"] = float(candidates(made)["by wave number"](held, torch.tensor(0.3)).mean())
    assert min(scores, key=scores.get) == "by wave number"
    assert scores["by wave number"] < 0.8 * min(v for k, v in scores.items() if k != "by wave number")


def test_a_lower_rank_is_the_same_with_fewer_axes():
    made = states(400)
    found = candidates(made, 32)
    for rank in (2, 8):
        close(covariance(found[f"rank {rank}"]), covariance(low_rank(made, rank)), 1e-3)


def test_candidates_are_what_can_be_estimated():
    assert list(candidates(states(2))) == ["unit", "by part"]
    assert list(candidates(states(parts=("u",)), 4)) == ["unit", "by part", "rank 1", "low rank"]
    assert "by wave number" in candidates(states(symmetries=[Shift(("x", "y"))]))


def test_axes_that_are_not_those_of_all_fields_are_refused():
    with pytest.raises(ValueError, match="expected all of them, of one size"):
        spectral(states(), ("z", "x", "y"))
    with pytest.raises(ValueError, match=r"got periodic axes \('q',\)"):
        spectral(states(), ("q",))
