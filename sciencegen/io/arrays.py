"""Arrays with names and nothing else: MATLAB's .mat (level 5, and 7.3, which is HDF5) and NumPy's .npz and .npy.

Nothing in such a file says what its axes are. The published sets have names of their own, from which the axes follow
(:data:`LAYOUTS`); for any other file the caller says ``dims``. MATLAB stores its axes in the order opposite to HDF5's:
those of a 7.3 file are turned round. References: "Fourier Neural Operator for Parametric Partial Differential
Equations" (Li et al., 2020), https://arxiv.org/abs/2010.08895; "Learning nonlinear operators via DeepONet" (Lu et al.,
2021), https://arxiv.org/abs/1910.03193; "DiffusionPDE" (Huang et al., 2024), https://arxiv.org/abs/2406.17763.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray

from ..files import Kind, fault, kind
from ..files.hdf5 import entries
from .leaf import Leaf
from .members import mat5, mat73, npy, npz
from .schema import SPACE, Field, assemble, named_axes

__all__ = ["Arrays", "Axes"]


@dataclass(frozen=True)
class Axes:
    """A published set: what its arrays are called, and their axes. A trailing "..." is as much space as there is."""

    name: str
    axes: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()

    def fits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether the file has all of the arrays, each with as many axes as it should."""
        needed = set(self.axes) - set(self.optional)
        return needed <= set(shapes) and all(
            "..." in dims or dims == ("time",) or len(shapes[name]) == len(dims)
            for name, dims in self.axes.items() if name in shapes)


STATIC, FRAMES = ("sample", "..."), ("sample", "x", "y", "time")
# more particular ones first
LAYOUTS = (
    Axes("FNO, Navier-Stokes", {"a": ("sample", "x", "y"), "u": FRAMES, "t": ("time",)}, optional=("t",)),
    Axes("FNO, Burgers", {"a": ("sample", "x"), "u": ("sample", "x")}),
    Axes("FNO, Darcy", {"coeff": ("sample", "x", "y"), "sol": ("sample", "x", "y"), "Kcoeff": ("sample", "x", "y"),
                          "Kcoeff_x": ("sample", "x", "y"), "Kcoeff_y": ("sample", "x", "y")},
           optional=("Kcoeff", "Kcoeff_x", "Kcoeff_y")),
    Axes("DiffusionPDE, Darcy", {"thresh_a_data": STATIC, "thresh_p_data": STATIC}),
    Axes("DiffusionPDE, Poisson", {"f_data": STATIC, "phi_data": STATIC}),
    Axes("DiffusionPDE, Helmholtz", {"f_data": STATIC, "psi_data": STATIC}),
    Axes("DiffusionPDE, Burgers", {"input": ("sample", "x"), "output": ("sample", "time", "x")}),
    Axes("DeepONet, aligned", {"X/0": ("sample", "sensor"), "X/1": ("point", "coordinate"),
                                 "y": ("sample", "point")}),
    Axes("DeepONet, unaligned", {"X_train0": ("sample", "sensor"), "X_train1": ("sample", "coordinate"),
                                   "y_train": ("sample", "value")}),
)
# one solution u(x, t) beside its coordinates, in whichever order
LINES = ("t", "tt", "x")
PAIRS = (("usol", "x", "t"), ("u", "x", "t"), ("uu", "x", "tt"))


@dataclass(frozen=True)
class Arrays:
    """A .mat, .npz or .npy file. ``dims`` names the axes of arrays, for a file that is of no published set."""

    dims: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = kind(path)
        if found is Kind.HDF5 and not _matlab(path):
            return ""
        return str(found) if found in (Kind.HDF5, Kind.MAT5, Kind.ZIP, Kind.NPY) else ""

    def read(self, path: Path) -> xarray.Dataset:
        read = {Kind.HDF5: mat73, Kind.MAT5: mat5, Kind.ZIP: npz, Kind.NPY: npy}
        leaves, skipped = read[kind(path)](path, self.trusted)
        shapes = {name: leaf.shape for name, leaf in leaves.items()}
        found = self._found(path, leaves, shapes)
        if found is not None:
            used = set(found.variables)
            spare = {name: f"{shape}, which the set has no place for" for name, shape in shapes.items()
                     if name not in used and name not in LINES}
            found.encoding["unused"] = skipped | spare
            return found
        raise fault(path, f"arrays {shapes} that are of no published set",
                    f"one of {[layout.name for layout in LAYOUTS]}", "say what the axes are: dims={'NAME': (...)} for "
                    "each array to be read, of sample, time, x, y, z or names of your own")

    def _found(self, path: Path, leaves: Mapping[str, Leaf], shapes: Mapping[str, tuple[int, ...]]
               ) -> xarray.Dataset | None:
        if self.dims:
            return self._mapped(path, leaves)
        for layout in LAYOUTS:
            if layout.fits(shapes):
                return _published(path, layout, leaves)
        for solution, *lines in PAIRS:
            if {solution, *lines} <= set(shapes) and len(shapes[solution]) == 2:
                return _solution(path, leaves, solution, dict(zip(("x", "time"), lines)))
        return None

    def _mapped(self, path: Path, leaves: Mapping[str, Leaf]) -> xarray.Dataset:
        if unknown := set(self.dims) - set(leaves):
            raise fault(path, f"dims for {sorted(unknown)}", f"some of {sorted(leaves)}", "name arrays of the file")
        fields = {name: Field(named_axes(path, name, leaves[name].shape, self.dims), leaves[name], {"long_name": name})
                  for name in self.dims}
        lines = {name: entry.leaf.read((slice(None),)) for name, entry in fields.items() if entry.dims == (name,)}
        return assemble(path, "arrays", {k: v for k, v in fields.items() if k not in lines}, lines)


def _line(leaf: Leaf) -> np.ndarray:
    """A coordinate, which may be stored as a row or as a column."""
    return leaf.read((slice(None),) * len(leaf.shape)).ravel()


def _matlab(path: Path) -> bool:
    """MATLAB puts a line of text of its own before the HDF5 signature."""
    with path.open("rb") as file:
        return file.read(6) == b"MATLAB" and bool(entries(path))


def _published(path: Path, layout: Axes, leaves: Mapping[str, Leaf]) -> xarray.Dataset:
    fields, lines = {}, {}
    for name, dims in layout.axes.items():
        if name not in leaves:
            continue
        leaf = leaves[name]
        if "..." in dims:
            dims = (*dims[:-1], *SPACE[: len(leaf.shape) - len(dims) + 1])
        if name == "t":
            lines["time"] = _line(leaf)
        elif len(dims) != len(leaf.shape):
            raise fault(path, f"'{name}' of shape {leaf.shape}", f"at most {len(dims)} axes", "say dims={...}")
        else:
            fields[name] = Field(dims, leaf, {"long_name": name})
    return assemble(path, layout.name, fields, lines)


def _solution(path: Path, leaves: Mapping[str, Leaf], name: str, lines: Mapping[str, str]) -> xarray.Dataset:
    """One array whose axes are told apart by the lengths of its coordinates; refused where both orders fit."""
    values = {dim: _line(leaves[key]) for dim, key in lines.items()}
    shape = leaves[name].shape
    orders = [dims for dims in (("x", "time"), ("time", "x")) if tuple(len(values[d]) for d in dims) == shape]
    if len(orders) != 1:
        raise fault(path, f"'{name}' of shape {shape} with {len(values['x'])} points and {len(values['time'])} times",
                    "axes that their coordinates tell apart" if orders else "as many as there are coordinates",
                    f"say dims={{'{name}': ('x', 'time')}} or dims={{'{name}': ('time', 'x')}}")
    return assemble(path, "one solution", {name: Field(orders[0], leaves[name], {"long_name": name})}, values)
