"""Law: whatever a solver does that can be caught, what comes out is a result that names it."""

import pickle

import numpy as np
import pytest

from sciencegen.solvers import SolverResult, Status
from sciencegen.solvers.solver import guarded


def test_a_result_names_what_it_has():
    result = SolverResult(Status.CONVERGED, {"cd": 0.1})
    with pytest.raises(KeyError, match=r"no value 'drag'; this result has \['cd'\]"):
        result["drag"]
    assert pickle.loads(pickle.dumps(result)).status is Status.CONVERGED


def test_a_failed_result_has_nan_for_any_name():
    assert np.isnan(SolverResult(Status.CRASHED, {})["cd"])


def test_a_good_answer_is_left_alone():
    result = SolverResult(Status.UNCONVERGED, {})
    assert guarded(lambda x: result, {"x": 1}) is result


def test_an_exception_and_an_answer_of_another_kind_are_crashed_and_say_why():
    def divide(x):
        return 1 / x

    assert "ZeroDivisionError" in guarded(divide, {"x": 0}).log
    assert "a solver returns a SolverResult; got float" in guarded(divide, {"x": 2}).log
    assert "unexpected keyword argument 'y'" in guarded(divide, {"y": 2}).log
    assert guarded(divide, {"x": 2}).status == "crashed"
