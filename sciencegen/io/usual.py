"""Axes of trajectories under the names that we use, where a file calls them otherwise."""

from __future__ import annotations

import xarray

__all__ = ["OTHERS", "usual"]

OTHERS = {"sample": ("trajectory", "run", "realization", "realisation", "case", "simulation", "experiment", "member",
                     "ensemble", "number", "batch"),
          "time": ("t", "step", "frame", "timestep", "time_step")}


def usual(data: xarray.Dataset) -> xarray.Dataset:
    """The data with axes ``sample`` and ``time``, where they have none of that name and one that others call so."""
    found = {}
    for name, others in OTHERS.items():
        called = [dim for dim in data.dims if str(dim).lower() in others]
        if name not in data.dims and name not in data.variables and len(called) == 1:
            found[called[0]] = name
    return data.rename(found)
