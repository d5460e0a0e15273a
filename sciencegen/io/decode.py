"""What a file's attributes say of its numbers, applied in one place for every reader: packing, missing values, dates.

A stored number r stands for ``r * scale_factor + add_offset``. It stands for nothing, and becomes NaN, where it equals
``_FillValue`` or one of ``missing_value``, or lies outside of ``valid_min``, ``valid_max`` or ``valid_range``. Limits
are in the units of r, unless they alone are floating-point: then they are in those of the result. Numbers with units
of "days since ..." are dates. References: "NetCDF Climate and Forecast (CF) Metadata Conventions", section 8.1 and 4.4
(Eaton et al., 2023), https://cfconventions.org; "NetCDF Users Guide", appendix A (Unidata),
https://docs.unidata.ucar.edu/nug/current/attribute_conventions.html.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray

from ..files import fault, guarded
from .leaf import Key, Leaf

__all__ = ["Decoded", "dated", "decoded", "elapsed"]

PACKING = ("scale_factor", "add_offset")
LIMITS = ("valid_min", "valid_max", "valid_range")
MISSING = ("_FillValue", "missing_value")
KNOWN = (*PACKING, *LIMITS, *MISSING, "_Unsigned")


class Decoded(Leaf):
    """Another leaf's numbers as its attributes mean them.

    Arguments:
        leaf: the numbers as they are stored.
        dtype: of what comes out.
        stored: their type where ``_Unsigned`` says that it is another than the leaf's.
        scale, offset: the packing.
        missing: stored numbers that stand for nothing.
        limits: least and most of the stored numbers that stand for something.
        bounds: least and most of the results that stand for something.
    """

    def __init__(self, leaf: Leaf, dtype: np.dtype, stored: np.dtype, scale: float | None, offset: float | None,
                 missing: tuple[Any, ...], limits: tuple[Any, Any], bounds: tuple[Any, Any]) -> None:
        self.leaf, self.dtype, self.stored, self.scale, self.offset = leaf, dtype, stored, scale, offset
        self.missing, self.limits, self.bounds = missing, limits, bounds
        self.shape, self.chunks = leaf.shape, leaf.chunks

    def read(self, key: Key) -> np.ndarray:
        raw = np.asarray(self.leaf.read(key))
        raw = raw.astype(raw.dtype.newbyteorder("="), copy=False).view(self.stored)
        lost = _beyond(raw, *self.limits)
        for value in self.missing:
            lost = lost | (raw == value)
        found = raw.astype(self.dtype)
        if self.scale is not None:
            found = found * self.dtype.type(self.scale)
        if self.offset is not None:
            found = found + self.dtype.type(self.offset)
        lost = lost | _beyond(found, *self.bounds)
        return np.where(lost, self.dtype.type(np.nan), found) if np.any(lost) else found


def _beyond(values: np.ndarray, least: Any, most: Any) -> Any:
    """What is below or above; of a limit that is None nothing."""
    lost = np.False_
    if least is not None:
        lost = lost | (values < least)
    return lost if most is None else lost | (values > most)


def decoded(path: str | os.PathLike, name: str, leaf: Leaf, attrs: Mapping[str, Any]) -> tuple[Leaf, dict[str, Any]]:
    """The leaf as its attributes mean it, and the attributes that are left; Fault for what means nothing."""
    rest = {k: v for k, v in attrs.items() if k not in KNOWN}
    if leaf.dtype.kind not in "fiu" or not set(KNOWN) & set(attrs):
        return leaf, rest
    said = {k: _numbers(path, name, k, attrs[k]) for k in KNOWN[:-1] if k in attrs}
    stored = np.dtype(leaf.dtype).newbyteorder("=")
    if stored.kind == "i" and str(_plain(attrs.get("_Unsigned", ""))).lower() == "true":
        stored = np.dtype(f"u{stored.itemsize}")
    scale, offset = (float(said[k][0]) if k in said else None for k in PACKING)
    missing = tuple(v for k in MISSING if k in said for v in _alike(said[k], stored))
    limits, bounds = _limits(path, name, said, stored)
    if (scale, offset, missing, limits, bounds) == (None, None, (), (None, None), (None, None)) \
            and stored == leaf.dtype.newbyteorder("="):
        return leaf, rest
    kinds = [said[k].dtype for k in PACKING if k in said and said[k].dtype.kind == "f"]
    small = np.dtype("f4" if stored.itemsize <= 2 else "f8") if stored.kind != "f" else stored
    return Decoded(leaf, np.result_type(small, *kinds), stored, scale, offset, missing, limits, bounds), rest


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _numbers(path: str | os.PathLike, name: str, key: str, value: Any) -> np.ndarray:
    found = np.ravel(np.asarray(value))
    wanted = {"valid_range": 2, "missing_value": found.size}.get(key, 1)
    finite = found.dtype.kind in "fiu" and (key not in PACKING or np.isfinite(found).all())
    if not finite or found.size != wanted or not found.size or (key == "scale_factor" and not found.all()):
        raise fault(path, f"'{name}' with {key} = {_plain(value)!r}", f"{'two numbers' if wanted == 2 else 'a number'}",
                    "correct that attribute (ncatted, or h5py), as it decides what all its numbers mean")
    return found


def _alike(values: np.ndarray, stored: np.dtype) -> list[Any]:
    """Values as the stored type has them, without those that it does not have, and without NaN, which is NaN as it is.
    """
    if stored.kind == "u" and values.dtype == np.dtype(f"i{stored.itemsize}"):
        values = values.view(stored)
    with np.errstate(all="ignore"):
        own = values.astype(stored)
    same = (own == values) if stored.kind != "f" else ~np.isnan(own)
    return list(own[same])


def _limits(path: str | os.PathLike, name: str, said: Mapping[str, np.ndarray], stored: np.dtype) -> tuple[Any, Any]:
    """Limits of the stored numbers, and of the results."""
    nothing = (None, None)
    if "valid_range" in said:
        least, most = said["valid_range"]
    else:
        least, most = (said[k][0] if k in said else None for k in LIMITS[:2])
    if least is not None and most is not None and not least <= most:
        raise fault(path, f"'{name}' valid from {least} to {most}", "the least before the most", "correct valid_range")
    packed = bool(set(PACKING) & set(said)) and stored.kind in "iu"
    floating = any(v is not None and v.dtype.kind == "f" for v in (least, most))
    return (nothing, (least, most)) if packed and floating else ((least, most), nothing)


def dated(path: str | os.PathLike, name: str, values: np.ndarray, attrs: Mapping[str, Any]) -> xarray.Variable:
    """A line of numbers as a variable; those with units of "days since ..." become dates.

    Without the package cftime dates of a model's calendar (360_day, noleap) stay numbers, beside units and calendar.
    """
    dims = tuple(f"axis_{i}" for i in range(values.ndim))
    stored = xarray.Variable(dims, values, {k: _plain(v) for k, v in attrs.items()})
    if values.dtype.kind not in "fiu" or " since " not in str(stored.attrs.get("units", "")):
        return stored
    try:
        found = xarray.decode_cf(xarray.Dataset({name: stored}), mask_and_scale=False, decode_timedelta=False)
        return found.variables[name].load()
    except Exception as error:
        if "cftime" in str(error) and str(stored.attrs.get("calendar", "standard")) != "standard":
            return stored
        what = f"dates in '{name}', {stored.attrs['units']!r},"
        with guarded(path, what, "CF's units of time", "correct their units and calendar"):
            raise


def elapsed(times: Any) -> tuple[np.ndarray, str]:
    """Times as numbers: of dates the seconds since the first, beside CF's words for that; numbers stay as they are.

    ValueError where one of the dates is missing.
    """
    values = np.asarray(times)
    if values.dtype.kind == "m":
        return values / np.timedelta64(1, "s"), ""
    if values.dtype.kind == "M":
        if np.isnat(values).any():
            raise ValueError("got times of which some are missing (NaT); expected a date for each; drop those frames")
        first = np.datetime_as_string(values.flat[0], timezone="naive")
        return (values - values.flat[0]) / np.timedelta64(1, "s"), f"seconds since {first}"
    if values.dtype == object and values.size and hasattr(values.flat[0], "calendar"):
        first = values.flat[0]
        return np.array([(v - first).total_seconds() for v in values.flat]), f"seconds since {first.isoformat(' ')}"
    return values, ""
