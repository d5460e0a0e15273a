"""Law: a map of simulations keeps the order of its cases, and a case that fails costs itself alone."""

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import numpy as np
import pytest

from sciencegen.solvers import SolverResult, Status, iterate_simulations, map_simulations


@dataclass(frozen=True)
class Square:
    """Squares x, later cases faster; fails in the way that the case asks for."""

    def __call__(self, x: float, fail: str = "") -> SolverResult:
        time.sleep(0.05 * max(0.0, 4 - x) / 4)
        if fail == "raise":
            raise ZeroDivisionError("no such wing")
        if fail == "die":
            os._exit(3)
        return SolverResult(Status.CONVERGED, {"y": x * x}, wall_s=0.1) if fail != "number" else x * x


def cases(**failing):
    return [{"x": float(x), "fail": failing.get(f"case{x}", "")} for x in range(6)]


def test_results_come_in_the_order_of_the_cases():
    results = map_simulations(Square(), cases())
    assert [result["y"] for result in results] == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("executor", [None, "threads"])
def test_an_exception_costs_one_case_and_is_in_its_log(executor):
    with ThreadPoolExecutor(2) as threads:
        results = map_simulations(Square(), cases(case1="raise", case4="number"), threads if executor else None)
    assert [result.status == "crashed" for result in results] == [False, True, False, False, True, False]
    assert "ZeroDivisionError: no such wing" in results[1].log
    assert "a solver returns a SolverResult; got float" in results[4].log
    assert np.isnan(results[1]["y"])
    assert results[5]["y"] == 25


def test_a_worker_that_dies_costs_one_case():
    results = map_simulations(Square(), cases(case2="die"))
    assert [result.status == "crashed" for result in results] == [False, False, True, False, False, False]
    assert "BrokenProcessPool" in results[2].log


def test_a_closed_executor_and_a_solver_that_cannot_travel_are_crashed_cases():
    with ThreadPoolExecutor(1) as closed:
        pass
    assert [result.status for result in map_simulations(Square(), cases()[:2], closed)] == ["crashed", "crashed"]
    (result,) = map_simulations(lambda x: None, [{"x": 1.0}])
    assert result.status == "crashed"
    assert "pickle" in result.log


def test_the_iterator_yields_while_later_cases_run():
    gate = Event()

    def solver(wait: bool) -> SolverResult:
        return SolverResult(Status.CONVERGED if not wait or gate.wait(60) else Status.TIMEOUT, {})

    with ThreadPoolExecutor(1) as threads:
        path = iterate_simulations(solver, [{"wait": False}, {"wait": True}], threads)
        assert next(path).status == "converged"
        gate.set()
        assert [result.status for result in path] == ["converged"]


def test_an_abandoned_iterator_starts_no_further_case():
    path = iterate_simulations(Square(), [{"x": 4.0}] + [{"x": -20.0}] * 40)
    start = time.monotonic()
    next(path)
    path.close()
    assert time.monotonic() - start < 5


def test_no_cases_no_results():
    assert map_simulations(Square(), []) == []


def test_result_names_what_it_has():
    result = SolverResult(Status.CONVERGED, {"cd": 0.1})
    with pytest.raises(KeyError, match=r"no value 'drag'; this result has \['cd'\]"):
        result["drag"]
    assert pickle.loads(pickle.dumps(result)).status is Status.CONVERGED
