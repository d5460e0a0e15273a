"""The Well's layout, so that its own loader and every model made for it read our data.

Components named by ``component_of`` are put together again: to ``t1_fields`` (one for each axis) or ``t2_fields`` (one
for each pair). Other fields and parameters are scalars. Numbers become float32, as the format wants; what that cannot
hold is refused. Dates become seconds since the first. A field that does not vary along an axis in space is repeated
along it: the format could leave the axis out, but release 1.1 of The Well's reader then takes the other axes for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import xarray

from ..files import fault, replacing
from .holds import line, single
from .schema import SPACE
from .statistics import blocks

__all__ = ["save_well"]


def save_well(dataset: xarray.Dataset, path: str | os.PathLike,
              progress: Callable[[int], object] = lambda count: None) -> Path:
    """Write ``dataset``: (sample, time, x[, y[, z]]) fields, parameters by sample; boundaries from its attributes.

    ``boundary_x="periodic"`` (or "wall", "open") says the condition on both ends of an axis.
    """
    fields = {str(k): v for k, v in dataset.data_vars.items() if set(v.dims) & set(SPACE)}
    space = [axis for axis in SPACE if any(axis in v.dims for v in fields.values())]
    if not fields:
        raise fault(path, f"variables {list(dataset.data_vars)}", "a field of (sample, time, x[, y[, z]])",
                    "write it as our own: --to sciencegen")
    grouped = _vectors(path, fields, space)
    for name, v in dataset.data_vars.items():
        single(path, str(name), v, progress)
    lines = {dim: line(path, dataset, dim, np.float32) for dim in ("time", *space)}
    with replacing(path) as new:
        with h5py.File(new, "w") as file:
            _root(file, dataset, space)
            _dimensions(file, lines, space)
            _boundaries(path, file, dataset, space)
            for rank in range(3):
                group = file.create_group(f"t{rank}_fields")
                chosen = {name: parts for name, (order, parts) in grouped.items() if order == rank}
                group.attrs["field_names"] = list(chosen)
                for name, parts in chosen.items():
                    _field(path, group, name, parts, rank, space, progress)
            _scalars(path, file, dataset, fields)
    return Path(path)


Parts = dict[str, tuple[int, list[xarray.DataArray]]]


def _vectors(path: str | os.PathLike, fields: Mapping[str, xarray.DataArray], space: list[str]) -> Parts:
    """Fields by their tensor's name: its order, and its components one after the other."""
    owners: dict[str, dict[str, xarray.DataArray]] = {}
    for name, v in fields.items():
        owners.setdefault(v.attrs.get("component_of", name), {})[v.attrs.get("component", "")] = v
    found: Parts = {}
    for owner, parts in owners.items():
        rank = next((r for r in (0, 1, 2) if set(parts) == {"".join(c) for c in product(space, repeat=r)}), None)
        if rank is None:
            raise fault(path, f"'{owner}' with components {sorted(parts)}", f"one for each of {space}, or each pair",
                        "rename them, or drop their attribute component_of to make them scalars")
        found[owner] = rank, [parts["".join(c)] for c in product(space, repeat=rank)]
    return found


def _root(file: h5py.File, dataset: xarray.Dataset, space: list[str]) -> None:
    numbers = [str(k) for k, v in dataset.data_vars.items() if v.dims == ("sample",) and _same(v)]
    file.attrs.update({
        "dataset_name": str(dataset.attrs.get("title", dataset.attrs.get("source_schema", "sciencegen"))),
        "grid_type": str(dataset.attrs.get("grid_type", "cartesian")), "n_spatial_dims": len(space),
        "n_trajectories": dataset.sizes.get("sample", 1), "simulation_parameters": numbers,
        **{name: float(dataset[name].values[0]) for name in numbers}})


def _same(v: xarray.DataArray) -> bool:
    return v.dtype.kind in "fiub" and bool((v.values == v.values[0]).all())


def _dimensions(file: h5py.File, lines: Mapping[str, tuple[np.ndarray, str]], space: list[str]) -> None:
    group = file.create_group("dimensions")
    group.attrs["spatial_dims"] = space
    for dim, (values, units) in lines.items():
        stored = group.create_dataset(dim, data=values)
        stored.attrs.update({"sample_varying": False, "time_varying": False, **({"units": units} if units else {})})


def _boundaries(path: str | os.PathLike, file: h5py.File, dataset: xarray.Dataset, space: list[str]) -> None:
    group = file.create_group("boundary_conditions")
    for dim in space:
        if not (condition := str(dataset.attrs.get(f"boundary_{dim}", "")).lower()):
            continue
        if condition not in ("periodic", "wall", "open"):
            raise fault(path, f"boundary_{dim}={condition!r}", "periodic, wall or open",
                        f"set dataset.attrs['boundary_{dim}'], or drop it")
        own, mask = group.create_group(f"{dim}_{condition}"), np.zeros(dataset.sizes[dim], bool)
        mask[[0, -1]] = True
        own.attrs.update({"associated_dims": [dim], "associated_fields": [], "bc_type": condition.upper(),
                          "sample_varying": False, "time_varying": False})
        own["mask"] = mask


def _field(path: str | os.PathLike, group: h5py.Group, name: str, parts: list[xarray.DataArray], rank: int,
           space: list[str], progress: Callable[[int], object]) -> None:
    dims, shape = parts[0].dims, parts[0].shape
    if any(v.dims != dims for v in parts) or not set(dims) <= {"sample", "time", *space}:
        raise fault(path, f"'{name}' of dims {[v.dims for v in parts]}", f"some of (sample, time, {', '.join(space)}), "
                    "the same for all components", "choose one entry of other axes first")
    sizes = {**dict(zip(dims, shape)), **{axis: group.file["dimensions"][axis].size for axis in space}}
    order = [dim for dim in ("sample", "time", *space) if dim in dims or dim in space]
    size = (*(sizes[dim] for dim in order), *(len(space),) * rank)
    chunks = tuple(1 if dim in ("sample", "time") else n for dim, n in zip(order, size)) + size[len(order):]
    stored = group.create_dataset(name, size, np.float32, chunks=chunks)
    for index, v in zip(np.ndindex(*size[len(order):]), parts):
        for key in blocks(v):
            block, place = v.variable[key], dict(zip(dims, key))
            whole = block.set_dims({dim: block.sizes.get(dim, sizes[dim]) for dim in order})
            stored[(*(place.get(dim, slice(None)) for dim in order), *index)] = whole.values
            progress(block.nbytes)
    stored.attrs.update({"dim_varying": [True] * len(space), "sample_varying": "sample" in dims,
                         "time_varying": "time" in dims, "symmetric": False, "antisymmetric": False})
    if "units" in parts[0].attrs:
        stored.attrs["units"] = parts[0].attrs["units"]


def _scalars(path: str | os.PathLike, file: h5py.File, dataset: xarray.Dataset, fields: Mapping[str, object]) -> None:
    group, names = file.create_group("scalars"), []
    for name, v in dataset.data_vars.items():
        if name in fields:
            continue
        if not set(v.dims) <= {"sample", "time"} or v.dtype.kind not in "fiub":
            raise fault(path, f"'{name}' of dims {v.dims}", "fields, and numbers by sample and time",
                        f"leave it out: dataset.drop_vars({name!r})")
        constant = v.dims == ("sample",) and _same(v)
        values = v.values[0] if constant else v.transpose(*(d for d in ("sample", "time") if d in v.dims)).values
        stored = group.create_dataset(str(name), data=np.asarray(values, np.float32))
        stored.attrs.update({"sample_varying": "sample" in v.dims and not constant, "time_varying": "time" in v.dims})
        names.append(str(name))
    group.attrs["field_names"] = names
