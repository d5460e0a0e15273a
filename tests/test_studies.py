"""A study of two files runs from the command line; stages keep what they promise; a run is never lost."""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray

from sciencegen import cli
from sciencegen.cli.clock import watched
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.result import Result
from sciencegen.sample import Heun, karras
from sciencegen.studies.directory import beside, claim, written_whole
from sciencegen.studies.ensemble import Ensemble
from sciencegen.studies.report import table, write
from sciencegen.studies.stages import Adjust, Compose, Decode, Keep, Polish, Solve
from sciencegen.studies.study import Study, run
from sciencegen.tasks import Problem

PRIOR = '''
"""The prior of a beam's height and width: what was built so far."""
import torch
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable

LAYOUT = Layout(height=Variable((), 0.3, 0.05, units="m"), width=Variable((), 0.2, 0.05, units="m"))
PRIOR = Gaussian(torch.zeros(2), torch.tensor([[1.0, 0.6], [0.6, 1.0]]))
'''
STUDY = '''
"""The lightest beam that carries a load."""
from dataclasses import dataclass
import xarray
from matplotlib import pyplot
from sciencegen.sample import Heun, karras
from sciencegen.studies.stages import Compose, Keep, Solve
from sciencegen.studies.study import Study
from sciencegen.tasks import Constraint, Problem
from beam_prior import LAYOUT, PRIOR


@dataclass(frozen=True)
class Beam(Study):
    """A beam of least area."""
    modulus: float = 0.003

    @property
    def stages(self):
        strong = Constraint(lambda height, width: self.modulus - width * height**2 / 6, 1e-4, 1e-3)
        return [Compose(Problem(LAYOUT, PRIOR), lambda height, width: height * width, 50.0, Heun(karras(20)), [strong],
                        more=3), Keep(1.5), Solve(self.solved)]

    def solved(self, samples):
        weak = samples.width * samples.height**2 / 6 < self.modulus - 1e-4
        return xarray.Dataset({"fun": samples.width * samples.height, "reason": xarray.where(weak, "too weak", "")})

    def row(self, sample):
        return {"height, m": f"{float(sample.height):.3f}", "area, m2": f"{float(sample.fun):.4f}"}

    def draw(self, result):
        figure, axes = pyplot.subplots()
        axes.scatter(result.samples.width, result.samples.height)
        return figure, axes


study = Beam()
'''


FILES = {"result.nc", "config.json", "designs.png", "report.html"}


@pytest.fixture
def called(tmp_path, monkeypatch, capsys):
    """`called(*words)`: status, standard output and error of `sciencegen *words`, in a directory with the beam."""
    (tmp_path / "beam_prior.py").write_text(PRIOR)
    (tmp_path / "beam.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)

    def call(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sciencegen", *map(str, words)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        return exit.value.code or 0, *capsys.readouterr()

    yield call
    for name in ("beam", "beam_prior"):
        sys.modules.pop(name, None)


# --- two files ----------------------------------------------------------------------------------------------------

def test_a_new_study_is_two_files(called, tmp_path):
    code, out, err = called("design", "beam:study", "--count", 5, "--out", "out")
    assert code == 0, err
    assert "height, m" in out
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES
    result = Result.load(tmp_path / "out" / "result.nc")
    assert len(result) == 5
    assert result.success.any()
    assert (np.diff(result.fun[result.success]) >= 0).all()
    record = json.loads((tmp_path / "out" / "config.json").read_text())
    assert record["made"]["modulus"] == 0.003
    assert record["inputs"]["study"]["text"] == STUDY


def test_a_run_again_gives_the_same_numbers(called, tmp_path):
    assert called("design", "beam:study", "--count", 4, "--seed", 7, "--out", "out")[0] == 0
    code, _, err = called("rerun", "out")
    assert code == 0, err
    assert "sciencegen design beam:study --count 4 --seed 7" in err
    first, again = (Result.load(tmp_path / name / "result.nc") for name in ("out", "out.again"))
    xarray.testing.assert_identical(first.samples, again.samples)
    np.testing.assert_array_equal(first.fun, again.fun)
    assert called("rerun", "out")[0] == 2  # out.again is there


def test_a_study_that_was_edited_is_not_run_as_the_old_one(called, tmp_path):
    assert called("design", "beam:study", "--count", 1, "--out", "out")[0] == 0
    (tmp_path / "beam.py").write_text(STUDY.replace("0.003", "0.004"))
    code, out, err = called("rerun", "out", "--out", "new")
    assert (code, out) == (2, "")
    assert "got another study" in err
    assert not (tmp_path / "new").exists()


# --- runs that are never lost -------------------------------------------------------------------------------------

def test_a_run_is_replaced_only_when_asked_and_then_as_a_whole(called, tmp_path):
    assert called("design", "beam:study", "--count", 3, "--out", "out")[0] == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "verify_xfoil.nc").write_text("of these designs")
    code, out, err = called("design", "beam:study", "--count", 1, "--out", "out")
    assert (code, out) == (2, "")
    assert "--overwrite" in err
    assert all((tmp_path / "out" / name).read_bytes() == content for name, content in before.items())
    assert called("design", "beam:study", "--count", 1, "--out", "out", "--overwrite")[0] == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(before)
    assert len(Result.load(tmp_path / "out" / "result.nc")) == 1


@pytest.mark.parametrize("when", ["in the sampler", "in a stage", "while writing"])
def test_an_interrupt_ends_with_130_and_changes_nothing(called, tmp_path, monkeypatch, when):
    assert called("design", "beam:study", "--count", 2, "--out", "out")[0] == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}

    def stop(*_, **__):
        raise KeyboardInterrupt

    target = {"in the sampler": (Heun, "step"), "in a stage": (Keep, "__call__"), "while writing": (Result, "save")}
    monkeypatch.setattr(*target[when], stop)
    code, out, err = called("design", "beam:study", "--count", 3, "--out", "out", "--overwrite")
    assert (code, out) == (130, "")
    assert "nothing that was finished is changed" in err
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith("__")} == {"beam.py", "beam_prior.py", "out"}


def test_what_is_there_of_an_interrupted_run_is_kept_when_asked(called, tmp_path, monkeypatch):
    step, calls = Heun.step, iter(range(100))

    def stop(*args, **more):
        if next(calls) == 10:
            raise KeyboardInterrupt
        return step(*args, **more)

    monkeypatch.setattr(Heun, "step", stop)
    code, out, err = called("design", "beam:study", "--count", 3, "--out", "out", "--partial")
    assert code == 130
    assert "what was there is in out.partial" in err
    assert not (tmp_path / "out").exists()
    record = json.loads((tmp_path / "out.partial" / "config.json").read_text())
    assert record["status"] == "partial"
    assert record["message"].startswith("interrupted after 10 of 20 steps")


def test_a_directory_is_new_or_as_it_was_and_never_half(tmp_path):
    with pytest.raises(IsADirectoryError), written_whole(tmp_path / "deep" / "out") as new:
        new.write_text("a directory is none to write to")
    assert os.listdir(tmp_path / "deep") == []
    with written_whole(tmp_path / "deep" / "out") as new:
        (new / "config.json").write_text("{}")
        assert not (tmp_path / "deep" / "out").exists()
    assert os.listdir(tmp_path / "deep") == ["out"]
    assert os.listdir(tmp_path / "deep" / "out") == ["config.json"]


def test_of_two_runs_at_once_none_is_lost(tmp_path):
    def both(out: Path) -> None:
        with written_whole(out) as first:
            (first / "config.json").write_text("1")
            with written_whole(out) as second:
                (second / "config.json").write_text("2")

    out = tmp_path / "out"
    with pytest.raises(ValueError, match="which holds a finished run.*this run is in") as caught:
        both(out)
    assert (out / "config.json").read_text() == "2"
    kept = Path(str(caught.value).rpartition("this run is in ")[2])
    assert (kept / "config.json").read_text() == "1"


@pytest.mark.parametrize("there, overwrite, words", [
    ({"config.json": "{}"}, False, "replace the run by --overwrite"), ({"notes.txt": ""}, True, "notes.txt and no run"),
    ({"config.json": '{"files": ["config.json"]}', "notes.txt": ""}, True, "notes.txt, which no run wrote"),
])
def test_what_a_run_may_not_replace(tmp_path, there, overwrite, words):
    for name, text in there.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        claim(tmp_path, overwrite)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == there


def test_an_empty_directory_and_one_that_is_not_there_may_be_written_to(tmp_path):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "a" / "b"):
        assert claim(out) == out
        with written_whole(out) as new:
            (new / "config.json").touch()
        assert os.listdir(out) == ["config.json"]
    assert beside(tmp_path / "run") == tmp_path / "run.partial"


# --- time ---------------------------------------------------------------------------------------------------------

def test_a_long_command_says_so_and_tells_a_line_a_minute_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sciencegen.cli.clock.MINUTE", 0.02)
    with watched("design wing", 3000.0) as told:
        told("stage 2 of 7, decode")
        while "so far, stage 2 of 7, decode" not in (seen := capsys.readouterr().err):
            assert seen.count("\n") < 100
    with watched("design wing", 3.0):
        pass
    assert "takes about" not in capsys.readouterr().err


# --- stages -------------------------------------------------------------------------------------------------------

LAYOUT = Layout(u=(2,))
UNIT = Problem(LAYOUT, Gaussian(torch.zeros(2), torch.ones(2)))


@dataclass(frozen=True)
class Toy(Study):
    """Numbers near (1, 1); those with a negative entry cannot be built, those beyond 1.2 not be solved."""

    polished: int = 0

    @property
    def stages(self):
        polish = [Polish(self.polished, [Adjust(self.halved), Solve(self.solved)])] if self.polished else []
        return [Compose(UNIT, lambda u: (u - 1).square().sum(-1), 0.3, Heun(karras(10))), Decode(self.built), Keep(),
                Solve(self.solved), *polish]

    def built(self, samples):
        least = samples.u.min(samples.u.dims[1])
        return xarray.Dataset({"least": least, "reason": xarray.where(least < 0, "negative", "")})

    def solved(self, samples):
        axis = samples.u.dims[1]
        fun = ((samples.u - 1) ** 2).sum(axis).where((samples.u < 1.2).all(axis))
        return xarray.Dataset({"fun": fun}, attrs={"spent": {"solves": fun.size}})

    def halved(self, samples):
        return xarray.Dataset({"u": 1 + (samples.u - 1) / 2})


def made(study: Toy, count: int = 24) -> Result:
    return study.run(count, torch.arange(count), progress=False)


def test_designs_come_feasible_first_then_best_first_and_say_why_they_are_not():
    result = made(Toy())
    np.testing.assert_array_equal(np.lexsort([result.fun, ~result.success]), np.arange(24))
    reason, u = result.samples["reason"].values, result.samples["u"].values
    assert (result.success == (reason == "")).all()
    assert ((reason == "negative") == (u < 0).any(-1)).all()
    assert ((reason == "the solver has no answer") == ((u >= 1.2).any(-1) & (u >= 0).all(-1))).all()
    assert set(reason) == {"", "negative", "the solver has no answer"}
    assert np.isfinite(result.fun[result.success]).all()
    assert result.config["spent"]["solves"] == (reason != "negative").sum()
    assert result.config["count"] == 24


def test_half_as_many_again_are_drawn_and_the_first_seeds_are_those_that_were_given():
    told = []
    result = run(Toy(), 8, torch.arange(8), progress=False, told=told.append)
    assert told == [f"stage {i} of 4, {name}" for i, name in enumerate(("compose", "decode", "keep", "solve"), 1)]
    drawn = Toy().stages[0](Ensemble.asked(8, torch.arange(8), progress=False))
    assert len(drawn) == 12
    assert set(drawn.seeds.tolist()) == {*range(8), *(i + 2**50 for i in range(4))}
    assert set(result.seeds.tolist()) <= set(drawn.seeds.tolist())


def test_polishing_replaces_the_best_where_it_is_better():
    plain, polished = made(Toy()), made(Toy(3))
    best = {int(s): f for s, f in zip(plain.seeds[:3], plain.fun[:3])}
    after = {int(s): f for s, f in zip(polished.seeds, polished.fun)}
    assert set(polished.seeds.tolist()) == set(plain.seeds.tolist())
    for seed, fun in best.items():
        assert after[seed] == pytest.approx(fun / 4, rel=1e-5)
    assert polished.config["spent"]["solves"] == plain.config["spent"]["solves"] + 3
    rows = {int(s): i for i, s in enumerate(plain.seeds)}
    order = [rows[int(s)] for s in polished.seeds]
    np.testing.assert_array_equal(polished.history.objective, plain.history.objective[:, order])


def test_samples_that_diverged_are_rejected():
    far = replace(UNIT, prior=Gaussian(torch.full((2,), 1e3), torch.full((2,), 1e-4)))
    stage = Compose(far, lambda u: u.sum(-1), 0.0, Heun(karras(10)))
    designs = stage(Ensemble.asked(3, torch.arange(3), progress=False))
    assert set(designs.samples["reason"].values) == {"the sample diverged"}
    with pytest.raises(ValueError, match="got 4 designs and none that can be solved .4: the sample diverged"):
        Solve(Toy().solved)(designs)


def test_a_function_sees_only_designs_that_are_not_rejected():
    samples = xarray.Dataset({"u": ("sample", [1.0, 2.0, 3.0]), "fun": ("sample", [3.0, 2.0, 1.0]),
                              "reason": ("sample", np.array(["", "no", ""], dtype=object)),
                              "seed": ("sample", [0, 1, 2])})
    seen = Decode(lambda s: xarray.Dataset({"u": -s.u, "name": ("sample", ["a"] * s.sizes["sample"])}))(
        Ensemble(2, samples))
    assert seen.samples["u"].values.tolist() == [-1.0, 2.0, -3.0]
    assert seen.samples["name"].values.tolist() == ["a", "", "a"]
    assert np.array_equal(seen.best(3), [2, 0, 1])
    assert samples["u"].values.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("count", [0, -1])
def test_no_designs_are_refused(count):
    with pytest.raises(ValueError, match="expected at least 1"):
        Toy().run(count)


def test_seeds_are_one_a_design():
    with pytest.raises(ValueError, match=r"got seeds \(3,\) for 2 designs"):
        Toy().run(2, torch.arange(3))


def test_a_table_counts_the_reasons(tmp_path):
    result = made(Toy())
    shown = table(Toy(), result)
    assert "negative" in shown.caption
    assert write(tmp_path / "out", Toy(), result, {}) == sorted(FILES)
