"""The door for netCDF: netCDF4, which is HDF5, through h5netcdf, and netCDF3 through SciPy, both by xarray."""

from __future__ import annotations

import os

import xarray

from .fault import guarded
from .hdf5 import checked, entries, whole
from .kind import Kind, affordable, kind

__all__ = ["group", "tree"]


def group(path: str | os.PathLike, name: str = "/", trusted: bool = False) -> xarray.Dataset:
    """The variables of a group, as they are stored and not read yet; Fault where one of them cannot be read.

    Coordinates are read at once, so they are to fit in memory.
    """
    with guarded(path, "a netCDF file"):
        if kind(path) is not Kind.HDF5:
            return xarray.open_dataset(os.fspath(path), engine="scipy", cache=False, mask_and_scale=False,
                                       decode_times=False)
        start = f"{name.strip('/')}/".lstrip("/")
        for key, entry in entries(path, trusted).items():
            own = key.startswith(start) and "/" not in key[len(start):]
            if own and entry.dtype is not None and not entry.odd and not entry.bare:
                checked(path, key, trusted)
                affordable(path, f"'{key}'", entry.nbytes if len(entry.shape) == 1 else 0)
        return xarray.open_dataset(os.fspath(path), engine="h5netcdf", group=name, cache=False, mask_and_scale=False,
                                   decode_times=False)


def tree(path: str | os.PathLike) -> dict[str, xarray.Dataset]:
    """All groups of a netCDF4 file by their paths, "" the root, read and decoded."""
    with guarded(path, "a netCDF file"):
        whole(path)
        with xarray.open_datatree(os.fspath(path), engine="h5netcdf") as found:
            return {node.path.strip("/"): node.to_dataset(inherit=False).load() for node in found.subtree}
