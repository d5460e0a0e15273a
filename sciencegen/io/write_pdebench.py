"""PDEBench's layout, for the loaders that expect it.

One field in one dimension becomes ``tensor`` (sample, time, x); a static plane with ``nu`` becomes Darcy's layout;
anything else one dataset a field, as compressible flow is stored. Times get the extra edge that their loaders drop,
dates are stored as seconds since the first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import xarray

from ..files import fault, replacing
from .holds import line, numeric
from .schema import SPACE
from .statistics import blocks

__all__ = ["save_pdebench"]


def save_pdebench(dataset: xarray.Dataset, path: str | os.PathLike,
                  progress: Callable[[int], object] = lambda count: None) -> Path:
    """Write the fields and parameters of ``dataset``; ValueError for data that the layout has no place for."""
    fields = {name: v for name, v in dataset.data_vars.items() if set(v.dims) & set(SPACE)}
    space = [axis for axis in SPACE if any(axis in v.dims for v in fields.values())]
    if not fields:
        raise fault(path, f"variables {list(dataset.data_vars)}", "a field of (sample, time, x[, y[, z]])",
                    "write it as our own: --to sciencegen")
    for name, v in dataset.data_vars.items():
        numeric(path, str(name), v)
    lines = {dim: line(path, dataset, dim) for dim in ("time", *space)}
    with replacing(path) as new:
        with h5py.File(new, "w") as file:
            for name, v in _renamed(path, fields, space).items():
                _field(path, file, name, v, ("sample", "time", *space), progress)
            for dim, letter in zip(("time", *space), "txyz"):
                values, units = lines[dim]
                file[f"{letter}-coordinate"] = _edges(values) if dim == "time" else values
                if units:
                    file[f"{letter}-coordinate"].attrs["units"] = units
            _numbers(path, file, dataset, fields)
            file.attrs["source_schema"] = str(dataset.attrs.get("source_schema", ""))
    return Path(path)


def _renamed(path: str | os.PathLike, fields: dict[str, xarray.DataArray],
             space: list[str]) -> dict[str, xarray.DataArray]:
    """The one field of a layout that has a fixed name for it gets that name."""
    moving = [name for name, v in fields.items() if "time" in v.dims]
    static = [name for name in fields if name not in moving]
    if len(fields) == 1 and moving and space == ["x"]:
        return {"tensor": fields[moving[0]]}
    if not moving and sorted(static) in (["nu", "tensor"], ["nu", "u"]):
        return {name if name == "nu" else "tensor": v for name, v in fields.items()}
    if static:
        raise fault(path, f"'{static[0]}', which does not vary with time", "Darcy's 'nu' and 'tensor', or fields of "
                    "(sample, time, x[, y[, z]])", "leave it out, or write another layout")
    if "tensor" in fields:
        raise fault(path, "'tensor' beside other fields", "names that tell fields apart", "rename it")
    return fields


def _field(path: str | os.PathLike, file: h5py.File, name: str, v: xarray.DataArray, dims: tuple[str, ...],
           progress: Callable[[int], object]) -> None:
    if extra := [dim for dim in v.dims if dim not in dims]:
        raise fault(path, f"'{name}' with the axis '{extra[0]}'", f"{dims}", "choose one entry of it first")
    whole = v.expand_dims([d for d in dims if d not in v.dims and not (d == "time" and name == "nu")])
    whole = whole.transpose(*(d for d in dims if d in whole.dims))
    chunks = tuple(1 if dim in ("sample", "time") else n for dim, n in whole.sizes.items())
    stored = file.create_dataset(name, whole.shape, v.dtype.newbyteorder("="), chunks=chunks)
    for key in blocks(v):
        block = v.variable[key]
        stored[tuple(dict(zip(v.dims, key)).get(dim, slice(None)) for dim in whole.dims)] = block.set_dims(
            {d: block.sizes.get(d, 1) for d in whole.dims}).values
        progress(block.nbytes)


def _edges(times: np.ndarray) -> np.ndarray:
    """Times with one more at the end, a step after the last."""
    step = times[-1] - times[-2] if len(times) > 1 else 1
    return np.append(times, times[-1] + step)


def _numbers(path: str | os.PathLike, file: h5py.File, dataset: xarray.Dataset, fields: dict[str, object]) -> None:
    """A parameter that all samples share is an attribute, as theirs are; one that varies a dataset."""
    for name, v in dataset.data_vars.items():
        if name in fields:
            continue
        if v.dims != ("sample",) or v.dtype.kind not in "fiub":
            raise fault(path, f"'{name}' of dims {v.dims}", "fields, and one number a sample", "leave it out: "
                        f"dataset.drop_vars({name!r})")
        values = v.values.astype(np.uint8) if v.dtype.kind == "b" else v.values
        if (values == values[0]).all():
            file.attrs[str(name)] = values[0]
        else:
            file[str(name)] = values
