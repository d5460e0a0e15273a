"""Our own files: netCDF4 with CF attributes, written a block at a time under another name and then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5netcdf
import numpy as np
import xarray

from ..files import replacing
from .holds import line
from .schema import CONVENTIONS, SPACE, tree
from .source import complex_fault
from .statistics import blocks

__all__ = ["LARGE", "save"]

LARGE = 2**20  # bytes from which on a variable is copied block by block
Progress = Callable[[int], object]


def save(dataset: xarray.Dataset, path: str | os.PathLike, progress: Progress = lambda count: None) -> Path:
    """Write netCDF4 (HDF5) that ``open`` reads back: fields and parameters at the root, designs under ``/design``.

    ValueError, before anything is written, for complex numbers and for coordinates that no reader takes.
    ``progress`` is called with the number of bytes of each large block, once it is written.
    """
    for name, v in dataset.data_vars.items():
        if v.dtype.kind == "c":
            raise complex_fault(path, str(name))
    for dim in {"time", *SPACE} & set(dataset.indexes):
        line(path, dataset, dim)
    with replacing(path) as new:
        for group, node in tree(dataset.assign_attrs(Conventions=CONVENTIONS)).subtree_with_keys:
            _group(node.to_dataset(inherit=False), new, None if group == "." else group, progress)
    return Path(path)


def _group(dataset: xarray.Dataset, new: Path, group: str | None, progress: Progress) -> None:
    large = [name for name, v in dataset.data_vars.items() if v.nbytes > LARGE and v.dtype.kind in "fiub"]
    small = dataset.drop_vars(large).drop_encoding()
    small.to_netcdf(new, mode="a" if group else "w", engine="h5netcdf", group=group)
    if not large:
        return
    with h5netcdf.File(new, "a") as file:
        target = file[group] if group else file
        for dim in {dim: None for name in large for dim in dataset[name].dims}:
            if dim not in target.dimensions:
                target.dimensions[dim] = dataset.sizes[dim]
        for name in large:
            _copy(dataset[name], target, name, progress)


def _copy(source: xarray.DataArray, target: h5netcdf.Group, name: str, progress: Progress) -> None:
    """One variable, in chunks of one sample and frame, or as it was stored."""
    dtype = np.dtype("i1") if source.dtype.kind == "b" else source.dtype.newbyteorder("=")
    lead = [dim in ("sample", "time") for dim in source.dims]
    usual = tuple(1 if first else n for first, n in zip(lead, source.shape))
    chunks = tuple(min(c, n) for c, n in zip(source.encoding.get("chunksizes") or usual, source.shape))
    fill = {"fillvalue": np.nan} if dtype.kind == "f" else {}
    stored = target.create_variable(name, source.dims, dtype, chunks=chunks, **fill)
    for key, value in {**source.attrs, **({"dtype": "bool"} if source.dtype.kind == "b" else {})}.items():
        stored.attrs[key] = value
    for key in blocks(source):
        block = source.variable[key].values
        stored[key] = block.astype(dtype, copy=False)
        progress(block.nbytes)
