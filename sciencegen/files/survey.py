"""What is in an HDF5 file, listed once and without reading any of it: every object, and what is wrong with it.

An HDF5 file can name other files: by an external link, by external raw storage, as the sources of a virtual data set.
Reading such a file reads those, whoever they belong to, and where one is missing HDF5 makes up zeros. So they are
strangers, to be refused unless the caller trusts whoever made the file. Soft links inside of the file are followed, and
groups that contain themselves come to an end. Reference: "HDF5 File Format Specification Version 3.0" (The HDF Group),
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5t

from .blocks import Blocks, Flaw, blocks, overlapping
from .fault import fault

__all__ = ["Entry", "Survey", "survey"]

Key = tuple[int, int]  # of an object: its file and its address
Above = tuple[Key, ...]  # the groups around one
TWICE = 10_000  # how often groups may be seen again, by another name
KINDS = {"c": "complex numbers", "V": "records", "O": "text or objects", "S": "text", "U": "text"}


@dataclass(frozen=True)
class Entry:
    """An object: ``shape`` (None for a group), why it holds no numbers (``odd``), why it cannot be read (``flaw``).

    netCDF stores a dimension without coordinates as a data set that nobody writes; it is ``bare``.
    """

    shape: tuple[int, ...] | None = None
    dtype: np.dtype | None = None
    odd: str = ""
    flaw: Flaw | None = None
    bare: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes in memory, as declared."""
        return int(np.prod(self.shape or (), dtype=object)) * self.dtype.itemsize if self.dtype else 0


@dataclass(frozen=True)
class Survey:
    """``entries`` by path, and ``strangers``: what other files the file names, in words."""

    entries: Mapping[str, Entry]
    strangers: tuple[str, ...] = ()


@dataclass
class Tour:
    """A way through all links: what was found, and the groups that were seen."""

    path: str
    trusted: bool
    entries: dict[str, Entry] = field(default_factory=dict)
    stored: dict[Key, Blocks] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    soft: list[tuple[str, h5g.GroupID, Above]] = field(default_factory=list)
    seen: set[Key] = field(default_factory=set)
    again: int = 0


def survey(path: str | os.PathLike, file: h5py.File, trusted: bool) -> Survey:
    """List the open ``file``; strangers are followed only where it is trusted."""
    walk = Tour(os.fspath(path), trusted)
    _group(walk, h5g.open(file.id, b"/"), "", ())
    # a soft link may lead through an external one, so all those are known before the first is followed
    while walk.soft and (trusted or not walk.strangers):
        name, parent, above = walk.soft.pop()
        if (found := _object(walk, parent, name)) is not None:
            _group(walk, found, f"{name}/", above)
    for name, flaw in overlapping(walk.stored, os.stat(path).st_size).items():
        walk.entries[name] = replace(walk.entries[name], flaw=flaw)
    return Survey(MappingProxyType(dict(sorted(walk.entries.items()))), tuple(walk.strangers))


def _group(walk: Tour, group: h5g.GroupID, prefix: str, above: Above) -> None:
    """Enter all below a group; one that is inside of itself is not entered again."""
    todo = [(group, prefix, above)]
    while todo:
        group, prefix, above = todo.pop()
        if (key := _key(group)) in above:
            continue
        if key in walk.seen:
            _again(walk)
        walk.seen.add(key)
        for link in _links(group):
            name = f"{prefix}{link.decode(errors='surrogateescape')}"
            kind = group.links.get_info(link).type
            if kind == h5l.TYPE_SOFT:
                walk.soft.append((name, group, (*above, key)))
                continue
            if kind != h5l.TYPE_HARD:
                walk.strangers.append(f"'{name}', a link into {_other(group, link, kind)}")
            if (kind == h5l.TYPE_HARD or walk.trusted) and (found := _object(walk, group, name)) is not None:
                todo.append((found, f"{name}/", (*above, key)))


def _again(walk: Tour) -> None:
    walk.again += 1
    if walk.again > TWICE:
        raise fault(walk.path, f"groups that are linked to in more than {TWICE:,} ways", "a tree of groups",
                    "it may be made to exhaust time: copy what you need of it into a file of its own")


def _links(group: h5g.GroupID) -> list[bytes]:
    names: list[bytes] = []
    group.links.iterate(names.append)
    return names


def _key(found: h5g.GroupID | h5d.DatasetID) -> Key:
    about = h5o.get_info(found)
    return about.fileno, about.addr


def _other(group: h5g.GroupID, link: bytes, kind: int) -> str:
    known = kind == h5l.TYPE_EXTERNAL
    return os.fsdecode(group.links.get_val(link)[0]) if known else "something unknown"


def _object(walk: Tour, parent: h5g.GroupID, name: str) -> h5g.GroupID | None:
    """Enter what ``name`` leads to; a group is returned."""
    try:
        found = h5o.open(parent, name.rsplit("/", 1)[-1].encode(errors="surrogateescape"))
    except KeyError:
        walk.entries[name] = Entry((), odd="a link that leads nowhere")
        return None
    if isinstance(found, h5d.DatasetID):
        walk.entries[name] = _dataset(walk, found, name)
    elif isinstance(found, h5g.GroupID):
        walk.entries[name] = Entry()
        return found
    return None


def _dataset(walk: Tour, dataset: h5d.DatasetID, name: str) -> Entry:
    layout = dataset.get_create_plist()
    virtual = layout.get_layout() == h5d.VIRTUAL
    if virtual or layout.get_external_count():
        walk.strangers.append(f"'{name}', whose numbers are taken from {_sources(walk.path, layout, virtual)}")
        if not walk.trusted:  # to ask a virtual data set for its shape opens its sources
            return Entry((), odd="numbers of another file")
    if dataset.shape is None:
        return Entry((), odd="empty")
    _scales(walk, dataset, name)
    try:
        dtype = dataset.dtype
    except TypeError as error:
        return Entry(dataset.shape, odd=f"of a type that NumPy has no equal for ({error})")
    odd = KINDS.get(dtype.kind, "" if _usual(dataset, dtype) else f"of a type of its own, which NumPy reads as {dtype}")
    entry = Entry(dataset.shape, dtype, odd, bare=_bare(dataset))
    if walk.trusted or dtype.kind not in "fiubc":
        return entry
    if (key := _key(dataset)) not in walk.stored:
        walk.stored[key] = blocks(dataset, layout, dtype)
    walk.stored[key].names.append(name)
    return replace(entry, flaw=walk.stored[key].flaw)


def _usual(dataset: h5d.DatasetID, dtype: np.dtype) -> bool:
    """Whether numbers are stored as IEEE's or as whole ones of all their bits; a damaged type is seldom either."""
    stored = dataset.get_type()
    if stored.get_class() not in (h5t.FLOAT, h5t.INTEGER):
        return dtype.kind in "fiub" and dtype.itemsize <= 8
    return dtype.itemsize <= 8 and stored == h5t.py_create(dtype)


def _bare(dataset: h5d.DatasetID) -> bool:
    if not h5a.exists(dataset, b"NAME"):
        return False
    return bytes(h5py.Dataset(dataset).attrs["NAME"]).startswith(b"This is a netCDF dimension but not a netCDF")


def _scales(walk: Tour, dataset: h5d.DatasetID, name: str) -> None:
    """The netCDF library ends the process on a variable with fewer axes than its list of dimensions."""
    if h5a.exists(dataset, b"DIMENSION_LIST"):
        shape = h5a.open(dataset, b"DIMENSION_LIST").shape
        if shape != (len(dataset.shape),):
            raise fault(walk.path, f"'{name}' of {len(dataset.shape)} axes with a list of {shape} dimensions",
                        "a dimension for each axis", "the file is damaged: fetch or make it again")


def _sources(path: str, layout: h5py.h5p.PropDCID, virtual: bool) -> str:
    """The files that a data set takes its numbers from, one that is missing first."""
    names = sorted(set(_virtual(layout) if virtual else _raw(layout)))
    lost = [name for name in names if name != "." and not (Path(path).parent / name).exists()]
    first = lost[0] if lost else names[0] if names else "nowhere"
    return ("this file" if first == "." else first) + (", which is missing" if lost else "")


def _virtual(layout: h5py.h5p.PropDCID) -> Iterator[str]:
    yield from (layout.get_virtual_filename(i) for i in range(min(layout.get_virtual_count(), TWICE)))


def _raw(layout: h5py.h5p.PropDCID) -> Iterator[str]:
    yield from (os.fsdecode(layout.get_external(i)[0]) for i in range(layout.get_external_count()))
