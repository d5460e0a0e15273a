"""What sensors read, in Python and as a file: of each part that was observed, where, what, and how well.

The file is HDF5 (or netCDF4, which is HDF5), in physical units::

    /u/coordinates  (n, 2)   x and y of each sensor, in the unit square
    /u/values       (n,)     what it reads
    /u/noise        () or (n,)   standard deviation of its error, above zero
    /a/...                   the same of any other part that was observed
    /truth/a, /truth/u       (n_x, n_y), optional: both parts where they are known, to score the answer

Or it is a table, ``.csv``, a row a reading: where (``time,x,y``, or some of them), of which part, what, and how well::

    time,x,variable,observation,noise
    0.25,1.5,u,0.83,0.1

More generally there is a coordinate for each axis of the part that is longer than one, in the units of the prior's
layout (:attr:`sciencegen.layout.Variable.coords`), or in units of the grid's index where that has none.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from .files import fault, replacing
from .files.child import in_child
from .io.source import Source, source
from .layout import Layout, Variable
from .measure import Measurement, Points

__all__ = ["Observations", "Readings", "observe"]

FIELDS = ("coordinates", "values", "noise")
AXES, COLUMNS = ("time", "x", "y", "z"), ("variable", "observation", "noise")  # of a table


@dataclass(frozen=True)
class Readings:
    """Of one part: ``values (n,)`` read at ``coordinates (n, k)``, with errors of standard deviation ``noise``.

    Arrays, tensors or lists. ``noise`` is a number or ``(n,)``, in the unit of the values. ValueError for other shapes,
    for what is not finite and for noise that is not above zero.
    """

    coordinates: Any
    values: Any
    noise: Any

    def __post_init__(self) -> None:
        for name in FIELDS:
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        where, values, noise = self.coordinates, self.values, self.noise
        if where.ndim != 2 or values.shape != where.shape[:1] or not len(values):
            raise ValueError(f"got coordinates {where.shape} and values {values.shape}; expected (n, 2) and (n,): a "
                             "place and a value for each of n >= 1 sensors")
        if noise.shape not in ((), values.shape):
            raise ValueError(f"got noise {noise.shape}; expected one number or {values.shape}, one a sensor")
        if not (noise > 0).all():
            raise ValueError(f"got noise {noise.min():g}; expected standard deviations above 0: for exact readings, "
                             "what can be resolved of them, as 1e-3 of their spread")

    def points(self, name: str, variable: Variable) -> Points:
        """The measurement of part ``name``; ValueError where a place is outside of its grid."""
        dims = variable.dims or tuple(f"{name}_{i}" for i in range(len(variable.shape)))
        axes = [np.array(variable.coords.get(dim, np.arange(n)), float) for dim, n in zip(dims, variable.shape)]
        long = np.array(variable.shape) > 1
        wide = [_widened(axis) for axis in axes if len(axis) > 1]
        if self.coordinates.shape[1] != len(wide):
            raise ValueError(f"got coordinates {self.coordinates.shape} of '{name}'; expected (n, {len(wide)}): "
                             f"{', '.join(dim for dim, n in zip(dims, variable.shape) if n > 1)} of each sensor")
        low, high = (np.array([axis[end] for axis in wide]) for end in (0, -1))
        outside = ((self.coordinates < low) | (self.coordinates > high)).any(1)
        if outside.any():
            box = " x ".join(f"[{a:g}, {b:g}]" for a, b in zip(low, high))
            raise ValueError(f"got {outside.sum()} of {len(outside)} sensors of '{name}' outside of {box}, the first "
                             f"at {self.coordinates[outside][0].tolist()}; expected them inside: scale the coordinates")
        if long.all():
            return Points(name, torch.from_numpy(self.coordinates), axes)
        index = np.zeros((len(outside), len(axes)))
        for i, axis, x in zip(np.flatnonzero(long), wide, self.coordinates.T):
            index[:, i] = np.interp(x, axis, [-0.5, *range(len(axis) - 2), len(axis) - 2.5])
        return Points(name, torch.from_numpy(index))


@dataclass(frozen=True)
class Observations:
    """:class:`Readings` of parts by name, and, where it is known, the truth ``{part: (*shape)}``."""

    readings: Mapping[str, Readings]
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.readings:
            raise ValueError("got no readings; expected those of one part or more, as {'u': Readings(...)}")
        object.__setattr__(self, "truth", {k: _numbers(f"truth/{k}", v) for k, v in self.truth.items()})

    def __len__(self) -> int:
        return sum(len(r.values) for r in self.readings.values())

    def measure(self, layout: Layout) -> Measurement:
        """All sensors as one measurement; KeyError for a part, ValueError for a place or a truth not of ``layout``."""
        for name in {**self.readings, **self.truth}:
            if name not in layout.variables:
                raise KeyError(f"got observations of '{name}'; expected parts of the prior: {list(layout.variables)}")
        shapes = {name: variable.shape for name, variable in layout.variables.items()}
        got = {name: value.shape for name, value in self.truth.items()}
        if got and got != shapes:
            raise ValueError(f"got a truth of shapes {got}; expected {shapes}, all parts on the prior's grid, or none")
        return reduce(lambda a, b: a & b, (r.points(k, layout.variables[k]) for k, r in self.readings.items()))

    @property
    def data(self) -> Tensor:
        """All values, ``(m,)`` in float64."""
        return torch.from_numpy(np.concatenate([r.values for r in self.readings.values()]))

    @property
    def noise(self) -> Tensor:
        """Their standard deviations, ``(m,)``."""
        return torch.from_numpy(np.concatenate([np.broadcast_to(r.noise, r.values.shape)
                                                for r in self.readings.values()]))

    def save(self, path: str | os.PathLike) -> Path:
        """Write the file, under another name first, then renamed; :meth:`load` reads it back."""
        with replacing(path) as new, h5py.File(new, "w") as file:
            for part, readings in self.readings.items():
                for name in FIELDS:
                    file[f"{part}/{name}"] = getattr(readings, name)
            for part, value in self.truth.items():
                file[f"truth/{part}"] = value
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike, isolated: bool = False) -> Observations:
        """Read the file, or the table; FileNotFoundError if there is none, ValueError if it is not as this module says.

        ``isolated``: a process of its own reads it first, as :func:`sciencegen.io.open` says.
        """
        path = Path(path)
        if path.suffix == ".csv":
            return cls(_table(path))
        if isolated:
            in_child(path, lambda beat: (cls.load(path), None)[1])
        if not path.exists():
            raise FileNotFoundError(f"got no file {path}; expected an HDF5 file of observations")
        try:
            with source(path, trusted=False) as file:
                truth = {k: file.numbers(f"truth/{k}") for k in file.members("truth")}
                return cls({k: _read(file, k) for k, entry in file.members().items()
                            if entry.shape is None and k != "truth"}, truth)
        except ValueError as error:
            text = str(error).removeprefix(f"{path}: ")
            raise fault(path, f"a file that is not one of observations ({text})", "a group for each observed part, as "
                        "/u, with 'coordinates' (n, 2), 'values' (n,) and 'noise'",
                        "write it by Observations(...).save, or see sciencegen.observations") from error


def observe(layout: Layout, truth: Mapping[str, Any], where: Mapping[str, Any], noise: float = 0.01, seed: int = 0
            ) -> Observations:
    """What sensors at ``where`` (``{part: (n, k)}``) would read of a ``truth`` (all parts, in physical units).

    Their errors have a standard deviation of ``noise`` times the rms of the part.
    """
    values = {k: torch.as_tensor(np.asarray(v), dtype=torch.float64) for k, v in truth.items()}
    kicks, readings = np.random.default_rng(seed), {}
    for name, places in where.items():
        error = noise * float(values[name].square().mean().sqrt())
        points = Readings(places, np.zeros(len(places)), 1.0).points(name, layout.variables[name])
        seen = points(**{name: values[name][None]})[0].numpy()
        readings[name] = Readings(places, seen + error * kicks.standard_normal(len(seen)), error)
    return Observations(readings, values)


def _read(file: Source, part: str) -> Readings:
    """The readings of a part, once their declared shapes fit each other."""
    there = file.members(part)
    if missing := [name for name in FIELDS if name not in there or there[name].shape is None]:
        raise ValueError(f"the group '/{part}' has {sorted(there)}, and no {' and no '.join(missing)}")
    n = (there["coordinates"].shape or (0,))[0]
    try:
        return Readings(*(file.numbers(f"{part}/{name}", n * k) for name, k in zip(FIELDS, (3, 1, 1))))
    except ValueError as error:
        raise ValueError(f"/{part}: {str(error).removeprefix(f'{file.path}: ')}") from error


def _table(path: Path) -> dict[str, Readings]:
    """The readings of a table, by part; ValueError with the line of what is wrong."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        names = [str(name).strip() for name in rows.fieldnames or ()]
        rows.fieldnames = names
        if missing := [name for name in COLUMNS if name not in names]:
            raise ValueError(f"got {path} with the columns {names} and no '{missing[0]}'; expected "
                             f"{', '.join((*AXES, *COLUMNS))}, as far as there are such axes")
        axes = sorted((name for name in names if name not in COLUMNS), key=lambda name: (
            AXES.index(name) if name in AXES else len(AXES), names.index(name)))
        found: dict[str, list[list[float]]] = {}
        for row in rows:
            try:
                numbers = [float(row[name]) for name in (*axes, "observation", "noise")]
            except (TypeError, ValueError) as error:
                raise ValueError(f"got line {rows.line_num} of {path}, which is not all numbers ({error}); expected "
                                 "one in each column but 'variable': leave out the sensors that read none") from error
            found.setdefault(str(row["variable"]).strip(), []).append(numbers)
    if not found:
        raise ValueError(f"got {path} without a reading; expected a row for each")
    numbers = {name: np.array(rows) for name, rows in found.items()}
    return {name: Readings(rows[:, :-2], rows[:, -2], rows[:, -1]) for name, rows in numbers.items()}


def _numbers(name: str, values: Any) -> np.ndarray:
    """Finite numbers in float64; ValueError for anything else."""
    try:
        found = np.asarray(values).astype(np.float64)  # a copy
    except (TypeError, ValueError) as error:
        raise ValueError(f"got {name} that are no numbers ({error}); expected an array of numbers") from error
    if not np.isfinite(found).all():
        raise ValueError(f"got {int((~np.isfinite(found)).sum())} of {found.size} {name} that are not finite; expected "
                         "numbers: leave out the sensors that read none")
    return found


def _widened(axis: np.ndarray) -> np.ndarray:
    """The axis with its two outer edges, half a cell beyond its ends."""
    return np.array([1.5 * axis[0] - 0.5 * axis[1], *axis, 1.5 * axis[-1] - 0.5 * axis[-2]])
