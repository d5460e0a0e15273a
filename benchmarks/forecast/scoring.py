"""Scores of an answer, by lead; what an exact forecast has is said beside them where it is known."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from sciencegen import metrics

from .task import Drawn, Question

__all__ = ["scored"]

LASTING = 0.999  # of the power: wave numbers that a long roll-out has to have right


def scored(question: Question, drawn: Drawn, frame: float) -> dict[str, Any]:
    """Scores by lead, JSON-ready, with what the answer took."""
    frames = drawn.frames.double()
    truth = question.truth[: frames.shape[1], : frames.shape[2]].double()
    finite = frames.isfinite().flatten(2).all(-1)
    found = {"starts": frames.shape[1], "members": len(frames), "horizon": frames.shape[2], "calls": drawn.calls,
             "seconds": drawn.seconds, "finite": float(finite.double().mean())}
    if question.members > 1:
        found["leads"] = {str(m): _at(question, frames[:, :, m - 1], truth[:, m - 1], i)
                          for i, m in enumerate(question.leads) if m <= frames.shape[2]}
        return found
    more = {} if question.judge is None else dict(question.judge(frames[0]))
    return found | _lasting(frames[0], truth, frame) | more


def _at(question: Question, members: Tensor, truth: Tensor, index: int) -> dict[str, float]:
    """Scores ``()`` of ``members (M, starts, *space)`` at a lead."""
    if not bool(members.isfinite().all()):
        return {}
    axes = truth.ndim - 1
    mean = members.mean(0)
    found = {"crps": metrics.crps(members, truth).mean(), "spread-skill": metrics.spread_skill(members, truth),
             "coverage": metrics.coverage(members, truth),
             "energy": metrics.energy_score(members, truth, axes).mean() / math.sqrt(truth[0].numel()),
             "rmse": (mean - truth).square().mean().sqrt()}
    power = metrics.spectrum(members, axes).mean((0, 1))
    wanted = metrics.spectrum(truth, axes).mean(0)
    if "power" in question.expected:
        wanted = question.expected["power"][index][: len(truth)].mean(0)
        found["crps/exact"] = found["crps"] / question.expected["crps"][index][: len(truth)].mean()
    ratio = (power / wanted)[1: question.top + 1]
    found |= {"power": ratio.mean(), "power worst": ratio[(ratio - 1).abs().argmax()]}
    return {name: float(value) for name, value in found.items()}


def _lasting(frames: Tensor, truth: Tensor, frame: float) -> dict[str, float]:
    """How long a roll-out ``(starts, horizon, *space)`` is right, and what it is like at its end."""
    axes = truth.ndim - 2
    time = metrics.high_correlation_time(frames, truth, frame, axes=axes)
    first = time.first.double()
    end = frames[:, frames.shape[1] // 2:]
    like = truth[:, truth.shape[1] // 2:]
    found = {"correlated": first.mean(), "correlated error": first.std() / math.sqrt(len(first)),
             "counted": time.counted}
    if bool(end.isfinite().all()) and float(end.abs().max()) < 1e3 * float(like.abs().max()):
        power, wanted = (metrics.spectrum(v, axes).mean((0, 1)) for v in (end, like))
        carrying = wanted.cumsum(0) / wanted.sum() < LASTING
        ratio = (power / wanted)[carrying][1:]
        found |= {"std": end.std() / like.std(), "spectrum worst": ratio[(ratio - 1).abs().argmax()]}
    return {name: float(value) for name, value in found.items()}
