"""PDEArena: one group named after its split, with fields (sample, time, x[, y[, z]]).

Reference: "Towards Multi-spatiotemporal-scale Generalized PDE Modeling" (Gupta and Brandstetter, 2022),
https://arxiv.org/abs/2209.15616. The stored condition (``buo_y``) was not the simulated one in early files
(https://github.com/pdearena/pdearena/issues/23): check it against the fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray

from ..files import fault
from ..files.hdf5 import entries
from .schema import SPACE, Field, assemble, components, parameter
from .source import Source, source

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
        found = entries(path, self.trusted)
        for split in SPLITS:
            own = {name.split("/")[1] for name in found if name.startswith(f"{split}/")}
            if SMOKE <= own or WAVES <= own or any(re.fullmatch(r"pde_\d+-\d+", name) for name in own):
                return f"group '{split}' with {sorted(own & set(MEANING)) or sorted(own)}"
        return ""

    def read(self, path: Path) -> xarray.Dataset:
        with source(path, self.trusted) as file:
            split = self._split(path, file)
            inside = file.members(split)
            names = [name for name, entry in inside.items() if entry.shape is not None
                     and (name in SMOKE | WAVES or name.startswith("pde_"))]
            fields: dict[str, Field] = {}
            for name in names:
                fields |= self._field(path, file, f"{split}/{name}", name)
            first = next(iter(fields.values()), None)
            sizes = dict(zip(first.dims, first.leaf.shape)) if first else {}
            rows = sizes.get("sample", 1)
            lines = {dim: file.line(f"{split}/{key}", sizes[dim], rows) for dim, key in zip(("time", *SPACE), "txyz")
                     if key in inside and dim in sizes}
            numbers = {name: parameter(file.numbers(f"{split}/{name}"), rows, long_name=MEANING.get(name, name))
                       for name, entry in inside.items()
                       if entry.shape == (rows,) and not entry.odd and name not in (*names, *"txyz")}
            lines |= _from_steps(sizes, numbers, lines)
            return assemble(path, "PDEArena", fields, lines, numbers, file.unused(), split=split)

    def _split(self, path: Path, file: Source) -> str:
        there = [split for split in SPLITS if split in file]
        if self.group is None and len(there) == 1:
            return there[0]
        if self.group not in there:
            raise fault(path, f"group={self.group!r}", f"one of {there}", f"say group={there[0]!r}")
        return self.group

    def _field(self, path: Path, file: Source, stored: str, name: str) -> dict[str, Field]:
        shape, attrs = file.shape(stored), {"long_name": MEANING.get(name, "solution")}
        axes = len(shape) - (name in WAVES)
        if not 3 <= axes <= 5:
            raise fault(path, f"'{name}' of shape {shape}", "(sample, time, x[, y[, z]])", "make the file again")
        said = re.fullmatch(r"pde_(\d+)-(\d+)", name)
        if said and shape[1:] != (wanted := tuple(map(int, said.groups()))):
            raise fault(path, f"'{name}' of shape {shape}", f"(sample, {wanted[0]}, {wanted[1]}), as its name says",
                        "make the file again")
        dims = ("sample", "time", *SPACE[: axes - 2])
        if name in WAVES:
            return components(file, stored, dims, attrs)
        return {"u" if name.startswith("pde_") else name: Field(dims, file.leaf(stored), attrs)}


def _from_steps(sizes: dict[str, int], numbers: dict[str, xarray.Variable],
                lines: dict[str, xarray.Variable]) -> dict[str, np.ndarray]:
    """Coordinates that are given as one step for all samples only: multiples of it from zero."""
    steps = {dim: numbers[f"d{key}"].values for dim, key in zip(("time", *SPACE), "txyz") if f"d{key}" in numbers}
    return {dim: np.arange(sizes[dim]) * step[0] for dim, step in steps.items()
            if dim in sizes and dim not in lines and step[0] > 0 and (step == step[0]).all()}
