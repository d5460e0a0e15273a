"""Whether samples of a posterior are answers: what their equation and their admissible ranges say, beside their misfit.

Samples that were changed after they were drawn, to obey an equation or to stay within a range, are judged anew by the
rule of :mod:`sciencegen.metrics.misfit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
import xarray
from torch import Tensor

from ...measure import Measurement
from ...metrics.misfit import explained, verdict
from ...physics import System
from ...result import Result

__all__ = ["admitted", "judged"]

Parts = Mapping[str, Tensor]


def admitted(result: Result, system: System) -> Result:
    """The result with samples inside of the parts' admissible ranges; the message says what was not."""
    samples, words = result.samples, [result.message]
    for name, part in system.parts.items():
        value = samples[name]
        beyond = (value < part.low) | (value > part.high)
        if bool(beyond.any()):
            some = int(beyond.any([dim for dim in value.dims if dim != "sample"]).sum())
            words.append(f"'{name}' of {some} of {len(result)} samples, {100 * float(beyond.mean()):.2g} % of its "
                         f"values, was outside of {part.low:g} to {part.high:g} ({float(value.min()):.3g} to "
                         f"{float(value.max()):.3g}) and is set to the nearest end")
            samples = samples.assign({name: value.clip(part.low, part.high, keep_attrs=True)})
    return replace(result, samples=samples, message="; ".join(words))


def judged(result: Result, system: System | None, measure: Measurement) -> Result:
    """The result with misfits, residuals and a verdict: in ``data``, in each sample's ``success`` and in words."""
    data = _data(result, system, measure)
    misfit, count = data.misfit.values, data.sizes["measurement"]
    told = verdict(misfit, count)
    changed = "now " if "misfit" in result.data else ""
    words = result.message if told in result.message else f"{result.message}; {changed}{told}"
    return replace(result, data=data, success=explained(result.samples, misfit, count), message=words)


def _data(result: Result, system: System | None, measure: Measurement) -> xarray.Dataset:
    """The result's data with misfit and residual of its samples, and both of the truth and of zero beside."""
    samples = {k: _double(v.values) for k, v in result.samples.data_vars.items()}
    truth = {k: _double(v.values)[None] for k, v in result.truth.data_vars.items()}
    value, noise, seen = _double(result.data.value.values), _double(result.data.noise.values), measure(**samples)
    data = result.data.assign(predicted=(("sample", "measurement"), seen.numpy()))
    nothing = {k: torch.zeros_like(v[:1]) for k, v in samples.items()}
    misfit = lambda parts: ((measure(**parts) - value) / noise).square().mean(-1).sqrt()
    data = data.assign(misfit=_beside(misfit, samples, truth, nothing))
    if system is None:
        return data
    solution = list(system.parts)[-1]
    unsolved = dict(truth or samples)
    unsolved[solution] = torch.zeros_like(unsolved[solution])
    return data.assign(residual=_beside(lambda parts: system.residual(**parts).norm(dim=-1), samples, truth, unsolved))


def _beside(size: Callable[[Parts], Tensor], samples: Parts, truth: Parts, zero: Parts) -> tuple:
    """A variable over ``sample``, with its size of the truth, if known, and of nothing as attributes."""
    known = {"zero": float(size(zero).median())} | ({"truth": float(size(truth))} if truth else {})
    return "sample", size(samples).numpy(), known


def _double(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)
