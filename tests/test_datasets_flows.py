"""Flows around one body: what a file holds, however it was made, failures as data; and the shipped set."""

import os
import signal
import sys
from pathlib import Path

import h5py
import make_flows
import numpy as np
import pytest
import torch

from oracles import close
from sciencegen.physics import Flow, Outline, window_forces

FOLDER = Path(__file__).parents[1] / "datasets"
SHIPPED = FOLDER / "flows_test.h5"
SHAPES = {
    "flow": (3, 64, 64), "distance": (64, 64), "force": (2,), "history": (2,), "outline": (201, 2), "status": (),
    "cells": (), "length": (), "alpha": (), "x": (), "y": (), "aspect": (), "reynolds": (), "name": (),
}  # fmt: skip


@pytest.fixture
def short(monkeypatch):
    """Two frames after one: the start of the flow instead of what comes of it."""
    monkeypatch.setattr(make_flows, "WARM", 1)
    monkeypatch.setattr(make_flows, "KEPT", 2)
    monkeypatch.setattr(make_flows, "FRAME", 0.05)


@pytest.fixture
def importable(monkeypatch):
    """The script under its name, by which work is sent to other processes."""
    monkeypatch.setitem(sys.modules, "make_flows", make_flows)


def make(out: Path, count: int = 2, seed: int = 3, batch: int = 1, workers: int = 1) -> dict[str, np.ndarray]:
    options = f"--count {count} --seed {seed} --batch {batch} --workers {workers}"
    options += f" --reynolds 200 250 --split test --out {out}"
    make_flows.main(options.split())
    return read(out)


def read(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {key: values[:] for key, values in file.items()}


def test_layout(short, tmp_path):
    found = make(tmp_path / "set.h5")
    frames = {"flow": (2,), "force": (2,), "history": (3,)}
    assert {key: value.shape for key, value in found.items()} == {
        key: (2, *frames.get(key, ()), *shape) for key, shape in SHAPES.items()
    }
    assert not found["status"].any()
    assert (found["cells"] == 24).all()
    np.testing.assert_array_equal(found["history"][:, 1:], found["force"])
    # Frames are kept to 2^-12: no cell gains more than what four faces were rounded by.
    u, v = found["flow"][:, :, 0], found["flow"][:, :, 1]
    outflow = u[..., 1:, :-1] - u[..., :-1, :-1] + v[..., :-1, 1:] - v[..., :-1, :-1]
    assert np.abs(outflow).max() <= 2.1 * make_flows.QUANTUM
    assert np.abs(u[0] - u[1]).max() > 0.1


def test_a_sample_does_not_depend_on_the_count_nor_on_those_solved_with_it(short, tmp_path):
    more, fewer, other = (make(tmp_path / f"{k}.h5", count, seed, batch)
                          for k, (count, seed, batch) in enumerate([(3, 3, 1), (2, 3, 2), (1, 4, 1)]))
    for key in SHAPES:
        if key == "name":
            assert (more[key][:2] == fewer[key]).all()
        else:
            np.testing.assert_allclose(more[key][:2], fewer[key], atol=2 * make_flows.QUANTUM)
    assert not np.allclose(more["outline"][0], other["outline"][0], atol=1e-3)


def test_an_interrupted_run_goes_on_to_the_same_file(short, tmp_path, monkeypatch):
    whole = make(tmp_path / "whole.h5")
    solve, asked = make_flows.solved, []

    def stopping(rows, cells, chosen):
        asked.append(len(rows))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return solve(rows, cells, chosen)

    monkeypatch.setattr(make_flows, "solved", stopping)
    out = tmp_path / "stopped.h5"
    with pytest.raises(SystemExit, match="the same command goes on"):
        make(out)
    assert not out.exists()
    again = make(out)
    assert asked == [1, 1, 1]
    assert all((again[key] == whole[key]).all() for key in SHAPES if key != "aspect")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stopped.h5", "whole.h5"]
    before = out.read_bytes()
    make(out)
    with pytest.raises(SystemExit, match="is there already.*Remove it"):
        make(out, count=3)
    assert out.read_bytes() == before


def test_several_processes_make_the_same_file(short, importable, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = tmp_path / "one" / "set.h5", tmp_path / "two" / "set.h5"
    make(one, count=3, batch=2)
    make(two, count=3, batch=2, workers=2)
    assert one.read_bytes() == two.read_bytes()
    assert [file.name for file in two.parent.iterdir()] == ["set.h5"]


def test_an_interrupt_keeps_what_other_processes_have_begun(short, importable, tmp_path, monkeypatch):
    whole, begun = make(tmp_path / "whole.h5", count=6), os.getpid()
    produce = make_flows.produce

    def stopping(part, shapes, chosen):
        if make_flows.samples(part)[0] == 1:
            os.kill(begun, signal.SIGINT)
        return produce(part, shapes, chosen)

    stopping.__module__, stopping.__qualname__ = "make_flows", "produce"  # by which it is sent
    monkeypatch.setattr(make_flows, "produce", stopping)
    out = tmp_path / "stopped.h5"
    with pytest.raises(SystemExit, match="the same command goes on"):
        make(out, count=6, workers=2)
    (folder,) = tmp_path.glob(".stopped.h5.*.parts")
    kept = sorted(file.name for file in folder.iterdir())
    assert "000000001-000000002.npz" in kept
    assert all(file.endswith(".npz") and not file.endswith(".draft.npz") for file in kept)
    assert len(kept) < 6
    monkeypatch.setattr(make_flows, "produce", produce)
    again = make(out, count=6)
    assert all((again[key] == whole[key]).all() for key in SHAPES if key != "aspect")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stopped.h5", "whole.h5"]


def test_what_the_solver_fails_at_is_a_row_too(short, tmp_path, monkeypatch):
    monkeypatch.setattr(make_flows, "WILDEST", 1.0)  # every flow past a body is faster than that somewhere
    found = make(tmp_path / "set.h5", count=1)
    assert found["status"].tolist() == [1]
    assert not found["flow"].any()
    assert not found["force"].any()
    assert found["outline"].any()


@pytest.mark.parametrize("seed", [0, 1])
def test_bodies_are_inside_the_window(seed):
    shapes = make_flows.airfoils("train")
    rows = [make_flows.draw(shapes, (200.0, 1000.0), seed, i) for i in range(200)]
    corners = torch.stack([row.outline for row in rows])
    low = torch.tensor([c / 24 - s * o for c, s, o in zip(make_flows.CORNER, Flow().size, Flow().origin)])
    assert ((corners > low + 0.1) & (corners < low + 64 / 24 - 0.1)).all()
    foils = np.mean([row.name != "ellipse" for row in rows])
    assert 0.35 < foils < 0.65
    assert all(200 <= row.values["reynolds"] <= 1000 for row in rows)


# --- the shipped set --------------------------------------------------------------------------------------------


def test_shipped_set_is_what_the_script_makes():
    found = read(SHIPPED)
    with h5py.File(SHIPPED) as file:
        attributes = dict(file.attrs)
    assert SHIPPED.stat().st_size <= 10e6
    assert (attributes["seed"], attributes["split"], attributes["done"]) == (1, "test", 50)
    assert found["flow"].shape == (50, 6, 3, 64, 64)
    assert "## flows_test.h5:" in (FOLDER / "README.md").read_text()
    shapes = make_flows.airfoils("test")
    inside = make_flows.window(Flow(24).points(torch.zeros(())).movedim(-1, 0), 1).movedim(0, -1)
    for i in (0, 23, 49):
        row = make_flows.draw(shapes, (200.0, 1000.0), 1, i)
        assert row.name == found["name"][i].decode()
        close(torch.from_numpy(found["outline"][i]), row.outline, 1e-6)
        close(torch.from_numpy(found["distance"][i]), Outline(row.outline)(inside), 1e-5)
    assert ((found["cells"] == 24) == (found["reynolds"] <= 300)).all()


def test_shipped_flows_are_flows():
    """No slip, no outflow, and forces that the window tells too."""
    found = {key: torch.from_numpy(value) for key, value in read(SHIPPED).items() if key != "name"}
    good = found["status"] == 0
    assert good.float().mean() >= 0.9
    flow, distance, force = found["flow"][good], found["distance"][good], found["force"][good]
    u, v = flow[:, :, 0], flow[:, :, 1]
    outflow = u[..., 1:, :-1] - u[..., :-1, :-1] + v[..., :-1, 1:] - v[..., :-1, :-1]
    assert outflow.abs().max() <= 2.1 * make_flows.QUANTUM
    deep = (distance < -1.5 / 24)[:, None].expand_as(u)
    assert u[deep].square().mean().sqrt() < 0.05
    told = window_forces(flow, distance[:, None], found["reynolds"][good], 1 / 24, 0.25)[:, :, 0]
    error = (told - force[:, 1:]).norm(dim=-1).mean(-1) / force.norm(dim=-1).mean(-1)
    assert error.median() < 0.05
    assert error.max() < 0.25
