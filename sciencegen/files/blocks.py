"""Where a data set's numbers are stored in an HDF5 file, and whether every block of them is at its place.

A chunk that is not there reads as zeros, and so does one that the index lists and yet does not find, because a key on
the way to it was damaged. So the set of the listed places is compared with the grid, not their number, and each is
looked up. No byte of a file belongs to two blocks, and a block without a filter is as long as its numbers. Time is
bounded: of more than :data:`MOST` chunks the number is compared, and at most :data:`LOOKED_UP` are looked up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from h5py import h5a, h5d, h5p, h5z

from .kind import size

__all__ = ["LARGEST_CHUNK", "Blocks", "Flaw", "blocks", "covered", "overlapping"]

MOST = 2**21  # chunks, about 3 seconds
LOOKED_UP = 2**17  # chunks, less than a second
LARGEST_CHUNK = 2**30  # bytes that reading a single number may unpack
UNWRITTEN = "its writer was stopped; make it again, or say trusted=True to read what was never written"
DAMAGED = "the file is damaged: fetch or make it again"
EMPTY = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Flaw:
    """What was got, what was expected, what to do."""

    got: str
    expected: str
    advice: str
    unwritten: bool = False


@dataclass
class Blocks:
    """First bytes and lengths of what is stored, what is wrong with it, and the ``names`` of its data set."""

    starts: np.ndarray
    sizes: np.ndarray
    flaw: Flaw | None = None
    names: list[str] = field(default_factory=list)


def blocks(dataset: h5d.DatasetID, layout: h5p.PropDCID, dtype: np.dtype) -> Blocks:
    """The stored blocks of a data set of numbers."""
    kind, total = layout.get_layout(), math.prod(dataset.shape) * dtype.itemsize
    if kind == h5d.COMPACT or not total:
        return Blocks(EMPTY, EMPTY)
    if kind == h5d.CHUNKED:
        return _chunked(dataset, layout, dtype)
    stored, start = dataset.get_storage_size(), dataset.get_offset()
    if stored < total or start is None:
        return Blocks(EMPTY, EMPTY, Flaw(f"{stored:,} of {total:,} bytes of {{name}}, of {size(total)}",
                                         "all of them: the others would read as zeros", UNWRITTEN))
    flaw = None if stored == total else Flaw(f"{stored:,} bytes for {{name}}", f"{total:,}, as its shape says", DAMAGED)
    return Blocks(np.array([start]), np.array([stored]), flaw)


def _chunked(dataset: h5d.DatasetID, layout: h5p.PropDCID, dtype: np.dtype) -> Blocks:
    chunk, filters = layout.get_chunk(), [layout.get_filter(i)[0] for i in range(layout.get_nfilters())]
    for code in filters:
        if not h5z.filter_avail(code):
            return Blocks(EMPTY, EMPTY, Flaw(f"{{name}} compressed by HDF5's filter {code}, which is not there",
                                             "one that is installed", "pip install hdf5plugin and import it first"))
    grid = [-(-n // c) for n, c in zip(dataset.shape, chunk)]
    total, block = math.prod(grid), math.prod(chunk) * dtype.itemsize
    count, stored = dataset.get_num_chunks(), dataset.get_storage_size()
    if stored and block > max(LARGEST_CHUNK, 100 * stored / max(count, 1)):
        return Blocks(EMPTY, EMPTY, Flaw(
            f"chunks of {{name}} that unpack to {size(block)} each", f"at most {size(LARGEST_CHUNK)}, as a number "
            "costs a whole chunk", "rechunk it (h5repack -l), or say trusted=True"))
    if max(count, total) > MOST:
        return Blocks(EMPTY, EMPTY, None if count == total else _unwritten(count, total))
    found: list[tuple[tuple[int, ...], int, int, int]] = []
    dataset.chunk_iter(lambda c: found.append((c.chunk_offset, c.filter_mask, c.byte_offset, c.size)))
    if not found:
        return Blocks(EMPTY, EMPTY, _unwritten(0, total))
    places = np.array([f[0] for f in found], np.int64)
    masks, starts, sizes = (np.array([f[i] for f in found], np.uint64).astype(np.int64) for i in (1, 2, 3))
    flaw = _misplaced(places, chunk, grid) or _misshapen(masks, sizes, len(filters), block)
    if flaw is None and len(found) < total and not _said(dataset, layout, dtype):
        flaw = _unwritten(len(found), total)
    return Blocks(starts, sizes, flaw or _lost(dataset, [f[0] for f in found]))


def _lost(dataset: h5d.DatasetID, places: list[tuple[int, ...]]) -> Flaw | None:
    """Listed chunks that a read would not find."""
    lost = [place for place in places[:: -(-len(places) // LOOKED_UP)] if not _found(dataset, place)]
    return Flaw(f"{len(lost):,} chunks of {{name}} that the index lists and does not find, as the one at {lost[0]}",
                "all of them: the others would read as zeros", DAMAGED) if lost else None


def _found(dataset: h5d.DatasetID, place: tuple[int, ...]) -> bool:
    try:
        dataset.read_direct_chunk(place, out=bytearray(1))
    except ValueError:  # h5py looks up the chunk's length, and finds no room for it: nothing is read
        return True
    except (OSError, RuntimeError):
        return False
    return True


def _unwritten(count: int, total: int) -> Flaw:
    return Flaw(f"{count:,} of {total:,} chunks of {{name}}", "all of them: the others would read as zeros", UNWRITTEN,
                True)


def covered(dataset: h5d.DatasetID, stops: Sequence[int | None]) -> bool:
    """Whether all chunks of a part were written, the part that ends at ``stops`` along the first axes."""
    layout = dataset.get_create_plist()
    if layout.get_layout() != h5d.CHUNKED or dataset.get_num_chunks() > MOST:
        return False
    stops = [*stops, *(None,) * (len(dataset.shape) - len(stops))]
    ends = [n if stop is None else stop for n, stop in zip(dataset.shape, stops)]
    found: list[tuple[int, ...]] = []
    dataset.chunk_iter(lambda c: found.append(c.chunk_offset))
    inside = {place for place in found if all(first < end for first, end in zip(place, ends))}
    return len(inside) == math.prod(-(-end // c) for end, c in zip(ends, layout.get_chunk()))


def _misplaced(places: np.ndarray, chunk: tuple[int, ...], grid: list[int]) -> Flaw | None:
    index, rest = np.divmod(places, np.array(chunk))
    inside = (index >= 0).all(1) & (index < np.array(grid)).all(1) & (rest == 0).all(1)
    if not inside.all():
        return Flaw(f"{int((~inside).sum()):,} chunks of {{name}} at places beside its grid",
                    "every chunk at its place: what is missing there would read as zeros", DAMAGED)
    if len(np.unique(np.ravel_multi_index(tuple(index.T), grid))) < len(index):
        return Flaw("chunks of {name} that are there twice", "every chunk once: others would read as zeros", DAMAGED)
    return None


def _misshapen(masks: np.ndarray, sizes: np.ndarray, filters: int, block: int) -> Flaw | None:
    """A chunk that no filter was applied to is as long as its numbers; a filter that there is none of was not left out.
    """
    raw = masks == 2**filters - 1
    wrong = (masks >= 2**filters) | (raw & (sizes != block)) | (sizes <= 0)
    if not wrong.any():
        return None
    return Flaw(f"{int(wrong.sum()):,} chunks of {{name}} of another length than their numbers have",
                f"{block:,} bytes each, or fewer by the filters of the data set", DAMAGED)


def _said(dataset: h5d.DatasetID, layout: h5p.PropDCID, dtype: np.dtype) -> bool:
    """Whether what was not written reads as missing: as NaN, or as what the file declares to be no number."""
    if layout.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED or dtype.kind not in "fiu":
        return False
    fill = np.zeros((), dtype)
    layout.get_fill_value(fill)
    if np.isnan(fill):
        return True
    return any(_declared(dataset, name, fill) for name in (b"_FillValue", b"missing_value"))


def _declared(dataset: h5d.DatasetID, name: bytes, fill: np.ndarray) -> bool:
    if not h5a.exists(dataset, name):
        return False
    found = h5a.open(dataset, name)
    if found.dtype.kind not in "fiu" or math.prod(found.shape or ()) > 16:
        return False
    value = np.zeros(found.shape, found.dtype)
    found.read(value)
    return bool((value == fill).any())


def overlapping(stored: Mapping[tuple[int, int], Blocks], end: int) -> dict[str, Flaw]:
    """Flaws by name of data sets with blocks beyond the file's end, or whose bytes are another block's as well."""
    kinds = list(stored.values())
    owners = np.repeat(np.arange(len(kinds)), [len(b.starts) for b in kinds])
    if not len(owners):
        return {}
    starts, sizes = np.concatenate([b.starts for b in kinds]), np.concatenate([b.sizes for b in kinds])
    order = np.argsort(starts, kind="stable")
    last = np.maximum.accumulate((starts + sizes)[order])
    shared = np.flatnonzero(starts[order][1:] < last[:-1])
    bad = {int(owners[order[i]]) for k in shared for i in (k, k + 1)}
    beyond = {int(i) for i in owners[starts + sizes > end]}
    found = {}
    for i in sorted(bad | beyond):
        place = "beyond the file's end" if i in beyond else "in bytes that another block holds as well"
        got = f"{{name}} stored {place}"
        for name in kinds[i].names:
            if kinds[i].flaw is None:
                found[name] = Flaw(got, "every block at a place of its own", DAMAGED)
    return found
