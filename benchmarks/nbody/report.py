"""The table, one a question, and under each what the original published and the bars, met or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rich.table import Table

from .published import NOTE, PUBLISHED
from .scoring import Interval, summary

__all__ = ["parts"]

Cells = Mapping[str, Mapping[str, Any]]
COLUMNS = {
    "objective": "objective", "finer": "by a finer\nstep", "sunk": "overlaps\nat the end\n%", "mae": "MAE",
    "objective_original": "objective,\noriginal's", "mae_original": "MAE,\noriginal's",
    "matched": "at matched\nspeed", "residual": "residual", "speed": "rms speed\npx/s",
    "overlap": "overlaps\n%", "outside": "in walls\n%", "diversity": "diversity",
}  # fmt: skip
DIVERGED = 1.0  # a mean error of a side of the box
SCALE = {"sunk": 100.0, "overlap": 100.0, "outside": 100.0}
BARS = {(2, 24): 0.108, (2, 34): 0.108, (2, 44): 0.108, (2, 54): 0.108, (2, 94): 0.20, (4, 24): 0.17, (4, 44): 0.17,
        (8, 24): 0.27, (8, 44): 0.27}  # fmt: skip
OURS, PACKED = "ours, whole study, refined", "packings, turned round and refined"
MAE_BAR, SLOWEST = 0.004, 80.0  # two bodies up to 54 frames; rms speed, pixels a second


def parts(found: Mapping[str, Cells], count: int, seconds: float) -> list[Any]:
    """Tables and texts, in order."""
    made: list[Any] = []
    for cell, rows in found.items():
        bodies, frames = map(int, cell.split("x"))
        told = {name: {k: torch.tensor(v) for k, v in row["scores"].items()} for name, row in rows.items()}
        good = {name: of["mae"] < DIVERGED for name, of in told.items()}
        rated = {name: summary({k: v[good[name]] for k, v in of.items()}) for name, of in told.items()}
        made += ["", _table(f"{bodies} bodies, {frames} frames", rows, rated)]
        if (bodies, frames) in PUBLISHED:
            made.append(f"  {NOTE}: {PUBLISHED[bodies, frames]}")
        made += [f"  diverged and not counted: {name}, {int((~kept).sum())} of {len(kept)}"
                 for name, kept in good.items() if not kept.all()]
        made += _bars(bodies, frames, rows, rated) + _help(rated)
    return [*made, "", f"{count} designs a seed; mean and half of the 95 % interval over the designs. Evaluations are "
            f"the network's, one after the other; rollouts the solver's, a design. {seconds:.0f} s for this run."]


def _table(title: str, rows: Cells, rated: Mapping[str, Mapping[str, Interval]]) -> Table:
    made = Table(title=title, title_justify="left")
    for name in ("row", "trajectory by", *COLUMNS.values(), "evalu-\nations", "roll-\nouts", "CPU s"):
        made.add_column(name, justify="left" if name in ("row", "trajectory by") else "right")
    for name, row in rows.items():
        told = row["facts"]
        made.add_row(name, told["by"], *(_interval(rated[name][k], k) for k in COLUMNS),
                     str(told["evaluations"] or "-"), f"{told['rollouts']:.3g}" if told["rollouts"] else "-",
                     f"{told['cpu_seconds']:.0f}")
    return made


def _interval(value: Interval, name: str) -> str:
    scale = SCALE.get(name, 1.0)
    digits = 0 if scale > 1 else 1 if name == "speed" else 4
    return f"{scale * value.mean:.{digits}f}" + ("" if scale > 1 else f" ±{value.half:.{digits}f}")


def _bars(bodies: int, frames: int, rows: Cells, rated: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """Of each of the study's rows, objective at the data's speed and, where it means something, MAE."""
    made = []
    for name, of in rated.items():
        if "whole study" not in name or (bodies, frames) not in BARS:
            continue
        bar, reached = BARS[bodies, frames], max(of["objective"].mean, of["finer"].mean)
        met = reached <= bar and of["speed"].mean >= SLOWEST and of["sunk"].mean == 0
        text = f"{name}: objective {reached:.4f} by the worse engine, bar {bar}, at {of['speed'].mean:.1f} px/s"
        if bodies == 2 and frames <= 54:
            met = met and of["mae"].mean <= MAE_BAR
            text += f"; MAE {of['mae'].mean:.4f}, bar {MAE_BAR} (trajectory by {rows[name]['facts']['by']})"
        made.append(f"  {'met    ' if met else 'NOT MET'}  {text}")
    return made


def _help(rated: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """Whether the solver mends what the network imagines better than packings, by as many rollouts."""
    if not {OURS, PACKED} <= set(rated):
        return []
    ours, packed = (max((rated[name][k] for k in ("objective", "finer")), key=lambda v: v.mean)
                    for name in (OURS, PACKED))
    apart = abs(ours.mean - packed.mean) > (ours.half**2 + packed.half**2) ** 0.5
    told = "the network helps the solver" if ours.mean < packed.mean else "packings are better"
    verdict = told if apart else "the network does not help the solver, nor harm it"
    return [f"  by as many rollouts: ours {ours.mean:.4f} ±{ours.half:.4f}, packings {packed.mean:.4f} "
            f"±{packed.half:.4f}: {verdict}"]
