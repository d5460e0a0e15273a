"""From the designs of a row to its numbers, and from the numbers to the table of the airfoil benchmark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import xarray
from rich.table import Table

from sciencegen import metrics
from sciencegen.airfoil import cst

__all__ = ["BEST", "best_feasible", "scores", "summary", "table", "verdict"]

BEST = 10
COUNT = 1e4  # a drag count is 1e-4
COLUMNS = {  # name: heading, factor, digits
    "seeds": ("seeds", 1, 0),
    "best": ("NeuralFoil\nbest", COUNT, 2), "ten": ("NeuralFoil\nten best", COUNT, 2),
    "xfoil": ("XFOIL\nten best", COUNT, 2), "verified": ("verified\nof ten", 1, 1), "gap": ("gap\n%", 100, 2),
    "confidence": ("least\nconfid.", 1, 3), "feasible": ("feasible\n%", 100, 1),
    "diversity": ("diversity\nfeasible", 1000, 2), "diversity_ten": ("diversity\nten best", 1000, 2),
    "near": ("designs\nwithin 3 %", 1, 1), "evaluations": ("evalu-\nations", 1, 0), "seconds": ("CPU\nseconds", 1, 0)}
Summary = dict[str, tuple[float, float]]


def best_feasible(designs: xarray.Dataset) -> np.ndarray:
    """Indices of the (at most) ten best feasible designs, best first: by ``place`` where a row gives one, else ``fun``.
    """
    order = np.argsort(designs["place" if "place" in designs else "fun"].values, kind="stable")
    return order[designs["feasible"].values[order]][:BEST]


def scores(designs: xarray.Dataset) -> dict[str, float]:
    """The numbers of one row at one K and seed; NaN where there is nothing to score.

    ``gap`` is the mean of ``|NeuralFoil - XFOIL| / XFOIL`` over the verified of the ten best; ``diversity`` the mean
    over pairs of the root mean square distance of outlines; ``near`` how many feasible designs are within 3 % of the
    row's own best.
    """
    ten, feasible = best_feasible(designs), np.flatnonzero(designs["feasible"].values)
    fun, xfoil = designs["fun"].values, designs["xfoil_fun"].values[ten]
    seen = np.isfinite(xfoil)
    gap = np.abs(fun[ten] - xfoil)[seen] / xfoil[seen]
    near = feasible[fun[feasible] <= 1.03 * fun[ten].min()] if len(ten) else feasible
    found = {
        "best": fun[ten].min() if len(ten) else np.nan, "ten": _mean(fun[ten]), "xfoil": _mean(xfoil[seen]),
        "verified": seen.sum(), "gap": _mean(gap),
        "confidence": designs["confidence"].values[ten].min() if len(ten) else np.nan,
        "feasible": len(feasible) / designs.sizes["sample"], "designs": designs.sizes["sample"],
        "diversity": _diversity(designs, feasible), "diversity_ten": _diversity(designs, ten),
        "near": len(near), "diversity_near": _diversity(designs, near),
        "evaluations": designs.attrs["evaluations"], "seconds": designs.attrs["cpu_seconds"],
        "wall_seconds": designs.attrs["wall_seconds"]}
    return {name: float(value) for name, value in found.items()}


def summary(cells: Sequence[dict[str, float]]) -> Summary:
    """Mean and half width of the 95 % interval over seeds, those where a number is not known left out."""
    columns = defaultdict(list)
    for cell in cells:
        for name, value in cell.items():
            columns[name] += [value] if np.isfinite(value) else []
    seeds = {"seeds": (float(len(cells)), float("nan"))}
    return seeds | {name: _interval(np.array(values)) for name, values in columns.items()}


def table(title: str, rows: dict[str, Summary]) -> Table:
    """One line a row: mean and, below two seeds nothing, +- half width."""
    out = Table(title=title, title_justify="left", show_lines=False)
    out.add_column("row", no_wrap=True)
    for heading, _, _ in COLUMNS.values():
        out.add_column(heading, justify="right", no_wrap=True)
    for name, row in rows.items():
        out.add_row(name, *(_cell(row.get(key, (np.nan, np.nan)), factor, digits)
                            for key, (_, factor, digits) in COLUMNS.items()))
    return out


def verdict(rows: dict[str, Summary], ours: str, gradient: str) -> list[str]:
    """The four bars, as measured: drag by XFOIL, feasibility, diversity and gap.

    A row is compared with where XFOIL carries the lifts with at least half of its ten best; a mean over the rest would
    be one over survivors.
    """
    mine, other = rows.get(ours), rows.get(gradient)
    if not mine or not other:
        return []
    compared = {k: r["xfoil"][0] for k, r in rows.items() if r["verified"][0] >= BEST / 2}
    best = min(compared, key=compared.get) if compared else ours
    excess = mine["xfoil"][0] / compared.get(best, np.nan) - 1
    ratio, gaps = mine["diversity"][0] / other["diversity"][0], (mine["gap"][0], other["gap"][0])
    return [_line(excess <= 0.03, f"drag by XFOIL, ten best: {100 * excess:+.1f} % against '{best}'; bar +3 %"),
            _line(mine["feasible"][0] >= 0.9, f"feasible: {100 * mine['feasible'][0]:.0f} %; bar 90 %"),
            _line(ratio >= 5, f"diversity of feasible designs: {ratio:.1f} times {gradient}'s; bar 5"),
            _line(gaps[0] <= gaps[1] or np.isnan(gaps[1]), f"gap: {100 * gaps[0]:.2f} %; {gradient} " +
                  (f"{100 * gaps[1]:.2f} %" if np.isfinite(gaps[1]) else "none, as none of its designs was verified"))]


def _line(met: bool, text: str) -> str:
    return f"  {'met    ' if met else 'NOT MET'}  {text}"


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _diversity(designs: xarray.Dataset, which: np.ndarray) -> float:
    if len(which) < 2:
        return float("nan")
    return float(metrics.diversity(cst.outline(torch.as_tensor(designs["shape"].values[which]).double())))


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return (float(values[0]) if len(values) else float("nan")), float("nan")
    mean, low, high = metrics.interval(torch.as_tensor(values))
    return float(mean), float(high - low) / 2


def _cell(value: tuple[float, float], factor: float, digits: int) -> str:
    mean, half = value
    if not np.isfinite(mean):
        return "-"
    return f"{factor * mean:.{digits}f}" + (f" ±{factor * half:.{digits}f}" if np.isfinite(half) else "")
