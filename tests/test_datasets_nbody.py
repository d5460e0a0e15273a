"""Sets of trajectories: the same bits however they are made, never half-written, read by `io`; the shipped one."""

from dataclasses import replace
from pathlib import Path

import h5py
import make_nbody
import numpy as np
import pytest
import torch

from sciencegen import io
from sciencegen.physics import NBody

FOLDER = Path(__file__).parents[1] / "datasets"
SHIPPED = FOLDER / "nbody_2.h5"


def make(out: Path, count: int = 7, bodies: int = 3, frames: int = 4, seed: int = 5, *more: str) -> bytes:
    numbers = {"--bodies": bodies, "--count": count, "--frames": frames, "--seed": seed}
    make_nbody.main([*(str(part) for pair in numbers.items() for part in pair), "--out", str(out), *more])
    return out.read_bytes()


def trajectory(file: Path) -> np.ndarray:
    with h5py.File(file) as found:
        return found["trajectory"][:]


def test_the_shipped_set_is_what_the_script_makes():
    box = NBody()
    dataset = io.open(SHIPPED)
    assert dataset.trajectory.dims == ("sample", "time", "body", "feature")
    assert dataset.feature.values.tolist() == ["x", "y", "vx", "vy"]
    np.testing.assert_allclose(dataset.time, np.arange(100) / 15)
    assert {"title", "source", "history", "references", "license"} <= dataset.attrs.keys()
    assert dataset.attrs["source"] == repr(box)
    assert (dataset.attrs["bodies"], dataset.attrs["seed"], dataset.attrs["starts"]) == (2, 1, "separate")
    u = torch.from_numpy(dataset.trajectory.values)
    assert u.shape == (100, 100, 2, 4)
    again = box.solve(box.starts(2, 2, seed=1, first=98, separate=True), 24)
    torch.testing.assert_close(u[98:, :24].double(), again, rtol=0, atol=1e-6)
    assert box.residual(u.double()).norm(dim=-1).max() < 1e-6  # the rounding of the file
    assert box.overlap(u[:, 0]).max() <= 1e-7
    assert SHIPPED.stat().st_size < 1e6
    assert f"## {SHIPPED.name}:" in (FOLDER / "README.md").read_text()


def test_what_is_written_is_what_was_solved(tmp_path):
    make(tmp_path / "set.h5")
    wanted = NBody().solve(NBody().starts(3, 7, seed=5), 4).float().numpy()
    np.testing.assert_array_equal(trajectory(tmp_path / "set.h5"), wanted)
    make(tmp_path / "apart.h5", 7, 3, 4, 5, "--separate")
    assert NBody().overlap(torch.from_numpy(trajectory(tmp_path / "apart.h5")[:, 0])).max() <= 1e-7


def test_a_simulation_does_not_depend_on_the_count_and_seeds_differ(tmp_path):
    make(tmp_path / "more.h5")
    make(tmp_path / "fewer.h5", count=4)
    make(tmp_path / "other.h5", count=4, seed=6)
    np.testing.assert_array_equal(trajectory(tmp_path / "more.h5")[:4], trajectory(tmp_path / "fewer.h5"))
    assert not (trajectory(tmp_path / "fewer.h5") == trajectory(tmp_path / "other.h5")).any(axis=(1, 2, 3)).all()


def test_an_interrupted_run_goes_on_to_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr(make_nbody, "BATCH", 3)
    whole, asked, solve = make(tmp_path / "whole.h5"), [], NBody.solve

    def stopping(self, start, frames):
        asked.append(len(start))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return solve(self, start, frames)

    monkeypatch.setattr(NBody, "solve", stopping)
    out = tmp_path / "stopped.h5"
    with pytest.raises(SystemExit, match="the same command goes on"):
        make(out)
    assert not out.exists()
    assert make(out) == whole
    assert asked == [3, 3, 3, 1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stopped.h5", "whole.h5"]


def test_a_file_that_is_there_is_kept_or_refused(tmp_path):
    out = tmp_path / "set.h5"
    before = make(out)
    assert make(out) == before
    with pytest.raises(SystemExit, match="is there already.*Remove it"):
        make(out, count=8)
    with pytest.raises(SystemExit, match="got 20 discs"):
        make(tmp_path / "full.h5", 1, 20, 2, 0, "--separate")
    with pytest.raises(SystemExit):
        make(tmp_path / "none.h5", count=0)
    assert out.read_bytes() == before


def test_another_system_is_another_source():
    assert repr(replace(NBody(), radius=0.05)) != repr(NBody())
