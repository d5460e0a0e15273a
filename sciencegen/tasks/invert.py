"""Inverse problem: the posterior of a state, given measurements of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from ..energy import Energy, Reading
from ..exact import Gaussian
from ..guide import Tweedie
from ..linear import Map, affine
from ..measure import Measurement
from ..metrics.misfit import explained, verdict
from ..moments import Closed, Iterated, Moments
from ..problem import Parts, Problem
from ..result import Result
from ..sample import Sampler
from .doors import check_count, check_readings, probe
from .sampling import Sampling
from .scatter import Pool

__all__ = ["invert"]


def invert(problem: Problem, measure: Parts, data: Tensor, noise: float | Tensor, sampler: Sampler, count: int,
           seeds: Tensor | None = None, progress: bool = True, truth: Mapping[str, Any] | None = None,
           iterations: int | None = None, device: torch.device | str | None = None, executor: Pool | None = None
           ) -> Result:
    """Samples of the posterior of a state given ``data (m,) = measure(**parts) + noise``, by moment matching (MMPS).

    Right for a Gaussian prior; see :class:`sciencegen.guide.Moments` for any other. Laws that are residuals, alone or
    in a sum, join the measurements as ones that read zero, up to their noise; any other law acts at Tweedie's mean.
    Where the prior has a Gaussian, it preconditions, and the samples are drawn around the last Tweedie mean instead of
    being that mean. A sample succeeds if its misfit, ``result.data.misfit``, is one that noise alone makes likely
    (:mod:`sciencegen.metrics.misfit`); the message says in words what the misfits say of prior, data and noise.

    Arguments:
        measure: ``(**parts) -> (*B, m)``, as from :mod:`sciencegen.measure`. If not linear up to a constant, it is
            linearised at Tweedie's mean.
        noise: standard deviation in the data's unit, positive, a number or ``(m,)``.
        truth: the parts (or a dataset of them), where they are known, for :meth:`Result.scores` and pictures.
        iterations: of the conjugate gradients in :class:`sciencegen.guide.Moments`, at most. By default none where the
            prior's Gaussian and a linear measurement make them unnecessary (no backward pass, and steadier than a
            network's own Jacobian), else 20.
        device: where to run; the prior's unless given.
        executor: anything with ``submit``, to draw parts of the samples at the same time: the same samples, to
            rounding (:mod:`.scatter`). What is asked has to be such that it can be sent; ``device`` is the workers'.
    """
    if problem.known is not None and problem.known[1].ndim > 1:
        raise ValueError(f"got {problem.known[1].shape[0]} values of '{problem.known[0]}', one a sample; expected one "
                         "for all: invert for each of them")
    problem = problem if executor is not None else problem.to(device)
    layout, count = problem.layout, check_count(count, problem.size, seeds)
    data, noise = check_readings(data, noise, probe(problem, measure, (2,), sampler))
    conditioned = partial(_conditioned, measure, data, noise, sampler, iterations)
    if executor is None:
        run = conditioned(problem)
        x = run(sampler, count, seeds, None, progress, "invert")
    else:
        run, x = Sampling.scattered(lambda rows: conditioned, problem, sampler, count, seeds, None, progress, "invert",
                                    device, executor)
    read = _readings(problem, measure, data, noise, x)
    asked = {"task": "invert", "measure": repr(measure), "readings": len(data), "iterations": iterations}
    result = run.result(x, torch.full((len(x),), torch.nan), x.isfinite().all(-1), torch.arange(len(x)), asked=asked)
    good = explained(result.samples, read.misfit.values, len(data))
    told = result.message if result.status else f"{result.message}; {verdict(read.misfit.values, len(data))}"
    truth = {} if truth is None else {k: torch.as_tensor(np.asarray(truth[k])) for k in layout.variables}
    return replace(result, data=read, success=good, message=told,
                   truth=layout.to_xarray(layout.pack(**truth)) if truth else xarray.Dataset())


def _conditioned(measure: Parts, data: Tensor, noise: Tensor, sampler: Sampler, iterations: int | None,
                 problem: Problem) -> Sampling:
    """The run of a posterior's samples."""
    energy, linear = _posterior(problem, measure, data, noise, sampler, iterations)
    draw = None if energy.around is None else lambda x, sigma, noise: energy.draw(x, sigma, noise, 1 if linear else 4)
    return Sampling(energy, problem, draw)


def _posterior(problem: Problem, measure: Parts, data: Tensor, noise: Tensor, sampler: Sampler, iterations: int | None
               ) -> tuple[Closed | Iterated, bool]:
    """The prior given the data and the laws that are readings, and whether all are linear in the state."""
    laws = problem.law()
    readings, rest = ([], None) if laws is None else laws.readings()
    energy = problem.energy()
    prior: Energy = energy if rest is None else Tweedie(energy, rest)
    origin = torch.zeros(problem.size, dtype=sampler.sigmas.dtype, device=problem.device)
    around = energy.gaussian()
    read = lambda x: torch.cat([measure(**problem.parts(x)), *(r.function(x) for r in readings)], -1)
    zeros = [torch.zeros_like(r.function(origin[None])[0]) for r in readings]
    noises = [noise.double().to(origin.device), *(r.noise.to(origin.device).expand(z.shape)
                                                  for r, z in zip(readings, zeros))]
    target, noises = torch.cat([data.to(origin), *zeros]), torch.cat(noises)
    groups = {"misfit": len(data)} | ({"law": len(target) - len(data)} if zeros else {})
    linear = _linear(problem, measure, readings, read, origin, around)
    if linear is None:
        steps = 20 if iterations is None else iterations
        return Moments(prior, read, target, noises, steps, around=around, groups=groups), False
    steps = (0 if around is not None else 20) if iterations is None else iterations
    made = Moments(prior, linear[0], target - linear[1].to(target), noises, steps, around=around, groups=groups)
    return made, True


def _linear(problem: Problem, measure: Parts, laws: list[Reading], read: Callable[[Tensor], Tensor], origin: Tensor,
            around: Gaussian | None) -> tuple[Map | Tensor, Tensor] | None:
    """What is read as a linear map and an offset: with its structure where it is known; None where it is not linear."""
    if not isinstance(measure, Measurement) or laws or problem.derive is not None:
        return None if around is None else affine(read, origin)
    found, offset = measure.of(problem.layout)
    if problem.known is not None:
        found, more = found.at(problem.known[0].rows, problem.known[1])
        offset = offset + more
    return found, offset


def _readings(problem: Problem, measure: Parts, data: Tensor, noise: Tensor, x: Tensor) -> xarray.Dataset:
    """The data, what each sample would have read instead, and by how much it misses them and the laws."""
    law = problem.law()
    laws = [] if law is None else law.readings()[0]
    with torch.no_grad():
        seen = measure(**problem.parts(x)).cpu()
        law = torch.cat([r.function(x) for r in laws], -1).norm(dim=-1).cpu() if laws else None
    value, noise = data.detach().cpu().to(seen), noise.cpu().to(seen)
    labels = measure.labels(problem.layout) if isinstance(measure, Measurement) else xarray.Dataset()
    found = {"value": ("measurement", value.numpy()), "noise": ("measurement", noise.numpy().copy()),
             "predicted": (("sample", "measurement"), seen.numpy()),
             "misfit": ("sample", ((seen - value) / noise).square().mean(-1).sqrt().numpy())}
    if "variable" in labels:
        units = [problem.layout.variables[name].units for name in labels["variable"].values]
        found["unit"] = ("measurement", np.array(units, dtype=object))
    return labels.assign(found if law is None else found | {"residual": ("sample", law.numpy())})
