"""Law: whatever a solver does that can be caught, what comes out is a result that names it."""

import errno
import pickle
import signal
import time

import numpy as np
import pytest
import torch

from sciencegen.solvers import Lost, SolverResult, Status
from sciencegen.solvers.process import run
from sciencegen.solvers.solver import guarded


def test_a_result_names_what_it_has():
    result = SolverResult(Status.CONVERGED, {"cd": 0.1})
    with pytest.raises(KeyError, match=r"no value 'drag'; this result has \['cd'\]"):
        result["drag"]
    assert pickle.loads(pickle.dumps(result)).status is Status.CONVERGED


def test_a_failed_result_has_nan_for_any_name():
    assert np.isnan(SolverResult(Status.CRASHED, {})["cd"])


def test_a_good_answer_keeps_what_it_says():
    result = SolverResult(Status.UNCONVERGED, {"y": 1.5, "name": "foil"}, {"p": np.arange(3)}, 2.5, "words")
    found = guarded(lambda x: result, {"x": 1})
    assert (found.status, found.values, found.wall_s, found.log, found.lost) == (
        "unconverged", {"y": 1.5, "name": "foil"}, 2.5, "words", False)
    assert found.fields["p"].tolist() == [0, 1, 2]


def test_the_time_that_a_solver_does_not_tell_is_measured():
    found = guarded(lambda: (time.sleep(0.05), SolverResult(Status.CONVERGED, {}))[1], {})
    assert 0.05 <= found.wall_s < 5


def test_a_solvers_own_array_may_change_afterwards():
    buffer = np.zeros(2)
    found = guarded(lambda: SolverResult(Status.CONVERGED, {"y": buffer}), {})
    buffer[:] = 7
    assert found["y"].tolist() == [0, 0]


ODD = {
    "ragged": ({"y": [[1.0], [1.0, 2.0]]}, "inhomogeneous"),
    "none": ({"y": None}, "NoneType of type object"),
    "object": ({"y": object()}, "object of type object"),
    "set": ({"y": {1.0}}, "set of type object"),
    "mapping": ({"y": {"z": 1.0}}, "dict of type object"),
    "date": ({"y": np.datetime64("2026-01-01")}, "datetime64"),
    "number too large": ({"y": 10**400}, "int of type object"),
    "complaint": ({"y": torch.ones(2, device="meta")}, "meta"),
    "no text": ({1: 2.0}, "got 1 for the name of a value; expected text"),
    "long name": ({"n" * 70000: 2.0}, "expected text of at most 1000 characters"),
    "no unicode": ({"\udc80": 2.0}, "surrogates"),
    "no mapping": ([1.0], "got list for a result's values; expected a mapping"),
}


@pytest.mark.parametrize("values, words", ODD.values(), ids=ODD)
def test_values_that_nobody_could_keep_are_a_crash_where_they_are_made(values, words):
    found = guarded(lambda: SolverResult(Status.CONVERGED, values), {})
    assert (found.status, found.lost) == ("crashed", False)
    assert words in found.log


@pytest.mark.parametrize("status", [None, "fine", 3, ["converged"]])
def test_a_status_that_is_none_is_a_crash(status):
    assert guarded(lambda: SolverResult(status, {}), {}).status is Status.CRASHED


@pytest.mark.parametrize("value, expected", [
    (torch.ones(2, requires_grad=True), [1, 1]),
    (torch.ones(2).bfloat16(), [1, 1]),
    (np.ma.masked_array([1.0, 2.0], [False, True]), [1, np.nan]),
    (np.ma.masked_array([1, 2], [True, False]), [np.nan, 2]),
    ((1, True), [1, 1]),
])
def test_numbers_of_many_kinds_arrive_as_arrays(value, expected):
    found = guarded(lambda: SolverResult("converged", {"y": value}, log=None), {})
    np.testing.assert_array_equal(found["y"], expected)
    assert type(found["y"]) is np.ndarray
    assert (type(found.status), found.log) == (Status, "")


@pytest.mark.parametrize("error, lost", [
    (OSError(errno.ENOSPC, "no space left"), True), (MemoryError(), True), (Lost("no licence"), True),
    (OSError(errno.ENOENT, "no file"), False),
    (ZeroDivisionError(), False), (SystemExit(3), False), (GeneratorExit(), False),
])
def test_an_exception_is_the_solvers_and_a_full_machine_is_not(error, lost):
    def fail():
        raise error

    found = guarded(fail, {})
    assert (found.status, found.lost) == ("crashed", lost)


@pytest.mark.parametrize("script, code", [("kill -SEGV $$", -signal.SIGSEGV), ("exit 3", 3), ("exit 255", 255),
                                          ("kill -ALRM $$", -signal.SIGALRM), ("exit 139", -signal.SIGSEGV)])
def test_a_programs_own_end_is_told(tmp_path, script, code):
    assert run(["sh", "-c", script], "", tmp_path, 60).returncode == code


@pytest.mark.parametrize("script", ["kill -KILL $$", "kill -TERM $$", "sh -c 'kill -KILL $$'; exit $?"])
def test_a_program_that_another_ended_is_lost(tmp_path, script):
    with pytest.raises(Lost, match="sh was ended by signal (9|15), by a kernel without memory, a scheduler"):
        run(["sh", "-c", script], "", tmp_path, 60)


def test_an_exception_and_an_answer_of_another_kind_are_crashed_and_say_why():
    def divide(x):
        return 1 / x

    assert "ZeroDivisionError" in guarded(divide, {"x": 0}).log
    assert "a solver returns a SolverResult; got float" in guarded(divide, {"x": 2}).log
    assert "unexpected keyword argument 'y'" in guarded(divide, {"y": 2}).log
    assert guarded(divide, {"x": 2}).status == "crashed"
