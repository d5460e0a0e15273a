"""What the benchmark of microstructures says that images look like, and how it judges a row."""

import numpy as np
import pytest
import torch

from benchmarks.microstructure.designs import STUDY, families, made
from benchmarks.microstructure.looks import apart, looks, worst
from benchmarks.microstructure.run import cell, tabled, written
from sciencegen.physics.microstructure import FAMILIES, Style


def images(count: int, seed: int = 0):
    return FAMILIES["grains"].draw(Style([3.0] * count, 0.0, 1.0, 0.5), (24, 24), seed)


def test_a_set_is_no_distance_from_itself_and_specks_are_seen():
    phase = images(12)
    assert worst(phase, phase)[0] == 0
    specks = torch.rand(phase.shape, generator=torch.Generator().manual_seed(0)) < 0.02
    distance, which = worst(torch.where(specks, 1 - phase, phase), phase)
    assert distance > 0.5
    assert which in ("pieces", "finer than 3 pixels", "finer than 3 pixels, phase 0", "length")


def test_descriptors_of_layers_are_theirs():
    layers = torch.zeros(1, 24, 24)
    layers[:, :6] = layers[:, 12:18] = 1.0
    found = {name: float(value[0]) for name, value in looks(layers).items()}
    assert (found["fraction"], found["pieces"], found["mean chord along y"]) == pytest.approx((0.5, 2, 6))
    assert found["anisotropy"] == pytest.approx(1.0)


def test_images_that_know_nothing_of_each_other_differ_in_half_of_their_pixels():
    noise = torch.rand(200, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.5
    assert apart(noise) == pytest.approx(0.5, abs=0.01)


def test_a_row_is_judged_by_its_worse_goal():
    layers = torch.zeros(1, 8, 8)
    layers[:, :4] = 1.0
    row = made(STUDY, torch.tensor([5.5, 2 / 1.1]), lambda: (layers, 7))
    assert float(row.error.max()) < 1e-5
    row = made(STUDY, torch.tensor([5.0, 2 / 1.1]), lambda: (layers, 7))
    assert row.row()["median error, %"] == pytest.approx(10, rel=1e-4)


def test_rows_of_a_family_are_in_a_table_and_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.microstructure.designs.SIDE", 24)
    monkeypatch.setattr("benchmarks.microstructure.designs.SOLVES", 10)
    rows = families("grains", 3, tmp_path / "grains.nc")
    assert rows["ours, generator"]["solves"] <= 10
    assert rows["ours, generator"]["median error, %"] < rows["Adam on pixels"]["worst, %"]
    assert tabled("title", rows).row_count == len(rows) == 5
    assert (tmp_path / "grains.nc").is_file()
    assert (cell("x"), cell(np.nan), cell(0.12345)) == ("x", "-", "0.123")
    assert written().startswith("The study has ")
