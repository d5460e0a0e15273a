"""Numbers at the door: real and finite, or refused in words with how many are not and where the first one is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["finite", "positive"]


def finite(name: str, value: Any) -> Tensor:
    """``value`` as a tensor of real floats; ValueError, with how many and the first, if some are not finite."""
    value = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    if value.is_complex():
        raise ValueError(f"got complex {name}; expected real numbers: give real and imaginary parts apart")
    value = value if value.is_floating_point() else value.double()
    if value.device.type == "meta":
        return value
    bad = (~value.isfinite()).nonzero()
    if len(bad):
        raise ValueError(f"got {len(bad)} of {value.numel()} numbers in {name} that are not finite, the first at "
                         f"{tuple(bad[0].tolist())}; expected finite ones: leave out what was not measured")
    return value


def positive(name: str, value: Any, zero: bool = False) -> Tensor:
    """:func:`finite` numbers above zero, or not below it (``zero``); ValueError otherwise."""
    value = finite(name, value)
    if value.device.type != "meta" and not bool((value >= 0 if zero else value > 0).all()):
        raise ValueError(f"got {name} as low as {float(value.min()):g}; expected numbers "
                         f"{'of zero or above' if zero else 'above zero'}")
    return value
