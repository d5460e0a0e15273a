"""Checks of what a user hands to a task: shapes, finite numbers, ranges, memory; before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..problem import Parts, Problem
from ..sample import Sampler
from ..values import finite

__all__ = ["check_count", "check_readings", "check_start", "check_whole", "probe"]

COPIES = 8  # of the states that a step of a sampler holds at once


def check_count(count: int, size: int, seeds: Tensor | None = None) -> int:
    """``count`` as an integer; ValueError unless it is one above zero, has as many seeds, and fits in memory."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ValueError(f"got a count of {count!r}; expected a whole number of samples, 1 or more")
    if seeds is not None and tuple(np.shape(seeds)) != (count,):
        raise ValueError(f"got {tuple(np.shape(seeds))} seeds for {count} samples; expected ({count},), one a sample")
    needed = 4 * COPIES * int(count) * size
    if (there := _memory()) and needed > there:
        raise ValueError(f"got a count of {count:,} samples of {size:,} numbers, which take about "
                         f"{needed / 1e9:,.0f} GB of {there / 1e9:,.0f} GB; ask for fewer, some at a time")
    return int(count)


def check_whole(name: str, value: int) -> None:
    """ValueError unless ``value`` is a whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"got {name}={value!r}; expected a whole number, 1 or more")


def check_readings(data: Any, noise: Any, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Data and noise ``(m,)``; ValueError unless finite, of one shape with what is measured, noise positive."""
    data = finite("data", data)
    if data.ndim != 1 or seen.shape[1:] != data.shape:
        raise ValueError(f"got data of shape {tuple(data.shape)} and measurements of shape {tuple(seen.shape[1:])}; "
                         "expected (m,) for both")
    noise = finite("noise", noise)
    if noise.shape not in ((), data.shape) or not bool((noise > 0).all()):
        raise ValueError(f"got noise of shape {tuple(noise.shape)}, least {float(noise.min()):g}; expected standard "
                         f"deviations above zero, one number or {tuple(data.shape)}: for exact data, what can be "
                         "resolved of them, as 1e-4 of their spread")
    return data, noise.expand(data.shape)


def check_start(start: Tensor | None, count: int, size: int) -> None:
    """ValueError unless ``start`` is ``(count, size)`` finite numbers, or None."""
    if start is not None and tuple(finite("start", start).shape) != (count, size):
        raise ValueError(f"got a start of shape {tuple(start.shape)}; expected ({count}, {size})")


def probe(problem: Problem, function: Parts, axes: Sequence[int], sampler: Sampler) -> Tensor:
    """What ``function(**parts)`` gives for two samples, once it is shown to be torch and of the right shape."""
    like = torch.zeros(2, problem.size, dtype=sampler.sigmas.dtype, device=problem.device, requires_grad=True)
    with torch.enable_grad():
        value = function(**problem.some(slice(2)).parts(like))
    if not isinstance(value, Tensor) or value.ndim not in axes or len(value) != 2:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"got {got} from {function!r} for 2 samples; expected a tensor of shape "
                         f"{' or '.join({1: '(2,)', 2: '(2, m)'}[n] for n in axes)}, a row for each sample")
    if not value.requires_grad:
        raise TypeError(f"got a value without a gradient from {function!r}; expected torch operations on the parts all "
                        "the way (no numpy, detach or no_grad inside)")
    return value


def _memory() -> int:
    """Bytes of the machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0
