"""Law: an odd solver costs one case of its campaign, and `kill -9` what runs; the whole of it is a benchmark."""


import pytest

from benchmarks.robustness import part
from benchmarks.robustness.odd import ODD
from benchmarks.robustness.runs import judged
from benchmarks.robustness.solvers import Killed, Odd, Together, cases

SHORT = ["ragged list", "value called case", "interrupt", "exit 0", "killed", "closed files", "daemon left", "fork"]


@pytest.mark.parametrize("name", SHORT)
def test_an_odd_solver_costs_its_own_case_alone(name):
    assert judged(part("solvers"), Odd(name, count=3, limit=60)) == ("equal", "")


def test_a_killed_campaign_goes_on():
    assert judged(part("solvers"), Killed("own pool", 17, 0.03)) == ("equal", "")


def test_of_two_runs_at_once_no_case_runs_twice():
    assert judged(part("solvers"), Together(0.3)) == ("equal", "")


def test_the_cases_are_all_odd_solvers_and_the_kills_of_a_seed():
    drawn = list(cases(3, kills=30))
    assert [case.name for case in drawn if isinstance(case, Odd)] == list(ODD)
    assert len(ODD) >= 50
    assert [sum(isinstance(case, Killed) and case.engine == engine for case in drawn)
            for engine in ("own pool", "isolated", "dask")] == [10, 10, 10]
    assert drawn == list(cases(3)) != list(cases(4))
