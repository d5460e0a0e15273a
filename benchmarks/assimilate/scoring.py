"""How an ensemble of trajectories is scored: error of the mean, CRPS, coverage, beside the exact answer's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import sciencegen as sg
from sciencegen import metrics

__all__ = ["Case", "frames_of", "observed", "over", "scored", "together"]


class Case(NamedTuple):
    """One trajectory, and what is read of it.

    Arguments:
        truth: ``(T, n)``.
        sensors: which of the ``n`` numbers are read.
        frames: that are read.
        values: ``(len(frames), len(sensors))``.
        noise: standard deviation of a reading.
    """

    truth: Tensor
    sensors: Sequence[int]
    frames: Sequence[int]
    values: Tensor
    noise: float


def observed(case: Case, layout: sg.Layout) -> sg.Observations:
    """As a user has it: times and places in the layout's units."""
    variable = layout.variables["u"]
    time, (dim,) = np.asarray(variable.coords["time"], float), variable.dims[1:]
    place = np.asarray(variable.coords[dim], float)
    step = time[1] - time[0]
    where = [[time[0] + step * t, place[k]] for t in case.frames for k in case.sensors]
    return sg.Observations({"u": sg.Readings(where, case.values.flatten().numpy(), case.noise)})


def frames_of(forecast: sg.Forecast) -> Tensor:
    """Members ``(M, T, n)``."""
    return torch.as_tensor(forecast.frames["u"].values[0]).double()


def scored(members: Tensor, truth: Tensor, since: int = 0) -> dict[str, float]:
    """Sums over frames from ``since`` on and over numbers, as means; of members ``(M, T, n)``."""
    members, truth = members[:, since:], truth[since:]
    error = (members.mean(0) - truth).square().mean()
    return {"square": float(error), "crps": float(metrics.crps(members, truth).mean()),
            "spread": float(members.var(0).mean()), "coverage": float(metrics.coverage(members, truth))}


def together(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Over cases: root mean squares, means, and half of Student's interval of the error."""
    mean = {k: float(np.mean([row[k] for row in rows])) for k in rows[0]}
    found = {"rmse": mean["square"] ** 0.5, "crps": mean["crps"], "spread": mean["spread"] ** 0.5,
             "coverage": mean["coverage"], "cases": len(rows)}
    return found | {k: v for k, v in mean.items() if k not in ("square", *found)}


def over(cases: Sequence[Case], answer: Callable[[Case, int], Tensor], since: int = 0) -> dict[str, Any]:
    """An answer's scores over all cases; of as many frames as it has."""
    found = []
    for index, case in enumerate(cases):
        members = answer(case, index)
        found.append(scored(members, case.truth[: members.shape[1]], since))
    return together(found)
