"""BubbleML: one simulation of Flash-X a file, fields by time, row and column.

A row is a height: the first lies on the heater. So the stored axes are (time, y, x), though the project's page writes
"T x X x Y"; the stored grid of ``x`` decides where there is one. All quantities are
dimensionless; the authors advise not to rely on ``pressure``. Reference: "BubbleML: A Multi-Physics Dataset and
Benchmarks for Machine Learning" (Hassan et al., 2023), https://arxiv.org/abs/2307.14623.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import xarray

from .content import entries, hdf5, text
from .fault import fault
from .leaf import Handle, Stacked
from .schema import Field, assemble, parameter, pick

__all__ = ["BubbleML"]

MEANING = {"temperature": "temperature over the heater's", "velx": "velocity, x", "vely": "velocity, y",
           "dfun": "signed distance to the interface, positive in vapour", "pressure": "pressure",
           "massflux": "mass flux", "normx": "interface normal, x", "normy": "interface normal, y"}
NEEDED = ("temperature", "velx", "vely", "dfun")
RUNTIME = ("real-runtime-params", "int-runtime-params")


@dataclass(frozen=True)
class BubbleML:
    """``temperature``, ``velx``, ``vely``, ``dfun``, ``pressure``, ``x``, ``y`` and runtime parameters, as pairs."""

    trusted: bool = False

    def matches(self, path: Path) -> str:
        return f"datasets {list(NEEDED)}" if set(NEEDED) <= set(entries(path)) else ""

    def read(self, path: Path) -> xarray.Dataset:
        handle = Handle(path)
        with hdf5(path) as file:
            fields, (axes, lines) = {}, _grid(file)
            for name in (name for name in MEANING if name in file):
                if file[name].ndim != 3:
                    raise fault(path, f"'{name}' of shape {file[name].shape}", "(time, y, x)", "make the file again")
                leaf = Stacked([pick(path, file[name], self.trusted, handle)])
                fields[name] = Field(("sample", "time", *axes), leaf, {"long_name": MEANING[name], "units": "1"})
            numbers = {k: parameter(v, 1) for name in RUNTIME if name in file for k, v in _pairs(path, file[name])}
            return assemble(path, "BubbleML", fields, lines, numbers)


def _pairs(path: Path, stored: h5py.Dataset) -> Iterator[tuple[str, float]]:
    if stored.dtype.names is None or len(stored.dtype.names) != 2:
        raise fault(path, f"'{stored.name[1:]}' of dtype {stored.dtype}", "pairs of a name and a number",
                    "make the file again")
    for key, value in stored[:].tolist():
        yield text(key).strip(), value


def _grid(file: h5py.File) -> tuple[tuple[str, str], dict[str, np.ndarray]]:
    """The two axes as they are stored, and the grid's lines where ``x`` and ``y`` vary along one axis each."""
    if not {"x", "y"} <= set(file):
        return ("y", "x"), {}
    x, y = (file[name][()] if file[name].ndim < 3 else file[name][0] for name in "xy")
    if x.ndim == 1 and y.ndim == 1:
        return ("y", "x"), {"x": x, "y": y}
    if (x == x[:1]).all() and (y == y[:, :1]).all():
        return ("y", "x"), {"x": x[0], "y": y[:, 0]}
    if (x == x[:, :1]).all() and (y == y[:1]).all():
        return ("x", "y"), {"x": x[:, 0], "y": y[0]}
    return ("y", "x"), {}
