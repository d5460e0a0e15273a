"""The door for netCDF: netCDF4, which is HDF5, through h5netcdf, and netCDF3 through SciPy, both by xarray."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import xarray

from .fault import fault, guarded
from .hdf5 import checked, entries, whole
from .kind import Kind, affordable, kind
from .netcdf3 import placed

__all__ = ["group", "tree"]


def group(path: str | os.PathLike, name: str = "/", trusted: bool = False) -> xarray.Dataset:
    """The variables of a group, as they are stored and not read yet; Fault where one of them cannot be read.

    Coordinates are read at once, so they are to fit in memory.
    """
    with guarded(path, "a netCDF file"), _named():
        if kind(path) is not Kind.HDF5:
            placed(path)
            return xarray.open_dataset(os.fspath(path), engine="scipy", cache=False, mask_and_scale=False,
                                       decode_times=False)
        start = f"{name.strip('/')}/".lstrip("/")
        for key, entry in entries(path, trusted).items():
            own = key.startswith(start) and "/" not in key[len(start):]
            if own and entry.dtype is not None and not entry.odd and not entry.bare:
                checked(path, key, trusted)
                affordable(path, f"'{key}'", entry.nbytes if len(entry.shape) == 1 else 0)
        found = xarray.open_dataset(os.fspath(path), engine="h5netcdf", group=name, cache=False, mask_and_scale=False,
                                    decode_times=False)
        _filled(path, start, found, trusted)
        return found


def tree(path: str | os.PathLike) -> dict[str, xarray.Dataset]:
    """All groups of a netCDF4 file by their paths, "" the root, read and decoded."""
    with guarded(path, "a netCDF file"), _named():
        whole(path)
        with xarray.open_datatree(os.fspath(path), engine="h5netcdf", decode_timedelta=False) as found:
            groups = {node.path.strip("/"): node.to_dataset(inherit=False).load() for node in found.subtree}
        for name, content in groups.items():
            _filled(path, f"{name}/".lstrip("/"), content, False)
        return groups


@contextmanager
def _named() -> Iterator[None]:
    """A file whose axes have no names is none of netCDF's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*phony_dims.*")
        yield


def _filled(path: str | os.PathLike, start: str, found: xarray.Dataset, trusted: bool) -> None:
    """Fault for a variable that is shorter than a dimension without end, where the library makes up what is missing."""
    there = entries(path, trusted)
    for name, v in found.variables.items():
        entry = there.get(f"{start}{name}")
        if not trusted and entry is not None and not entry.odd and entry.shape not in (None, v.shape):
            raise fault(path, f"'{start}{name}' written up to {entry.shape}", f"{v.shape}, as its dimensions are long: "
                        "the others would read as zeros", "its writer was stopped; make it again, or say trusted=True "
                        "to read what was never written")
