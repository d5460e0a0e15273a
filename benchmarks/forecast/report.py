"""The tables: a line a row, means over seeds with half of Student's interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from rich.table import Table

from sciencegen import metrics

from ..common.record import Line
from .task import Task

__all__ = ["LINES", "NOTE", "tables"]

ENSEMBLE = ("crps", "crps/exact", "spread-skill", "coverage", "energy", "rmse", "power", "power worst")
ROLLED = ("correlated", "correlated error", "counted", "std", "spectrum worst", "covariance", "lags", "nrmse",
          "finite")
LEARNED = ("network, squared error", "the same, noise on its input", "the same, dropout", "CRPS, noise as channels",
           "CRPS, one noise vector")  # those of as many starts or nearly
OURS, COARSE = ("ours, ancestral",), ("solver, 3/8 of the points",)
CHAOS = "F2, 40 frames ahead: Kuramoto-Sivashinsky, length 22, start error 10 %"
LINES = [Line("Forecast a linear stochastic field, 16 frames ahead", "CRPS over the exact one", "F1, 16 frames",
              "crps/exact", OURS, ("linear by wave number",), LEARNED, ("exact",), seeds="1"),
         Line("Forecast the Kuramoto-Sivashinsky equation from starts 10 % wrong, t = 20", "CRPS", CHAOS, "crps", OURS,
              COARSE, LEARNED, ("perfect model",), seeds="1"),
         Line("How long a roll-out of Kuramoto-Sivashinsky is right", "time units", "F2, roll-out", "correlated", OURS,
              COARSE, LEARNED, ("solver, half the points",), high=True, seeds="1")]
NOTE = """crps/exact: beside the score of the exact law by the same truth. spread-skill: 1 where members are as far
apart as they are wrong. power: the members' power over the truth's (where known, the exact law's), mean
and worst of wave numbers 1 to 10. correlated: time until a roll-out's correlation with the truth first
falls below 0.8; counted: of the mean over starts. covariance, lags: worst errors of the stationary law.
nrmse: APEBench's, the geometric mean over 100 frames; its network has its own 10,000 steps.
A row is trained for the CPU seconds that its column says: of ours, those of the shipped prior if there is one."""


def tables(task: Task, answers: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """A table for each question and, of an ensemble, for each lead."""
    for question in task.questions:
        found = [a for a in answers if question.name in a["questions"]]
        for lead in map(str, question.leads) if question.members > 1 else ("",):
            words = f"{task.name}, {lead} frames ahead" if lead else f"{task.name}, {question.name}"
            title = f"{words}: {task.title}" + f", {question.name}" * bool(lead)
            yield table(title, found, question.name, lead)


def table(title: str, answers: Sequence[Mapping[str, Any]], question: str, lead: str) -> Table:
    """A line a row: scores with half of their interval over seeds, then what they took."""
    made, scores = Table(title=title), [(a["row"], read(a["questions"][question], lead)) for a in answers]
    made.add_column("row")
    names = [name for name in (*ENSEMBLE, *ROLLED) if any(found.get(name) is not None for _, found in scores)]
    for name in (*names, "calls a frame", "CPU s", "training CPU s", "parameters", "starts", "members"):
        made.add_column(name, justify="right")
    for row in dict.fromkeys(row for row, _ in scores):
        several = [found for name, found in scores if name == row]
        first = next(a for a in answers if a["row"] == row)
        ready, cost = first.get("ready", {}), first["questions"][question]
        made.add_row(row, *(said([found.get(name) for found in several]) for name in names), f"{cost['calls']:.3g}",
                     f"{cost['seconds']:.3g}", number(ready.get("training")), number(ready.get("parameters")),
                     str(cost["starts"]), str(cost["members"]))
    return made


def read(answer: Mapping[str, Any], lead: str) -> Mapping[str, float | None]:
    """Scores of an answer at a lead, or of a roll-out."""
    return answer.get("leads", {}).get(lead, {}) if lead else answer


def said(values: Sequence[float | None]) -> str:
    """A mean, and half of its interval where there are several."""
    if any(value is None for value in values):
        return "-"
    if len(values) < 2:
        return f"{values[0]:.4g}"
    mean, low, high = metrics.interval(torch.tensor(values, dtype=torch.float64))
    return f"{float(mean):.4g} +- {float(high - low) / 2:.2g}"


def number(value: float | None) -> str:
    """A cost, or that it is not known."""
    return "-" if value is None else f"{value:,.0f}"
