"""The Well: fields grouped by tensor order, each saying which axes it varies along.

Axes that a field does not vary along are not stored and not made up here either: such a field simply lacks the dim (and
xarray broadcasts it). Reference: "The Well: a Large-Scale Collection of Diverse Physics Simulations for Machine
Learning" (Ohana et al., 2024), https://arxiv.org/abs/2412.00568.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray

from ..files import fault
from ..files.hdf5 import entries
from .schema import SPACE, Field, assemble, components, parameter
from .source import Source, source, text

__all__ = ["Well"]

MOST = 10**7  # trajectories, whose parameters are read at once


@dataclass(frozen=True)
class Well:
    """``dimensions``, ``t0_fields``, ``t1_fields``, ``t2_fields``, ``scalars``, ``boundary_conditions``."""

    trusted: bool = False

    def matches(self, path: Path) -> str:
        own = {"dimensions", "t0_fields", "t1_fields", "t2_fields"}
        return f"groups {', '.join(sorted(map(repr, own)))}" if own <= set(entries(path, self.trusted)) else ""

    def read(self, path: Path) -> xarray.Dataset:
        with source(path, self.trusted) as file:
            names = _names(_attr(path, file, "dimensions", "spatial_dims"))
            space = dict(zip(names, SPACE if not set(names) <= set(SPACE) else names))
            fields: dict[str, Field] = {}
            for rank in range(3):
                for name in _names(_attr(path, file, f"t{rank}_fields", "field_names")):
                    fields |= self._field(path, file, f"t{rank}_fields/{name}", rank, space)
            rows = int(_attr(path, file, "", "n_trajectories"))
            for name, entry in fields.items():
                if "sample" in entry.dims and entry.leaf.shape[0] != rows:
                    raise fault(path, f"'{name}' with {entry.leaf.shape[0]} samples", f"n_trajectories = {rows}",
                                "the file was appended to or cut: make it again")
            fields, scalars = _scalars(path, file, fields, rows)
            root = file.attrs()
            attrs = {"title": text(root.get("dataset_name", "")), "grid_type": text(root.get("grid_type", ""))}
            lines = _coordinates(path, file, space, fields, rows)
            unused = {name: why for name, why in file.unused().items() if not name.startswith("boundary_conditions/")}
            return assemble(path, "The Well", fields, lines, scalars, unused, **attrs, **_boundaries(file, space))

    def _field(self, path: Path, file: Source, stored: str, rank: int, space: dict[str, str]) -> dict[str, Field]:
        if stored not in file:
            raise fault(path, f"no '{stored}'", "every name in field_names", "make the file again")
        name, said, shape = stored.rsplit("/", 1)[-1], file.attrs(stored), file.shape(stored)
        varying = np.atleast_1d(_attr(path, file, stored, "dim_varying"))
        dims = (*(["sample"] if _attr(path, file, stored, "sample_varying") else []),
                *(["time"] if _attr(path, file, stored, "time_varying") else []),
                *(dim for dim, along in zip(space.values(), varying) if along))
        if len(varying) != len(space) or shape[len(dims):] != (len(space),) * rank:
            raise fault(path, f"'{name}' of shape {shape}", f"axes {dims} and {(len(space),) * rank} components",
                        "its dim_varying, sample_varying and time_varying must say how it is stored: make it again")
        attrs = {"long_name": name, **({"units": text(said["units"])} if "units" in said else {})}
        if rank:
            return components(file, stored, dims, attrs, labels=tuple(space.values()))
        return {name: Field(dims, file.leaf(stored), attrs)}


def _scalars(path: Path, file: Source, fields: dict[str, Field],
             rows: int) -> tuple[dict[str, Field], dict[str, xarray.Variable]]:
    """Scalars that vary in time are fields without space; the others are parameters."""
    if not 1 <= rows <= MOST:
        raise fault(path, f"n_trajectories = {rows}", f"1 to {MOST:,}", "correct that attribute")
    parameters, root = {}, file.attrs()
    for name in _names(file.attrs("scalars").get("field_names", [])) if "scalars" in file else []:
        stored = f"scalars/{name}"
        along = [dim for dim in ("sample", "time") if _attr(path, file, stored, f"{dim}_varying")]
        if "time" in along:
            if len(file.shape(stored)) != len(along):
                raise fault(path, f"'{stored}' of shape {file.shape(stored)}", f"axes {tuple(along)}",
                            "its sample_varying and time_varying must say how it is stored: make it again")
            fields = {**fields, name: Field(tuple(along), file.leaf(stored), {"long_name": name})}
        else:
            parameters[name] = parameter(file.numbers(stored, rows), rows, long_name=name)
    for name in _names(root.get("simulation_parameters", [])):
        if name in root and name not in parameters:
            parameters[name] = parameter(root[name], rows, long_name=name)
    return fields, parameters


def _names(value: object) -> list[str]:
    return [text(name) for name in np.atleast_1d(value)]


def _attr(path: Path, file: Source, item: str, name: str) -> object:
    if item and item not in file:
        raise fault(path, f"no '{item}'", "every name that The Well's attributes list", "make the file again")
    said = file.attrs(item)
    if name not in said:
        raise fault(path, f"'/{item}' without the attribute '{name}'", "The Well's attributes on every group and "
                    "field", "make the file again, or map it yourself: dims={'NAME': (...)}")
    return said[name]


def _coordinates(path: Path, file: Source, space: dict[str, str], fields: dict[str, Field],
                 rows: int) -> dict[str, xarray.Variable]:
    sizes = {dim: n for entry in fields.values() for dim, n in zip(entry.dims, entry.leaf.shape)}
    lines = {}
    for name, dim in {"time": "time", **space}.items():
        if f"dimensions/{name}" not in file:
            raise fault(path, f"no 'dimensions/{name}'", "coordinates of time and of every spatial dim",
                        "make the file again")
        if dim in sizes:
            lines[dim] = file.line(f"dimensions/{name}", sizes[dim], rows)
    return lines


def _boundaries(file: Source, space: dict[str, str]) -> dict[str, str]:
    """``boundary_x="periodic"`` for each axis that a condition is given for; several are joined by a comma."""
    found: dict[str, list[str]] = {}
    for group in file.members("boundary_conditions"):
        said = file.attrs(f"boundary_conditions/{group}")
        for dim in _names(said.get("associated_dims", [])):
            found.setdefault(f"boundary_{space.get(dim, dim)}", []).append(text(said["bc_type"]).lower())
    return {name: ",".join(sorted(set(kinds))) for name, kinds in found.items()}
