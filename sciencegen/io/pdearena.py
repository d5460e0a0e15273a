"""PDEArena: one group named after its split, with fields (sample, time, x[, y[, z]]).

Reference: "Towards Multi-spatiotemporal-scale Generalized PDE Modeling" (Gupta and Brandstetter, 2022),
https://arxiv.org/abs/2209.15616. The stored condition (``buo_y``) was not the simulated one in early files
(https://github.com/pdearena/pdearena/issues/23): check it against the fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import xarray

from .content import entries, hdf5
from .fault import fault
from .leaf import Handle
from .schema import SPACE, Field, assemble, components, parameter, pick

__all__ = ["PDEArena"]

SPLITS = ("train", "valid", "test")
MEANING = {"u": "smoke density", "vx": "velocity, x", "vy": "velocity, y", "d_field": "electric displacement",
           "h_field": "magnetic field", "buo_y": "buoyancy, y"}
SMOKE, WAVES = {"u", "vx", "vy"}, {"d_field", "h_field"}


@dataclass(frozen=True)
class PDEArena:
    """Navier-Stokes (``u``, ``vx``, ``vy``), Maxwell (``d_field``, ``h_field``), Kuramoto-Sivashinsky (``pde_NT-NX``).

    ``group`` chooses the split where a file holds several.
    """

    group: str | None = None
    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = entries(path)
        for split in SPLITS:
            own = {name.split("/")[1] for name in found if name.startswith(f"{split}/")}
            if SMOKE <= own or WAVES <= own or any(re.fullmatch(r"pde_\d+-\d+", name) for name in own):
                return f"group '{split}' with {sorted(own & set(MEANING)) or sorted(own)}"
        return ""

    def read(self, path: Path) -> xarray.Dataset:
        handle = Handle(path)
        with hdf5(path) as file:
            group = file[self._split(path, file)]
            names = {name for name in group if name in SMOKE | WAVES or name.startswith("pde_")}
            fields: dict[str, Field] = {}
            for name in sorted(names):
                fields |= self._field(path, group[name], name, handle)
            rows = next(iter(fields.values())).leaf.shape[0]
            lines = {dim: _line(path, group, key) for dim, key in zip(("time", *SPACE), "txyz") if key in group}
            numbers = {name: parameter(item[:], rows, long_name=MEANING.get(name, name)) for name, item in group.items()
                       if item.shape == (rows,) and name not in names}
            lines |= _from_steps(fields, numbers, lines)
            return assemble(path, "PDEArena", fields, lines, numbers, split=group.name[1:])

    def _split(self, path: Path, file: h5py.File) -> str:
        there = [split for split in SPLITS if split in file]
        if self.group is None and len(there) == 1:
            return there[0]
        if self.group not in there:
            raise fault(path, f"group={self.group!r}", f"one of {there}", f"say group={there[0]!r}")
        return self.group

    def _field(self, path: Path, stored: h5py.Dataset, name: str, handle: Handle) -> dict[str, Field]:
        axes, attrs = stored.ndim - (name in WAVES), {"long_name": MEANING.get(name, "solution")}
        if not 3 <= axes <= 5:
            raise fault(path, f"'{name}' of shape {stored.shape}", "(sample, time, x[, y[, z]])", "make the file again")
        dims = ("sample", "time", *SPACE[: axes - 2])
        if name in WAVES:
            return components(path, stored, name, dims, attrs, self.trusted, handle)
        return {"u" if name.startswith("pde_") else name: Field(dims, pick(path, stored, self.trusted, handle), attrs)}


def _line(path: Path, group: h5py.Group, key: str) -> np.ndarray:
    values = group[key][:]
    if values.ndim == 2 and not (values == values[:1]).all():
        raise fault(path, f"samples with a '{key}' of their own", "the same grid and times for all samples",
                    "split the file")
    return values[0] if values.ndim == 2 else values


def _from_steps(fields: dict[str, Field], numbers: dict[str, xarray.Variable],
                lines: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Coordinates that are given as one step for all samples only: multiples of it from zero."""
    first = next(iter(fields.values()))
    sizes = dict(zip(first.dims, first.leaf.shape))
    steps = {dim: numbers[f"d{key}"].values for dim, key in zip(("time", *SPACE), "txyz") if f"d{key}" in numbers}
    return {dim: np.arange(sizes[dim]) * step[0] for dim, step in steps.items()
            if dim in sizes and dim not in lines and step[0] > 0 and (step == step[0]).all()}
