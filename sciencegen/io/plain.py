"""HDF5 and netCDF files of nobody's schema, by a mapping that their owner writes down.

A netCDF file (4 or 3) names its own dimensions, so it needs no mapping. An HDF5 file without dimension scales does:
nothing in it says which of two axes of the same length is time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xarray

from ..files import Kind, fault, kind
from ..files.survey import Entry
from .schema import Field, assemble, named_axes, parameter
from .source import Source, source, text

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
        with source(path, self.trusted) as file:
            self._known(path, file)
            fields: dict[str, Field] = {}
            lines, numbers = dict(self.lines), {}
            for name in self.dims:
                shape = file.shape(name)
                axes, label = named_axes(path, name, shape, self.dims), self._label(path, name, fields)
                if axes == (label,):
                    lines[label] = name
                elif axes == ("sample",):
                    numbers[label] = name
                else:
                    fields[label] = Field(axes, file.leaf(name), self._attrs(file, name, label))
            sizes = {dim: n for entry in fields.values() for dim, n in zip(entry.dims, entry.leaf.shape)}
            rows = sizes.get("sample", 1)
            coords = {dim: self._line(file, name, dim, sizes[dim]) for dim, name in lines.items() if dim in sizes}
            found = {k: parameter(file.numbers(n, rows), rows, **self._attrs(file, n, k)) for k, n in numbers.items()}
            return assemble(path, "plain HDF5", fields, coords, found, file.unused())

    def _known(self, path: Path, file: Source) -> None:
        there = {name for name, entry in file.entries.items() if entry.shape is not None}
        if unknown := {*self.dims, *self.lines.values()} - there:
            raise fault(path, f"a mapping for {sorted(unknown)}", f"datasets of the file, {summary(file.entries)}",
                        "correct the names")
        if not self.dims:
            raise fault(path, f"datasets {summary(file.entries)} of no known schema", "names of their axes",
                        "say dims={'NAME': (...)} for each to be read, of sample, time, x, y, z or names of your own")

    def _line(self, file: Source, name: str, dim: str, length: int) -> xarray.Variable:
        line = file.line(name, length)
        units = {"units": self.units[dim]} if dim in self.units else {}
        return xarray.Variable(line.dims, line.values, {"long_name": name.rsplit("/", 1)[-1], **line.attrs, **units})

    def _attrs(self, file: Source, name: str, label: str) -> dict[str, str]:
        said = {k: text(v) for k, v in file.attrs(name).items() if k in ("units", "long_name", "standard_name")
                and isinstance(v, str | bytes)}
        units = {"units": self.units[label]} if label in self.units else {}
        return {"long_name": name.rsplit("/", 1)[-1], **said, **units}

    def _label(self, path: Path, name: str, taken: Mapping[str, Field]) -> str:
        label = self.names.get(name, name.rsplit("/", 1)[-1])
        if label in taken:
            raise fault(path, f"two datasets called '{label}'", "a name for each", f"say names={{'{name}': '...'}}")
        return label


def summary(found: Mapping[str, Entry]) -> str:
    """Names and shapes for a message, the first few."""
    shown = [f"{k} {v.odd or v.shape}" for k, v in found.items() if v.shape is not None]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "") or "none"
