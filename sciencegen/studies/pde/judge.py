r"""Whether samples of a posterior are answers: what their misfit, their equation and their admissible ranges say.

If prior, noise and sampler are right, a sample of the posterior and the truth have the same law together with the data,
so that the misfit of either, :math:`|A x - y|_{\mathrm{noise}} / \sqrt m` over m readings, has that of
:math:`\chi_m / \sqrt m`, about :math:`1 \pm 1 / \sqrt{2 m}`. Such pairs are the subject of "Validation of Software for
Bayesian Models Using Posterior Quantiles" (Cook, Gelman & Rubin, 2006), https://doi.org/10.1198/106186006X136976.
Samples far above it do not explain the data: readings in another order or unit, a noise that is too small, or a truth
that the prior excludes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
import xarray
from scipy.stats import chi
from torch import Tensor

from ...measure import Measurement
from ...physics import System
from ...result import Result

__all__ = ["admitted", "judged", "likely"]

RARE = 1e-3  # probability beyond either bound
ROUGH = 3.0  # misfit that the approximation in moment matching may leave (up to 2.5 with rock of two materials)
Parts = Mapping[str, Tensor]


def likely(count: int) -> tuple[float, float]:
    """Between which bounds the misfit of ``count`` readings is with a probability of 99.8 %."""
    low, high = chi.ppf((RARE, 1 - RARE), count) / math.sqrt(count)
    return float(low), float(high)


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
    fits = data.misfit.values <= likely(data.sizes["measurement"])[1]
    words = f"{result.message}; {_verdict(float(np.median(data.misfit)), data.sizes['measurement'])}"
    return replace(result, data=data, success=result.success & fits, message=words)


def _verdict(misfit: float, count: int) -> str:
    low, high = likely(count)
    told = f"misfit {misfit:.3g} in units of the noise, where {low:.2f} to {high:.2f} is likely of {count} readings"
    if misfit < low:
        return f"the samples explain the readings more closely than the noise does: {told}; is the noise overstated?"
    if misfit <= high:
        return f"the samples explain the readings: {told}"
    if misfit <= ROUGH:
        return (f"the samples explain the readings roughly: {told}; those of a prior that is not Gaussian are "
                "approximate")
    return (f"the samples do NOT explain the readings: {told}. Are the coordinates in the order of the axes (x, y), "
            "the values in the prior's unit, the noise not too small, and the truth of the kind that the prior knows?")


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
