"""Law: results keep the order of their cases, are on disk as soon as they are there, and are never computed twice."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, current_thread
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sciencegen.energy import Energy
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.sample import Heun, karras
from sciencegen.solvers import (
    Isolated,
    Judge,
    SolverResult,
    Status,
    iterate_simulations,
    load_simulations,
    map_simulations,
)
from sciencegen.solvers.store import digest
from sciencegen.tasks import Problem, design

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Square:
    """Squares x; a note in `seen` for every call."""

    seen: Path | None = None

    def __call__(self, x: float, status: str = "converged") -> SolverResult:
        if self.seen is not None:
            with self.seen.open("a") as file:
                file.write(f"{x:g}\n")
        return SolverResult(Status(status), {"y": x * x}, {"half": np.array([x / 2])}, 0.5, "words")


def cases(count: int) -> list[dict]:
    return [{"x": float(x)} for x in range(count)]


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


# --- order, and as they come --------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Turns:
    """Case x ends only after case x + 1 has."""

    ended: list[Event] = field(default_factory=lambda: [Event() for _ in range(4)])

    def __call__(self, x: int) -> SolverResult:
        self.ended[x + 1].wait(60)
        self.ended[x].set()
        return SolverResult(Status.CONVERGED, {"y": x})


def test_results_are_in_the_order_of_the_cases_whatever_the_order_they_end_in():
    turns = Turns()
    turns.ended[3].set()
    with ThreadPoolExecutor(3) as pool:
        assert [r["y"] for r in map_simulations(turns, [{"x": x} for x in range(3)], pool)] == [0, 1, 2]


def test_a_result_is_stored_while_others_run(tmp_path, threads):
    gate = Event()

    def solver(wait: bool) -> SolverResult:
        return SolverResult(Status.CONVERGED if not wait or gate.wait(60) else Status.TIMEOUT, {})

    path = iterate_simulations(solver, [{"wait": True}, {"wait": False}], threads, tmp_path)
    assert next(path)[0] == 1
    assert load_simulations(tmp_path).status.values.tolist() == ["not run", "converged"]
    gate.set()
    assert [number for number, _ in path] == [0]
    assert load_simulations(tmp_path).status.values.tolist() == ["converged", "converged"]


def test_an_abandoned_run_starts_nothing_more_and_waits_for_nothing(tmp_path):
    def solver(x):
        (tmp_path / str(x)).touch()
        time.sleep(600 if x else 0)
        return SolverResult(Status.CONVERGED, {})

    path = iterate_simulations(solver, [{"x": x} for x in range(40)])
    assert next(path)[0] == 0
    path.close()
    started = len(list(tmp_path.iterdir()))
    assert started <= 2 + 2 * (os.cpu_count() or 1)


def test_a_solver_of_a_notebooks_cell_needs_no_pickle():
    assert [r["y"] for r in map_simulations(lambda x: SolverResult(Status.CONVERGED, {"y": x}), cases(3))] == [0, 1, 2]
    assert map_simulations(Square(), []) == []


def test_processes_are_started_by_the_callers_own_thread(monkeypatch):
    """A fork takes locks (h5py's, logging's); one beside threads that start or collect garbage can wait for ever."""
    fork, threads = os.fork, []
    monkeypatch.setattr(os, "fork", lambda: (threads.append(current_thread()), fork())[1])
    assert [r["y"] for r in map_simulations(Square(), cases(5), workers=3)] == [0, 1, 4, 9, 16]
    assert threads == 5 * [current_thread()]


def test_the_next_cases_start_before_the_caller_takes_its_time(tmp_path):
    path = iterate_simulations(Square(tmp_path / "seen"), cases(3), workers=1)
    assert next(path)[0] == 0
    deadline = time.monotonic() + 60
    while (tmp_path / "seen").read_text().split() != ["0", "1"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [number for number, _ in path] == [1, 2]


# --- resuming -----------------------------------------------------------------------------------------------------

def test_a_second_run_repeats_nothing_and_says_the_same(tmp_path, threads):
    solver = Square(tmp_path / "seen")
    first = map_simulations(solver, cases(4), threads, tmp_path / "out")
    again = map_simulations(solver, cases(4), threads, tmp_path / "out")
    assert sorted((tmp_path / "seen").read_text().split()) == ["0", "1", "2", "3"]
    for a, b in zip(first, again):
        assert (a.status, a.values, a.wall_s, a.log) == (b.status, b.values, b.wall_s, b.log)
        np.testing.assert_array_equal(a.fields["half"], b.fields["half"])


def test_failures_of_the_solver_are_kept_and_failures_to_ask_it_are_not(tmp_path, threads):
    asked = [{"x": float(k), "status": str(status)} for k, status in enumerate(Status)]
    solver = Square(tmp_path / "seen")
    for _ in range(2):
        map_simulations(solver, asked, threads, tmp_path / "out")
    counts = [(tmp_path / "seen").read_text().split().count(str(k)) for k in range(len(asked))]
    assert counts == [2 if status == Status.MISSING else 1 for status in Status]
    with ThreadPoolExecutor(1) as closed:
        pass
    assert map_simulations(solver, cases(1), closed, tmp_path / "lost")[0].status == "crashed"
    assert load_simulations(tmp_path / "lost").status.values.tolist() == ["not run"]
    assert map_simulations(solver, cases(1), threads, tmp_path / "lost")[0]["y"] == 0


def test_cases_may_be_added_and_left_out_at_the_end(tmp_path, threads):
    solver = Square(tmp_path / "seen")
    for count in (2, 5, 3):
        assert [r["y"] for r in map_simulations(solver, cases(count), threads, tmp_path / "out")] == [
            x * x for x in range(count)]
    assert sorted((tmp_path / "seen").read_text().split()) == ["0", "1", "2", "3", "4"]
    assert load_simulations(tmp_path / "out").y.values.tolist() == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("solver, asked, message", [
    (Square(), [{"x": 0.0}, {"x": 7.0}], "got other cases than those in out=.*, case 1 is the first that differs; "
                                         "expected the same; use another directory, or delete this one"),
    (Square(), [{"x": 0.0, "status": "converged"}], "case 0 is the first"),
    (Square(Path("other")), [{"x": 0.0}], r"got the solver Square\(seen=.*other.*\) for out=.*, which holds results"),
])
def test_another_question_is_refused(tmp_path, threads, solver, asked, message):
    map_simulations(Square(), cases(2), threads, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=message):
        map_simulations(solver, asked, threads, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def slope(s):
    return lambda x: SolverResult(Status.CONVERGED, {"y": s * x})


def test_an_edited_solver_is_refused_in_words_and_may_be_declared_the_same(tmp_path):
    map_simulations(slope(1.0), cases(2), out=tmp_path)
    with pytest.raises(ValueError, match=r"expected the same, but '<lambda>: closure s' was 1.0, is 2.0; .*"
                                         r'write "known": null into .*cases.json') as refused:
        map_simulations(slope(2.0), cases(2), out=tmp_path)
    assert "\n" not in str(refused.value)
    manifest = tmp_path / "cases.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"known": None}))
    assert [r["y"] for r in map_simulations(slope(2.0), cases(3), out=tmp_path)] == [0, 1, 4]
    with pytest.raises(ValueError, match="was 2.0, is 1.0"):
        map_simulations(slope(1.0), cases(3), out=tmp_path)


def test_a_campaign_of_version_1_is_refused_in_words(tmp_path):
    map_simulations(slope(1.0), cases(2), out=tmp_path)
    manifest = tmp_path / "cases.json"
    found = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({"solver": found["solver"], "cases": found["cases"]}))
    with pytest.raises(ValueError, match="written by version 1, which knew .* by its name alone; expected results"):
        map_simulations(slope(1.0), cases(2), out=tmp_path)
    manifest.write_text(json.dumps({"solver": found["solver"], "cases": found["cases"], "known": None}))
    assert [r["y"] for r in map_simulations(slope(1.0), cases(2), out=tmp_path)] == [0, 1]


def test_what_a_killed_process_left_unsaid_is_asked_again(tmp_path):
    def solver(x):
        if x == 1 and not (tmp_path / "memory").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return SolverResult(Status.CONVERGED, {"y": x})

    first = map_simulations(solver, cases(3), out=tmp_path / "out")
    assert [r.status for r in first] == ["converged", "crashed", "converged"]
    assert [r.lost for r in first] == [False, True, False]
    assert load_simulations(tmp_path / "out").status.values.tolist() == ["converged", "not run", "converged"]
    (tmp_path / "memory").touch()
    assert [r["y"] for r in map_simulations(solver, cases(3), out=tmp_path / "out")] == [0, 1, 2]


def test_only_a_longer_time_limit_tries_again_what_was_stopped(tmp_path):
    def solver(x):
        with (tmp_path / "seen").open("a") as file:
            file.write(f"{x:g} ")
        time.sleep(0.5 * x)
        return SolverResult(Status.CONVERGED, {"y": x})

    for limit, seen, status in [(0.2, "0 1 ", "timeout"), (0.2, "0 1 ", "timeout"), (0.1, "0 1 ", "timeout"),
                                (None, "0 1 1 ", "converged"), (0.1, "0 1 1 ", "converged")]:
        found = map_simulations(Isolated(solver, limit), cases(2), out=tmp_path / "out")
        assert [r.status for r in found] == ["converged", status]
        assert sorted((tmp_path / "seen").read_text().split()) == sorted(seen.split())


def test_a_full_disk_costs_no_result(tmp_path, monkeypatch):
    full = SimpleNamespace(free=0)
    monkeypatch.setattr("sciencegen.solvers.store.shutil.disk_usage", lambda path: full)
    with pytest.warns(UserWarning, match="case . is not stored in .*no room: .* GB needed, 0 GB free"):
        assert [r["y"] for r in map_simulations(slope(1.0), cases(2), out=tmp_path)] == [0, 1]
    full.free = 1e9
    assert load_simulations(tmp_path).status.values.tolist() == ["not run", "not run"]
    map_simulations(slope(1.0), cases(2), out=tmp_path)
    assert load_simulations(tmp_path).y.values.tolist() == [0, 1]


def test_one_run_at_a_time(tmp_path):
    path = iterate_simulations(slope(1.0), cases(2), out=tmp_path)
    next(path)
    with pytest.raises(ValueError, match=rf"in use by process {os.getpid()} on .*, this one: .*expected one run"):
        map_simulations(slope(1.0), cases(2), out=tmp_path)
    assert load_simulations(tmp_path).sizes["case"] == 2  # reading needs no lock
    path.close()
    assert [r["y"] for r in map_simulations(slope(1.0), cases(2), out=tmp_path)] == [0, 1]
    assert not (tmp_path / ".lock").exists()


def test_a_finished_campaign_is_read_without_a_lock(tmp_path):
    map_simulations(slope(1.0), cases(2), out=tmp_path)
    before = sorted((p.name, p.stat().st_mtime_ns) for p in [tmp_path, *tmp_path.iterdir()])
    map_simulations(slope(1.0), cases(2), out=tmp_path)
    assert sorted((p.name, p.stat().st_mtime_ns) for p in [tmp_path, *tmp_path.iterdir()]) == before


def test_drafts_of_killed_runs_are_removed(tmp_path):
    map_simulations(slope(1.0), cases(1), out=tmp_path)
    drafts = [tmp_path / ".000001.npz.77.new", tmp_path / ".cases.json.host.77.ab12.new"]
    for path in (*drafts, tmp_path / ".mine"):
        path.touch()
    map_simulations(slope(1.0), cases(2), out=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine", "000000.npz", "000001.npz", "cases.json"]


def draw(x: float, seed: int = -1) -> SolverResult:
    return SolverResult(Status.CONVERGED, {"y": np.random.default_rng(seed).normal(), "seed": seed})


def test_a_solver_that_takes_a_seed_gets_one_a_case_and_it_is_stored(tmp_path):
    same = [{"x": 0.0}, {"x": 0.0}, {"x": 0.0, "seed": 7}]
    results = map_simulations(Isolated(draw, 60), same, out=tmp_path)
    assert [r["seed"] for r in results] == [0, 1, 7]
    assert len({float(r["y"]) for r in results}) == 3
    assert [float(r["y"]) for r in map_simulations(draw, same)] == [float(r["y"]) for r in results]
    assert load_simulations(tmp_path).asked_seed.values.tolist() == [0, 1, 7]
    assert len(map_simulations(draw, [*same, {"x": 1.0}], out=tmp_path)) == 4


def test_a_directory_of_the_users_is_left_alone(tmp_path, threads):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"with \['thesis.tex'\] in it; expected a new or empty directory"):
        map_simulations(Square(), cases(1), threads, tmp_path)
    with pytest.raises(ValueError, match="expected a directory that map_simulations wrote"):
        load_simulations(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_file_is_named(tmp_path, threads):
    map_simulations(Square(), cases(2), threads, tmp_path)
    file = tmp_path / "000001.npz"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(ValueError, match="got a damaged .*000001.npz.*; delete it to have its case run again"):
        map_simulations(Square(), cases(2), threads, tmp_path)
    file.unlink()
    assert map_simulations(Square(), cases(2), threads, tmp_path)[1]["y"] == 1


KILLED = """
import os, sys, time
from pathlib import Path
from sciencegen.solvers import SolverResult, Status, map_simulations

def solver(x):
    with open("seen", "a") as file:
        file.write(f"{x}\\n")
    if x >= int(sys.argv[1]):
        time.sleep(600)
    return SolverResult(Status.CONVERGED, {"y": x * x})

map_simulations(solver, [{"x": x} for x in range(12)], out="out")
"""


def test_kill_9_in_the_middle_loses_at_most_what_runs(tmp_path):
    def start(hanging_from: int) -> subprocess.Popen:
        words = [sys.executable, "-c", KILLED, str(hanging_from)]
        return subprocess.Popen(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})

    first = start(7)
    while len(list(tmp_path.glob("out/0*.npz"))) < 7:
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    stored = load_simulations(tmp_path / "out")
    assert stored.status.values.tolist() == ["converged"] * 7 + ["not run"] * 5
    assert start(100).wait(60) == 0
    assert load_simulations(tmp_path / "out").y.values.tolist() == [x * x for x in range(12)]
    seen = [int(word) for word in (tmp_path / "seen").read_text().split()]
    assert [seen.count(x) for x in range(7)] == [1] * 7
    assert all(1 <= seen.count(x) <= 2 for x in range(7, 12))


def test_a_digest_tells_inputs_apart_and_only_them():
    tensor = torch.tensor(1.0).double()
    same = [{"a": 1.0, "b": [1, "x", None]}, {"b": (1, "x", None), "a": np.float64(1)},
            {"a": tensor, "b": [1, "x", None]}]
    other = [{"a": 1.0}, {"a": 1.5, "b": [1, "x", None]}, {"a": 1.0, "b": [1, "x"]}, {"a": 1.0, "b": [1, "y", None]},
             {"a": np.ones(1), "b": [1, "x", None]}, {"a": 1.0, "b": [[1, "x"], None]}]
    assert len({digest(case) for case in same}) == 1
    assert len({digest(case) for case in same + other}) == 1 + len(other)
    with pytest.raises(TypeError, match="got <object object .* in a case; expected numbers, text, arrays"):
        digest({"a": object()})


# --- read back ----------------------------------------------------------------------------------------------------

def polar(n: int, status: str = "converged") -> SolverResult:
    if status == "crashed":
        return SolverResult(Status.CRASHED, {}, log="no wing")
    cl = np.where(np.arange(n) == 1, np.nan, np.arange(n) / 10)
    return SolverResult(Status(status), {"cl": cl, "cd": 0.01}, {"cp": np.ones((n, 2)), "name": np.array("foil")})


def test_the_table_is_aligned_padded_and_nan_unless_converged(tmp_path, threads):
    asked = [{"n": 2}, {"n": 3, "status": "unconverged"}, {"n": 1, "status": "crashed"}]
    map_simulations(polar, asked, threads, tmp_path)
    table = load_simulations(tmp_path)
    assert table.status.values.tolist() == ["converged", "unconverged", "crashed"]
    assert table.cl.dims == ("case", "point")
    nan = np.nan
    np.testing.assert_array_equal(table.cl, [[0, nan, nan], [0, nan, 0.2], [nan] * 3])  # each point speaks for itself
    np.testing.assert_array_equal(table.cd, [0.01, nan, nan])  # the number of a case that did not converge does not
    assert table.field_cp.dims == ("case", "field_cp_axis0", "field_cp_axis1")
    assert int(table.field_cp.notnull().sum()) == 4 + 6
    assert table.field_name.values.tolist() == ["foil", "foil", ""]
    assert table.asked_n.values.tolist() == [2, 3, 1]
    assert table.asked_status.values.tolist() == ["", "unconverged", "crashed"]
    assert "asked_n" in table.coords
    assert table.log.values.tolist() == ["", "", "no wing"]
    table.to_netcdf(tmp_path / "table.nc", engine="h5netcdf")


def test_names_that_are_taken_and_shapes_that_differ_do_not_spoil_the_table(tmp_path, threads):
    answers = [{"case": 1.0, "point": [1.0, 2.0], "status": 3.0, "y": 1.0, "y_axis0": 4.0, "field_p": 5.0},
               {"case": 2.0, "y": np.arange(3.0)}, {"y": np.ones((2, 2))}, {"y": np.zeros((0, 2)), "field_p": "text"}]
    map_simulations(lambda k: SolverResult(Status.CONVERGED, answers[k], {"p": np.arange(k)}),
                    [{"k": k, "case": None} if k == 3 else {"k": k} for k in range(4)], threads, tmp_path)
    table = load_simulations(tmp_path)
    assert table.status.values.tolist() == ["converged"] * 3 + ["crashed"]  # a case that the solver does not take
    assert table.value_case.values.tolist()[:2] == [1, 2]
    assert table.value_status.values[0] == 3
    assert table.field_p.values.tolist()[0] == 5
    assert table.y.shape == (4, 3, 2)
    assert table.value_point.dims == table.y.dims[:2] == ("case", "point")
    np.testing.assert_array_equal(table.y[1, :, 0], np.arange(3))
    np.testing.assert_array_equal(table.y[2, :2], np.ones((2, 2)))


def test_a_table_that_would_fill_the_memory_is_refused_in_words(tmp_path, monkeypatch):
    map_simulations(lambda x: SolverResult(Status.CONVERGED, {"y": np.zeros(int(x))}), cases(3), out=tmp_path)
    monkeypatch.setattr(os, "sysconf", lambda name: 6)
    with pytest.raises(MemoryError, match=r"got 'y' of shape \(2,\) in one of 3 cases, 4.8e-08 GB as a table"):
        load_simulations(tmp_path)


def test_a_result_that_cannot_be_stored_is_a_crash(tmp_path, threads):
    (result,) = map_simulations(lambda x: SolverResult(Status.CONVERGED, {"y": object()}), cases(1), threads, tmp_path)
    assert result.status == "crashed"
    assert "got the value 'y' (object of type object); expected a solver's values" in result.log
    assert json.loads((tmp_path / "cases.json").read_text())["cases"] == [digest({"x": 0.0})]


# --- as a judge ---------------------------------------------------------------------------------------------------

class Lift:
    """Fails where lift is negative; counts its calls."""

    def __init__(self) -> None:
        self.calls, self.lock = 0, Lock()

    def __call__(self, lift: float) -> SolverResult:
        with self.lock:
            self.calls += 1
        if lift < 0:
            return SolverResult(Status.UNCONVERGED, {"drag": -1.0})
        return SolverResult(Status.CONVERGED, {"drag": 1 + lift**2})


def test_a_solver_judges_designs_and_its_failures_are_no_successes(threads):
    layout = Layout(shape=(2,))
    prior: Energy = Gaussian(torch.zeros(2), torch.ones(2))
    solver = Lift()
    judge = Judge(solver, lambda result: result["drag"], lambda shape: {"lift": float(shape.sum())}, threads)
    result = design(Problem(layout, prior), lambda shape: (shape**2).sum(-1), 0.1, Heun(karras(8)), 16, judge=judge,
                    seeds=torch.arange(16), progress=False)
    lift = result.samples["shape"].values.sum(-1)
    assert solver.calls == 16
    assert (lift < 0).any()
    assert (lift > 0).any()
    np.testing.assert_array_equal(np.isnan(result.fun), lift < 0)
    np.testing.assert_array_equal(result.success, lift >= 0)
    np.testing.assert_allclose(result.fun[lift >= 0], 1 + lift[lift >= 0] ** 2, rtol=1e-6)
    assert (np.diff(result.fun[result.success]) >= 0).all()


def test_without_a_question_of_its_own_the_parts_are_the_case(threads):
    judge = Judge(lambda a, b: SolverResult(Status.CONVERGED, {"y": a + b.sum()}), lambda r: r["y"], executor=threads)
    a, b = torch.tensor([1.0, 2.0]).double(), torch.ones(2, 3).double()
    assert judge(a=a, b=b).tolist() == [4.0, 5.0]
