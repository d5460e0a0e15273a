"""Forecast: how a trajectory goes on after frames that are known, by an ensemble."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor
from tqdm.auto import tqdm

from ..energy import Energy
from ..exponential import Exponential
from ..forecasts import Forecast
from ..priors import Model
from ..problem import Parts, Problem
from ..random import Streams, spares
from ..sample import Refine, Sampler, karras
from .doors import check_count, check_whole
from .histories import Start, Times, labelled, times_of
from .lawful import lawful
from .rollout import Frames, Rollout, Window
from .sampling import counted, versions
from .scatter import Pool, scattered, split
from .tilt import joined, likely

__all__ = ["forecast"]

STEPS, LOW, ABOVE = 12, 0.01, 3.0  # of the sampler: noise levels, the last, the first over the largest deviation
POINTS = 64  # that members are drawn about under an objective, at most


def forecast(model: Model | Problem, history: Any, horizon: int, members: int = 32, given: Any = None,
             laws: Energy | None = None, objective: Parts | None = None, weight: float = 1.0,
             sampler: Sampler | None = None, memory: int | None = None, seeds: Tensor | None = None,
             device: torch.device | str | None = None, progress: bool = True, executor: Pool | None = None) -> Forecast:
    """An ensemble of how the frames in ``history`` go on for ``horizon`` more, by a prior of windows of them.

    Window after window, each drawn given the clean end of the last (:mod:`sciencegen.tasks.rollout`): exact where the
    frames are a Markov chain of an order up to ``memory`` and the prior is. Where the prior is a Gaussian a window is
    drawn in closed form, without a call of a network. The same seeds give the same members, whatever else is forecast.

    Arguments:
        model: a trained prior of windows, or a problem of one; its parts in time have an axis ``time``, the first.
        history: the last frames that are known of each part in time: a data set, a dictionary, or an array where there
            is one such part. ``(h, *rest)`` for all, ``(members, h, *rest)``, or ``(samples, members or 1, h, *rest)``;
            arrays of xarray say by their dims (``sample``, ``member``, ``time``) which they are.
        horizon: frames to come, any number.
        members: of the ensemble of each sample.
        given: what else is known, in the same forms: parts without time (parameters, which otherwise are drawn in the
            first window and then held), and parts in time that are known ahead (forcings): their ``horizon`` frames,
            or all of them where ``history`` lacks them.
        laws: energies of a window that it obeys, beside the problem's (:mod:`sciencegen.tasks.lawful`). For a
            stochastic system a residual has the kicks' standard deviation as its ``noise``.
        objective: ``(**parts) -> (rows,)`` of the horizon's frames ``(rows, horizon, ...)`` and what is fixed, low is
            good: members are drawn where it is low, with weights (:mod:`sciencegen.tasks.tilt`).
        weight: of the objective, an inverse temperature.
        sampler: of a window; one that suits the prior unless given.
        memory: frames that a window is told of the one before; what the model says, else up to half a window.
        seeds: ``(members,)`` or ``(samples, members)``, one random stream each; fresh ones by default.
        device: where to run; the prior's unless given.
        executor: anything with ``submit``, to draw parts of all members at the same time: the same, to rounding
            (:mod:`.scatter`); not under an objective, which weighs members against each other. ``device`` is the
            workers'.

    Raises:
        KeyError, ValueError: parts, shapes, times or a memory that the prior does not have.
        TypeError: a prior that does not know how windows go on.
    """
    facts = model.training if isinstance(model, Model) else {}
    if executor is not None and objective is not None:
        raise ValueError("got an objective and an executor; expected one of them: leave the executor out")
    problem = model.problem(laws) if isinstance(model, Model) else _lawed(model, laws)
    problem = problem if executor is not None else problem.to(device)
    for name, number in (("horizon", horizon), ("members", members)):
        check_whole(name, number)
    start = Start.of(problem.layout, history, given, horizon, members)
    times = times_of(problem.layout, history, start.history)
    sampler = sampler or chosen(problem.prior, facts)
    roll = _rollout(problem, start, facts, sampler, memory)
    windows = roll.windows(start.history, horizon, start.fixed)
    check_count(start.samples * members, problem.size)
    streams = Streams(_seeds(seeds, start.samples, members).flatten().to(problem.device))
    noise, weights = _tilted(problem, roll, windows, start, horizon, members, streams, objective, weight)
    began = time.perf_counter()
    if executor is None:
        with counted(problem.prior) as calls, torch.no_grad():
            steps = roll(windows, start.rows(members, problem.device), noise)
            pieces, stopped = _walked(tqdm(steps, "forecast", len(windows), disable=None if progress else True))
    else:
        walk = partial(_part, problem, facts, start, sampler, memory, horizon, members, device)
        pieces, calls = _joined(executor, walk, streams.seeds, progress)
        stopped = False
    return Forecast(
        frames=_frames(roll, start, times, pieces, horizon, members), history=_history(roll, start, times, members),
        weights=weights, status=int(stopped), message="finished" if not stopped else (
            f"interrupted after {len(pieces)} of {len(windows)} windows; later frames are missing"),
        nfev=len(calls), seeds=streams.seeds.cpu().reshape(start.samples, members).numpy(),
        config={"memory": windows[-1].memory, "first memory": windows[0].memory, "sampler": repr(sampler),
                "prior": repr(problem.prior), "seconds": time.perf_counter() - began, "versions": versions()})


def _part(problem: Problem, facts: Mapping[str, Any], start: Start, sampler: Sampler, memory: int | None, horizon: int,
          members: int, device: torch.device | str | None, rows: Tensor, seeds: Tensor) -> tuple[list[Any], list[None]]:
    """All windows of some members, on a worker, and the calls that they took."""
    problem = problem.to(device)
    roll = _rollout(problem, start, facts, sampler, memory)
    known = {k: v[rows.to(v.device)] for k, v in start.rows(members, problem.device).items()}
    with counted(problem.prior) as calls, torch.no_grad():
        windows = roll.windows(start.history, horizon, start.fixed)
        pieces, stopped = _walked(roll(windows, known, Streams(seeds.to(problem.device))))
    if stopped:
        raise KeyboardInterrupt
    return pieces, calls


def _joined(executor: Pool, walk: Callable[..., Any], seeds: Tensor, progress: bool
            ) -> tuple[list[dict[str, Tensor]], list[None]]:
    """The windows of all members from those of its parts, and all calls."""
    parts = split(len(seeds))
    done = scattered(executor, walk, [(rows, seeds[rows].cpu()) for rows in parts], parts, progress, "forecast")
    pieces = [{k: torch.cat([part[k] for part in window]) for k in window[0]} for window in zip(*(p for p, _ in done))]
    return pieces, [call for _, calls in done for call in calls]


def usual(prior: Energy, steps: int = STEPS) -> Sampler:
    """A sampler for windows of a prior: from well above its Gaussian's deviations down to what a finish resolves."""
    inside = prior.gaussian()
    high = 80.0 if inside is None else ABOVE * float(inside.variances.max()) ** 0.5
    return Exponential(karras(steps, max(LOW, prior.lowest), min(max(high, 10 * LOW), 80.0)))


def chosen(prior: Energy, facts: Mapping[str, Any]) -> Sampler:
    """The sampler that was best on validation trajectories of a training, else the usual one."""
    levels = facts.get("forecast", {}).get("levels")
    return Refine.at(*levels) if levels else usual(prior)


def _lawed(problem: Problem, laws: Energy | None) -> Problem:
    if problem.known is not None:
        raise ValueError("got a problem in which something is given already; expected it as forecast(..., given=...)")
    return problem if laws is None else replace(problem, laws=laws if problem.laws is None else problem.laws + laws)


def _rollout(problem: Problem, start: Start, facts: Mapping[str, Any], sampler: Sampler, memory: int | None) -> Rollout:
    frames, prior, laws = Frames(problem.layout, start.forced), problem.prior, problem.laws
    if memory is not None and not 1 <= memory < frames.length:
        raise ValueError(f"got memory={memory}; expected 1 to {frames.length - 1}, less than the frames of a window")
    told = facts.get("forecast", {}).get("memory") if memory is None else memory
    dtype = next((t.dtype for t in (*prior.parameters(), *prior.buffers()) if t.is_floating_point()), torch.float32)
    draw = lambda view: prior.ahead(view, sampler) if laws is None else lawful(prior, laws, view, sampler)
    return Rollout(frames, draw, max(frames.length // 2, 1) if told is None else told, memory is not None, dtype)


def _tilted(problem: Problem, roll: Rollout, windows: Sequence[Window], start: Start, horizon: int, members: int,
            streams: Streams, objective: Parts | None, weight: float) -> tuple[Any, np.ndarray]:
    """The random numbers of all rows, and the members' log weights ``(S, M)``."""
    if objective is None:
        return streams, np.zeros((start.samples, members))
    inside = problem.prior.gaussian()
    if inside is None or problem.laws is not None or any(v.shape[1] > 1 for v in start.parts.values()):
        raise ValueError(f"got an objective for {problem.prior!r}" + (" under laws" if problem.laws is not None else "")
                         + "; expected a prior with a Gaussian inside, without laws, and one history a sample: an "
                         "objective moves what windows start from by the Gaussian")
    draws = {window.view: inside.ahead(window.view, None) for window in windows}
    near = [replace(window, ahead=draws[window.view]) for window in windows]
    points = min(POINTS, max(members // 16, 2))
    first = streams.seeds.reshape(start.samples, members)[:, 0]
    shifts = likely(roll, near, start.rows(1, problem.device), objective, weight, horizon, points, first)
    return shifts.numbers(streams, members), shifts.weights(streams, members).cpu().numpy()


def _seeds(seeds: Tensor | None, samples: int, members: int) -> Tensor:
    """``(samples, members)``."""
    if seeds is None:
        return torch.randint(0, 2**62, (samples, members))
    seeds = torch.as_tensor(seeds)
    if tuple(seeds.shape) not in ((members,), (samples, members)) or seeds.is_floating_point():
        raise ValueError(f"got seeds of shape {tuple(seeds.shape)}; expected ({members},) or ({samples}, {members}) "
                         "integers, one a member")
    return seeds if seeds.ndim > 1 else spares(seeds, samples * members).reshape(samples, members)


def _walked(steps: Iterable[dict[str, Tensor]]) -> tuple[list[dict[str, Tensor]], bool]:
    """What all windows brought, on the CPU, and whether an interrupt came; it is raised if there is nothing yet."""
    pieces: list[dict[str, Tensor]] = []
    try:
        for parts in steps:
            pieces.append({k: v.cpu() for k, v in parts.items()})
    except KeyboardInterrupt:
        if not pieces:
            raise
        return pieces, True
    return pieces, False


def _frames(roll: Rollout, start: Start, times: Times, pieces: Sequence[Mapping[str, Tensor]], horizon: int,
            members: int) -> xarray.Dataset:
    """The horizon's frames, and what was drawn in the first window, labelled."""
    frames, rows = roll.frames, (start.samples, members)
    found = {k: v for k, v in joined(pieces, roll, horizon).items() if k not in start.fixed}
    made = labelled(frames.layout, {k: v.reshape(*rows, *v.shape[1:]) for k, v in found.items()})
    lead = np.arange(1, made.sizes["time"] + 1)
    return times.told(made, lead).assign_coords({} if start.labels is None else {"sample": start.labels})


def _history(roll: Rollout, start: Start, times: Times, members: int) -> xarray.Dataset:
    found = {k: start.parts[k][:, :, : start.history] for k in roll.frames.drawn}
    rows = (start.samples, members)
    made = labelled(roll.frames.layout, {k: v.cpu().expand(*rows, *v.shape[2:]) for k, v in found.items()})
    lead = np.arange(1 - start.history, 1)
    return times.told(made, lead).assign_coords({} if start.labels is None else {"sample": start.labels})
