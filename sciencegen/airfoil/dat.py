"""Airfoil coordinate files (.dat), as they are found in the wild, read to one order and checked.

A file is a name line and rows of x and y (:mod:`sciencegen.airfoil.rows`). Two orders are common. Selig's is one loop,
from the trailing edge over the upper side to the leading edge and back below. Lednicer's is two blocks, upper then
lower, each from the leading edge to the trailing edge, after a line with the number of points of each. Whatever the
order, the separators, the line ends, the direction, the start and the repeated points, what is returned is Selig's
order (:mod:`sciencegen.airfoil.outline`), in the file's own unit; a file in per cent or thousandths of the chord comes
back in chords, with a warning that says so. No point is moved otherwise.

References:
    UIUC Airfoil Coordinates Database (Selig, 1996), https://m-selig.ae.illinois.edu/ads/coord_database.html
"""

import os
import re
import warnings

import numpy as np

from sciencegen.airfoil import rows
from sciencegen.airfoil.chordline import chord
from sciencegen.airfoil.outline import selig
from sciencegen.files import fault, regular, replacing

_LARGEST = 10_000_000  # bytes
_UNITS = {100: "per cent", 1000: "thousandths"}
_ROUNDING = 0.005  # of the chord, by which a file in per cent may miss 100
_APART = 999.0  # MSES and its relatives write it between two elements
_FEWEST = 8  # rows of an element


def read_dat(path: str | os.PathLike) -> tuple[str, np.ndarray]:
    """The name and the outline, (n, 2) float64 in Selig order, of a coordinate file.

    Open and closed trailing edges are kept as they are. The name is the file's first line of text, or its stem. Lines
    behind ``#``, ``!``, ``%`` or ``//`` are comments; the reference point of OpenFAST's files is left out.

    Raises:
        ValueError: where the file holds a line that looks like a row and is none, several airfoils, or rows that are no
            airfoil's outline (see :func:`sciencegen.airfoil.outline.selig`); the message names the file and the fault.
    """
    file = regular(path)
    if file.is_dir():
        raise fault(file, "a directory", "a coordinate file", "name one in it")
    if file.stat().st_size > _LARGEST:
        raise fault(file, f"{file.stat().st_size} bytes", f"at most {_LARGEST}", "is it a .dat file?")
    name, points = parsed(file.read_bytes(), str(file))
    return name or file.stem, points


def parsed(content: bytes, what: str) -> tuple[str, np.ndarray]:
    """The name, maybe "", and the outline in a coordinate file's ``content``; errors begin with ``what``."""
    table = rows.table(rows.decoded(content, what), what)
    if not np.isfinite(table.points).all():
        count = np.sum(~np.isfinite(table.points))
        raise ValueError(f"{what}: got {count} numbers that are not finite; expected finite ones; correct the rows")
    table, cut = _without_header(table, what)
    _refuse_several(table, what)
    points = selig(table.points, cut, what)
    length = float(chord(points).length)
    for unit, words in _UNITS.items():
        if abs(length / unit - 1) < _ROUNDING:
            warnings.warn(f"{what}: got a chord of {length:.6g}, read as {words} of the chord and divided by {unit}",
                          stacklevel=3)
            points = points / unit
    return table.name, points


def write_dat(path: str | os.PathLike, name: str, coordinates: np.ndarray) -> None:
    """Writes a name line and one row per point; :func:`read_dat` gives back the same numbers, bit for bit.

    The file appears under its name only when it is complete.

    Arguments:
        coordinates: (n, 2) in Selig order.

    Raises:
        ValueError: where the outline is one that :func:`read_dat` refuses or changes, or the name reads as a row of
            numbers or as a comment.
    """
    given = np.asarray(coordinates, dtype=np.float64)
    points = selig(given, what=f"the outline of {name!r}")
    if not np.array_equal(points, given):
        raise ValueError(f"the outline of {name!r}: got points in another order; expected Selig's order, from the "
                         "trailing edge over the upper side and back; see airfoil.selig(coordinates)")
    text = "\n".join([name.strip(), *(f"{x!r} {y!r}" for x, y in points.tolist()), ""])
    if not _comes_back(text.encode(), name, points):
        raise ValueError(f"got the name {name!r} and a chord of {chord(points).length:.6g}; expected one line of text "
                         "that is no row, count or comment, and no chord in per cent; give another name, or scale it")
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def _comes_back(content: bytes, name: str, points: np.ndarray) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            back, found = parsed(content, "")
    except ValueError:
        return False
    return bool(back == name.strip() != "") and np.array_equal(found, points)


def _without_header(table: rows.Listing, what: str) -> tuple[rows.Listing, int | None]:
    """Without rows that are no points: a name of two numbers, Lednicer's counts, a reference point.

    Also the number of points of the first block, if the file gives it.
    """
    first, rest = table.points[0], table.points[1:]
    if table.count not in (None, len(table.points)):
        raise ValueError(f"{what}: got {len(table.points)} rows; expected {table.count}, the number that the file "
                         "gives; is it whole?")
    whole = bool((first > 1).all() and (first % 1 == 0).all())
    if re.fullmatch(r"\d+\s+0\d+|0\d+\s+\d+", table.first):  # "23 012"; nobody writes a coordinate so
        return _shorter(table._replace(name=table.first)), None
    if whole and first.sum() == len(rest):
        return _shorter(table), int(first[0])
    if len(rest) < _FEWEST:
        return table, None
    size = np.ptp(rest, axis=0).max()
    outside = bool((np.maximum(rest.min(0) - first, first - rest.max(0)) > size / 2).any())
    if outside:
        return _named(table, what, whole), None
    away = np.hypot(*(first - rest[[0, -1]]).T).min()
    return (_shorter(table) if table.reference and away > size / 10 else table), None


def _named(table: rows.Listing, what: str, whole: bool) -> rows.Listing:
    """The first row is no point of this outline: it is the name, like "23 012", where it is the first of the text."""
    near = 0.8 < table.points[0].sum() / (len(table.points) - 1) < 1.25
    if not whole or near or table.name:
        raise ValueError(
            f"{what}, line {table.lines[0]}: got {table.first!r} before {len(table.points) - 1} rows, far from all; "
            "expected a point, or how many rows each side has; correct the line, or put # before it if it is a remark")
    return _shorter(table._replace(name=table.first))


def _shorter(table: rows.Listing) -> rows.Listing:
    starts = tuple(start - 1 for start in table.starts if start > 1)
    return table._replace(points=table.points[1:], lines=table.lines[1:], starts=starts)


def _refuse_several(table: rows.Listing, what: str) -> None:
    """Several airfoils in one file: a row of 999s between them, or blocks of which each is closed."""
    split = np.flatnonzero((table.points >= _APART).all(1) & (np.ptp(table.points, axis=1) == 0))
    blocks = np.split(table.points, table.starts)
    closed = [block for block in blocks if len(block) >= _FEWEST
              and np.hypot(*(block[0] - block[-1])) < 0.2 * np.ptp(block, axis=0).max()]
    if len(split) or len(closed) > 1:
        line = table.lines[split[0] if len(split) else table.starts[-1]]
        raise ValueError(f"{what}, line {line}: got several elements (a wing and its flap, say); expected one airfoil; "
                         "give each a file of its own")
