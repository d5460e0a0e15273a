"""Judging many cases, each in a process of its own, and what came of it as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.table import Table
from tqdm.auto import tqdm

from sciencegen.files import Fault
from sciencegen.files.child import ChildLimits, Died, Exhausted, Hung, in_child

from . import WORDS, Part

__all__ = ["BAD", "Verdict", "judged", "run", "table"]

BAD = ("differ", "traceback", "hang", "memory", "dead")
SECONDS, MEMORY = 10.0, 2 * 10**9


@dataclass(frozen=True)
class Verdict:
    """What came of a case."""

    part: str
    group: str
    case: str
    word: str
    said: str


def judged(part: Part, case: Any) -> tuple[str, str]:
    """A word, and what it is said for."""
    limits = ChildLimits(getattr(part, "PATIENCE", SECONDS), MEMORY)
    try:
        said = in_child(str(case), lambda beat: part.judge(case), limits)
    except (Hung, Died, Exhausted) as error:
        return {Hung: "hang", Died: "dead", Exhausted: "memory"}[type(error)], str(error)
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}" + (" (a Fault)" if isinstance(error, Fault) else "")
    word, _, more = said.partition(": ")
    if word not in WORDS:
        raise ValueError(f"got the word {word!r} for {case}; expected one of {list(WORDS)}")
    return word, more


def run(name: str, part: Part, seed: int, count: int) -> list[Verdict]:
    """The first `count` cases of a seed."""
    found = []
    for case in tqdm(islice(part.cases(seed), count), total=count, desc=name, disable=None):
        word, said = judged(part, case)
        found.append(Verdict(name, _group(case), str(case), word, said))
    return found


def _group(case: Any) -> str:
    """What stands before the colon of a case, or its class."""
    head, colon, _ = str(case).partition(":")
    return head if colon else type(case).__name__


def table(verdicts: Iterable[Verdict]) -> Table:
    """Counts of words by part and group of cases."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for v in verdicts:
        rows.setdefault((v.part, v.group), Counter())[v.word] += 1
    shown = Table("part", "kind", *WORDS, title="robustness")
    for (part, group), words in [*sorted(rows.items()), (("all", ""), sum(rows.values(), Counter()))]:
        shown.add_row(part, group, *(str(words[w]) if words[w] else "-" for w in WORDS))
    return shown
