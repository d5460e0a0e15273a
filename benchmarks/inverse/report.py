"""The table, and under it the ratios that it is made for, beside their bars."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from sciencegen import metrics

from .published import NOTE, PUBLISHED
from .task import Task

Cells = Mapping[str, Mapping[str, Any]]  # row -> {"scores": {name: [a case]}, "facts": {...}}
BAYES, EXACT, NET, KALMAN = "exact Bayes", "ours, exact Gaussian", "ours, network", "ensemble Kalman (ES-MDA)"
MANY = f"{KALMAN}, as many solves"
LAW, CORRECTED, DPS = "ours, network + law", "ours, network + correction", "DPS, scalar weight"
LEVEL, TOLD = "ours, learned level + solver", "ours, level's law told + solver"
FLOW, KRIGED = "ours, exact Gaussian + solver", "kriging + backward integration"


def table(task: Task, level: float, cells: Cells, truth: Mapping[str, float]) -> Table:
    """One task at one noise level."""
    kind = measure(task)
    ends = "" if not truth else f"; residual(truth) {truth['truth']:.1e}, residual(u = 0) {truth['zero']:.2g}"
    made = Table(title=f"{task.name}, noise {100 * level:g} %: {_sensors(task)}{ends}", title_justify="left")
    for name in ("row", "n", "S", f"{kind}, mean, %", "sample, %", "CRPS, %", "coverage, %", "other part, %",
                 "residual", "calls", "backward", "solves", "CPU s a sample", "wall s"):
        made.add_column(name, justify="left" if name == "row" else "right")
    for name, cell in cells.items():
        s, f = cell["scores"], cell["facts"]
        made.add_row(name, str(len(s["error"])), f"{f['samples']:.0f}", interval(s["error"], 100),
                     interval(s["sample_error"], 100), interval(s["crps"], 100), interval(s["coverage"], 100),
                     interval(s.get("other_error"), 100), small(s.get("residual")), *(whole(f[k]) for k in (
                         "calls", "backward", "solves")), f"{f['cpu_seconds'] / len(s['error']) / f['samples']:.2g}",
                     f"{f['wall_seconds']:.0f}")
    for name, value in PUBLISHED.get(task.name, {}).items() if level in (0.0, 1e-2) else ():
        made.add_row(f"[dim]{name} ({NOTE})", "", "", f"[dim]{value:g}", *[""] * 10)
    return made


def measure(task: Task) -> str:
    """What a row is judged by."""
    return "wrong pixels of a" if task.binary else f"error of {task.wanted}"


def _sensors(task: Task) -> str:
    return " and ".join(f"{count} values of {part}" for part, count in task.seen.items()) + f", {task.wanted} wanted"


def interval(values: list[float] | None, scale: float = 1.0) -> str:
    """Mean and half the 95 % interval over the cases."""
    if not values or not all(map(math.isfinite, values)):
        return "-"
    if len(values) < 2:
        return f"{scale * values[0]:.3g}"
    found = metrics.interval(values)
    return f"{scale * float(found.mean):.3g} ± {scale * float(found.mean - found.low):.2g}"


def small(values: list[float] | None) -> str:
    """The median over the cases."""
    return "-" if not values else f"{statistics.median(values):.1e}"


def whole(value: float) -> str:
    """A count, or nothing."""
    return f"{value:.0f}" if value else "-"


def mean(cells: Cells, row: str, name: str) -> float:
    """Mean over the cases; NaN where the row is not there."""
    values = cells[row]["scores"].get(name, []) if row in cells else []
    return statistics.fmean(values) if values else math.nan


def verdicts(task: Task, cells: Cells) -> list[str]:
    """Lines ``what: got, bar``: those of the issue that this table can answer."""
    rest = _flow(cells) if task.setup == "navier-stokes" else _rock(task, cells)
    found = [*_bayes(cells), *_law(cells)] if task.linear else [*rest, *_law(cells)]
    return [f"  {line}" for line in found]


def _bayes(cells: Cells) -> list[str]:
    lines, floor, sample = [], mean(cells, BAYES, "error"), mean(cells, BAYES, "sample_error")
    for row in (NET, EXACT, CORRECTED, LAW, DPS):
        if row in cells and BAYES in cells:
            size = cells[row]["facts"]["samples"]
            finite = f" (of {size:.0f} exact samples: {math.sqrt(1 + 1 / size):.3f})"
            lines.append(
                f"{row} / Bayes: mean {mean(cells, row, 'error') / floor:.3f}{finite}, bar 1.3"
                f"{' and 1.02 x that' if row == EXACT else ''}; sample {mean(cells, row, 'sample_error') / floor:.3f} "
                f"(exact: {sample / floor:.3f}), bar 1.6; coverage {100 * mean(cells, row, 'coverage'):.1f} %, "
                "bar 85-95")
    return lines


def _law(cells: Cells) -> list[str]:
    if not {NET, LAW} <= set(cells):
        return []
    shared = len(cells[LAW]["scores"]["error"])
    first = lambda row, name: statistics.fmean(cells[row]["scores"][name][:shared])
    return [f"the law: residual {first(NET, 'residual') / first(LAW, 'residual'):.3g} x lower, bar 10; error "
            f"{first(LAW, 'error') / first(NET, 'error'):.3f} of that without, bar 1 (the same {shared} cases)"]


def _flow(cells: Cells) -> list[str]:
    if FLOW not in cells:
        return []
    return [f"{FLOW}: {mean(cells, FLOW, 'error') / mean(cells, name, 'error'):.3f} x the error of {name}"
            f"{_paired(cells, FLOW, name)}{', bar: below 1' if name == KRIGED else ''}"
            for name in cells if name != FLOW]


def _rock(task: Task, cells: Cells) -> list[str]:
    ours = {row: mean(cells, row, "error") for row in cells if row.startswith("ours")}
    others = {row: mean(cells, row, "error") for row in cells if row not in ours}
    if not ours or not others:
        return []
    best = min(others, key=others.get)
    lines = [f"{row}: wrong pixels {value / others[name]:.3f} x {name}'s{_paired(cells, row, name)}"
             for row, value in ours.items() for name in others if name in (KALMAN, MANY, best)]
    bar = "below every other row" if len(task.seen) > 1 else f"below {KALMAN}, n >= 40"
    return [*lines, f"bar: {bar}; the best row that is not ours is {best} with {100 * others[best]:.2f} %"]


def _paired(cells: Cells, row: str, other: str) -> str:
    a, b = (cells[name]["scores"]["error"] for name in (row, other))
    gaps = [x - y for x, y in zip(a, b)]
    return f", difference {interval(gaps, 100)} points over {len(gaps)} cases" if gaps else ""


def heat_table(cells: Cells) -> tuple[Table, list[str]]:
    """SMDP's referees, and their bars."""
    made = Table(title="heat: SMDP's referees", title_justify="left")
    for name in ("row", "spectrum error", "re-simulated error, %", "variance by shell over exact, |k| = 1 .. 10"):
        made.add_column(name, justify="left" if name == "row" else "right")
    shells = {}
    for row, cell in cells.items():
        more = cell["heat"]
        shells[row] = [statistics.fmean(v) for v in zip(*more["variance"])] if "variance" in more else []
        made.add_row(row, interval(more["spectrum"]), interval(more["again"], 100),
                     " ".join(f"{v:.2f}" for v in shells[row]) or "-")
    lines = []
    for row in (NET, EXACT, DPS):
        if row in cells and BAYES in cells:
            each = {k: statistics.fmean(cells[row]["heat"][k]) for k in ("spectrum", "again")}
            exact = statistics.fmean(cells[BAYES]["heat"]["again"])
            worst = max((abs(v - 1) for v in shells[row]), default=math.nan)
            lines.append(f"  {row}: spectrum error {each['spectrum']:.3f}, bar 0.3; variance within "
                         f"{100 * worst:.0f} %, bar 15; re-simulated error {each['again'] / exact:.2f} x exact, bar 2")
    return made, lines


def timing(found: Mapping[str, float]) -> list[str]:
    """The time of a posterior sample."""
    return [f"Wall time of a posterior sample at 64 grid, one network: ours {found['ours_seconds']:.2f} s "
            f"({found['steps']:.0f} steps, {found['ours_forward']:.0f} forward and {found['ours_backward']:.0f} "
            f"backward passes, run whole); scalar DPS {found['dps_step_seconds']:.3f} s a Heun step (mean of "
            f"{found['dps_steps_timed']:.0f}), times 2,000: {found['ratio']:.0f} x ours, bar 20"]


NOTES = [
    "Mean and half width of the 95 % interval over the cases (Student's t); residual: median of the samples'.",
    "Sensors, noise and cases are the same for all rows; CPU seconds on one thread of a busy machine.",
    "Coverage: share of the truth between the quantiles 0.05 and 0.95, the k-th of S samples taken for k / (S + 1)",
    "(S = 19: between the least and the largest); of the pressure where rock is two-valued.",
    "Ensemble Kalman, Bayes and the row that says so are given the true law of the sources or the rock; the learned",
    "level's is that of 20,000 training rocks. Solves are those of a case, gradients included.",
]
