"""Sets of pairs: PDEBench's layouts, the same bits however they are made, never half-written; and the shipped ones."""

from pathlib import Path

import h5py
import make_pde
import numpy as np
import pytest
import torch

from sciencegen.physics import SYSTEMS, Darcy, Heat

FOLDER = Path(__file__).parents[1] / "datasets"
CARD = (FOLDER / "README.md").read_text()
STATIC, EVOLVING = ["poisson", "helmholtz", "darcy", "channels", "wells"], ["heat", "burgers", "navier-stokes"]
FIELD = {"heat": "temperature", "burgers": "tensor", "navier-stokes": "vorticity"}
SHIPPED = {name: FOLDER / f"pde_{name.replace('-', '_')}_32.h5" for name in STATIC + EVOLVING if name != "wells"}


def parts(name: str, file: h5py.File) -> tuple[torch.Tensor, torch.Tensor]:
    """``a`` and ``u`` of a file, in float64."""
    read = lambda key: torch.from_numpy(file[key][:]).double()
    if name in STATIC:
        return read("nu"), read("tensor")[:, 0]
    return read(FIELD[name])[:, 0], read(FIELD[name])[:, 1:]


def test_every_name_has_a_shipped_set_and_a_place_on_the_card():
    assert sorted(make_pde.RECIPES) == sorted([*SHIPPED, "wells"])
    assert make_pde.RECIPES.keys() < SYSTEMS.keys()
    assert all(f"`{file.name}`" in CARD for file in SHIPPED.values())
    assert sum(file.stat().st_size for file in SHIPPED.values()) <= 3e6


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_set_is_what_the_script_makes(name):
    system = make_pde.system_of(name, 32)
    with h5py.File(SHIPPED[name]) as file:
        a, u = parts(name, file)
        attributes = dict(file.attrs)
    assert {"title", "source", "history", "references", "license"} <= attributes.keys()
    assert (attributes["name"], attributes["grid"], attributes["seed"]) == (name, 32, 1)
    assert attributes["done"] == len(a) == len(u) >= 64
    assert attributes["source"] == repr(system).replace("Channels", "Darcy")  # made before channels had a class
    for i in (0, len(a) - 1):
        first_a, first_u = make_pde.pairs(system, 1, 1, i)
        torch.testing.assert_close(a[i], first_a[0], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(u[i], first_u[0], rtol=1e-5, atol=1e-6 * float(u.abs().max()))
    residual = system.residual(a, u).norm(dim=-1)
    limit = 0.1 if isinstance(system, Heat) else 1e-4  # heat was kicked; the rest is the rounding of the file
    assert residual.max() < limit
    assert 0.4 < system.residual(a, 0 * u).norm(dim=-1).mean() < 1.5


def make(out: Path, name: str = "darcy", count: int = 70, seed: int = 3) -> bytes:
    make_pde.main([name, "--grid", "8", "--count", str(count), "--seed", str(seed), "--out", str(out)])
    return out.read_bytes()


@pytest.mark.parametrize("name", STATIC + EVOLVING)
def test_layout(name, tmp_path):
    make(tmp_path / "set.h5", name, count=3)
    with h5py.File(tmp_path / "set.h5") as file:
        shapes = {key: value.shape for key, value in file.items()}
        frames = {"heat": 2, "burgers": 8, "navier-stokes": 2}.get(name)
        axes = {"x-coordinate": (8,)} if name == "burgers" else {"x-coordinate": (8,), "y-coordinate": (8,)}
        if name in STATIC:
            assert shapes == axes | {"tensor": (3, 1, 8, 8), "nu": (3, 8, 8)}
        else:
            assert shapes == axes | {FIELD[name]: (3, frames, *(8,) * len(axes)), "t-coordinate": (frames + 1,)}
            np.testing.assert_allclose(np.diff(file["t-coordinate"]), file.attrs["frame"], rtol=1e-5)
        assert all(value.dtype == np.float32 for value in file.values())
        np.testing.assert_allclose(file["x-coordinate"], (np.arange(8) + 0.5) / 8)


def test_an_interrupted_run_goes_on_to_the_same_file(tmp_path, monkeypatch):
    whole = make(tmp_path / "whole.h5")
    asked = []

    draw = Darcy.draw

    def stopping(system: Darcy, count: int, seed: int, first: int):
        asked.append((first, count))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return draw(system, count, seed, first)

    monkeypatch.setattr(Darcy, "draw", stopping)
    out = tmp_path / "stopped.h5"
    with pytest.raises(SystemExit, match="the same command goes on"):
        make(out)
    assert not out.exists()
    assert make(out) == whole
    assert asked == [(0, 64), (64, 6), (64, 6)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stopped.h5", "whole.h5"]


def test_a_sample_does_not_depend_on_the_count_and_seeds_differ(tmp_path):
    for name in ("darcy", "heat"):
        sets = []
        for count, seed in ((70, 3), (66, 3), (66, 4)):
            make(tmp_path / f"{name}{count}{seed}.h5", name, count, seed)
            with h5py.File(tmp_path / f"{name}{count}{seed}.h5") as file:
                sets.append(parts(name, file))
        for more, fewer, other in zip(*sets, strict=True):
            assert torch.equal(more[:66], fewer)
            assert not any(torch.equal(one, two) for one, two in zip(fewer, other, strict=True))


def test_a_finished_file_is_left_alone_and_another_set_is_not_overwritten(tmp_path):
    out = tmp_path / "set.h5"
    before = make(out, count=2)
    assert make(out, count=2) == before
    with pytest.raises(SystemExit, match="is there already.*Remove it"):
        make(out, count=3)
    with pytest.raises(SystemExit):
        make_pde.main(["darcy", "--count", "0"])
    assert out.read_bytes() == before
