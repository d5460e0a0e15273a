"""Forecasts in files, ours or another program's, and what came of them: read under the names that we use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray

from .. import io
from ..files import fault, guarded, netcdf
from ..files.child import in_child
from ..forecasts import Forecast
from ..io.usual import usual

__all__ = ["read", "score"]

NAMES = {"member": ("realization", "realisation", "number", "ensemble", "ens", "draw"),
         "sample": ("case", "init", "init_time", "initialization", "trajectory"),
         "time": ("lead", "lead_time", "step", "prediction_timedelta", "valid_time")}  # of axes, as others call them
CLOSE = 1e-3  # how much two times may differ, as a share of the step


def score(forecast: Path, truth: Path, start: int | None = None) -> tuple[Forecast, xarray.Dataset]:
    """A forecast and its scores by what came; ``start`` is the frame of the truth with which the horizon begins.

    Without it frames of the same time are compared or, where times do not say, the last ones.
    """
    found, came = read(forecast), usual(io.open(truth))
    parts = [name for name in found.parts if name in came.data_vars]
    if not parts:
        raise ValueError(f"got {truth} with {sorted(map(str, came.data_vars))}; expected some of the forecast's parts, "
                         f"{found.parts}")
    came = came[parts]
    came = came if "sample" in came.dims else came.expand_dims("sample")
    came = came.isel(sample=_samples(found, came.sizes["sample"]), time=_frames(found, came, start))
    axes = {name: ("sample", *(d for d in found.frames[name].dims if d not in ("sample", "member"))) for name in parts}
    for name, dims in axes.items():
        if set(came[name].dims) != set(dims):
            raise ValueError(f"got '{name}' over {came[name].dims} in {truth}; expected {dims}, as in the forecast")
    return found, found.scores({name: came[name].transpose(*dims).values for name, dims in axes.items()})


def read(path: Path) -> Forecast:
    """The forecast in a netCDF file: each part over (sample, member, time, ...), the horizon's frames last."""
    in_child(path, lambda beat: (_read(path), None)[1])
    return _read(path)


def _read(path: Path) -> Forecast:
    with guarded(path, "a file", "a netCDF file of a forecast", "write each part over (sample, member, time, ...)"):
        whole = xarray.decode_cf(netcdf.group(path).load(), decode_timedelta=False)
    if {"log_weight", "seed", "lead"} <= set(whole.coords) and "config" in whole.attrs:
        return Forecast.load(path)
    own = {name: next((n for n in (name, *others) if n in whole.dims), None) for name, others in NAMES.items()}
    if own["member"] is None or own["time"] is None:
        raise fault(path, f"axes {dict(whole.sizes)}", "those called member and time, and sample where there are "
                    "several", "rename them")
    whole = whole.rename({old: new for new, old in own.items() if old not in (None, new)})
    whole = whole if "sample" in whole.dims else whole.expand_dims("sample")
    parts = [k for k, v in whole.data_vars.items() if {"member", "time"} <= set(v.dims)]
    frames = whole[parts].transpose("sample", "member", "time", ...)
    frames = frames if "lead" in frames.coords else frames.assign_coords(lead=("time", np.arange(
        1, frames.sizes["time"] + 1)))
    rows = (frames.sizes["sample"], frames.sizes["member"])
    return Forecast(frames, frames.isel(time=slice(0)), np.zeros(rows), 0, "read", 0, np.zeros(rows, int))


def _samples(found: Forecast, count: int) -> list[int]:
    """Which of the truth's samples are forecast: those that the forecast names, or all in order."""
    wanted = found.frames.sizes["sample"]
    named = found.frames.coords["sample"].values if "sample" in found.frames.coords else np.arange(wanted)
    fits = named.dtype.kind in "iu" and 0 <= named.min() and named.max() < count
    if not fits and wanted != count:
        raise ValueError(f"got a forecast of {wanted} samples and a truth of {count}; expected as many, or a "
                         "coordinate 'sample' that says which they are, counted from 0")
    return named.tolist() if fits else list(range(count))


def _frames(found: Forecast, came: xarray.Dataset, start: int | None) -> list[int]:
    """Which of the truth's frames are forecast."""
    count, there = found.frames.sizes["time"], came.sizes.get("time", 0)
    if start is not None and not 0 <= start <= there - count or there < count:
        raise ValueError(f"got {count} frames of forecast for a truth of {there}" + (
            f" from --start {start}" if start is not None else "") + "; expected all of them to be there")
    if start is None and "time" in found.frames.coords and "time" in came.coords:
        ours, theirs = (np.asarray(data["time"].values) for data in (found.frames, came))
        if ours.dtype.kind == theirs.dtype.kind and ours.dtype.kind in "fiu":
            away = np.abs(theirs[None] - ours[:, None])
            step = np.diff(theirs).min() if there > 1 else 1.0
            if (away.min(1) < CLOSE * step).all():
                return away.argmin(1).tolist()
    first = there - count if start is None else start
    return list(range(first, first + count))
