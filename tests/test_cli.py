"""The command line: bad input is one message and status 2, and leaves nothing behind; good input is the Python call.

Run in this process, as the installed script runs it: `sciencegen.cli.main` with the words of the command in sys.argv.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sciencegen import cli
from sciencegen.airfoil import cst, write_dat
from sciencegen.airfoil.conditions import Point, Requirements
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.priors import EnergyNet, Model, Recipe
from sciencegen.result import Result
from sciencegen.studies.airfoil import report
from sciencegen.studies.airfoil.prior import condition_layout, recorded
from sciencegen.studies.airfoil.study import AirfoilStudy

pytest.importorskip("neuralfoil")
pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
DATA = Path(__file__).parents[1] / "datasets" / "airfoils.nc"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An untrained prior on disk: the Gaussian of the data."""
    rows = recorded(DATA, "valid")
    layout = condition_layout(rows, torch.linspace(-6, 18, 25))
    x = layout.pack(**{k: v.double() for k, v in rows.items()})
    recipe = Recipe("sciencegen.nets.mlp.ScalarMLP", {"size": layout.size, "width": 8, "depth": 1})
    data = Gaussian(x.mean(0).float(), (torch.cov(x.mT) + 1e-4 * torch.eye(layout.size)).float())
    path = tmp_path_factory.mktemp("model") / "airfoil"
    Model(layout, EnergyNet(recipe.build(), data, marginals=[layout["shape"]]), recipe).save(path)
    return path


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, model):
    """`run(*words)`: exit status, stdout and stderr of `sciencegen design airfoil *words`, with --out and --model."""

    def call(*words: str, whole: bool = False):
        given = "--model" in words
        words = words if whole else ("design", "airfoil", "--out", str(tmp_path / "out"), *words,
                                     *(() if given else ("--model", str(model))))
        monkeypatch.setattr(sys, "argv", ["sciencegen", *map(str, words)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capsys.readouterr()
        return exit.value.code or 0, out, err

    return call


def refused(answer, out: Path, *texts: str) -> None:
    """Status 2, one line on stderr with all of `texts`, and nothing written."""
    code, stdout, stderr = answer
    assert code == 2, stderr
    assert stdout == ""
    lines = [line for line in stderr.splitlines() if line]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    for text in texts:
        assert text in stderr
    assert not out.exists() or not any(out.iterdir())


# --- bad input ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, texts", [
    (("--point", "3@1e6"), ("got a lift coefficient of 3", "expected -0.3 to 1.5")),
    (("--point", "0.5@1e3"), ("got a Reynolds number of 1000", "expected 100000 to 1e+07")),
    (("--point", "nonsense"), ("got the operating point 'nonsense'", "expected CL@RE, as in 0.8@1.5e6")),
    (("--point", "0.5@1e6", "--point", "nan@1e6"), ("got a lift coefficient of nan",)),
    (("--min-thickness", "0.6"), ("got a least thickness of 0.6", "expected 0 to 0.4")),
    (("--min-cm", "nan"), ("got a lowest pitching moment of nan", "expected -1 to 1")),
    (("--count", "0"), ("got --count 0", "expected at least 1")),
    (("--seed", "-1"), ("got --seed -1", "expected 0 to 2^40")),
    (("--seed", "99999999999999"), ("got --seed 99999999999999",)),
    (("--model", "no/such/model"), ("got no config.json in no/such/model", "expected a directory")),
    (("--reference", "no_such.dat"), ("no_such.dat",)),
    (("--objective", "no_such.py"), ("no_such.py", "expected a Python file with a function objective")),
])
def test_bad_words_are_refused(run, tmp_path, words, texts):
    refused(run(*words), tmp_path / "out", *texts)


def dat(points: np.ndarray) -> str:
    return "\n".join(["a foil", *(f"{x} {y}" for x, y in points)])


def outline() -> np.ndarray:
    shape = torch.tensor([0.18] * 8 + [-0.12] * 8 + [0.0, 0.002], dtype=torch.float64)
    return cst.outline(shape, 31).numpy()


def spoilt(kind: str) -> np.ndarray:
    points = outline()
    if kind == "three":
        return points[[0, 30, 60]]
    if kind == "nan":
        points[7, 1] = np.nan
    elif kind == "crossing":
        points[[10, 20]] = points[[20, 10]]
    return points


@pytest.mark.parametrize("kind, texts", [
    ("three", ("got 3 distinct points", "expected at least 10")),
    ("nan", ("got 1 numbers that are not finite", "correct the rows")),
    ("crossing", ("turns back near", "expected one airfoil")),
])
def test_a_bad_reference_is_refused(run, tmp_path, kind, texts):
    file = tmp_path / "foil.dat"
    file.write_text(dat(spoilt(kind)))
    refused(run("--reference", file), tmp_path / "out", "foil.dat", *texts)


@pytest.mark.parametrize("text, texts", [
    ("x = 1", ("without a function 'objective'", "expected objective(shape (*B, 18), cd, cm, confidence (*B, K))")),
    ("def objective(cd, **_): return cd", ("got (2, 3)", "expected")),
    ("def objective(cd, **_): return cd.mean(-1).detach()", ("without a gradient", "no numpy, detach or no_grad")),
    ("def objective(cd, **_): return cd.numpy().mean(-1)", ("RuntimeError", "expected torch operations")),
    ("def objective(cd, **_): return cd[..., 3]", ("IndexError", "expected torch operations")),
    ("def objective(:", ("SyntaxError", "expected a Python file")),
])
def test_a_bad_objective_is_refused(run, tmp_path, text, texts):
    file = tmp_path / "mine.py"
    file.write_text(text)
    refused(run("--objective", file), tmp_path / "out", "mine.py", *texts)


def test_an_out_that_cannot_be_written_to_is_refused(run, tmp_path, model):
    (tmp_path / "out").write_text("a file of the user's")
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        code, stdout, stderr = run("design", "airfoil", "--out", out, "--model", model, whole=True)
        assert (code, stdout) == (2, "")
        assert "got --out" in stderr
        assert "expected a directory that can be written to" in stderr
        assert len(stderr.splitlines()) == 1
    assert (tmp_path / "out").read_text() == "a file of the user's"


@pytest.mark.parametrize("damage, texts", [
    ("cut", ("got a damaged", "model.safetensors", "copy the model again")),
    ("json", ("got a damaged", "config.json", "copy the model again")),
    ("lost", ("got no model.safetensors", "expected a directory written by Model.save")),
    ("foreign", ("expected a directory written by Model.save",)),
])
def test_a_damaged_model_is_refused(run, tmp_path, model, damage, texts):
    bad = tmp_path / "bad"
    bad.mkdir()
    for file in model.iterdir():
        (bad / file.name).write_bytes(file.read_bytes())
    weights, config = bad / "model.safetensors", bad / "config.json"
    {"cut": lambda: weights.write_bytes(weights.read_bytes()[:-100]),
     "json": lambda: config.write_text(config.read_text()[:200]),
     "lost": weights.unlink,
     "foreign": lambda: config.write_text('{"format": "another"}')}[damage]()
    refused(run("--model", bad), tmp_path / "out", *texts)


def test_a_model_of_something_else_is_refused(run, tmp_path):
    recipe = Recipe("sciencegen.nets.mlp.ScalarMLP", {"size": 3, "width": 8, "depth": 1})
    other = Model(Layout(u=(3,)), EnergyNet(recipe.build(), Gaussian(torch.zeros(3), torch.ones(3))), recipe)
    other.save(tmp_path / "other")
    refused(run("--model", tmp_path / "other"), tmp_path / "out",
            "got a prior over {'u': (3,)}; expected one of airfoils at one condition")


def test_brackets_in_a_message_are_shown_as_they_are(run, tmp_path, monkeypatch):
    def missing(*_):
        raise ImportError('no neuralfoil; pip install "sciencegen[aero]"')

    monkeypatch.setattr(report, "read_reference", missing)
    refused(run("--reference", "x.dat"), tmp_path / "out", 'pip install "sciencegen[aero]"')


@pytest.mark.parametrize("words", [("--verify", "wish"), ("--count", "many"), ("--no-such-word", "1")])
def test_words_that_are_no_options_are_refused(run, tmp_path, words):
    code, _, _ = run(*words)
    assert code != 0
    assert not (tmp_path / "out").exists()


# --- good input ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, texts", [
    (("--help",), ("design", "train")),
    (("design", "airfoil", "--help"), ("--point", "--min-thickness", "--min-cm", "--count", "--seed", "--out",
                                       "--verify", "--objective", "--reference", "--model", "CL@RE")),
    (("train", "airfoil", "--help"), ("--data", "--steps")),
    (("--version",), (cli.__version__,)),
])
def test_help(run, words, texts):
    code, out, err = run(*words, whole=True)
    assert (code, err) == (0, "")
    assert all(text in out for text in texts)


def test_a_design_from_the_command_line_is_the_python_call(run, tmp_path, model):
    write_dat(tmp_path / "mine.dat", "mine", outline())
    (tmp_path / "own.py").write_text("def objective(cd, **_):\n    return cd[..., 0]\n")
    code, out, err = run("--point", "0.5@2e6", "--count", "2", "--seed", "3", "--verify", "none", "--min-cm", "-0.1",
                         "--reference", tmp_path / "mine.dat", "--objective", tmp_path / "own.py")
    assert code == 0, err
    assert "not asked, so nothing is verified" in out
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"result.nc", "design_01.dat", "design_02.dat", "designs.png", "config.json",
                     "report.html"}
    result, trained = Result.load(tmp_path / "out" / "result.nc"), Model.load(model)
    study = AirfoilStudy(trained.layout, trained.energy, (Point(0.5, 2e6),), Requirements(cm=-0.1),
                         lambda cd, **_: cd[..., 0])
    wanted = study.run(2, torch.arange(2) + 3 * 2**20, progress=False)
    np.testing.assert_array_equal(result.samples["shape"], wanted.samples["shape"])
    np.testing.assert_array_equal(result.seeds, wanted.seeds)
    record = json.loads((tmp_path / "out" / "config.json").read_text())
    assert record["made"]["points"] == ["0.5@2e6"]
    assert record["made"]["objective"] == "objective"
    assert record["made"]["requirements"]["cm"] == -0.1
