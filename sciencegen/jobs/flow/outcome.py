"""Results of a study on their way: what is seen of samples, the better of two rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray
from torch import Tensor

from ...result import Result
from .compose import Composition
from .judge import efficiency

__all__ = ["better", "seen"]


def seen(made: Result, many: Composition, drawn: Sequence[dict[str, Tensor]], which: np.ndarray | slice = slice(None)
         ) -> Result:
    """``made`` with what is ``drawn`` of some of its samples: the first of it, the mean ``force (K, 2)``, the mean
    ``inflow (K, 2)``, the stream in which each body is, and minus lift over drag as ``fun``."""
    samples, found = made.samples, dict(drawn[0])
    if "inflow" not in samples:
        free = np.broadcast_to(np.array([1.0, 0.0], dtype=np.float32), samples["force"].shape)
        samples = samples.assign(inflow=(("sample", "part", "axis"), free.copy()))
    found["force"] = torch.stack([many.forces(**parts) for parts in drawn]).mean(0)
    found["inflow"] = torch.stack([many.inflow(**parts) for parts in drawn]).mean(0)
    told = {k: samples[k].copy() for k in found}
    for k, value in found.items():
        told[k][which] = value.numpy()
    return replace(made, samples=samples.assign(told), fun=_cost(torch.tensor(told["force"].values)))


def _cost(force: Tensor) -> np.ndarray:
    """Minus lift over drag, ``(N,)``; no drag is not believed."""
    return torch.where(force.sum(-2)[..., 0] > 0, -efficiency(force), torch.inf).numpy()


def better(judged: Result, again: Result, solves: int) -> Result:
    """Of each design and its refinement the better one, best first."""
    parts = {k: np.concatenate([getattr(judged, k), getattr(again, k)]) for k in ("fun", "success", "seeds")}
    order = np.lexsort([parts["fun"], ~parts["success"]])
    order = order[np.sort(np.unique(parts["seeds"][order], return_index=True)[1])]
    samples = xarray.concat([judged.samples, again.samples], "sample").isel(sample=order)
    row = {int(seed): i for i, seed in enumerate(judged.seeds)}
    history = judged.history.isel(sample=[row[int(s)] for s in parts["seeds"][order]], missing_dims="ignore")
    return replace(judged, samples=samples, history=history, nfev=again.nfev, **{k: v[order] for k, v in parts.items()},
                   config=judged.config | {"solves": solves})
