"""Means and standard deviations of the training rows, and whether every number is finite, in one pass over the data.

Blocks of the file are read one after the other and summed in float64 in pieces that a processor's cache holds; pieces
merge as in :mod:`sciencegen.io.statistics`, without losing digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xarray
from tqdm.auto import tqdm

from .. import io

__all__ = ["summarised"]

CACHED = 2**16  # numbers that are summed at once, which a processor's cache holds
SHOWN = 2**30  # bytes from which a pass shows how far it is, where there is a terminal


def summarised(data: xarray.Dataset, samples: np.ndarray, frames: tuple[int, int],
               missing: float | None = None) -> dict[str, io.Summary]:
    """Moments of each variable over the training rows.

    Arguments:
        data: variables of real numbers, read block by block.
        samples: those of the training rows.
        frames: of each of them, from the first to before the last.
        missing: what stands for NaN.

    Raises:
        ValueError: a number that is not finite, whether it is of a training row or not.
    """
    chosen = {"sample": np.isin(np.arange(data.sizes.get("sample", 1)), samples)}
    if "time" in data.sizes:
        chosen["time"] = np.zeros(data.sizes["time"], bool)
        chosen["time"][slice(*frames)] = True
    total = sum(v.nbytes for v in data.data_vars.values())
    with tqdm(total=total, desc="statistics", unit="B", unit_scale=True, disable=None if total > SHOWN else True
              ) as bar:
        found = {}
        for name, array in data.data_vars.items():
            found[str(name)] = io.Summary()
            for values in _pieces(str(name), array.variable, chosen, missing):
                for part in np.array_split(values.ravel(), max(values.size // CACHED, 1)):
                    found[str(name)] += _moments(part)
            bar.update(array.nbytes)
    return found


def _pieces(name: str, variable: xarray.Variable, chosen: Mapping[str, np.ndarray],
            missing: float | None) -> Iterator[np.ndarray]:
    """What is chosen of a variable, block by block, after a look at all of it."""
    for key in io.blocks(variable):
        values = np.asarray(variable[key].values)
        if missing is not None and values.dtype.kind == "f":
            values = np.where(np.isnan(values), values.dtype.type(missing), values)
        if values.dtype.kind == "f" and not (good := np.isfinite(values)).all():
            at = dict(zip(variable.dims, (int(k.start + i) for k, i in zip(key, np.argwhere(~good)[0]))))
            raise ValueError(f"got {int((~good).sum())} numbers of '{name}' that are not finite, the first at {at}; "
                             "expected finite ones: leave such samples out (data.isel), or say what stands for NaN, "
                             "missing=0")
        for axis, dim in enumerate(variable.dims):
            if dim in chosen and not chosen[dim][key[axis]].all():
                values = np.compress(chosen[dim][key[axis]], values, axis)
        if values.size:
            yield values


def _moments(values: np.ndarray) -> io.Summary:
    """Those of finite numbers ``(n,)``."""
    exact = values.astype(np.float64)
    mean = exact.mean()
    exact -= mean
    return io.Summary(exact.size, float(mean), float(exact @ exact), float(values.min()), float(values.max()))
