r"""Trainings of windows of time: what suits a forecast where a user says nothing else, each chosen on held-out rows.

- The network corrects one of three chains in time (:mod:`sciencegen.states.markov`): with the covariance of what the
  regression leaves over, which suits noise; with one variance a part, which suits dynamics that are deterministic; or
  with the last frame in the regression's place, which suits those that are local and not linear. A few steps of
  training on each say of which the mean comes out better.
- What is given has a little noise, half of the rows know nothing else, and levels have learned weights
  (:mod:`sciencegen.priors.contexts`).
- What counts is how well the other frames are denoised where the first ones are given. If the network is no better at
  it than the best Gaussian, the model is that.
- The forecast's sampler is the one with the least CRPS of roll-outs on validation trajectories, or one that is as good
  at fewer calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..layout import View
from ..metrics import crps
from ..nets.suited import of_windows, suited
from ..priors import Denoiser
from ..priors.contexts import Context
from ..problem import Problem
from ..random import Streams
from ..sample import Refine
from ..states import States, markov
from ..tasks import forecast
from .bases import Choice, chained
from .fit import fit
from .recipe import Data, Training, contexts, together
from .rows import some
from .schedule import Levels
from .verdict import Verdict, knots

__all__ = ["applies", "base", "given_error", "judged", "sampled", "suit"]

JOINT = 0.1  # share of the rows that teach the joint
NOISE, MEANS = 0.005, 0.5  # of contexts
MARGIN = 0.01  # by which a network has to be better than the best Gaussian, which is drawn without a call
SURE = 0.9  # of the other's error: one variance a part is for dynamics of which a network learns more than noise
TRIAL, ROWS = 100, 256  # steps of a trial, and rows that are denoised
STARTS, MEMBERS, FRAMES = 16, 8, 32  # of validation roll-outs
NEAR, NOTHING = 1.01, 1e-3  # how near to the least CRPS, in units of the layout, fewer calls are as good
LEVELS = ((), (0.003,), (0.01,), (0.1, 0.01))  # below the highest, in the spread of what a regression leaves over


def applies(states: Data, how: Training) -> bool:
    """Whether these are windows of time of which nobody said what is to be given."""
    known = how.gaussian is not None or (isinstance(states, States) and chained(states))
    return how.kind is Denoiser and how.given is None and bool(contexts(states.layout)) and known


def suit(states: Data, how: Training) -> Training:
    """The training with what suits windows where it says nothing."""
    layout, usual, told = states.layout, Training(), contexts(states.layout)
    spread = _spread(states, how)
    levels = Levels(1e-3 * spread, 80.0, 0.2 * spread, 2.3) if how.levels == usual.levels else how.levels
    parts = 1 + len(how.marginals) + len(told)
    shares = how.shares or (JOINT, *[(1 - JOINT) / (parts - 1)] * (parts - 1))
    kind = partial(Denoiser, context=Context(NOISE, MEANS, levels.high, balanced=True))
    net = how.net or of_windows(layout, how.width, states.periodic) or suited(layout, how.width, states.periodic)
    return replace(how, kind=kind, net=net, given=told, shares=shares, levels=levels, gated=False,
                   batch=64 if how.batch == usual.batch else how.batch)


def base(states: Data, how: Training, best: Choice, out: Path, make: Any) -> Choice:
    """The Gaussian that a network learns most about in a few steps: the best one, or one of one variance a part."""
    if how.gaussian is not None or not len(states.valid) or not isinstance(states, States):
        return best
    single = Choice(markov(states, single=True), "Markov, one variance a part", best.errors)
    last = Choice(markov(states, single=True, persistent=True), "last frame, one variance a part", best.errors)
    steps = max(min(TRIAL, (how.steps or 10 * TRIAL) // 10), 1)
    view, errors = how.views(states.layout)[1][-1], []  # most is known: what is left is the dynamics'
    for k, choice in enumerate((best, single, last)):
        trained = fit(make(choice), states.train, out / f"trial-{k}", steps, batch=how.batch, rate=how.rate,
                      levels=how.levels, shares=how.shares, seed=how.seed, progress=False)
        errors.append(mean_error(trained.prior, _some(states.valid, trained.prior, states), view, how.levels.high))
    least, other = min(zip(errors[1:], (single, last)), key=lambda pair: pair[0])
    return other if least < SURE * errors[0] else best


def mean_error(energy: Energy, rows: Tensor, view: View, high: float) -> float:
    """The mean squared error of the other coordinates' mean where ``view``'s are given, at the highest level from 0."""
    known = rows.index_copy(1, view.rest.to(rows.device), torch.zeros_like(rows[:, view.rest]))
    with torch.no_grad():
        return float((energy.given(view).mean(known, high) - rows)[:, view.rest].square().mean())


def given_error(energy: Energy, rows: Tensor, view: View, sigmas: Tensor) -> float:
    """The denoising error of the other coordinates where ``view``'s are given, mean over levels: 1 of the identity."""
    known, noise, errors = energy.given(view), Streams(torch.arange(len(rows))).to(rows.device), []
    free = torch.ones_like(rows[0])
    free[view.rows] = 0.0
    with torch.no_grad():
        for k, sigma in enumerate(sigmas.tolist()):
            x = rows + sigma * free * noise.at(k).normal(rows.shape[1], rows.dtype)
            errors.append((free * (known.mean(x, sigma) - rows) / sigma).square().sum() / (free.sum() * len(rows)))
    return float(torch.stack(errors).mean())


def judged(network: Energy, gaussian: Energy, states: Data, how: Training) -> Verdict:
    """The verdict on a network by the error of what is not given, on rows that nothing was chosen by."""
    view = how.views(states.layout)[1][0]
    for rows, name in ((states.test, "test"), (states.valid, "validation")):
        if len(rows):
            held = _some(rows, network, states)
            errors = [given_error(one, held, view, knots(how.levels)) for one in (network, gaussian)]
            return Verdict(errors[0], errors[1], name, MARGIN)
    return Verdict()


def sampled(energy: Energy, states: Data, how: Training) -> dict[str, Any]:
    """How windows are best drawn, as :func:`sciencegen.tasks.forecast` reads it from a model; {} where nobody knows."""
    starts = _starts(states) if isinstance(states, States) else None
    if not isinstance(states, States) or starts is None:
        return {}
    length, high, spread = states.length, how.levels.high, _spread(states, how)
    found = []
    for memory in sorted({1, length // 2, length - 1} & set(range(1, length))):
        for below in (None, *LEVELS):
            levels = None if below is None else [high, *(f"{level * spread:.3g}" for level in below)]
            levels = None if levels is None else [float(level) for level in levels]
            found.append({"memory": memory, "levels": levels, "crps": _score(energy, states, starts, memory, levels)})
    least = min(one["crps"] for one in found)
    near = [one for one in found if one["crps"] <= NEAR * least + NOTHING]
    return {**min(near, key=_calls), "tried": found}


def _calls(one: Mapping[str, Any]) -> float:
    """Calls of the network a window, the usual sampler's last."""
    return math.inf if one["levels"] is None else len(one["levels"])


def _score(energy: Energy, states: States, starts: Mapping[str, Tensor], memory: int, levels: Sequence[float] | None
           ) -> float:
    """The mean CRPS of validation roll-outs, in units of the layout."""
    layout, moving = states.layout, [k for k, v in states.layout.variables.items() if v.dims[:1] == ("time",)]
    seen = {k: v[:, None, :memory] if k in moving else v[:, None] for k, v in starts.items()}
    horizon = next(iter(starts[k] for k in moving)).shape[1] - memory
    history, given = ({k: v for k, v in seen.items() if (k in moving) == there} for there in (True, False))
    sampler = None if levels is None else Refine.at(*levels)
    made = forecast(Problem(layout, energy), history, horizon, MEMBERS, given or None, sampler=sampler, memory=memory,
                    seeds=torch.arange(MEMBERS), progress=False)
    scores = []
    for name in moving:
        drawn = torch.as_tensor(made.frames[name].values).transpose(0, 1).double()
        scale = float(torch.as_tensor(layout.variables[name].scale).mean())
        scores.append(float(crps(drawn, starts[name][:, memory:].double()).mean()) / scale)
    score = sum(scores) / len(scores)
    return float(f"{score:.4g}") if math.isfinite(score) else math.inf


def _starts(states: States) -> dict[str, Tensor] | None:
    """Validation trajectories from a few starts, ``{part: (starts, frames, ...)}``; None where they are too short."""
    frames = min(states.data.sizes.get("time", 1), states.length + FRAMES)
    if not len(states.valid) or frames <= states.length or "sample" not in states.data.sizes:
        return None
    rows = states.longer(frames).valid
    index = torch.linspace(0, len(rows) - 1, min(STARTS, len(rows)), dtype=torch.float64).round().long()
    return rows.physical(index.tolist())


def _spread(states: Data, how: Training) -> float:
    """The standard deviation of the other frames given the first, in units of the layout."""
    gaussian = markov(states, single=True) if how.gaussian is None else how.gaussian
    first = [(name, 1) for name, variable in states.layout.variables.items() if variable.dims[:1] == ("time",)]
    known = gaussian.given(together(states.layout, first))
    inside = getattr(known, "rest", None)
    return max(float(inside.variances.mean().sqrt()), 1e-3)


def _some(rows: Any, energy: Energy, states: Data) -> Tensor:
    return some(rows, min(len(rows), ROWS), states.layout.size).to(next(energy.parameters()))
