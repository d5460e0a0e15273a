"""``sciencegen couple``: solvers and trained priors that never met, from the command line."""

import sys

import numpy as np
import pytest
import torch
import xarray

import sciencegen as sg
from sciencegen.cli import app

ROD = """
import numpy as np, torch
from sciencegen.solvers import SolverResult
N = 12
A = (N + 1) ** 2 * (2 * np.eye(N) - np.eye(N, k=1) - np.eye(N, k=-1))
GREEN = torch.linalg.inv(torch.as_tensor(A))
def temperature(q): return q.double() @ GREEN.mT
def cooled(u, load): return load[..., None] * torch.exp(-u)
def heated(u, load): return load[..., None] * torch.exp(u.clamp_max(20))
class Outside:  # another program: one case a call, without gradients
    def __call__(self, u, load): return SolverResult("converged", {"q": load * np.exp(-u)})
class Broken:
    def __call__(self, u, load): return SolverResult("crashed", {}, log="no licence")
"""
N = 12
MATRIX = (N + 1) ** 2 * (2 * np.eye(N) - np.eye(N, k=1) - np.eye(N, k=-1))


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "rod.py").write_text(ROD)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("rod", None)
    return tmp_path


def ran(*words):
    app(["couple", *words], exit_on_error=False, print_error=False, result_action="return_value")


SHAPES = ("--shape", "u=12", "--shape", "q=12")


@pytest.mark.parametrize("source", ["cooled", "Outside"])
def test_solvers_that_never_met_agree(here, source):
    ran("u=rod:temperature", f"q=rod:{source}", "--given", "load=60", *SHAPES, "--starts", "5", "--out", "run")
    found = xarray.open_dataset(here / "run" / "result.nc")
    u = found["u"].values[0]
    assert bool(found["success"][0])
    assert np.abs(MATRIX @ u - 60 * np.exp(-u)).max() < 1e-6 * 60
    assert "1 coupled solution" in (here / "run" / "report.html").read_text()


def test_branches_and_no_solution(here):
    ran("u=rod:temperature", "q=rod:heated", "--given", "load=2", *SHAPES, "--starts", "60", "--out", "two")
    found = xarray.open_dataset(here / "two" / "result.nc")
    assert int(found["success"].sum()) == 2
    ran("u=rod:temperature", "q=rod:heated", "--given", "load=4", *SHAPES, "--starts", "20", "--out", "none")
    none = xarray.open_dataset(here / "none" / "result.nc")
    assert not none["success"].any()
    assert none.attrs["message"].startswith("no coupled solution")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two models of one field each, of a Gaussian pair that was never drawn together; and its gain and covariance."""
    folder, n, rho = tmp_path_factory.mktemp("models"), 4, 0.8
    generator = torch.Generator().manual_seed(0)
    for own, other in (("u", "v"), ("v", "u")):
        given = 2 * torch.randn(400, n, generator=generator)
        drawn = rho * given + (1 - rho**2) ** 0.5 * torch.randn(400, n, generator=generator)
        data = xarray.Dataset({own: (("sample", "x"), drawn.numpy()), other: (("sample", "x"), given.numpy())})
        how = sg.Training(given=((other,),), steps=2)
        sg.train(sg.States(data, ["u", "v"]), how, folder / own)
    return folder


def test_trained_priors_are_drawn_together(trained, here):
    words = [f"{name}={trained / name / 'model'}" for name in ("u", "v")]
    ran(*words, "--count", "300", "--steps", "12", "--out", "run")
    found = xarray.open_dataset(here / "run" / "result.nc")
    u, v = (found[name].values.reshape(-1) for name in ("u", "v"))
    assert abs(np.corrcoef(u, v)[0, 1] - 0.8) < 0.08  # of 400 rows each, and 300 samples
    assert abs(u.std() - 1) < 0.15
    assert found.attrs["status"] == 0
    ran(*words, "--settle", "--starts", "3", "--out", "means")
    means = xarray.open_dataset(here / "means" / "result.nc")
    assert np.abs(means["u"].values).max() < 0.5  # u = .8 v, v = .8 u: the means meet at the data's mean


WRONG = [
    (("u=rod:temperature",), "two or more"),
    (("u=rod:temperature", "rod:cooled"), "NAME=MODEL"),
    (("u=rod:temperature", "q=rod:nothing", "--shape", "u=12"), "nothing"),
    (("u=rod:temperature", "q=rod:cooled", "--shape", "u=12"), "--shape q=32"),
    (("u=rod:temperature", "q=rod:cooled", "--shape", "u=twelve"), "--shape u=twelve"),
    (("u=rod:temperature", "q=rod:cooled", "--given", "load=much"), "--given load=much"),
    (("u=rod:temperature", "q=rod:Broken", "--given", "load=1", *SHAPES), "no licence"),
    (("u=rod:temperature", "q=nowhere"), "no trained prior"),
]


@pytest.mark.parametrize(("words", "text"), WRONG)
def test_wrong_words_are_one_line_and_leave_nothing(here, words, text):
    with pytest.raises(ValueError, match=text):
        ran(*words, "--out", "run")
    assert not (here / "run").exists()
