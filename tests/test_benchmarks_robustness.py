"""A short part of the table of robustness: files damaged by seed are refused in words, or read as they were."""

from itertools import islice

import pytest

from benchmarks.robustness import WORDS, part
from benchmarks.robustness.runs import BAD, judged, run, table

NEEDS = {"AirfRANS": "pyvista", "EngiBench": "pyarrow"}


def test_sixty_damaged_files():
    files = part("files")
    lost = [name for name, module in NEEDS.items() if not _there(module)]
    chosen = [case for case in islice(files.cases(3), 66) if case.layout not in lost][:60]
    found = {str(case): judged(files, case) for case in chosen}
    assert {case: said for case, said in found.items() if said[0] in BAD} == {}
    words = {word for word, _ in found.values()}
    assert {"refused", "equal"} <= words <= set(WORDS)


def _there(module):
    try:
        pytest.importorskip(module)
    except pytest.skip.Exception:
        return False
    return True


def test_the_same_seed_gives_the_same_cases():
    first, second, other = (list(islice(part("files").cases(seed), 20)) for seed in (5, 5, 6))
    assert first == second != other


class Odd:
    """A part whose cases say what becomes of them."""

    def cases(self, seed):
        yield from ("dead: by abort", "differ: zeros", "traceback: of a kind", "equal: whole", "memory: much")

    def judge(self, case):
        word = case.split(":")[0]
        if word == "dead":
            import os

            os.abort()
        if word == "traceback":
            raise KeyError("raw")
        return str(len(bytearray(10**10))) if word == "memory" else case


def test_each_word_is_told_from_the_others():
    found = run("odd", Odd(), 0, 5)
    assert [v.word for v in found] == [v.case.split(":")[0] for v in found]
    assert table(found).row_count == 6


def test_a_part_that_nobody_has_written():
    with pytest.raises(ValueError, match="got --parts weather; expected one that is there"):
        part("weather")
