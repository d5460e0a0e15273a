"""The tables: a line a row, means over seeds with half of Student's interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from rich.table import Table

from sciencegen import metrics

from .task import Question, Task

__all__ = ["tables"]

ENSEMBLE = ("crps", "crps/exact", "spread-skill", "coverage", "energy", "power", "power worst")
ROLLED = ("correlated", "counted", "std", "spectrum worst", "covariance", "lags")


def tables(task: Task, answers: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """A table a question."""
    names = list(dict.fromkeys(answer["row"] for answer in answers))
    for question in task.questions:
        found = {name: [a for a in answers if a["row"] == name and question.name in a["questions"]] for name in names}
        yield table(task, question, {name: several for name, several in found.items() if several})


def table(task: Task, question: Question, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """One question's; of an ensemble's score the leads stand side by side."""
    leads = ", ".join(map(str, question.leads))
    made = Table(title=f"{task.name}, {task.title}: {question.name}" + f", leads {leads}" * (question.members > 1))
    made.add_column("row")
    every = [a["questions"][question.name] for several in found.values() for a in several]
    names = [name for name in (*ENSEMBLE, *ROLLED, "finite") if any(read(answer, name) for answer in every)]
    for name in (*names, "calls", "CPU s", "training", "parameters", "starts x members"):
        made.add_column(name, justify="right")
    for row, several in found.items():
        answers = [a["questions"][question.name] for a in several]
        ready, first = several[0].get("ready", {}), answers[0]
        made.add_row(row, *(cell([read(answer, name) for answer in answers]) for name in names),
                     f"{first['calls']:.3g}", f"{first['seconds']:.3g}", number(ready.get("training")),
                     number(ready.get("parameters")), f"{first['starts']} x {first['members']}")
    return made


def read(answer: Mapping[str, Any], name: str) -> list[float | None]:
    """A score at all leads, or the one of a roll-out; nothing where it has none of that name."""
    if "leads" in answer:
        found = [scores.get(name) for scores in answer["leads"].values()]
        return found if any(value is not None for value in found) else []
    return [answer[name]] if answer.get(name) is not None else []


def cell(values: Sequence[Sequence[float | None]]) -> str:
    """Of several seeds' scores by lead, means with intervals."""
    return " / ".join(said(several) for several in zip(*values)) or "-"


def said(values: Sequence[float | None]) -> str:
    """A mean, and half of its interval where there are several."""
    if any(value is None for value in values):
        return "-"
    if len(values) < 2:
        return f"{values[0]:.3g}"
    mean, low, high = metrics.interval(torch.tensor(values, dtype=torch.float64))
    return f"{float(mean):.3g}+-{float(high - low) / 2:.2g}"


def number(value: float | None) -> str:
    """A cost, or that it is not known."""
    return "-" if value is None else f"{value:,.0f}"
