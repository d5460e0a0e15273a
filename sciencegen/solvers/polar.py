"""
What is written for XFOIL and read back: one operating point as a script, its polar file as a row.

XFOIL is driven by typed commands and reports every failure with return code 0, so the polar file is the only witness: a
point that did not converge has no row in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sciencegen.solvers.points import Request

__all__ = ["COLUMNS", "OUTLINE", "POLAR", "Approach", "PolarPoint", "agree", "read_polar"]

OUTLINE, POLAR = "f.dat", "p"  # XFOIL takes file names of at most 64 characters
COLUMNS = {
    "alpha": "alpha",
    "cl": "CL",
    "cd": "CD",
    "cm": "CM",
    "top_transition": "Top_Xtr",
    "bottom_transition": "Bot_Xtr",
}
TOLERANCE = 1e-3  # between what was asked and what the polar says, whose angles have three decimals
DEGREES_PER_LIFT = 10.0  # 2 pi per radian, rounded: turns a step in lift into a step in angle


@dataclass(frozen=True)
class Approach:
    """
    One way to a point: by way of a neighbour `step` away in lift (0: directly), on `finer` times the panels.

    To a lift below 0 the step is taken to the other side: a negative one is towards no lift, where flow is attached.
    """

    step: float = 0.0
    finer: float = 1.0

    def __str__(self) -> str:
        start = f"by way of a lift {self.step:+g} away" if self.step else "directly"
        return start if self.finer == 1 else f"{start} on {self.finer:g} times the panels"


@dataclass(frozen=True)
class PolarPoint(Request):
    """A request as XFOIL is asked for it."""

    def reached(self, row: dict[str, float]) -> bool:
        """Whether the polar's row is this point; a drag that is not positive is no solution."""
        return abs(row[self.kind] - self.target) <= TOLERANCE and row["cd"] > 0

    def script(self, approach: Approach, n_crit: float, mach: float, iterations: int, panels: int) -> str:
        """The commands for this point; lines may be empty, which leaves a menu or takes a default."""
        lines = ["PLOP", "G F", ""]  # no graphics: without a display XFOIL would stop here
        lines += [f"LOAD {OUTLINE}", "PPAR", f"N {round(panels * approach.finer)}", "", "", "PANE"]
        lines += ["OPER", f"VISC {self.reynolds:.8g}", f"MACH {mach:g}", f"ITER {iterations}"]
        lines += ["VPAR", f"N {n_crit:g}", ""]
        lines += [self._command(approach.step)] if approach.step else []
        lines += ["PACC", POLAR, "", self._command(0.0), "PACC", "", "QUIT", ""]
        return "\n".join(lines)

    def _command(self, step: float) -> str:
        if self.kind == "alpha":
            return f"ALFA {self.target + step * DEGREES_PER_LIFT:.8g}"
        return f"CL {self.target + math.copysign(step, step * self.target):.8g}"


def agree(row: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two rows are one flow, but for digits that a polar leaves off: lift to 0.003, drag to 1 % and a count."""
    return abs(row["cl"] - other["cl"]) <= 3e-3 and abs(row["cd"] - other["cd"]) <= 0.01 * other["cd"] + 1e-4


def read_polar(text: str) -> list[dict[str, float]]:
    """The complete rows of a polar file, columns found by the names in its header; other lines are passed over."""
    names: list[str] = []
    rows = []
    for words in map(str.split, text.splitlines()):
        if words[:2] == ["alpha", "CL"]:
            names = words
        elif names and len(words) == len(names) and all(map(_is_finite, words)):
            table = dict(zip(names, map(float, words), strict=True))
            rows.append({ours: table[theirs] for ours, theirs in COLUMNS.items()})
    return rows


def _is_finite(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
