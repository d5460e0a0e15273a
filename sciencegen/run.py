"""A run of a sampler, and the result that it makes of it."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn
from tqdm.auto import tqdm

from .energy import Denoised, Energy
from .layout import Layout
from .network import Preconditioned
from .noise import Noise
from .result import Result
from .sample import Sampler

__all__ = ["Run"]


class Run:
    """One run of a sampler: what it records on the way, and the result it makes of it.

    Arguments:
        energy: what is sampled.
        layout: of its state.
        record: ``() -> {name: (*B,)}``, what is worth keeping of the last evaluation.
        finish: ``(x, sigma, noise) -> x``, the clean state at the end of the path; Tweedie's mean if None.
    """

    def __init__(self, energy: Energy, layout: Layout, record: Callable[[], dict[str, Tensor]],
                 finish: Callable[[Tensor, Tensor, Noise], Tensor] | None = None) -> None:
        self.energy, self.layout, self.record = energy, layout, record
        self.finish = finish or (lambda x, sigma, noise: energy.mean(x, sigma))
        self.rows: list[dict[str, Tensor]] = []
        self.sigmas: list[float] = []
        self.calls, self.stopped = 0, False

    def __call__(self, sampler: Sampler, count: int, seeds: Tensor | None, start: Tensor | None, progress: bool,
                 name: str) -> Tensor:
        """Clean states ``(count, d)``."""
        self.seeds = torch.randint(0, 2**62, (count,)) if seeds is None else torch.as_tensor(seeds)
        self.sampler, self.start = sampler, time.perf_counter()
        x = sampler.noise(count, self.layout.size, self.seeds) if start is None else start
        nets = {m.net for m in self.energy.modules()
                if isinstance(m, (Preconditioned, Denoised)) and isinstance(m.net, nn.Module)}
        hooks = [net.register_forward_hook(self._count) for net in nets]
        steps = sampler.path(self.energy, x, self.seeds)
        bar = tqdm(steps, desc=name, total=len(sampler.sigmas) - 1, disable=None if progress else True)
        try:
            for sigma, x, info in bar:
                self.sigmas.append(float(sigma))
                self.rows.append(dict(self.record()) | ({} if info is None else {"acceptance": info.acceptance}))
            with torch.no_grad():
                noise = Noise(self.seeds.to(x.device), len(sampler.sigmas))
                x = self.finish(x, sampler.sigmas[-1].to(x), noise) if sampler.sigmas[-1] > 0 else x
        except KeyboardInterrupt:
            self.stopped = True
        finally:
            for hook in hooks:
                hook.remove()
        return x

    def _count(self, *_: Any) -> None:
        self.calls += 1

    def result(self, x: Tensor, fun: Tensor, success: Tensor, order: Tensor) -> Result:
        """The result, its samples in ``order``."""
        order = order.cpu()
        taken, planned = len(self.sigmas), len(self.sampler.sigmas) - 1
        message = "finished" if not self.stopped else (
            f"interrupted after {taken} of {planned} steps; the samples are still noisy (sigma "
            f"{self.sigmas[-1] if self.sigmas else float(self.sampler.sigmas[0]):.3g})")
        names = list(self.rows[0]) if self.rows else []
        history = {k: (("step", "sample"), torch.stack([row[k] for row in self.rows]).cpu()[:, order].numpy())
                   for k in names}
        return Result(
            samples=self.layout.to_xarray(x.cpu()[order]), fun=_array(fun, order), success=_array(success, order),
            status=int(self.stopped), message=message, nfev=self.calls,
            history=xarray.Dataset(history, {"sigma": ("step", self.sigmas)}), seeds=_array(self.seeds, order),
            config={"sampler": repr(self.sampler), "energy": repr(self.energy),
                    "seconds": time.perf_counter() - self.start, "versions": _versions()})


def _array(values: Tensor, order: Tensor) -> np.ndarray:
    return values.detach().cpu()[order].numpy()


def _versions() -> dict[str, str]:
    names = ("sciencegen", "torch", "numpy", "xarray")
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"] in names}
    return {"python": platform.python_version(), **found}
