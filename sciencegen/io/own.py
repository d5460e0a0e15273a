"""netCDF: what this package writes (data sets and results), and what others write; its dims have names already.

A tree of ours has fields at its root and designs under ``/design``; a saved ``Result`` has its samples under
``/samples``. netCDF4 goes through h5netcdf, netCDF3 through SciPy, both by xarray and lazily.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import xarray

from .content import Kind, entries, hdf5, kind
from .fault import fault

__all__ = ["NetCDF"]


@dataclass(frozen=True)
class NetCDF:
    """A netCDF4 or netCDF3 file. ``group`` chooses a group where there are several with data, as in "/samples"."""

    group: str | None = None

    def matches(self, path: Path) -> str:
        found = kind(path)
        if found is Kind.NETCDF3:
            return "netCDF3's first bytes"
        if found is not Kind.HDF5 or not entries(path):
            return ""
        with hdf5(path) as file:
            scales = any(item.attrs.get("CLASS") == b"DIMENSION_SCALE" for item in file.values())
            if "_NCProperties" in file.attrs or (scales and "Conventions" in file.attrs):
                return "the attribute '_NCProperties'" if "_NCProperties" in file.attrs else "dimension scales"
        return ""

    def read(self, path: Path) -> xarray.Dataset:
        engine = "h5netcdf" if kind(path) is Kind.HDF5 else "scipy"
        if engine == "scipy":
            return _opened(path, engine, None)
        groups = {name for name, shape in entries(path).items() if shape is None}
        if self.group is not None:
            if self.group.strip("/") not in groups | {""}:
                raise fault(path, f"group={self.group!r}", f"one of {['/', *sorted(groups)]}", "choose one of them")
            return _opened(path, engine, self.group)
        if {"samples", "history"} <= groups:
            scores, samples = _opened(path, engine, "/"), _opened(path, engine, "samples")
            return samples.assign({name: scores[name].variable for name in scores.data_vars}).assign_attrs(
                scores.attrs, source_schema="a result of sciencegen")
        found = _opened(path, engine, "/")
        if "design" in groups:
            design = _opened(path, engine, "design")
            found = found.merge(design.map(lambda v: v.assign_attrs(role="design"), keep_attrs=True))
        if not found.data_vars:
            raise fault(path, f"no variable at the root of groups {sorted(groups)}", "the group to read",
                        f"say group={sorted(groups)[0]!r}" if groups else "the file holds no data: make it again")
        return found.assign_attrs(source_schema=found.attrs.get("source_schema", "netCDF"))


def _opened(path: Path, engine: str, group: str | None) -> xarray.Dataset:
    try:
        if engine == "scipy":
            return xarray.open_dataset(os.fspath(path), engine=engine, cache=False)
        return xarray.open_dataset(os.fspath(path), engine=engine, group=group, cache=False)
    except Exception as error:  # h5netcdf, SciPy and xarray raise many kinds on damaged files
        raise fault(path, f"a netCDF file that cannot be read ({error})", "a whole one",
                    "fetch or make it again") from error
