"""An inverse problem of a known equation from a file of observations: what ``sciencegen invert NAME`` does.

The prior is over the parts of a system, what is given and what it leads to; what the sensors read conditions it
(:func:`sciencegen.tasks.invert`), whichever part they read. The noise schedule begins far above the prior's largest
standard deviation (:func:`levels`), so that nothing of the prior is left in the start. Samples are judged by their
misfit and by the equation (:mod:`.judge`). With ``law`` each sample's solution is solved anew for what it has given, so
that it obeys the equation to rounding, and the misfit says what that costs: nothing for a linear equation, whose prior
knows it already, and much where a sample is wrong in a place that the solution feels.

Rock of two materials is the sign of a hidden level, whose prior it has; there the solver itself is in the loop
(:mod:`.level_set`).
"""

from __future__ import annotations

import copy
import math
import os
from dataclasses import replace

import numpy as np
import torch
import xarray
from torch import Tensor

from ...energy import Energy
from ...layout import Layout
from ...measure import Measurement
from ...observations import Observations, observe
from ...physics import SYSTEMS, Part, System, resolve
from ...priors import Model, zoo
from ...result import Result
from ...sample import Multistep, karras
from ...tasks import Problem, invert
from ...tasks.doors import check_count
from ...train import Levels
from . import level_set
from .judge import admitted, judged
from .level_set import hidden
from .pairs import fits, parts_layout

__all__ = ["check", "example", "levels", "model_of", "readable", "solve", "system_of"]

ABOVE = 10.0  # the first noise level over the largest standard deviation
TRAINED = Levels().high  # the highest noise level that networks are trained at
LOWEST = 0.02
MATTERS = 0.95  # of the Gaussian's held-out loss, above which a network changes little


def levels(prior: Energy, steps: int, low: float = LOWEST, highest: float = math.inf,
           dtype: torch.dtype | None = None) -> Tensor:
    """Karras' noise schedule, from ten times the largest standard deviation of the prior's Gaussian.

    A start at level s forgets all but ``1 / (1 + (s / deviation)^2)`` of a direction's variance: one percent here. From
    below it, posterior means are pulled to the prior's and spreads come out too small. ``highest`` is a level that is
    not gone beyond: of a network that matters, the highest that it was trained at. The schedule ends at ``low``, or at
    the lowest that the network was trained at.
    """
    low = max(low, prior.lowest)
    known = prior.gaussian()
    high = TRAINED if known is None else ABOVE * float(known.variances.max()) ** 0.5
    return karras(steps, low, max(min(high, highest), 2 * low), dtype=dtype)


def model_of(name: str, directory: str | os.PathLike | None = None) -> Model:
    """The prior in ``directory``, or the one of the zoo; KeyError where there is none."""
    if directory is not None:
        return Model.load(directory)
    if name not in SYSTEMS and ":" not in name:
        raise KeyError(f"no system '{name}'; there are {', '.join(SYSTEMS)}, and your own as module:Class")
    try:
        return zoo(name)
    except KeyError as error:
        raise KeyError(f"{error.args[0]}; train one by `sciencegen train {name}` and name its directory with "
                       "--model") from error


def system_of(name: str, layout: Layout) -> System:
    """The system called ``name`` on the grid of ``layout``; ValueError where its parts are other ones."""
    shape = list(layout.variables.values())[-1].shape
    system = resolve(name, shape[-1] if shape else 1)
    if not fits(system, layout) and not hidden(system, layout):
        wanted = {part: value.shape for part, value in system.parts.items()}
        raise ValueError(f"got a prior of {layout} for {name}; expected one of {wanted}: name the system that it was "
                         "trained for")
    return system


def example(system: System, layout: Layout, case: int = 0, sensors: int = 60, noise: float = 0.01) -> Observations:
    """What ``sensors`` at random places would read of the solution of a case of the test split (seed 1)."""
    layout = readable(system, layout)
    (name, part), given = list(system.parts.items())[-1], system.draw(1, 1, case)
    truth = {k: v[0] for k, v in given.items()} | {name: system.solve(**given)[0]}
    low, high = np.array([_edges(part, dim, n) for dim, n in zip(part.dims, part.shape) if n > 1]).T
    where = np.random.default_rng(case).uniform(0.02, 0.98, (sensors, len(low)))
    return observe(layout, truth, {name: low + where * (high - low)}, noise, seed=case)


def readable(system: System | None, layout: Layout) -> Layout:
    """The parts that sensors may read: the prior's own, or those behind which its level is hidden."""
    return parts_layout(system) if system is not None and hidden(system, layout) else layout


def _edges(part: Part, dim: str, n: int) -> tuple[float, float]:
    """The ends of an axis, half a cell beyond the outermost centres."""
    values = np.asarray(part.coords.get(dim, np.arange(n)), float)
    return 1.5 * values[0] - 0.5 * values[1], 1.5 * values[-1] - 0.5 * values[-2]


def solve(model: Model, observations: Observations, system: System | None = None, count: int = 64, seed: int = 0,
          steps: int = 20, law: bool = False, device: str = "cpu", progress: bool = True) -> Result:
    """Sample the posterior of the parts given what was observed.

    Its ``data`` has the ``misfit`` of each sample in units of the noise and, where there is a system, the ``residual``
    of each (non-dimensional; see the physics), with those of the truth and of a solution of zero as attributes; a
    sample whose misfit the noise does not explain is no success. Values outside of a part's admissible range are set to
    its end, which the message says. Where the prior is far from a Gaussian (a rock in channels) the measurement takes
    its network's own covariance, at a few times the cost.

    Arguments:
        steps: of the sampler; of a hidden level, whose levels follow from the data, a quarter as many at their end.
        law: solve the equation for each sample's solution, as of a hidden level is always done.
        device: where to sample, as cpu or cuda; of a hidden level on the CPU, where the solver is.
    """
    measure = check(model, observations, system, count, seed, steps, law)
    if hidden(system, model.layout):
        found = level_set.solve(model, observations, system, measure, count, seed, max(steps // 4, 1), progress)
        return judged(replace(found, config=found.config | {"system": repr(system), "seed": seed, "steps": steps}),
                      system, measure)
    prior = copy.deepcopy(model.energy).requires_grad_(False)
    split = len(model.training.get("ranks", ())) > 1  # of parts that are not alike, as rock and pressure
    matters = _matters(model, split)
    sampler = Multistep(levels(prior, steps, highest=TRAINED if matters else math.inf))
    result = invert(Problem(model.layout, prior), measure, observations.data, observations.noise, sampler, count,
                    torch.arange(count) + seed * 2**20, progress, observations.truth or None,
                    8 if matters and split else None, device)
    asked = {"system": repr(system), "law": law, "seed": seed, "steps": steps, "device": device}
    result = replace(result, config=result.config | asked)
    if system is not None:
        result = admitted(result, system)
        result = replace(result, samples=_obeying(result.samples, system)) if law else result
    return judged(result, system, measure)


def _matters(model: Model, split: bool) -> bool:
    """Whether the network says much beyond its Gaussian: by held-out rows, or as those of split ranks always do."""
    held = model.training.get("held_out") or {}
    if held.get("network") is None:
        return split
    return held["network"] < MATTERS * held["gaussian"]


def check(model: Model, observations: Observations, system: System | None, count: int, seed: int, steps: int,
          law: bool) -> Measurement:
    """What the sensors measure, once all that :func:`solve` is asked is known to be possible; else ValueError."""
    if count < 1 or steps < 2:
        raise ValueError(f"got {count} samples and {steps} steps; expected at least 1 and 2")
    if not 0 <= seed < 2**40:
        raise ValueError(f"got the seed {seed}; expected 0 to 2^40")
    layout = readable(system, model.layout)
    check_count(count, layout.size)
    if law and system is None:
        raise ValueError(f"got a law of no system; expected one of {', '.join(SYSTEMS)} or your own: leave it out")
    return observations.measure(layout)


def _obeying(samples: xarray.Dataset, system: System) -> xarray.Dataset:
    """Samples whose last part is the solution for their others."""
    *given, solution = system.parts
    parts = {name: torch.as_tensor(samples[name].values, dtype=torch.float64) for name in given}
    return samples.assign({k: samples[k].copy(data=v.numpy())
                           for k, v in (parts | {solution: system.solve(**parts)}).items()})
