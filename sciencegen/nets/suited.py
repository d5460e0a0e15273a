"""Which network suits a state: chosen by what its parts are, a recipe that a user can print, change or replace.

- Numbers and small tables: residual perceptrons.
- Fields on a grid of one to three axes, with numbers beside them: a U-Net, padded by axis; frames of a window are its
  channels.
- Fields on nodes that all states share, of a mesh or a cloud of points: messages between neighbours, on several levels.
- Members of a set, which has no order: attention.

An axis is of nodes if its coordinates say where they are, of channels if it is time or its coordinates are names, and
else of the grid. Small axes without coordinates are channels, unless they are called x, y or z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..recipe import Recipe

__all__ = ["of_windows", "suited"]

SPACE = ("x", "y", "z")
SMALL = 8  # entries of an axis without coordinates that are taken for channels
POINTS = 32  # of a grid, below which its values are a table
TABLE = 4096  # numbers, above which a table is refused


class _Variable(Protocol):
    """What is asked of a layout's variables; see :class:`sciencegen.layout.Variable`."""

    shape: tuple[int, ...]
    dims: tuple[str, ...]
    coords: Mapping[str, Any]


class _Layout(Protocol):
    """What is asked of a layout; see :class:`sciencegen.layout.Layout`."""

    size: int
    variables: Mapping[str, _Variable]


def suited(layout: _Layout, width: int | None = None, periodic: Sequence[str] = (),
           sets: Sequence[str] = ()) -> Recipe:
    """The recipe of a network for states of a layout, called as ``net(u, c, keep)``.

    Arguments:
        layout: of the states, as ``States`` makes it.
        width: features of the network; the default trains in minutes on two cores.
        periodic: axes of the grid whose ends meet.
        sets: axes whose entries have no order, as bodies.

    Raises:
        ValueError: fields on grids that do not fit each other; a table that is too large; axes that are not there.
    """
    dims = {dim for variable in layout.variables.values() for dim in variable.dims}
    if lost := [dim for dim in (*periodic, *sets) if dim not in dims]:
        raise ValueError(f"got the axis '{lost[0]}'; expected one of the state's, {sorted(dims)}")
    kinds = {name: [_kind(variable, i, sets) for i in range(len(variable.shape))]
             for name, variable in layout.variables.items()}
    found = {kind for each in kinds.values() for kind in each}
    for kind, make in (("node", _mesh), ("set", _set)):
        if kind in found:
            return make(layout, kinds, width)
    grid = _grid(layout, kinds)
    if math.prod(grid.values()) >= POINTS or any(dim in grid for dim in periodic):
        return _fields(layout, kinds, grid, periodic, width)
    if layout.size > TABLE:
        raise ValueError(f"got {layout.size} numbers on no grid; expected at most {TABLE}: name the axes of a grid in "
                         "the layout's dims and give them coordinates, or bring a network of your own")
    size = min(max(128, 1 << (layout.size - 1).bit_length()), 512) if width is None else width
    return Recipe("sciencegen.nets.mlp.MLP", {"size": layout.size, "width": size, "depth": 4})


def of_windows(layout: _Layout, width: int | None = None, periodic: Sequence[str] = ()) -> Recipe | None:
    """The network that suits windows of which the next frames are asked for: of one resolution, as they are local.

    None where the state has no fields on a grid (:func:`suited` then chooses). Arguments as there.
    """
    kinds = {name: [_kind(variable, i, ()) for i in range(len(variable.shape))]
             for name, variable in layout.variables.items()}
    if any(kind == "node" for each in kinds.values() for kind in each):
        return None
    grid = _grid(layout, kinds)
    if math.prod(grid.values()) < POINTS and not any(dim in grid for dim in periodic):
        return None
    line = len(grid) == 1
    return Recipe("sciencegen.nets.residual.FieldResNet", {
        "shapes": _shapes(layout), "axes": _axes(layout, kinds, grid), "grid": list(grid.values()),
        "periodic": [dim in periodic for dim in grid], "width": width or (64 if line else 48), "blocks": 4,
        "kernel": 5 if line else 3, "patch": 2 if all(n % 2 == 0 for n in grid.values()) else 1})


def _kind(variable: _Variable, axis: int, sets: Sequence[str]) -> str:
    """What an axis is: of a set, of nodes, of channels or of a grid."""
    dim = variable.dims[axis] if variable.dims else ""
    if dim in sets:
        return "set"
    if dim and any(getattr(variable.coords.get(letter), "dims", None) == (dim,) and letter != dim for letter in SPACE):
        return "node"
    along = variable.coords.get(dim)
    named = along is not None and np.asarray(along).dtype.kind not in "fiu"
    small = along is None and dim not in SPACE and variable.shape[axis] <= SMALL
    return "channel" if not dim or dim == "time" or named or small else "grid"


def _shapes(layout: _Layout) -> list[list[int]]:
    return [list(variable.shape) for variable in layout.variables.values()]


def _one(layout: _Layout, kinds: Mapping[str, Sequence[str]], wanted: str) -> tuple[list[list[int]], _Variable, int]:
    """Axes of all parts for a structure with one axis of that kind; a variable that has it, and which of its axes."""
    axes, names = [], {}
    for name, variable in layout.variables.items():
        axes.append([0 if kind == wanted else -1 for kind in kinds[name]])
        names |= {variable.dims[i]: (variable, i) for i, kind in enumerate(kinds[name]) if kind == wanted}
    if len(names) > 1:
        raise ValueError(f"got states on {sorted(names)}; expected one of them: bring a network of your own, or leave "
                         "parts out")
    (variable, axis), = names.values()
    return axes, variable, axis


def _mesh(layout: _Layout, kinds: Mapping[str, Sequence[str]], width: int | None) -> Recipe:
    axes, variable, _ = _one(layout, kinds, "node")
    points = np.stack([np.asarray(variable.coords[a], float) for a in SPACE if a in variable.coords], -1)
    cells = variable.coords.get("cells")
    return Recipe("sciencegen.nets.mesh.MeshNet", {
        "shapes": _shapes(layout), "axes": axes, "points": points.tolist(),
        "cells": None if cells is None else np.asarray(cells).tolist(), "width": width or 64})


def _set(layout: _Layout, kinds: Mapping[str, Sequence[str]], width: int | None) -> Recipe:
    axes, variable, axis = _one(layout, kinds, "set")
    return Recipe("sciencegen.nets.sets.SetNet", {
        "shapes": _shapes(layout), "axes": axes, "members": variable.shape[axis], "width": width or 128})


def _grid(layout: _Layout, kinds: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The axes of the coarsest grid that has most axes, up to three, with their sizes."""
    grids = [{variable.dims[i]: variable.shape[i] for i, kind in enumerate(kinds[name]) if kind == "grid"}
             for name, variable in layout.variables.items()]
    best = min(grids, key=lambda grid: (-min(len(grid), 3), math.prod(grid.values())))
    return dict(list(best.items())[-3:])


def _fields(layout: _Layout, kinds: Mapping[str, Sequence[str]], grid: Mapping[str, int], periodic: Sequence[str],
            width: int | None) -> Recipe:
    width = width or (24 if len(grid) < 3 else 16)  # of some, what learns most in a minute of two cores
    patch = 2 if math.prod(grid.values()) >= 512 else 1
    depth = _depth(max(grid.values()) // patch, [n // patch for dim, n in grid.items() if dim in periodic])
    return Recipe("sciencegen.nets.fields.FieldUNet", {
        "shapes": _shapes(layout), "axes": _axes(layout, kinds, grid), "grid": list(grid.values()),
        "periodic": [dim in periodic for dim in grid], "channels": [min(k + 1, 4) * width for k in range(depth)],
        "blocks": [1, *[1 if width < 32 else 2] * (depth - 1)], "patch": patch})


def _axes(layout: _Layout, kinds: Mapping[str, Sequence[str]], grid: Mapping[str, int]) -> list[list[int]]:
    """For each part, which axis of the grid each of its axes is; ValueError for a field on none of it."""
    axes = []
    for name, variable in layout.variables.items():
        own = [_axis(variable, i, grid) if kind == "grid" else -1 for i, kind in enumerate(kinds[name])]
        if not any(a >= 0 for a in own) and math.prod(variable.shape) > TABLE:
            raise ValueError(f"got '{name}' over {dict(zip(variable.dims, variable.shape))} beside a grid of "
                             f"{dict(grid)}; expected axes of that grid, or multiples of their sizes: bring a network "
                             "of your own, or leave the part out")
        axes.append(own)
    return axes


def _depth(longest: int, rings: Sequence[int]) -> int:
    """Three levels, or more where an axis is long, so that its ends hear of each other, and rings can be halved."""
    depth = 3
    while longest > 16 * 2 ** (depth - 1) and depth < 6 and all(n % 2**depth == 0 for n in rings):
        depth += 1
    return depth


def _axis(variable: _Variable, axis: int, grid: Mapping[str, int]) -> int:
    """Which axis of the grid an axis of a part is: the one of its name, or of which it is a finer version."""
    dim, size = variable.dims[axis], variable.shape[axis]
    for place, (name, points) in enumerate(grid.items()):
        if (dim == name or dim.startswith(f"{name}_")) and size % points == 0:
            return place
    return -1
