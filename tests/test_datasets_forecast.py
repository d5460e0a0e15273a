"""Sets of trajectories: what the systems make, the same however they are made, never half-written; the shipped ones."""

import math
from pathlib import Path

import h5py
import make_forecast
import numpy as np
import pytest
import torch

from sciencegen import io
from sciencegen.metrics import crps
from sciencegen.physics import AdvectionDiffusion, KuramotoSivashinsky
from sciencegen.states import States

FOLDER = Path(__file__).parents[1] / "datasets"
CARD = (FOLDER / "README.md").read_text()
SHIPPED = sorted(FOLDER.glob("forecast_*.nc"))


def values(path: Path) -> torch.Tensor:
    """The field of a file, in float64."""
    with h5py.File(path) as file:
        return torch.from_numpy(next(file[key][:] for key in ("u", "vorticity") if key in file)).double()


def make(out: Path, *more: str, name: str = "advection-diffusion", samples: int = 5, frames: int = 4) -> bytes:
    grid = () if name == "lorenz-63" else ("--grid", "16" if name == "kuramoto-sivashinsky" else "8")
    make_forecast.main([name, *grid, "--samples", str(samples), "--frames", str(frames), "--seed", "3",
                        "--out", str(out), *more])
    return out.read_bytes()


def test_the_shipped_sets_are_small_and_have_a_place_on_the_card():
    assert len(SHIPPED) == 4
    assert all(f"`{file.name}`" in CARD for file in SHIPPED)
    assert sum(file.stat().st_size for file in SHIPPED) <= 2e6


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_set_is_what_the_script_makes(file):
    with h5py.File(file) as stored:
        said = {key: value.item() if np.size(value) == 1 and not isinstance(value, str) else value
                for key, value in stored.attrs.items()}
    recipe, field = make_forecast.RECIPES[said["name"]], values(file)
    assert said["seed"] == 1
    assert field.shape[:2] == (said["done"], said["frames"])
    last, early = len(field) - 1, 4  # later frames of a chaotic system depend on the last bit
    for i in (0, last):
        again, own = make_forecast.trajectories(recipe, said["grid"], early, i, i + 1, 1, bool(said["varied"]))
        assert float((field[i, :early] - again[0]).abs().max()) < 0.51 * recipe.quantum
        with h5py.File(file) as stored:
            assert all(float(stored[key][i]) == pytest.approx(float(value[0])) for key, value in own.items())


@pytest.mark.parametrize("name", make_forecast.RECIPES)
def test_every_system_makes_a_file_that_is_read(name, tmp_path):
    name_of = make_forecast.RECIPES[name].name
    make(tmp_path / "set.nc", name=name)
    data = io.open(tmp_path / "set.nc")
    assert data[name_of].dims[:2] == ("sample", "time")
    assert data.sizes["sample"] == 5
    np.testing.assert_allclose(np.diff(data["time"]), data.attrs["frame"])
    assert float(data["time"][0]) == 0


def test_a_trained_prior_could_read_parameters_that_vary():
    states = States(FOLDER / "forecast_advection_diffusion_varied_64.nc", ["u", "c", "nu"], length=8)
    assert {name: v.shape for name, v in states.layout.variables.items()} == {"u": (8, 64), "c": (), "nu": ()}


def test_the_shipped_linear_set_has_the_exact_scores():
    """An exact ensemble's CRPS on it is the closed form, within the sampling of 32 trajectories."""
    field, system, lead = values(FOLDER / "forecast_advection_diffusion_64.nc"), AdvectionDiffusion(64), 4
    starts, truth = field[:, :-lead:lead], field[:, lead::lead]
    mean, covariance = system.forecast(starts, lead)
    draws = torch.randn(40, *mean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    members = mean + draws @ torch.linalg.cholesky(covariance).mT
    score = crps(members, truth).mean((1, 2))
    exact = math.sqrt(float(covariance[0, 0]) / math.pi)
    assert abs(float(score.mean()) - exact) < 4 * float(score.std()) / math.sqrt(32)


def test_the_shipped_chaos_solves_its_equation():
    field = values(FOLDER / "forecast_kuramoto_sivashinsky_64.nc")[:2]
    residual = KuramotoSivashinsky(64, frames=300).residual(a=field[:, 0], u=field[:, 1:]).norm(dim=-1)
    assert float(residual.max()) < 1e-3  # rounding, over 300 frames in quadrature


def test_trajectories_depend_on_neither_count_nor_length(tmp_path):
    make(tmp_path / "a.nc")
    make(tmp_path / "b.nc", samples=3, frames=6)
    assert torch.equal(values(tmp_path / "a.nc")[:3], values(tmp_path / "b.nc")[:, :4])
    make(tmp_path / "c.nc", "--varied")
    make(tmp_path / "d.nc", "--varied", samples=3, frames=6)
    assert torch.equal(values(tmp_path / "c.nc")[:3], values(tmp_path / "d.nc")[:, :4])
    with h5py.File(tmp_path / "c.nc") as file:
        assert len(np.unique(file["c"][:])) == 5
        assert ((file["nu"][:] > 0.01) & (file["nu"][:] < 0.04)).all()
        assert "c" not in file.attrs


def test_an_interrupted_run_goes_on_to_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr(make_forecast, "BATCH", 2)
    whole = make(tmp_path / "whole.nc")
    asked, path = [], make_forecast.path

    def stopping(recipe, system, first, count, seed):
        asked.append(first)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return path(recipe, system, first, count, seed)

    monkeypatch.setattr(make_forecast, "path", stopping)
    out = tmp_path / "stopped.nc"
    with pytest.raises(SystemExit, match="the same command goes on"):
        make(out)
    assert not out.exists()
    assert make(out) == whole
    assert asked == [0, 2, 2, 4]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stopped.nc", "whole.nc"]


def test_a_finished_file_is_left_alone_and_what_cannot_be_made_is_refused(tmp_path, capsys):
    out = tmp_path / "set.nc"
    before = make(out)
    assert make(out) == before
    with pytest.raises(SystemExit, match="is there already.*Remove it"):
        make(out, samples=6)
    for words, text in [(["lorenz-63", "--grid", "8"], "three numbers"), (["lorenz-96", "--varied"], "only"),
                        (["lorenz-96", "--frames", "1"], "expected at least 1, 2")]:
        with pytest.raises(SystemExit):
            make_forecast.main(words)
        assert text in capsys.readouterr().err
    assert out.read_bytes() == before
