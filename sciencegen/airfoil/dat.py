"""Airfoil coordinate files (.dat), as they are found in the wild, read to one order and checked.

A file is a name line and rows of x and y. Two orders are common. Selig's is one loop, from the trailing edge over the
upper side to the leading edge and back below. Lednicer's is two blocks, upper then lower, each from the leading edge
to the trailing edge, after a line with the number of points of each. Whatever the order, the separators, the line
ends, the direction and the repeated points, what is returned is Selig order, running counter-clockwise, in the file's
own unit; no point is moved.

References:
    UIUC Airfoil Coordinates Database (Selig, 1996), https://m-selig.ae.illinois.edu/ads/coord_database.html
"""

import os
import re
from pathlib import Path

import numpy as np

from ..files import replacing

_FEWEST = 10


def read_dat(path: str | os.PathLike) -> tuple[str, np.ndarray]:
    """The name and the outline, (n, 2) float64 in Selig order, of a coordinate file.

    Open and closed trailing edges are kept as they are. The name is the file's first line of text, or its stem.

    Raises:
        ValueError: where the file is empty, holds fewer than 10 points, numbers that cannot be read or are not finite,
            or an outline that crosses itself or encloses nothing; the message names the file and the fault.
    """
    file = Path(path)
    name, rows = _parse(file.read_bytes().decode("utf-8", errors="replace"), file)
    points = _counter_clockwise(_distinct(_loop(rows)))
    return name or file.stem, _checked(points, str(file))


def write_dat(path: str | os.PathLike, name: str, coordinates: np.ndarray) -> None:
    """Writes a name line and one row per point; :func:`read_dat` gives back the same numbers, bit for bit.

    The file appears under its name only when it is complete.

    Args:
        coordinates: (n, 2) in Selig order.

    Raises:
        ValueError: where the outline is one that :func:`read_dat` refuses, or the name reads as a row of numbers.
    """
    points = _checked(np.asarray(coordinates, dtype=np.float64), f"the outline of {name!r}")
    if not name.strip() or len(name.splitlines()) != 1 or _numbers(name) is not None:
        raise ValueError(f"got the name {name!r}; expected one line of text; give the airfoil another name")
    text = "\n".join([name.strip(), *(f"{x!r} {y!r}" for x, y in points.tolist()), ""])
    with replacing(path) as new:
        new.write_text(text)


def _parse(text: str, file: Path) -> tuple[str, np.ndarray]:
    """The first line of text and all rows of two numbers; remarks may follow the rows, but not stand between them."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    rows = [(number, row) for number, line in lines if (row := _numbers(line)) is not None]
    if not rows:
        raise ValueError(f"{file}: got no rows of two numbers; expected the x and y of an outline; is it a .dat file?")
    first, last = rows[0][0], rows[-1][0]
    for number, line in lines:
        if _numbers(line) is None and (first < number < last or (number > last and _nearly_numbers(line))):
            raise ValueError(f"{file}, line {number}: got {line!r}; expected two numbers; correct or delete the line")
    name = lines[0][1] if lines[0][0] < first else ""
    return name, np.array([row for _, row in rows])


def _numbers(line: str) -> tuple[float, float] | None:
    """The two numbers of a row, or None where the line is anything else."""
    items = [item for item in re.split(r"[,;\s]+", line) if item]
    try:
        x, y = (float(item) for item in items)
    except ValueError:
        return None
    return x, y


def _nearly_numbers(line: str) -> bool:
    """Whether a line is two items of which the first is a number: more likely a spoilt row than a remark."""
    items = line.replace(",", " ").split()
    return len(items) == 2 and re.fullmatch(r"[-+]?\d*\.?\d+", items[0]) is not None


def _loop(rows: np.ndarray) -> np.ndarray:
    """One loop from the trailing edge: Lednicer's two blocks are joined at the leading edge."""
    counts, rest = rows[0], rows[1:]
    if (counts > 1).all() and (counts % 1 == 0).all() and counts.sum() == len(rest):
        cut, rows = int(counts[0]), rest
    elif rows[0, 0] < rows[:, 0].mean() and rows[-1, 0] > rows[:, 0].mean():
        cut = int(np.argmin(np.diff(rows[:, 0]))) + 1
    else:
        return rows
    return np.concatenate([rows[:cut][::-1], rows[cut:]])


def _distinct(points: np.ndarray) -> np.ndarray:
    """Without the points that repeat the one before."""
    return points[np.append(True, (np.diff(points, axis=0) != 0).any(1))]


def _counter_clockwise(points: np.ndarray) -> np.ndarray:
    return points[::-1] if _area(points) < 0 else points


def _area(points: np.ndarray) -> float:
    x, y = np.where(np.isfinite(points), points, 0).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def _checked(points: np.ndarray, what: str) -> np.ndarray:
    """The outline as a contiguous array, or the error that names its fault."""
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < _FEWEST:
        raise ValueError(
            f"{what}: got {len(points)} distinct points; expected at least {_FEWEST} rows of x and y; "
            "an outline with so few points cannot be told apart from others: find a finer one"
        )
    if not np.isfinite(points).all():
        raise ValueError(f"{what}: got {np.sum(~np.isfinite(points))} numbers that are not finite; correct the rows")
    if _area(points) <= 0:
        raise ValueError(
            f"{what}: got an outline that runs clockwise or encloses no area; expected Selig order (trailing edge, "
            "upper side, leading edge, lower side); reverse the rows"
        )
    crossing = _crossing(points)
    if crossing is not None:
        raise ValueError(
            f"{what}: got an outline that crosses itself near ({crossing[0]:.4g}, {crossing[1]:.4g}); expected one "
            "loop from the trailing edge over the upper side and back; put the rows in order"
        )
    return np.ascontiguousarray(points)


def _crossing(points: np.ndarray) -> np.ndarray | None:
    """Where two edges that are not neighbours properly cross, or None. Touching is allowed: sharp tails touch."""
    start, stop = points[:-1], points[1:]
    edge = stop - start

    def side(of: np.ndarray) -> np.ndarray:
        offset = of[None] - start[:, None]
        return edge[:, None, 0] * offset[..., 1] - edge[:, None, 1] * offset[..., 0]

    cuts = side(start) * side(stop) < 0
    found = np.argwhere(cuts & cuts.T)
    return points[found[0, 0]] if len(found) else None
