"""A sampling run, and the result that it makes of it."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import xarray
from torch import Tensor
from tqdm.auto import tqdm

from ..energy import Energy
from ..problem import Problem
from ..random import Streams
from ..result import Result
from ..sample import Sampler
from .scatter import Pool, scattered, split

__all__ = ["Sampling", "counted", "versions"]


class Sampling:
    """A run of a sampler: what it records on the way, and the result it makes of it.

    Arguments:
        energy: what is sampled.
        problem: that it is of.
        finish: ``(x, sigma, noise) -> x``, the clean state at the end of the path; Tweedie's mean if None.
    """

    def __init__(self, energy: Energy, problem: Problem,
                 finish: Callable[[Tensor, float, Streams], Tensor] | None = None) -> None:
        self.energy, self.problem = energy, problem
        self.finish = finish or (lambda x, sigma, noise: energy.mean(x, sigma))
        self.rows: list[dict[str, Tensor]] = []
        self.sigmas: list[float] = []
        self.calls, self.stopped, self.left = 0, False, math.nan

    def __call__(self, sampler: Sampler, count: int, seeds: Tensor | None, start: Tensor | None, progress: bool,
                 name: str) -> Tensor:
        """Clean states ``(count, size)``."""
        self.seeds = torch.randint(0, 2**62, (count,)) if seeds is None else torch.as_tensor(seeds)
        self.left = sampler.levels[0]
        self.sampler, self.start, device = sampler, time.perf_counter(), self.problem.device
        x = sampler.start(count, self.problem.size, self.seeds, device) if start is None else start.to(device)
        steps = sampler.path(self.energy, x, self.seeds)
        bar = tqdm(steps, desc=name, total=len(sampler.sigmas) - 1, disable=None if progress else True)
        with counted(self.energy) as calls:
            try:
                for self.left, x, info in bar:
                    told = {} if info.evaluation is None else info.evaluation.told
                    self.sigmas.append(info.level)
                    self.rows.append(dict(told) | ({} if info.acceptance is None else {"acceptance": info.acceptance}))
                with torch.no_grad():
                    noise, last = Streams(self.seeds.to(x.device), len(sampler.sigmas)), sampler.levels[-1]
                    x = self.finish(x, last, noise) if last > 0 else x
            except KeyboardInterrupt:
                self.stopped = True
        self.calls = len(calls)
        return x

    @classmethod
    def scattered(cls, make: Callable[[Tensor], Callable[[Problem], Sampling]], problem: Problem, sampler: Sampler,
                  count: int, seeds: Tensor | None, start: Tensor | None, progress: bool, name: str,
                  device: torch.device | str | None, executor: Pool) -> tuple[Sampling, Tensor]:
        """A run whose samples are drawn in parts by an executor, and the clean states ``(count, size)``.

        ``make(rows)(problem)`` is the run of some samples, made on the worker, on its ``device``.
        """
        parts, began = split(count), time.perf_counter()
        seeds = torch.randint(0, 2**62, (count,)) if seeds is None else torch.as_tensor(seeds)
        jobs = [(make(rows), problem.some(rows), sampler, seeds[rows], None if start is None else start[rows], device)
                for rows in parts]
        done = scattered(executor, _part, jobs, parts, progress, name)
        run = make(torch.arange(count))(problem)
        run.sampler, run.seeds, run.start = sampler, seeds, began
        run.sigmas, run.calls = done[0].sigmas, sum(part.calls for part in done)
        run.rows = [{k: torch.cat([row[k] for row in step]) for k in step[0]} for step in zip(*(p.rows for p in done))]
        if any(part.stopped for part in done):
            raise KeyboardInterrupt
        return run, torch.cat([part.x for part in done]).to(problem.device)

    def result(self, x: Tensor, fun: Tensor, success: Tensor, order: Tensor, values: Mapping[str, Tensor] | None = None,
               asked: Mapping[str, object] | None = None) -> Result:
        """The result, its samples in ``order``.

        Arguments:
            values: of constraints, ``(count,)`` or ``(count, m)``, of which the largest is told.
            asked: of the task, for the record.
        """
        order = order.cpu()
        taken, planned = len(self.sigmas), len(self.sampler.sigmas) - 1
        message = "finished" if not self.stopped else (
            f"interrupted after {taken} of {planned} steps; the samples are still noisy (sigma {self.left:.3g})")
        names = dict.fromkeys(name for row in self.rows for name in row)
        gap = torch.full((len(x),), torch.nan, dtype=x.dtype, device=x.device)  # at levels without a corrector
        history = {k: (("step", "sample"), torch.stack([row.get(k, gap) for row in self.rows]).cpu()[:, order].numpy())
                   for k in names}
        samples = self.problem.layout.to(x.device).to_xarray(self.problem.whole(x)[order.to(x.device)])
        return Result(
            samples=samples, fun=_array(fun, order), success=_array(success, order),
            status=int(self.stopped), message=message, nfev=self.calls,
            history=xarray.Dataset(history, {"sigma": ("step", self.sigmas)}), seeds=_array(self.seeds, order),
            data=xarray.Dataset({k: ("sample", _array(v.reshape(len(x), -1).amax(-1), order))
                                 for k, v in (values or {}).items()}),
            config={**(asked or {}), "count": len(x), "sampler": repr(self.sampler), "energy": repr(self.energy),
                    "seconds": time.perf_counter() - self.start, "versions": versions()})


@dataclass(frozen=True)
class Part:
    """What a worker drew: clean states, and what was recorded on the way."""

    x: Tensor
    rows: list[dict[str, Tensor]]
    sigmas: list[float]
    calls: int
    stopped: bool


def _part(make: Callable[[Problem], Sampling], problem: Problem, sampler: Sampler, seeds: Tensor, start: Tensor | None,
          device: torch.device | str | None) -> Part:
    """A part of the samples, on a worker."""
    run = make(problem.to(device))
    x = run(sampler, len(seeds), seeds, start, False, "part").detach().cpu()
    return Part(x, [{k: v.detach().cpu() for k, v in row.items()} for row in run.rows], run.sigmas, run.calls,
                run.stopped)


@contextmanager
def counted(energy: Energy) -> Iterator[list[None]]:
    """A list that grows by one with each call of a network in ``energy``."""
    calls: list[None] = []
    hooks = [net.register_forward_hook(lambda *_: calls.append(None)) for net in energy.networks()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _array(values: Tensor, order: Tensor) -> np.ndarray:
    return values.detach().cpu()[order].numpy()


def versions() -> dict[str, str]:
    """Of what numbers depend on."""
    names = ("sciencegen", "torch", "numpy", "xarray")
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"] in names}
    return {"python": platform.python_version(), **found}
