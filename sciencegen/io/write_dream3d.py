"""DREAM.3D's layout, so that its filters, and what reads its files, take our images of microstructures.

One sample is one data container. Whole numbers stay what they are and others become float32, as its filters want.
Components named by ``component_of`` are put together again, in their order. Voxels are as large as the coordinates are
apart; a section becomes a volume of one layer, as thick as a voxel is wide.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import xarray

from ..files import fault, replacing
from .dream3d import CELLS, GEOMETRY, ROOT
from .holds import line, numeric, single
from .schema import SPACE

__all__ = ["save_dream3d"]

NAME = "SyntheticVolumeDataContainer"  # what DREAM.3D calls a volume that was made, not measured
TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "uint8": "uint8_t",
         "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t", "float32": "float", "bool": "bool"}
EVEN = 1e-3  # of a voxel by which steps may differ

Progress = Callable[[int], object]


def save_dream3d(dataset: xarray.Dataset, path: str | os.PathLike, progress: Progress = lambda count: None) -> Path:
    """Write one sample of ``dataset``: all its fields over (x, y[, z]).

    Raises:
        ValueError: more than one sample or time, fields without a plane, unequal steps between voxels, and numbers
            that the layout has no type for; before anything is written.
    """
    fields = _fields(path, dataset)
    space = [axis for axis in SPACE if any(axis in v.dims for v in fields.values())]
    grid = [_steps(path, dataset, axis) for axis in space]
    grid += [(1, grid[0][1], 0.0)] * (len(SPACE) - len(space))
    owners: dict[str, list[xarray.DataArray]] = {}
    for name, v in fields.items():
        owners.setdefault(str(v.attrs.get("component_of", name)), []).append(v)
        _checked(path, name, v, space, progress)
    with replacing(path) as new:
        with h5py.File(new, "w") as file:
            file.attrs.update({"FileVersion": np.bytes_("7.0"), "DREAM3D Version": np.bytes_("6.5")})
            held = file.create_group(f"{ROOT}/{NAME}")
            _geometry(held.create_group(GEOMETRY), grid)
            cells, sizes = held.create_group(CELLS), np.array([n for n, _, _ in grid], np.uint64)
            cells.attrs.update({"AttributeMatrixType": np.uint32(3), "TupleDimensions": sizes})
            for name, parts in owners.items():
                _array(cells, name, parts, sizes, progress)
    return Path(path)


def _fields(path: str | os.PathLike, dataset: xarray.Dataset) -> Mapping[str, xarray.DataArray]:
    for dim in ("sample", "time"):
        if dataset.sizes.get(dim, 1) > 1:
            raise fault(path, f"{dataset.sizes[dim]} along {dim}", "one image",
                        f"choose one: dataset.isel({dim}=[0]), or write it as our own: --to sciencegen")
    found = {str(k): v.squeeze([d for d in ("sample", "time") if d in v.dims]) for k, v in dataset.data_vars.items()
             if {"x", "y"} <= set(v.dims)}
    if not found:
        raise fault(path, f"variables {list(dataset.data_vars)}", "a field of (x, y[, z])",
                    "write it as our own: --to sciencegen")
    return found


def _checked(path: str | os.PathLike, name: str, v: xarray.DataArray, space: list[str], progress: Progress) -> None:
    if set(v.dims) != set(space):
        raise fault(path, f"'{name}' of dims {v.dims}", f"({', '.join(space)}), as the others have",
                    "choose one entry of other axes first")
    if v.dtype.name in TYPES:
        numeric(path, name, v)
    else:
        single(path, name, v, progress)


def _steps(path: str | os.PathLike, dataset: xarray.Dataset, axis: str) -> tuple[int, float, float]:
    """Voxels along an axis, how far they are apart, and where the first begins."""
    values = line(path, dataset, axis)[0]
    if axis not in dataset.coords:
        return len(values), 1.0, 0.0
    steps = np.diff(values) if len(values) > 1 else np.ones(1)
    if not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=EVEN, atol=0)):
        raise fault(path, f"coordinates of {axis} in steps from {steps.min():.3g} to {steps.max():.3g}",
                    "voxels of one size, ascending", f"bring it to an even grid: dataset.interp({axis}=...)")
    return len(values), float(steps.mean()), float(values[0] - steps.mean() / 2)


def _geometry(group: h5py.Group, grid: list[tuple[int, float, float]]) -> None:
    sizes, spacing, origin = zip(*grid)
    group["DIMENSIONS"] = np.array(sizes, np.int64)
    group["SPACING"], group["ORIGIN"] = np.array(spacing, np.float32), np.array(origin, np.float32)
    group.attrs.update({"GeometryType": np.uint32(0), "GeometryTypeName": np.bytes_("ImageGeometry"),
                        "GeometryName": np.bytes_("ImageGeometry"), "SpatialDimensionality": np.uint32(3),
                        "UnitDimensionality": np.uint32(3)})


def _array(cells: h5py.Group, name: str, parts: list[xarray.DataArray], sizes: np.ndarray, progress: Progress) -> None:
    """One data set, (z, y, x, component)."""
    whole = np.stack([v.transpose(*(axis for axis in SPACE[::-1] if axis in v.dims)).values for v in parts], -1)
    kind = whole.dtype if whole.dtype.name in TYPES else np.dtype("f4")
    whole = whole.astype("u1" if kind.kind == "b" else kind).reshape(*(int(n) for n in sizes[::-1]), len(parts))
    stored = cells.create_dataset(name, data=whole)
    stored.attrs.update({"ComponentDimensions": np.array([len(parts)], np.uint64), "DataArrayVersion": np.int32(2),
                         "ObjectType": np.bytes_(f"DataArray<{TYPES[kind.name]}>"), "TupleDimensions": sizes,
                         "Tuple Axis Dimensions": np.bytes_(",".join(f"{a}={n}" for a, n in zip("xyz", sizes)))})
    progress(whole.nbytes)
