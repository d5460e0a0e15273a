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

import numpy as np
import xarray

from ..files import fault
from ..files.hdf5 import entries
from .leaf import Stacked
from .schema import Field, assemble, parameter
from .source import Source, source, text

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
        return f"datasets {list(NEEDED)}" if set(NEEDED) <= set(entries(path, self.trusted)) else ""

    def read(self, path: Path) -> xarray.Dataset:
        with source(path, self.trusted) as file:
            fields, names = {}, [name for name in MEANING if name in file]
            if odd := [name for name in names if len(file.shape(name)) != 3]:
                raise fault(path, f"'{odd[0]}' of shape {file.shape(odd[0])}", "(time, y, x)", "make the file again")
            leaves = {name: Stacked([file.leaf(name)]) for name in names}
            axes, lines = _grid(file, leaves[names[0]].shape[1:])
            for name, leaf in leaves.items():
                fields[name] = Field(("sample", "time", *axes), leaf, {"long_name": MEANING[name], "units": "1"})
            numbers = {k: parameter(v, 1) for name in RUNTIME if name in file for k, v in _pairs(path, file, name)}
            return assemble(path, "BubbleML", fields, lines, numbers, file.unused())


def _pairs(path: Path, file: Source, name: str) -> Iterator[tuple[str, float]]:
    """Names and numbers of runtime parameters, a table that the file can hold only as long as it is."""
    entry = file.entries[name]
    if entry.dtype is None or entry.dtype.names is None or len(entry.dtype.names) != 2:
        raise fault(path, f"'{name}' of dtype {entry.dtype}", "pairs of a name and a number", "make the file again")
    for key, value in file.records(name).tolist():
        yield text(key).strip(), value


def _grid(file: Source, shape: tuple[int, ...]) -> tuple[tuple[str, str], dict[str, np.ndarray]]:
    """The two axes as they are stored, and the grid's lines where ``x`` and ``y`` vary along one axis each."""
    if not {"x", "y"} <= set(file.members()):
        return ("y", "x"), {}
    x, y = (file.numbers(name, int(np.prod(shape))) for name in "xy")
    x, y = (values[0] if values.ndim == 3 else values for values in (x, y))
    if x.ndim == 1 and y.ndim == 1:
        return ("y", "x"), {"x": x, "y": y}
    if x.ndim == 2 and y.ndim == 2:
        if (x == x[:1]).all() and (y == y[:, :1]).all():
            return ("y", "x"), {"x": x[0], "y": y[:, 0]}
        if (x == x[:, :1]).all() and (y == y[:1]).all():
            return ("x", "y"), {"x": x[:, 0], "y": y[0]}
    return ("y", "x"), {}
