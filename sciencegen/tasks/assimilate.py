"""Assimilation: what readings at any time leave possible of a trajectory, by an ensemble."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
import xarray
from torch import Tensor

from ..forecasts import Forecast
from ..layout import Layout
from ..measure import Measurement
from ..observations import Observations
from ..priors import Model
from ..problem import Problem
from ..sample import Sampler
from .chains import Chain, framed
from .doors import check_count, check_whole
from .forecast import chosen, usual
from .histories import Times, known_of, labelled
from .particles import Particles
from .sampling import counted, versions
from .sources import draws_of, start_of, told
from .sweeps import Kalman, told_of

__all__ = ["assimilate"]

FEW = 8  # numbers of what is carried from window to window, for which particles are enough


def assimilate(model: Model | Problem, observations: Observations, horizon: int, members: int = 64,
               mode: Literal["smooth", "filter"] = "smooth", ahead: int = 0, history: Any = None,
               method: Kalman | Particles | None = None, sampler: Sampler | None = None, memory: int | None = None,
               seeds: Tensor | None = None, device: torch.device | str | None = None) -> Forecast:
    """An ensemble of trajectories of ``horizon`` frames, by a prior of windows, given readings of any of them.

    A smoother's frames know all readings, a filter's those up to their own time. From window to window goes what is
    believed of the frames that both share (:mod:`sciencegen.tasks.sweeps`): in closed form, as Kalman's filter and the
    smoother of Rauch, Tung and Striebel, where the prior is a Gaussian; by members where it is not; by particles
    (:mod:`sciencegen.tasks.particles`) where a frame is of a few numbers. Parameters are carried with the frames, and
    counted once. What was read beside what was expected is told in ``config["readings"]`` of what comes back.

    Arguments:
        model: a trained prior of windows, or a problem of one; its parts in time have an axis ``time``, the first.
        observations: readings of its parts, with the time first among their coordinates: in the layout's unit, where
            the first frame of the horizon has the time of a window's first.
        horizon: frames.
        members: of the ensemble.
        mode: ``"smooth"`` or ``"filter"``.
        ahead: frames of forecast behind the horizon.
        history: frames before the horizon's first, one for all or one of each member (of an earlier filter, or of a
            climatology); by default the first window is drawn from the prior.
        method: how members are updated: :class:`Kalman`, or :class:`Particles`; what suits the prior unless given.
        sampler: of a window; the one that was best in training, else one that suits the prior, unless given.
        memory: frames that a window is told of the one before; what the model says, else up to half a window.
        seeds: ``(members,)``, one random stream each; fresh ones by default.
        device: where the prior runs; its own unless given.

    Raises:
        KeyError, ValueError: parts, readings or a memory that do not fit the prior or the horizon.
        TypeError: a prior that does not know how windows go on, or has no joint law to begin with.
    """
    facts = model.training if isinstance(model, Model) else {}
    problem = (model.problem() if isinstance(model, Model) else model).to(device)
    _check(problem, horizon, members, mode, ahead)
    known = None if history is None else known_of(problem.layout, history, "history")
    window = _window(problem, facts, horizon + ahead, memory, known is not None)
    measure = _measure(observations, problem.layout, horizon)
    method = method or _suited(problem, window)
    chain = _shortened(window) if isinstance(method, Particles) else window
    sights = chain.sights(measure, horizon, observations.data, observations.noise)
    check_count(members, problem.size)
    seeds = torch.randint(0, 2**62, (members,)) if seeds is None else _seeds(seeds, members)
    start = None if known is None else start_of(window, known, members)
    whole, sampler = sampler or usual(problem.prior), sampler or chosen(problem.prior, facts)
    began = time.perf_counter()
    with counted(problem.prior) as calls:
        made = method(chain, sights, draws_of(problem, chain, window, sampler, whole, seeds, start), mode == "smooth")
    frames = _frames(chain, made.states)
    return Forecast(
        frames=frames, history=frames.isel(time=slice(0)), weights=np.zeros((1, members)), status=0,
        message="finished", nfev=len(calls), seeds=seeds.numpy()[None],
        config={"mode": mode, "horizon": horizon, "ahead": ahead, "memory": chain.memory, "method": repr(method),
                "sampler": repr(sampler), "prior": repr(problem.prior), "readings": told_of(made, observations),
                "seconds": time.perf_counter() - began, "versions": versions()})


def _check(problem: Problem, horizon: int, members: int, mode: str, ahead: int) -> None:
    if problem.known is not None or problem.laws is not None:
        raise ValueError("got a problem with laws, or in which something is given already; expected a prior alone")
    if mode not in ("smooth", "filter"):
        raise ValueError(f"got mode={mode!r}; expected 'smooth' or 'filter'")
    for name, number in (("horizon", horizon), ("members", members), *([("ahead", ahead)] if ahead else [])):
        check_whole(name, number)
    if members < 2:
        raise ValueError(f"got members={members}; expected 2 or more, as their spread is what is updated")


def _seeds(seeds: Any, members: int) -> Tensor:
    seeds = torch.as_tensor(seeds)
    if tuple(seeds.shape) != (members,) or seeds.is_floating_point():
        raise ValueError(f"got seeds of shape {tuple(seeds.shape)}; expected ({members},) integers, one a member")
    return seeds.long()


def _window(problem: Problem, facts: Mapping[str, Any], horizon: int, memory: int | None, history: bool) -> Chain:
    """The chain of the prior's own windows."""
    length = Chain(problem.layout, 1, horizon).length if problem.layout.variables else 0
    if memory is not None and not 1 <= memory < length:
        raise ValueError(f"got memory={memory}; expected 1 to {length - 1}, less than the frames of a window")
    wanted = facts.get("forecast", {}).get("memory", max(length // 2, 1)) if memory is None else memory
    return told(problem.prior, lambda n: Chain(problem.layout, n, horizon, history), min(wanted, length - 1),
                memory is not None)


def _shortened(window: Chain) -> Chain:
    """Windows of twice the memory: a step of particles is as many frames as it is told."""
    length = min(2 * window.memory, window.length)
    return window if length == window.length else replace(window, layout=framed(window.layout, length))


def _suited(problem: Problem, window: Chain) -> Kalman | Particles:
    few = len(window.carried.rows) <= FEW and len(window.moving) == len(window.layout.variables)
    return Particles() if few and problem.prior.closed() is None and 2 * window.memory <= window.length else Kalman()


def _measure(observations: Observations, layout: Layout, horizon: int) -> Measurement:
    """All readings as one measurement; ValueError for one that is not of the horizon."""
    seen = framed(layout, horizon)
    for name, readings in observations.readings.items():
        variable = seen.variables.get(name)
        if variable is None or variable.dims[:1] != ("time",) or horizon < 2:
            continue
        times = np.asarray(variable.coords.get("time", np.arange(horizon)), float)
        half, read = 0.5 * (times[1] - times[0]), readings.coordinates[:, 0]
        if read.min() < times[0] - half or read.max() > times[-1] + half:
            raise ValueError(f"got readings of '{name}' at times {read.min():g} to {read.max():g}; expected "
                             f"{times[0]:g} to {times[-1]:g}, the {horizon} frames of the horizon, which may be longer")
    return observations.measure(seen)


def _frames(chain: Chain, states: Tensor) -> xarray.Dataset:
    """The horizon's frames and what has no time, labelled."""
    layout = framed(chain.layout, chain.horizon)
    parts = layout.unpack(states[:, chain.places(chain.horizon)].float())
    made = labelled(layout, {name: value[None].cpu() for name, value in parts.items()})
    return _times(layout).told(made, np.arange(1, chain.horizon + 1))


def _times(layout: Layout) -> Times:
    """The frame before the first, and the step, as a forecast counts."""
    own = next((v.coords["time"] for v in layout.variables.values() if "time" in v.coords), None)
    if own is None or len(own) < 2:
        return Times(-1.0, 1.0, {})
    values = np.asarray(own, float)
    step = float(values[1] - values[0])
    return Times(float(values[0]) - step, step, dict(getattr(own, "attrs", {})))
