"""The command assimilate, its tables of readings, and what moment matching does on windows less their overlaps."""

import json
import sys

import numpy as np
import pytest
import torch

import sciencegen as sg
from sciencegen import cli, compose
from sciencegen.exact import Gaussian
from sciencegen.forecasts import Forecast
from sciencegen.layout import Layout, Variable
from sciencegen.mcmc import HMC
from sciencegen.moments import Moments
from sciencegen.observations import Observations, Readings
from sciencegen.priors import Denoiser, Model, Recipe
from sciencegen.sample import Euler, karras

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
RHO, LENGTH, FRAMES = 0.95, 4, 10


def walk_cov(length: int) -> torch.Tensor:
    places = torch.arange(length, dtype=torch.float64)
    return RHO ** (places[:, None] - places).abs()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A prior of four frames of one number whose network says nothing."""
    layout = Layout(u=Variable((LENGTH, 1), dims=("time", "x"), coords={"time": 0.5 * np.arange(LENGTH)}))
    recipe = Recipe("sciencegen.nets.zero.Zero", {"scalar": False})
    path = tmp_path_factory.mktemp("model") / "walk"
    Model(layout, Denoiser(recipe.build(), Gaussian(torch.zeros(LENGTH), walk_cov(LENGTH).float())), recipe).save(path)
    return path


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, model):
    def call(*words: str):
        out = () if "--out" in words else ("--out", str(tmp_path / "out"))
        monkeypatch.setattr(sys, "argv", ["sciencegen", "assimilate", str(model), *words, *out])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        return code, capsys.readouterr()

    return call


def table(path, *lines: str):
    path.write_text("\n".join(["variable,time,observation,noise", *lines]))
    return str(path)


def test_a_table_becomes_a_smoother(run, tmp_path):
    data = table(tmp_path / "sensors.csv", "u, 0.0, 1.0, 0.1", "u, 2.5, -0.5, 0.1", "u, 4.5, 0.2, 0.1")
    code, said = run("--data", data, "--horizon", str(FRAMES), "--members", "400", "--ahead", "3")
    assert code == 0, said.err
    found = Forecast.load(tmp_path / "out" / "forecast.nc")
    u = found.frames.u.values[0, :, :, 0]
    assert u.shape == (400, FRAMES + 3)
    cov, rows, noise = walk_cov(FRAMES + 3), [0, 5, 9], 0.01 * torch.eye(3, dtype=torch.float64)
    gain = torch.linalg.solve(cov[rows][:, rows] + noise, cov[rows])
    spread = (cov - cov[:, rows] @ gain).diagonal().sqrt().numpy()
    mean = (torch.tensor([1.0, -0.5, 0.2]).double() @ gain).numpy()
    assert np.abs((u.mean(0) - mean) / spread).max() < 4.5 / 400**0.5
    assert np.abs(u.std(0) / spread - 1).max() < 4.5 / 800**0.5
    assert "3 readings" in (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "config.json").read_text())["made"]["readings"]["parts"]["u"]["count"] == 3


def test_groups_with_a_truth_are_scored(run, tmp_path):
    readings = Readings([[0.5], [2.0]], [0.3, 0.1], 0.1)
    Observations({"u": readings}, {"u": np.zeros((FRAMES, 1))}).save(tmp_path / "sensors.h5")
    code, said = run("--data", str(tmp_path / "sensors.h5"), "--horizon", str(FRAMES), "--mode", "filter")
    assert code == 0, said.err
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["u"]["crps"] > 0
    assert "against the truth" in said.out


@pytest.mark.parametrize("lines, words, message", [
    (["u, 0.0, nan, 0.1"], [], "1 of 1 values that are not finite"),
    (["u, 0.0, 1.0, 0.1", "u, 0.5, , 0.1"], [], "line 3 of"),
    (["u, 0.0, 1.0, 0.1"], ["--horizon", "0"], "--horizon 0"),
    (["u, 7.0, 1.0, 0.1"], [], "at times 7 to 7; expected 0 to 4.5, the 10 frames of the horizon"),
    (["v, 0.0, 1.0, 0.1"], [], "observations of 'v'"),
    ([], [], "without a reading"),
    (["u, 0.0, 1.0, 0.1"], ["--members", "1"], "--members 1"),
    (["u, 0.0, 1.0, 0.1"], ["--memory", "4"], "memory=4; expected 1 to 3"),
])
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, tmp_path, lines, words, message):
    data = table(tmp_path / "sensors.csv", *lines)
    code, said = run("--data", data, *(("--horizon", str(FRAMES)) if "--horizon" not in words else ()), *words)
    assert code == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_columns_that_are_missing_are_named(run, tmp_path):
    (tmp_path / "sensors.csv").write_text("time,variable,value\n0,u,1\n")
    code, said = run("--data", str(tmp_path / "sensors.csv"), "--horizon", "4")
    assert code == 2
    assert "no 'observation'" in said.err


def test_moment_matching_stays_finite_on_windows_less_their_overlaps():
    """Tweedie's covariance is not positive there: the curvature is above one at middle levels; the guard bears it."""
    layout = Layout(u=Variable((8, 1), dims=("time", "x"))).grown("u", length=20)
    energy = compose.chain(Gaussian(torch.zeros(8).double(), walk_cov(8)), layout, 4)
    sigma = 1.0
    eye = torch.eye(20, dtype=torch.float64)
    precision = -(energy.score(eye, sigma) - energy.score(0 * eye, sigma))
    assert float(torch.linalg.eigvalsh((precision + precision.mT) / 2).max()) * sigma**2 > 1.05
    read = eye[::4]
    guided = Moments(energy, read, torch.ones(5).double(), 0.1)
    sampler = Euler(karras(20, dtype=torch.float64), HMC(lambda s: 0.5 * s, adjusted=False, repeats=4))
    x = sampler(guided, sampler.start(16, 20, torch.arange(16)), torch.arange(16))
    assert bool(x.isfinite().all())
    assert float((x @ read.mT - 1).abs().mean()) < 0.3


def test_assimilate_is_public():
    assert sg.assimilate.__module__ == "sciencegen.tasks.assimilate"
