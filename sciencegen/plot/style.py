"""The style of all pictures: one style sheet, one width, axes that say their unit."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import xarray
from matplotlib import pyplot

__all__ = ["COLORS", "WIDTH", "cell_edges", "key", "named", "picked", "places", "room", "shape", "styled", "unit"]

SHEET = Path(__file__).parents[1] / "sciencegen.mplstyle"
COLORS = tuple(f"#{code}" for code in ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "7F7F7F"))
WIDTH = 8.4  # inches: as wide as a page shows a picture, so that letters keep their size
P, T = ParamSpec("P"), TypeVar("T")


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """A function that draws, in the package's style; what a caller draws elsewhere keeps its own."""

    @wraps(draw)
    def drawn(*args: P.args, **more: P.kwargs) -> T:
        with pyplot.style.context(SHEET):
            return draw(*args, **more)

    return drawn


def unit(value: xarray.DataArray) -> str:
    """The unit of a variable; empty for pure numbers and where it is not known."""
    found = str(value.attrs.get("units", ""))
    return "" if found == "1" else found


def named(value: xarray.DataArray, name: str) -> str:
    """A name and its unit, as an axis says it: ``u, m/s``."""
    return ", ".join(word for word in (name, unit(value)) if word)


def cell_edges(axis: Any) -> tuple[float, float]:
    """The outer edges of the first and the last cell of a grid's axis ``(n,)``."""
    axis = np.asarray(axis, dtype=float)
    half = (axis[-1] - axis[0]) / max(len(axis) - 1, 1) / 2 or 0.5
    return axis[0] - half, axis[-1] + half


def places(value: xarray.DataArray, dim: Any) -> np.ndarray:
    """The coordinate along an axis, or 0, 1, ... where it has none of numbers."""
    found = value[dim].values if dim in value.coords else np.arange(value.sizes[dim])
    return found if found.dtype.kind in "fiu" else np.arange(value.sizes[dim])


def picked(value: xarray.DataArray, dims: Any, entries: dict[Any, int]) -> str:
    """In words which entries of some axes are shown: ``time 0.5``."""
    return ", ".join(f"{d} {float(places(value, d)[i]):.3g}{' ' * bool(unit(value[d]))}{unit(value[d])}"
                     if d in value.coords else f"{d} {i}" for d, i in entries.items() if d in dims)


def shape(across: np.ndarray, up: np.ndarray) -> float:
    """Height over width of a map over two axes: that of the grid, within 0.4 and 1.5."""
    (left, right), (low, high) = cell_edges(across), cell_edges(up)
    return float(np.clip((high - low) / (right - left), 0.4, 1.5))


def room(tall: float, columns: int) -> float:
    """Inches for a row of maps of a height over width, titles and labels included."""
    return 0.72 * WIDTH / columns * tall + 0.95


def key(axis: Any, shown: Any, label: str) -> None:
    """The key of a map's colours, as high as the map, beside it."""
    beside = axis.inset_axes((1.05, 0, 0.06, 1))
    axis.figure.colorbar(shown, cax=beside, label=label).formatter.set_powerlimits((-3, 4))
