"""The table of airfoils at sets of operating points: the numbers of a row at a set, and what they say over all sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import xarray
from rich.table import Table

from sciencegen.studies.airfoil.choice import EXCESS, distances

__all__ = ["CHOSEN", "OURS", "OVER", "PLAIN", "SURE", "TEN", "overall", "scores", "table", "verdict"]

TEN = 10
OURS, PLAIN, CHOSEN = "ours", "SLSQP", "SLSQP, margins and choice"
SURE, OVER = "sets with 9 of 10 confirmed", "ten by XFOIL over ours, median, %"
COLUMNS = {  # heading: name of the score, digits
    "ends": ("designs", 0), "feasible, %": ("feasible", 0), "judge, ten": ("judge", 2), "XFOIL, ten": ("xfoil", 2),
    "XFOIL, first": ("first", 2), "XFOIL, least ten": ("least", 2), "verified of ten": ("verified", 0),
    "confirmed of ten": ("confirmed", 0), "gap, %": ("gap", 1), "gap corrected, %": ("corrected", 1),
    "apart, 1e-4": ("apart", 0), "CPU s": ("cpu", 0), "XFOIL's CPU s": ("xfoil_cpu", 0)}
Found = Mapping[str, Mapping[str, Mapping[str, float]]]


def scores(designs: xarray.Dataset) -> dict[str, float]:
    """The numbers of one row at one set; drag in counts, gap in per cent, distances in 1e-4 chords.

    ``gap`` is XFOIL's drag from the judge's, ``corrected`` that from the judge's when it is corrected by what XFOIL
    said of the row's other designs; ``first`` and ``least`` are the first design and the ten of least drag by XFOIL.
    """
    ten, known = designs.isel(sample=slice(TEN)), designs["xfoil_fun"].values
    fun, xfoil = ten["fun"].values, ten["xfoil_fun"].values
    seen, known = np.isfinite(xfoil), np.sort(known[np.isfinite(known)])
    promised = ten["promised"].values if "promised" in ten else np.full(len(fun), np.nan)
    apart, pairs = distances(ten["shape"].values), len(fun) * (len(fun) - 1)
    found = {"feasible": 100 * designs.attrs["feasible"], "judge": 1e4 * _mean(fun), "xfoil": 1e4 * _mean(xfoil[seen]),
             "first": 1e4 * xfoil[0] if len(xfoil) else np.nan, "least": 1e4 * _mean(known[:TEN]),
             "verified": seen.sum(), "confirmed": (xfoil <= (1 + EXCESS) * fun).sum(),
             "gap": 100 * _mean(np.abs(fun - xfoil)[seen] / xfoil[seen]),
             "corrected": 100 * _mean(np.abs(promised - xfoil)[seen] / xfoil[seen]),
             "apart": 1e4 * apart.sum() / pairs if pairs else np.nan, "designs": designs.attrs["designs"],
             "cpu": designs.attrs["cpu"], "xfoil_cpu": designs.attrs["xfoil_cpu"]}
    return {name: float(value) for name, value in found.items()}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def ahead(ours: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether ours is ahead: less drag by XFOIL, or XFOIL carries the lifts with less than half of the other's ten."""
    return ours["verified"] > 0 and (other["verified"] < TEN / 2 or ours["xfoil"] < other["xfoil"])


def table(found: Found) -> Table:
    """A line a set and row."""
    shown = Table(title="Mean drag in counts at sets of operating points", title_justify="left")
    for name in ("points", "row", *COLUMNS):
        shown.add_column(name, justify="right" if name in COLUMNS else "left")
    for points, by_row in found.items():
        for row, own in by_row.items():
            shown.add_row(points, row, *(_cell(own[name], digits) for name, digits in COLUMNS.values()))
    return shown


def overall(found: Found) -> Table:
    """A line a row, over the sets at which it was run; drag where XFOIL carries the lifts with half of the ten."""
    shown = Table(title="all sets", title_justify="left")
    for name in ("row", "n", "sets with 9 of 10 verified", SURE, "gap, %", "gap corrected, %", "compared at",
                 OVER, "first, median, %", "apart, 1e-4"):
        shown.add_column(name, justify="left" if name == "row" else "right")
    for row in (OURS, PLAIN, CHOSEN):
        both = [(by_row[OURS], by_row[row]) for by_row in found.values() if row in by_row]
        if both:
            own, met = [s for _, s in both], [pair for pair in both if pair[1]["verified"] >= TEN / 2]
            gap, corrected, apart = (_mean(_known(s[name] for s in own)) for name in ("gap", "corrected", "apart"))
            over = [100 * float(np.median([s[name] / first[name] for first, s in met])) - 100 if met else np.nan
                    for name in ("xfoil", "first")]
            sure = [str(sum(s[name] >= 9 for s in own)) for name in ("verified", "confirmed")]
            shown.add_row(row, str(len(own)), *sure, _cell(gap, 1), _cell(corrected, 1), str(len(met)),
                          *(_cell(v, 1) for v in over), _cell(apart, 0))
    return shown


def _near(by_row: Mapping[str, Mapping[str, float]]) -> bool:
    compared = [own["xfoil"] for own in by_row.values() if own["verified"] >= TEN / 2]
    return by_row[OURS]["xfoil"] <= 1.03 * min(compared, default=np.nan)


def _gaps(what: str, ours: list[Mapping[str, float]], name: str) -> str:
    gaps = _known(s[name] for s in ours)
    return f"{what} at most 3 %: {(gaps <= 3).sum()} of {len(ours)} sets, mean {_mean(gaps):.1f} %"


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"


def _known(values: Iterable[float]) -> np.ndarray:
    values = np.array(list(values))
    return values[np.isfinite(values)]


def verdict(found: Found) -> list[str]:
    """The bars, as measured."""
    ours = [by_row[OURS] for by_row in found.values()]
    n, verified = len(ours), sum(s["verified"] >= 9 for s in ours)
    single = [by_row[OURS]["feasible"] for points, by_row in found.items() if " " not in points]
    lines = [f"9 of 10 verified: {verified} of {n} sets; bar 10 of 12", _gaps("gap", ours, "gap"),
             _gaps("gap, corrected by what XFOIL said of the other designs,", ours, "corrected"),
             f"ten by XFOIL within 3 % of the best row: {sum(map(_near, found.values()))} of {n} sets",
             f"25e-4 chords apart: {sum(s['apart'] >= 25 for s in ours)} of {n} sets",
             f"feasible at one point: {', '.join(f'{v:.0f} %' for v in single)}; bar 90 %"]
    for row in (PLAIN, CHOSEN):
        both = [(by_row[OURS], by_row[row]) for by_row in found.values() if row in by_row]
        first, lost = sum(ahead(*pair) for pair in both), sum(other["verified"] < TEN / 2 for _, other in both)
        best = sum(own["first"] < other["first"] or other["verified"] == 0 for own, other in both)
        lines += [f"ahead of '{row}' by XFOIL, ten: {first} of {len(both)} sets, at {lost} of which XFOIL carries the "
                  f"lifts with less than half of the other's ten; by the first design: {best}"] if both else []
    return lines
