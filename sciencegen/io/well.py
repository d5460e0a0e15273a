"""The Well: fields grouped by tensor order, each saying which axes it varies along.

Axes that a field does not vary along are not stored and not made up here either: such a field simply lacks the dim (and
xarray broadcasts it). Reference: "The Well: a Large-Scale Collection of Diverse Physics Simulations for Machine
Learning" (Ohana et al., 2024), https://arxiv.org/abs/2412.00568.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import xarray

from .content import entries, hdf5, text
from .fault import fault
from .leaf import Handle
from .schema import SPACE, Field, assemble, components, parameter, pick

__all__ = ["Well"]


@dataclass(frozen=True)
class Well:
    """``dimensions``, ``t0_fields``, ``t1_fields``, ``t2_fields``, ``scalars``, ``boundary_conditions``."""

    trusted: bool = False

    def matches(self, path: Path) -> str:
        own = {"dimensions", "t0_fields", "t1_fields", "t2_fields"}
        return "groups 'dimensions', 't0_fields', 't1_fields', 't2_fields'" if own <= set(entries(path)) else ""

    def read(self, path: Path) -> xarray.Dataset:
        handle = Handle(path)
        with hdf5(path) as file:
            names = [text(name) for name in np.atleast_1d(_attr(path, file["dimensions"], "spatial_dims"))]
            space = dict(zip(names, SPACE if not set(names) <= set(SPACE) else names))
            fields = {}
            for rank in range(3):
                group = file[f"t{rank}_fields"]
                for name in map(text, np.atleast_1d(_attr(path, group, "field_names"))):
                    fields |= self._field(path, group, name, rank, space, handle)
            rows = int(_attr(path, file, "n_trajectories"))
            for name, entry in fields.items():
                if "sample" in entry.dims and entry.leaf.shape[0] != rows:
                    raise fault(path, f"'{name}' with {entry.leaf.shape[0]} samples", f"n_trajectories = {rows}",
                                "the file was appended to or cut: make it again")
            fields, scalars = self._scalars(path, file, fields, rows, handle)
            attrs = {"title": text(file.attrs.get("dataset_name", "")),
                     "grid_type": text(file.attrs.get("grid_type", ""))}
            return assemble(path, "The Well", fields, _coords(path, file, space), scalars, **attrs,
                            **_boundaries(file, space))

    def _field(self, path: Path, group: h5py.Group, name: str, rank: int, space: dict[str, str],
               handle: Handle) -> dict[str, Field]:
        if name not in group:
            raise fault(path, f"no '{group.name[1:]}/{name}'", "every name in field_names", "make the file again")
        stored = group[name]
        varying = np.atleast_1d(_attr(path, stored, "dim_varying"))
        dims = (*(["sample"] if _attr(path, stored, "sample_varying") else []),
                *(["time"] if _attr(path, stored, "time_varying") else []),
                *(dim for dim, along in zip(space.values(), varying) if along))
        shape = stored.shape[len(dims):]
        if len(varying) != len(space) or shape != (len(space),) * rank:
            raise fault(path, f"'{name}' of shape {stored.shape}", f"axes {dims} and {(len(space),) * rank} components",
                        "its dim_varying, sample_varying and time_varying must say how it is stored: make it again")
        attrs = {"long_name": name, **({"units": text(stored.attrs["units"])} if "units" in stored.attrs else {})}
        if rank:
            return components(path, stored, name, dims, attrs, self.trusted, handle, labels=tuple(space.values()))
        return {name: Field(dims, pick(path, stored, self.trusted, handle), attrs)}

    def _scalars(self, path: Path, file: h5py.File, fields: dict[str, Field], rows: int,
                 handle: Handle) -> tuple[dict[str, Field], dict[str, xarray.Variable]]:
        """Scalars that vary in time are fields without space; the others are parameters."""
        parameters, group = {}, file.get("scalars", {})
        for name in map(text, np.atleast_1d(group.attrs.get("field_names", [])) if "scalars" in file else []):
            stored = group[name]
            along = [dim for dim in ("sample", "time") if _attr(path, stored, f"{dim}_varying")]
            if "time" in along:
                fields = {**fields, name: Field(tuple(along), pick(path, stored, self.trusted, handle),
                                                {"long_name": name})}
            else:
                parameters[name] = parameter(stored[()], rows, long_name=name)
        for name in map(text, np.atleast_1d(file.attrs.get("simulation_parameters", []))):
            if name in file.attrs and name not in parameters:
                parameters[name] = parameter(file.attrs[name], rows, long_name=name)
        return fields, parameters


def _attr(path: Path, item: h5py.Group | h5py.Dataset | h5py.File, name: str) -> object:
    if name not in item.attrs:
        raise fault(path, f"'{item.name}' without the attribute '{name}'", "The Well's attributes on every group and "
                    "field", "make the file again, or map it yourself: schema=Plain(dims=...)")
    return item.attrs[name]


def _coords(path: Path, file: h5py.File, space: dict[str, str]) -> dict[str, np.ndarray]:
    lines = {}
    for name, dim in {"time": "time", **space}.items():
        if name not in file["dimensions"]:
            raise fault(path, f"no 'dimensions/{name}'", "coordinates of time and of every spatial dim",
                        "make the file again")
        values = file["dimensions"][name][()]
        if values.ndim > 1 and not (values == values[:1]).all():
            raise fault(path, f"samples with a '{name}' of their own", "the same grid and times for all samples",
                        "split the file")
        lines[dim] = values[0] if values.ndim > 1 else values
    return lines


def _boundaries(file: h5py.File, space: dict[str, str]) -> dict[str, str]:
    """``boundary_x="periodic"`` for each axis that a condition is given for; several are joined by a comma."""
    found: dict[str, list[str]] = {}
    for condition in file.get("boundary_conditions", {}).values():
        for dim in map(text, np.atleast_1d(condition.attrs.get("associated_dims", []))):
            found.setdefault(f"boundary_{space.get(dim, dim)}", []).append(text(condition.attrs["bc_type"]).lower())
    return {name: ",".join(sorted(set(kinds))) for name, kinds in found.items()}
