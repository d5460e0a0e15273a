r"""The misfit of samples of a posterior, and what it says: the one rule by which an inverse problem is a success.

If prior, noise and sampler are right, a sample of the posterior and the truth have the same law together with the data,
so that the misfit of either, :math:`|A x - y|_{\mathrm{noise}} / \sqrt m` over m readings, has that of
:math:`\chi_m / \sqrt m`, about :math:`1 \pm 1 / \sqrt{2 m}`. Such pairs are the subject of "Validation of Software for
Bayesian Models Using Posterior Quantiles" (Cook, Gelman & Rubin, 2006), https://doi.org/10.1198/106186006X136976.
Samples far above it do not explain the data: readings in another order or unit, a noise that is too small, or a truth
that the prior excludes.
"""

from __future__ import annotations

import math

import numpy as np
import xarray
from scipy.stats import chi

__all__ = ["explained", "likely", "verdict"]

RARE = 1e-3  # probability beyond either bound
ROUGH = 3.0  # misfit that the approximation in moment matching may leave (up to 2.5 with rock of two materials)


def likely(count: int) -> tuple[float, float]:
    """Between which bounds the misfit of ``count`` readings is with a probability of 99.8 %."""
    low, high = chi.ppf((RARE, 1 - RARE), count) / math.sqrt(count)
    return float(low), float(high)


def explained(samples: xarray.Dataset, misfit: np.ndarray, count: int) -> np.ndarray:
    """Which samples are a success, ``(sample,)``: finite, with a misfit that ``count`` readings make likely."""
    finite = [np.isfinite(v.values).reshape(v.sizes["sample"], -1).all(1) for v in samples.data_vars.values()]
    return np.all([*finite, misfit <= likely(count)[1]], 0)


def verdict(misfit: np.ndarray, count: int) -> str:
    """What the misfits ``(sample,)`` over ``count`` readings say, in words."""
    (low, high), middle = likely(count), float(np.median(misfit))
    told = f"misfit {middle:.3g} in units of the noise, where {low:.2f} to {high:.2f} is likely of {count} readings"
    if middle < low:
        return f"the samples explain the readings more closely than the noise does: {told}; is the noise overstated?"
    if middle <= high:
        return f"the samples explain the readings: {told}"
    if middle <= ROUGH:
        return (f"the samples explain the readings roughly: {told}; those of a prior that is not Gaussian are "
                "approximate, or the noise is understated")
    return (f"the data contradict the prior or the noise: {told}. Are the coordinates in the order of the axes (x, y), "
            "the values in the prior's unit, the noise not too small, and the truth of the kind that the prior knows?")
