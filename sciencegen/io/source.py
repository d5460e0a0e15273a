"""An HDF5 file as the readers of the schemas see it: leaves of what is large, numbers of what is small.

Whoever reads through it gets what the door promises (:mod:`sciencegen.files.hdf5`): no other file is read, every block
is at its place, a coordinate is not larger than its fields, attributes are applied, and what nobody read is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray

from ..files import Fault, affordable, fault
from ..files.blocks import covered
from ..files.hdf5 import checked, entries, hdf5
from ..files.kind import size
from ..files.survey import Entry
from .decode import dated, decoded
from .leaf import Handle, Leaf, Picked, StoredLeaf

__all__ = ["Source", "source", "text"]

ROOM = 1000  # numbers that any coordinate may have


@contextmanager
def source(path: Path, trusted: bool) -> Iterator[Source]:
    """The file, open for a reader."""
    with hdf5(path, trusted) as file:
        yield Source(path, file, entries(path, trusted), trusted)


class Source:
    """An open file; names are paths in it without the leading slash, "" its root."""

    def __init__(self, path: Path, file: h5py.File, found: Mapping[str, Entry], trusted: bool) -> None:
        self.path, self.file, self.entries, self.trusted = path, file, found, trusted
        self._later, self._now, self._used = Handle(path), Handle(path, file), set()

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def members(self, group: str = "") -> dict[str, Entry]:
        """Entries right below a group, by their own names."""
        start = f"{group}/" if group else ""
        return {name[len(start):]: entry for name, entry in self.entries.items()
                if name.startswith(start) and "/" not in name[len(start):]}

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a data set; Fault where there is none."""
        entry = self.entries.get(name)
        if entry is None or entry.shape is None:
            raise fault(self.path, f"no data set '{name}'", "one of that name", "make the file again")
        return entry.shape

    def attrs(self, name: str = "") -> dict[str, Any]:
        """Attributes of a data set or a group."""
        return dict(self.file[name or "/"].attrs)

    def leaf(self, name: str, where: Sequence[int | slice] | None = None, order: Sequence[int] | None = None) -> Leaf:
        """A data set that is read when it is asked for; ``where`` and ``order`` as :class:`Picked` has them, for the
        first axes."""
        leaf = self._leaf(name, self._later, where)
        if where is None and order is None:
            return leaf
        where = tuple(where or ())
        return Picked(leaf, (*where, *(slice(None) for _ in range(len(leaf.shape) - len(where)))), order)

    def numbers(self, name: str, most: int | None = None, where: Sequence[int | slice] | None = None) -> np.ndarray:
        """All of a small data set, now, or the part at ``where``; ``most`` is how many numbers there may be, as its
        fields are declared."""
        shape, count = self.shape(name), self.entries[name].nbytes
        what = f"'{name}' of shape {shape}"
        if most is not None and math.prod(shape) > max(ROOM, 4 * most):
            raise fault(self.path, f"{what}, {size(count)}", f"about {most:,} numbers, as its fields have",
                        "the file is damaged, or its axes are in another order: make it again")
        affordable(self.path, what, count)
        leaf = self._leaf(name, self._now, where)
        if leaf.dtype.kind == "c":
            raise complex_fault(self.path, name)
        return leaf.read(tuple(where or ()) + (slice(None),) * (len(shape) - len(where or ())))

    def records(self, name: str) -> np.ndarray:
        """A table of records, all of it, now."""
        affordable(self.path, f"'{name}'", self.entries[name].nbytes)
        self._used.add(name)
        return self.file[name][()]

    def line(self, name: str, length: int | None = None, rows: int = 1) -> xarray.Variable:
        """A coordinate of ``length`` entries, the same in all ``rows`` where it is stored for each sample."""
        values = self.numbers(name, None if length is None else (length + 1) * rows)
        if values.ndim > 1:
            if values.ndim > 2 or not (values == values[:1]).all():
                raise fault(self.path, f"samples with a '{name.rsplit('/', 1)[-1]}' of their own",
                            "the same grid and times for all samples", "split the file")
            values = values[0]
        known = {k: v for k, v in self.attrs(name).items() if k in ("units", "calendar", "long_name", "standard_name")
                 and isinstance(v, str | bytes)}
        return dated(self.path, name.rsplit("/", 1)[-1], values, known)

    def unused(self) -> dict[str, str]:
        """What holds data that nobody has read, and why."""
        return {name: self._reason(entry) for name, entry in self.entries.items()
                if entry.shape is not None and name not in self._used and not entry.bare}

    def _leaf(self, name: str, handle: Handle, where: Sequence[int | slice] | None = None) -> Leaf:
        entry = self.entries.get(name)
        partly = entry is not None and entry.flaw is not None and entry.flaw.unwritten and where is not None
        if not (partly and covered(self.file[name].id, [w.stop if isinstance(w, slice) else None for w in where])):
            checked(self.path, name, self.trusted)
        self._used.add(name)
        stored = self.file[name]
        return decoded(self.path, name, StoredLeaf(handle, name, stored), dict(stored.attrs))[0]

    def _reason(self, entry: Entry) -> str:
        if entry.odd:
            return entry.odd
        if entry.flaw is not None:
            return f"got {entry.flaw.got.format(name='it')}"
        return "one number" if entry.shape == () else f"{entry.shape}, which the schema has no place for"


def complex_fault(path: Path | str, name: str) -> Fault:
    """The refusal of complex numbers, wherever real ones are needed."""
    return fault(path, f"'{name}' of complex numbers", "real ones", "save real and imaginary part as two fields")


def text(value: object) -> str:
    """An attribute of text, whether it is stored as bytes or as characters."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
