"""Law: on every executor, a case that crashes, raises, hangs or has no program costs itself alone.

The solver travels as it would from a user's script: by name, to workers that import it.
"""

import os
import signal
import time
import warnings
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest

from sciencegen.solvers import Isolated, SolverResult, Status, load_simulations, map_simulations

ROOT = Path(__file__).parents[1]
CRASH, HANG, ODD, KILLED = (3, 8), 5, (10, 11), 12
PATIENCE = 10  # seconds for a case: 14 interpreters that start at once on 2 cores make each other wait


@dataclass(frozen=True)
class Wing:
    """Twice x, unless told to fail."""

    def __call__(self, x: float, fail: str = "") -> SolverResult:
        if fail == "crash":
            os._exit(3)
        if fail == "raise":
            raise ZeroDivisionError("no such wing")
        if fail == "hang":
            time.sleep(600)
        if fail == "odd":
            return SolverResult(Status.CONVERGED, {"y": [[x], [x, x]]} if x == ODD[0] else {1: x})
        if fail == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fail == "missing":
            return SolverResult(Status.MISSING, {}, log="no program 'wing'")
        return SolverResult(Status.CONVERGED, {"y": 2 * x})


@contextmanager
def dask(folder: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "local_directory": str(folder)}
    with distributed.LocalCluster(processes=True, **options) as cluster, distributed.Client(cluster) as client:
        yield client


@contextmanager
def slurm_like(folder: Path):
    """Submitit's executor for one machine, which has the interface of the one for SLURM: a process for each job."""
    yield pytest.importorskip("submitit").LocalExecutor(folder)


@contextmanager
def own(folder: Path):
    yield None


@contextmanager
def threads(folder: Path):
    with ThreadPoolExecutor(3) as pool:
        yield pool


@contextmanager
def processes(folder: Path):
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield pool


ENGINES = [own, dask, slurm_like, threads, processes]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_of_14_cases_6_fail_in_four_ways_and_8_have_results(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    fails = dict.fromkeys(CRASH, "crash") | dict.fromkeys(ODD, "odd") | {HANG: "hang", KILLED: "killed"}
    cases = [{"x": float(x), "fail": fails.get(x, "")} for x in range(14)]
    with engine(tmp_path / "logs") as executor:
        results = map_simulations(Isolated(Wing(), timeout=PATIENCE), cases, executor, out=tmp_path / "out")
    expected = ["timeout" if x == HANG else "crashed" if x in fails else "converged" for x in range(14)]
    assert [result.status for result in results] == expected
    assert [result["y"] for result in results if result.status == "converged"] == [
        2.0 * x for x in range(14) if x not in fails
    ]
    assert [x for x in range(14) if results[x].lost] == [KILLED]
    assert all(result.wall_s > 0 for result in results)
    stored = load_simulations(tmp_path / "out")
    assert stored.status.values.tolist() == [*expected[:KILLED], "not run", *expected[KILLED + 1 :]]
    assert int(stored.y.notnull().sum()) == 8
    assert all("exit status 3" in results[x].log for x in CRASH)


@pytest.mark.parametrize("engine", [own, threads], ids=lambda engine: engine.__name__)
def test_an_exception_and_a_missing_program_cost_themselves(engine, tmp_path):
    cases = [{"x": 1.0, "fail": fail} for fail in ("raise", "", "missing", "")]
    with engine(tmp_path) as executor:
        results = map_simulations(Wing(), cases, executor)
    assert [result.status for result in results] == ["crashed", "converged", "missing", "converged"]
    assert "ZeroDivisionError: no such wing" in results[0].log


def test_here_every_case_has_a_process_of_its_own_unasked():
    results = map_simulations(Wing(), [{"x": float(x), "fail": "crash" if x == 1 else ""} for x in range(4)], workers=2)
    assert [result.status for result in results] == ["converged", "crashed", "converged", "converged"]


class Pure:
    """An executor that takes equal calls for one unless told otherwise, as Dask's."""

    def __init__(self):
        self.told = []

    def submit(self, function, /, *arguments, pure=True):
        self.told.append(pure)
        done = Future()
        done.set_result(function(*arguments))
        return done


def test_equal_cases_are_no_single_one_to_an_executor_that_remembers():
    executor = Pure()
    map_simulations(Wing(), [{"x": 1.0}, {"x": 1.0}], executor)
    assert executor.told == [False, False]


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt()])
def test_a_worker_that_was_ended_costs_itself(error, tmp_path):
    def solver(x):
        if x == 1:
            raise error
        return SolverResult(Status.CONVERGED, {"y": x})

    with ThreadPoolExecutor(2) as pool:
        results = map_simulations(solver, [{"x": x} for x in range(3)], pool, tmp_path)
    assert [result.status for result in results] == ["converged", "crashed", "converged"]
    assert results[1].lost == isinstance(error, KeyboardInterrupt)


def test_a_closed_executor_refuses_each_case():
    with ThreadPoolExecutor(1) as closed:
        pass
    results = map_simulations(Wing(), [{"x": 1.0}, {"x": 2.0}], closed)
    assert [result.status for result in results] == ["crashed", "crashed"]
    assert "cannot schedule new futures" in results[0].log
