"""The table, one for each number of bodies, from whatever cells there are, and under each what was published."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from .published import FORMATION, NOTE, PUBLISHED
from .scoring import Summary, summary

__all__ = ["parts", "table"]

Cell = Mapping[str, Any]
FACTS = {"calls": "solver\ncalls", "solver_seconds": "solver\nCPU s", "cpu_seconds": "all\nCPU s"}


def table(cells: Iterable[Cell]) -> dict[int, dict[str, dict[str, Any]]]:
    """``[bodies][row]``: ``scores``, summaries over the designs of all seeds; ``facts``, sums over seeds; the rest."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for cell in sorted(cells, key=lambda c: (c["bodies"], c["row"], c["seed"])):
        row = found.setdefault(cell["bodies"], {}).setdefault(cell["row"], {"scores": {}, "facts": {}, "openfoam": [],
                                                                            "seeds": []})
        row["seeds"].append(cell["seed"])
        row["openfoam"] += cell.get("openfoam", [])
        for kind in ("scores", "facts"):
            for name, value in cell[kind].items():
                row[kind].setdefault(name, []).extend(value if isinstance(value, list) else [value])
    for row in (row for rows in found.values() for row in rows.values()):
        row["scores"] = {name: summary(values) for name, values in row["scores"].items()}
        row["facts"] = {name: sum(values) for name, values in row["facts"].items()}
    return found


def parts(found: Mapping[int, Mapping[str, Mapping[str, Any]]], judge: str) -> list[Any]:
    """Tables and texts, in order."""
    made: list[Any] = []
    for bodies, rows in found.items():
        ranked = dict(sorted(rows.items(), key=lambda row: -_finite(row[1]["scores"]["efficiency"].mean)))
        made += ["", _table(bodies, ranked)]
        if bodies in PUBLISHED:
            made.append(f"  {NOTE}: {PUBLISHED[bodies]}")
        made += [line for name, row in ranked.items() for line in _formation(name, row["scores"])]
    return [*made, "", f"All by one judge, {judge}; mean and half of the 95 % interval over the designs handed over "
            "that can be built. A call with a gradient counts as one call and as the CPU seconds that it takes. "
            "Force error and divergence are of what a row generates."]


def _table(bodies: int, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    made = Table(title=f"{bodies} airfoil{'s' if bodies > 1 else ''}", title_justify="left")
    heads = ("lift/drag", "median", "best", "n", "drag", "lift", "buildable\n%", "overlap\n%", "force\nerror %",
             "diver-\ngence", "diver-\nsity", *FACTS.values(), "OpenFOAM\nlift/drag")
    made.add_column("row", no_wrap=True)
    for head in heads:
        made.add_column(head, justify="right", no_wrap=True)
    for name, row in rows.items():
        of, told = row["scores"], row["facts"]
        best = of["efficiency"]
        made.add_row(name, _pm(best), _number(best.median), _number(best.most), str(best.n), _pm(of["drag"], 3),
                     _pm(of["lift"], 3), *(_number(100 * of[k].mean, 0) for k in ("buildable", "overlap")),
                     _number(100 * of["force_error"].mean, 0) if "force_error" in of else "-",
                     _number(of["divergence"].mean, 3) if "divergence" in of else "-", _number(of["diversity"].mean, 3),
                     *(_number(told.get(k, math.nan), 0) for k in FACTS), _second(row["openfoam"]))
    return made


def _formation(name: str, of: Mapping[str, Summary]) -> list[str]:
    """The best of each seed, together and each alone at its place."""
    drag, ratio = (of.get(k) for k in FORMATION)
    if drag is None or not drag.n:
        return []
    return [f"  {name}, the best together against each alone: drag {100 * drag.mean:+.1f} %, lift/drag "
            f"{100 * ratio.mean:+.1f} % (n = {drag.n}; published {100 * FORMATION['drag_together']:+.1f} %, "
            f"{100 * FORMATION['efficiency_together']:+.1f} %)"]


def _second(checks: list[Mapping[str, Any]]) -> str:
    """Mean lift over drag by OpenFOAM of those that it carried, and how many; or why there is none."""
    if not checks:
        return "-"
    values = [sum(c["lift"]) / sum(c["drag"]) for c in checks if c["status"] in ("converged", "unsettled")]
    if not values:
        return ", ".join(sorted({c["status"] for c in checks}))
    return f"{sum(values) / len(values):.2f} ({len(values)} of {len(checks)})"


def _pm(value: Summary, digits: int = 2) -> str:
    return _number(value.mean, digits) + (f" ±{value.half:.{digits}f}" if math.isfinite(value.half) else "")


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
