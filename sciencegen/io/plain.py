"""HDF5 and netCDF files of nobody's schema, by a mapping that their owner writes down.

A netCDF file (4 or 3) names its own dimensions, so it needs no mapping. An HDF5 file without dimension scales does:
nothing in it says which of two axes of the same length is time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import xarray

from .content import Kind, entries, hdf5, kind
from .fault import fault
from .leaf import Handle
from .schema import Field, assemble, named_axes, parameter, pick

__all__ = ["Plain"]


@dataclass(frozen=True)
class Plain:
    """Any HDF5 file, by ``dims={'path/in/file': ('sample', 'time', 'x')}`` for each dataset that is to be read.

    A dataset whose only dim is its own name, or that ``lines`` gives for a dim, becomes a coordinate.

    Arguments:
        dims: names of each dataset's axes, in the order of the file. One of dims ``("sample",)`` is a parameter.
        names: what a dataset is to be called, instead of the last part of its path.
        units: by the new names, as CF writes them: ``"m s-1"``.
        lines: the dataset that holds the coordinate of a dim: ``{"time": "t"}``.
        trusted: read what was never written, and chunks of any size.
    """

    dims: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False

    def matches(self, path: Path) -> str:
        return "an HDF5 file and dims for it" if self.dims and kind(path) is Kind.HDF5 else ""

    def read(self, path: Path) -> xarray.Dataset:
        found = entries(path)
        there = {name for name, shape in found.items() if shape is not None}
        if unknown := {*self.dims, *self.lines.values()} - there:
            raise fault(path, f"a mapping for {sorted(unknown)}", f"datasets of the file, {summary(found)}",
                        "correct the names")
        if not self.dims:
            raise fault(path, f"datasets {summary(found)} of no known schema", "names of their axes",
                        "say dims={'NAME': (...)} for each to be read, of sample, time, x, y, z or names of your own")
        handle = Handle(path)
        fields: dict[str, Field] = {}
        numbers, rows = {}, 1
        with hdf5(path) as file:
            lines = {dim: file[name][()] for dim, name in self.lines.items()}
            for name in self.dims:
                axes, label = named_axes(path, name, file[name].shape, self.dims), self._label(path, name, fields)
                rows = file[name].shape[axes.index("sample")] if "sample" in axes else rows
                attrs = {**_attrs(file[name]), **({"units": self.units[label]} if label in self.units else {})}
                if axes == (label,):
                    lines[label] = xarray.Variable(label, file[name][()], attrs)
                elif axes == ("sample",):
                    numbers[label] = parameter(file[name][()], rows, **attrs)
                else:
                    fields[label] = Field(axes, pick(path, file[name], self.trusted, handle), attrs)
            return assemble(path, "plain HDF5", fields, lines, numbers)

    def _label(self, path: Path, name: str, taken: Mapping[str, Field]) -> str:
        label = self.names.get(name, name.rsplit("/", 1)[-1])
        if label in taken:
            raise fault(path, f"two datasets called '{label}'", "a name for each", f"say names={{'{name}': '...'}}")
        return label


def _attrs(stored: h5py.Dataset) -> dict[str, str]:
    return {"long_name": stored.name.rsplit("/", 1)[-1],
            **{k: v for k, v in stored.attrs.items() if k in ("units", "long_name", "standard_name")
               and isinstance(v, str)}}


def summary(found: Mapping[str, tuple[int, ...] | None]) -> str:
    """Names and shapes for a message, the first few."""
    shown = [f"{k} {v}" for k, v in found.items() if v is not None]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "") or "none"
