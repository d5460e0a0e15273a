"""`sciencegen forecast` and `score`: from a model and a file to scores, of others' forecasts too; refusals in words."""

import json

import numpy as np
import pytest
import torch
import xarray

from oracles import chain
from sciencegen import cli
from sciencegen.exact import Gaussian
from sciencegen.forecasts import Forecast
from sciencegen.layout import Layout, Variable
from sciencegen.nets.mlp import MLP
from sciencegen.nets.zero import Zero
from sciencegen.priors import Denoiser, Model, Recipe

FRAMES, CELLS, STEP, RHO = 4, 6, 0.5, 0.9
SHORT = ("--history", "2", "--horizon", "3", "--members", "4", "--out", "out")


def space(cells: int) -> torch.Tensor:
    return torch.eye(cells) + 0.3


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with a model (a Gaussian's) and a file of twelve runs of it: (status, out, err)."""
    monkeypatch.chdir(tmp_path)
    layout = Layout(u=Variable((FRAMES, CELLS), loc=5.0, dims=("time", "x"), units="m",
                               coords={"time": STEP * np.arange(FRAMES), "x": np.arange(CELLS)}), nu=())
    within = torch.kron(chain(FRAMES, RHO).float(), space(CELLS))
    cov = torch.block_diag(within, torch.ones(1, 1))
    zero = Denoiser(Zero(), Gaussian(torch.zeros(len(cov)), cov))
    Model(layout, zero, Recipe("sciencegen.nets.zero.Zero")).save(tmp_path / "model")
    lower = torch.linalg.cholesky(torch.kron(chain(9, RHO).float(), space(CELLS)))
    noise = torch.randn(12, 9 * CELLS, generator=torch.Generator().manual_seed(0))
    u = 5 + (noise @ lower.mT).reshape(12, 9, CELLS)
    data = xarray.Dataset({"u": (("run", "t", "x"), u.numpy()), "nu": ("run", np.zeros(12))},
                          {"t": STEP * np.arange(9.0)})
    data.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    data.assign_coords(t=np.arange(9.0) ** 2).to_netcdf(tmp_path / "uneven.nc", engine="h5netcdf")
    data.assign(u=data.u.where(data.t != STEP)).to_netcdf(tmp_path / "holes.nc", engine="h5netcdf")

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sciencegen", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        return code, *capsys.readouterr()

    return command


def test_a_file_is_forecast_and_scored_and_so_is_anothers_forecast(run, tmp_path):
    code, out, err = run("forecast", "model", "--data", "data.nc", "--samples", "2:12", "--start", "1", *SHORT)
    assert code == 0, err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"forecast.nc", "scores.json", "forecast.png",
                                                              "config.json", "report.html"}
    found, scores = Forecast.load("out/forecast.nc"), json.loads((tmp_path / "out" / "scores.json").read_text())
    assert found.frames.u.shape == (10, 4, 3, CELLS)
    assert found.frames.u.dims == ("sample", "member", "time", "x")
    assert found.frames.time.values.tolist() == [1.5, 2.0, 2.5]
    assert float(found.frames.reference_time) == 1.0
    assert scores["lead"] == [0.5, 1.0, 1.5]
    assert scores["u"]["coverage"] == [None] * 3
    code, out, err = run("score", "out/forecast.nc", "data.nc", "--out", "again.json")
    assert code == 0, err
    np.testing.assert_allclose(json.loads((tmp_path / "again.json").read_text())["u"]["crps"], scores["u"]["crps"])
    theirs = found.frames[["u"]].drop_vars(["lead", "reference_time"]).rename(member="realization", time="lead_time")
    theirs.drop_vars("lead_time").to_netcdf("theirs.nc", engine="h5netcdf")
    code, out, err = run("score", "theirs.nc", "data.nc", "--start", "3", "--out", "theirs.json")
    assert code == 0, err
    np.testing.assert_allclose(json.loads((tmp_path / "theirs.json").read_text())["u"]["crps"], scores["u"]["crps"])


def test_a_member_is_the_same_in_any_company_and_a_horizon_may_go_past_the_file(run):
    assert run("forecast", "model", "--data", "data.nc", "--samples", "0:3", *SHORT)[0] == 0
    code, out, err = run("forecast", "model", "--data", "data.nc", "--samples", "2", "--history", "2", "--horizon", "9",
                         "--members", "4", "--out", "long")
    assert code == 0, err
    first, second = (Forecast.load(f"{name}/forecast.nc").frames.u.values for name in ("out", "long"))
    np.testing.assert_allclose(second[0, :, :3], first[2], rtol=1e-6)
    assert second.shape[2] == 9


@pytest.mark.parametrize("words, message", [
    (["--data", "uneven.nc", *SHORT], "got frames 1 to 1 apart; expected 0.5, as those that the model was trained on"),
    (["--data", "holes.nc", *SHORT], "got 72 NaN in 'u'; expected numbers: say --missing 0"),
    (["--data", "data.nc", "--samples", "3:40", *SHORT], "got --samples 3:40; expected some of 0 to 11"),
    (["--data", "data.nc", "--samples", "x", *SHORT], "got --samples x; expected some of 0 to 11"),
    (["--data", "data.nc", "--start", "8", *SHORT], "got --start 8 and --history 2 of 9 frames in data.nc"),
    (["--data", "data.nc", "--members", "0", "--out", "out"], "got --members 0; expected at least 1"),
    (["--data", "data.nc", "--memory", "4", "--out", "out"], "expected 1 to 3, less than the frames of a window"),
    (["--data", "data.nc", "--ahead", "f", "--out", "out"], "got --ahead f; expected some of ['u']"),
])
def test_what_cannot_be_forecast_is_refused_in_one_line(run, tmp_path, words, message):
    code, out, err = run("forecast", "model", *words)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_history_shorter_than_the_priors_and_what_is_no_prior_are_refused(run, tmp_path):
    layout = Layout(u=Variable((FRAMES, CELLS), dims=("time", "x")))
    size = {"size": layout.size, "width": 8, "depth": 1}
    told = [layout["u"][:3]]
    Model(layout, Denoiser(MLP(**size), Gaussian(torch.zeros(layout.size), 1.0), given=told),
          Recipe("sciencegen.nets.mlp.MLP", size)).save(tmp_path / "strict")
    code, _, err = run("forecast", "strict", "--data", "data.nc", "--history", "2", "--out", "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "got a history of 2 frames; expected at least 3 frames, of which the prior was trained to be told" in err
    code, _, err = run("forecast", "nothing", "--data", "data.nc")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "got nothing, which is no trained prior: no trained prior 'nothing'; this version has" in err
