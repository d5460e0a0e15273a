"""Wrong command lines: one line on standard error, status 2, nothing computed and nothing written."""


import pytest

from benchmarks.robustness.commands import WRONG, Line, judge

pytest.importorskip("neuralfoil")


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_a_wrong_command_line_is_refused(case):
    assert judge(case) == "refused"


def test_there_are_sixty_of_them_and_each_is_another():
    assert len({(case.line, *case.files.items()) for case in WRONG}) == len(WRONG) > 60


@pytest.mark.parametrize("case, word", [(Line("--version"), "differ: status 0"), (Line("draw", "wish"), "traceback:")])
def test_the_judge_is_not_content_with_anything(case, word):
    assert judge(case).startswith(word)
