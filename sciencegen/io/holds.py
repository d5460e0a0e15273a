"""What a layout has room for: asked before a byte is written, so that nothing is stored as something else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray

from ..files import fault
from .decode import elapsed
from .schema import coordinate
from .source import complex_fault
from .statistics import blocks

__all__ = ["line", "numeric", "single"]

EXACT = 2**24  # integers up to here are exact in float32
EVEN = 0.01  # of a step that rounding may cost


def numeric(path: str | os.PathLike, name: str, v: xarray.DataArray) -> None:
    """Fault unless ``v`` holds real numbers."""
    if v.dtype.kind == "c":
        raise complex_fault(path, name)
    if v.dtype.kind not in "fiub":
        raise fault(path, f"'{name}' of {v.dtype}", "real numbers",
                    f"leave it out: dataset.drop_vars({name!r}), or put numbers in its place")


def single(path: str | os.PathLike, name: str, v: xarray.DataArray, progress: Callable[[int], object]) -> None:
    """Fault unless float32 holds all of ``v``: what would become infinite or zero, and integers that it cannot tell."""
    numeric(path, name, v)
    if v.dtype.itemsize <= 2 or v.dtype == np.float32:
        return
    largest = 0.0
    for key in blocks(v):
        block = v.variable[key].values
        progress(0)
        if block.dtype.kind in "iu":
            wrong = block[block.astype(np.float32).astype(np.float64) != block.astype(np.float64)]
            if wrong.size:
                raise fault(path, f"'{name}' with the integer {wrong.flat[0]}", f"numbers that float32 holds, as all "
                            f"integers up to {EXACT:,}", "scale it, or write it as our own: --to sciencegen")
            continue
        sizes = np.abs(block[np.isfinite(block)])
        largest = max(largest, float(sizes.max(initial=0.0)))
        if largest > float(np.finfo(np.float32).max):
            raise fault(path, f"'{name}' with a number of {largest:.3g}", "at most 3.4e38, as float32 holds",
                        "scale it, or write it as our own: --to sciencegen")
    if 0 < largest < float(np.finfo(np.float32).tiny):
        raise fault(path, f"'{name}' with numbers of at most {largest:.3g}", "some above 1.2e-38, as float32 holds",
                    "scale it, or write it as our own: --to sciencegen")


def line(path: str | os.PathLike, dataset: xarray.Dataset, dim: str, dtype: Any = None) -> tuple[np.ndarray, str]:
    """A coordinate to be written, of dates in seconds, and the units that say so.

    Fault where it repeats or is not finite, or where ``dtype`` has not enough digits for its steps.
    """
    if dim not in dataset.coords:
        return np.arange(dataset.sizes.get(dim, 1), dtype=dtype or float), ""
    values, units = elapsed(dataset[dim].values)
    if values.dtype.kind not in "fiu":
        raise fault(path, f"coordinates of {dim} of {values.dtype}", "numbers or dates",
                    f"put numbers in its place, or leave it out: dataset.drop_vars({dim!r})")
    coordinate(path, dim, values, dataset.sizes[dim])
    stored = values if dtype is None else values.astype(dtype)
    steps, kept = np.diff(values.astype(float)), np.diff(stored.astype(float))
    if not np.allclose(kept, steps, rtol=EVEN, atol=0):
        span = f"{values.min():.9g} to {values.max():.9g} in steps of {np.abs(steps).min():.3g}"
        raise fault(path, f"coordinates of {dim} from {span}", f"ones that {stored.dtype} tells apart",
                    f"count them from their first: dataset.assign_coords({dim}=dataset.{dim} - dataset.{dim}[0])")
    return stored, units or str(dataset[dim].attrs.get("units", ""))
