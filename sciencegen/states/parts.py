"""What a data set has under the names that are asked for: one part of the state each, checked at the door.

A part is a field over time and space, a field over space, a number a sample (a parameter) or numbers over time (a
forcing), of one variable or of several side by side. Its axes are put in one order: time, component, space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray

from .nodes import nodes, sources

__all__ = ["Asked", "StatePart", "coordinates", "left_out", "resolve", "tidy"]

Asked = str | Sequence[str] | Mapping[str, str | Sequence[str]] | None


@dataclass(frozen=True)
class StatePart:
    """A part of the state, of one variable of the data or of several side by side.

    Arguments:
        name: of the part.
        variables: of the data.
        dims, shape: names and sizes of the axes of one row: time, component, space.
        units: that all its variables have.
        stacked: the axis along which variables lie side by side; None of a single one.
    """

    name: str
    variables: tuple[str, ...]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    units: str
    stacked: int | None

    @property
    def moves(self) -> bool:
        """Whether it varies with time."""
        return "time" in self.dims

    @property
    def kind(self) -> str:
        """What it is, in words."""
        space = ", ".join(dim for dim in self.dims if dim != "time" and dim != f"{self.name}_component")
        if space:
            return f"field over {'time, ' if self.moves else ''}{space}"
        return "numbers over time" if self.moves else "a number a sample" if not self.shape else "numbers a sample"


def left_out(data: xarray.Dataset, wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """What of the data is no part of the state, and why, in sentences."""
    taken = {name for group in wanted.values() for name in group}
    taken |= {name for dim in data.dims for name in sources(data, str(dim)) if dim not in ("sample", "time")}
    rest = {str(k): v for k, v in data.data_vars.items() if k not in taken}
    fixed = [k for k, v in rest.items() if v.dtype.kind in "fiub" and not {"sample", "time"} & set(v.dims)]
    other = [k for k, v in rest.items() if v.dtype.kind not in "fiub"]
    free = [k for k in rest if k not in (*fixed, *other)]
    said = ((free, "not asked for"), (fixed, "the same in all samples"), (other, "not made of real numbers"))
    return [f"left out: {', '.join(names)} ({why})" for names, why in said if names]


def tidy(data: xarray.Dataset, asked: Asked) -> tuple[xarray.Dataset, dict[str, tuple[str, ...]]]:
    """The variables that are asked for, their axes in the order (sample, time, ...), and which part has which.

    Raises:
        TypeError: data that are no data set.
        ValueError: a variable that is not there, in two parts, not of real numbers, or over other axes than the others
            of its part.
    """
    if not isinstance(data, xarray.Dataset):
        raise TypeError(f"got data of type {type(data).__name__}; expected an xarray.Dataset, or the path of a file "
                        "that sciencegen.io.open reads")
    wanted = _named(data, asked)
    names = [name for group in wanted.values() for name in group]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"got the variable '{sorted(twice)[0]}' in two parts; expected each one once")
    for part, group in wanted.items():
        _check(data, part, group)
    found = data[names]
    for name in names:
        dims = found[name].dims
        order = tuple(sorted(dims, key=lambda dim: ("sample", "time").index(dim) if dim in ("sample", "time") else 2))
        if order != dims:
            found[name] = found[name].transpose(*order)
    return found, wanted


def _named(data: xarray.Dataset, asked: Asked) -> dict[str, tuple[str, ...]]:
    """The variables of each part that is asked for; of all that vary with sample or time if nothing is."""
    if asked is None:
        asked = [k for k, v in data.data_vars.items() if {"sample", "time"} & set(v.dims) and v.dtype.kind in "fiub"]
    pairs = asked if isinstance(asked, Mapping) else {name: name for name in
                                                      ([asked] if isinstance(asked, str) else asked)}
    wanted = {part: _variables(data, names) for part, names in pairs.items()}
    if not wanted or not all(wanted.values()):
        raise ValueError(f"got parts {asked}; expected at least one variable for each: there are "
                         f"{sorted(map(str, data.data_vars))}")
    return wanted


def _variables(data: xarray.Dataset, names: str | Sequence[str]) -> tuple[str, ...]:
    """The variables of a part; the name of a vector field stands for its components."""
    if not isinstance(names, str):
        return tuple(names)
    vector = tuple(k for k, v in data.data_vars.items() if v.attrs.get("component_of") == names)
    return (names,) if names in data.data_vars or not vector else vector


def _check(data: xarray.Dataset, part: str, group: Sequence[str]) -> None:
    """ValueError unless all variables of a part are there, made of real numbers, and over the same axes."""
    for name in group:
        if name not in data.data_vars:
            raise ValueError(f"got no variable '{name}' in the data for the part '{part}'; expected some of "
                             f"{sorted(map(str, data.data_vars))}")
        dtype = data[name].dtype
        if dtype.kind not in "fiub":
            advice = "give its real and imaginary parts as two" if dtype.kind == "c" else "leave it out or number it"
            raise ValueError(f"got '{name}' of type {dtype}; expected real numbers: {advice}")
    dims = {name: data[name].dims for name in group}
    if len(set(dims.values())) > 1:
        raise ValueError(f"got {dims} as one part '{part}'; expected variables over the same axes: make them parts of "
                         "their own")
    if part in data.dims:
        raise ValueError(f"got a part called '{part}', which is an axis of the data; expected another name: say "
                         f"parts={{'NAME': '{part}'}}")


def resolve(data: xarray.Dataset, wanted: Mapping[str, Sequence[str]], length: int) -> list[StatePart]:
    """The parts of a row with ``length`` frames, of data that are :func:`tidy`; ``wanted`` says which has which."""
    found = []
    for name, group in wanted.items():
        first = data[group[0]]
        sizes = {dim: length if dim == "time" else n for dim, n in first.sizes.items() if dim != "sample"}
        stacked = None
        if len(group) > 1:
            stacked = int("time" in sizes)
            items = list(sizes.items())
            sizes = dict([*items[:stacked], (f"{name}_component", len(group)), *items[stacked:]])
        units = {str(data[k].attrs.get("units", "")) for k in group}
        found.append(StatePart(name, tuple(group), tuple(map(str, sizes)), tuple(sizes.values()),
                          units.pop() if len(units) == 1 else "", stacked))
    return found


def coordinates(data: xarray.Dataset, part: StatePart, time: xarray.Variable | None) -> dict[str, Any]:
    """Coordinates of a part's axes as :class:`sciencegen.layout.Variable` has them.

    Those of space are the file's, with their units; ``time`` are those of a window; of side by side variables they are
    the names; of nodes, where these are and which of them a cell joins (:mod:`sciencegen.states.nodes`).
    """
    found: dict[str, Any] = {}
    for dim in part.dims:
        if dim == "time":
            found |= {} if time is None else {"time": time}
        elif part.stacked is not None and dim == part.dims[part.stacked]:
            found[dim] = list(part.variables)
        elif dim in data.coords and data[dim].dtype.kind in "fiuUS":
            attrs = {k: v for k, v in data[dim].attrs.items() if k in ("units", "long_name")}
            found[dim] = xarray.Variable(dim, np.asarray(data[dim].values), attrs)
        else:
            found |= nodes(data, dim)
    return found
