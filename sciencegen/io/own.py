"""netCDF: what this package writes (data sets and results), and what others write; its dims have names already.

A tree of ours has fields at its root and designs under ``/design``; a saved ``Result`` has its samples at its root.
What the attributes of a variable mean is applied as for all other files (:mod:`sciencegen.io.decode`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xarray

from ..files import Kind, fault, kind
from ..files.hdf5 import entries, hdf5
from ..files.netcdf import group
from .decode import dated, decoded
from .leaf import Foreign
from .schema import canonical, coordinate, ordered

__all__ = ["NetCDF"]


@dataclass(frozen=True)
class NetCDF:
    """A netCDF4 or netCDF3 file. ``group`` chooses a group where there are several with data, as in "/samples"."""

    group: str | None = None
    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = kind(path)
        if found is Kind.NETCDF3:
            return "netCDF3's first bytes"
        if found is not Kind.HDF5 or not (there := entries(path, self.trusted)):
            return ""
        with hdf5(path, self.trusted) as file:
            said, own = set(file.attrs), [name for name, entry in there.items() if entry.shape and "/" not in name]
            scales = any(file[name].attrs.get("CLASS") == b"DIMENSION_SCALE" for name in own)
        if "_NCProperties" in said:
            return "the attribute '_NCProperties'"
        return "dimension scales" if scales and "Conventions" in said else ""

    def read(self, path: Path) -> xarray.Dataset:
        groups = {name for name, entry in entries(path, self.trusted).items() if entry.shape is None}
        if self.group is not None:
            if self.group.strip("/") not in groups | {""}:
                raise fault(path, f"group={self.group!r}", f"one of {['/', *sorted(groups)]}", "choose one of them")
            return _meant(path, group(path, self.group, self.trusted))
        found = group(path, "/", self.trusted)
        if "design" in groups:
            design = group(path, "design", self.trusted)
            found = found.merge(design.map(lambda v: v.assign_attrs(role="design"), keep_attrs=True))
        if not found.data_vars:
            raise fault(path, f"no variable at the root of groups {sorted(groups)}", "the group to read",
                        f"say group={sorted(groups)[0]!r}" if groups else "the file holds no data: make it again")
        return _meant(path, found.assign_attrs(source_schema=found.attrs.get("source_schema", "netCDF")))


def _meant(path: Path, stored: xarray.Dataset) -> xarray.Dataset:
    """What is stored in the form that all schemas share: attributes applied, dims in order, coordinates checked."""
    data = {name: _variable(path, str(name), v.variable) for name, v in stored.data_vars.items()}
    coords = {name: _variable(path, str(name), v.variable) for name, v in stored.coords.items()}
    for dim in {"time", "x", "y", "z"} & set(coords):
        if coords[dim].dims == (dim,):
            coordinate(path, dim, coords[dim], stored.sizes[dim])  # refuses what is no coordinate
    found = xarray.Dataset(data, coords, stored.attrs)
    unused = {str(k): "complex numbers" for k, v in data.items() if v.dtype.kind == "c"}
    found.encoding["unused"] = unused | {str(k): "text or objects" for k, v in data.items() if v.dtype.kind in "OSU"}
    return found


def _variable(path: Path, name: str, stored: xarray.Variable) -> xarray.Variable:
    if stored.dtype.kind not in "fiub":
        return stored.transpose(*ordered(stored.dims))
    leaf, attrs = decoded(path, name, Foreign(path, stored), stored.attrs)
    if stored.ndim <= 1 and " since " in str(attrs.get("units", "")):
        dates = dated(path, name, leaf.read((slice(None),) * stored.ndim), attrs)
        return xarray.Variable(stored.dims, dates.values, dates.attrs)
    return canonical(stored.dims, leaf, attrs)
