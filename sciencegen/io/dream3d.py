"""DREAM.3D: an image of a microstructure, the number of its grain and of its phase in each voxel, and orientations.

Stored axes are (z, y, x, component); a section is a volume of one layer, and loses its axis ``z`` here. A grid is given
by its ``SPACING``, ``ORIGIN`` and ``DIMENSIONS``, in the order (x, y, z). Coordinates are those of the voxels' centres.
Numbers of grains and phases are counted from 1: zero is what belongs to none. Euler angles are Bunge's, in radians.
Reference: "DREAM.3D: A Digital Representation Environment for the Analysis of Microstructure in 3D" (Groeber and
Jackson, 2014), https://doi.org/10.1186/2193-9772-3-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray

from ..files import fault
from ..files.hdf5 import entries
from .leaf import Picked
from .schema import SPACE, Field, assemble, components
from .source import Source, source

__all__ = ["ANGLES", "CELLS", "GEOMETRY", "ROOT", "Dream3D"]

ROOT, GEOMETRY, CELLS = "DataContainers", "_SIMPL_GEOMETRY", "CellData"
ANGLES = ("phi1", "Phi", "phi2")
MEANING = {"FeatureIds": "number of the grain", "Phases": "number of the phase", "EulerAngles": "Bunge's Euler angle"}
UNITS = {"FeatureIds": "1", "Phases": "1", "EulerAngles": "radian"}


@dataclass(frozen=True)
class Dream3D:
    """``/DataContainers/NAME/CellData`` with ``FeatureIds``, ``Phases``, ``EulerAngles`` and others; its grid beside.

    ``group`` is the NAME where a file holds several.
    """

    group: str | None = None
    trusted: bool = False

    def matches(self, path: Path) -> str:
        held = _containers(entries(path, self.trusted))
        return f"'{ROOT}/{held[0]}/{GEOMETRY}'" if held else ""

    def read(self, path: Path) -> xarray.Dataset:
        with source(path, self.trusted) as file:
            place = f"{ROOT}/{self._container(path, file)}"
            sizes, spacing, origin = (_three(path, file, f"{place}/{GEOMETRY}/{name}")
                                      for name in ("DIMENSIONS", "SPACING", "ORIGIN"))
            if not ((sizes >= 1).all() and (spacing > 0).all() and np.isfinite(spacing + origin).all()):
                raise fault(path, f"a grid of {sizes.tolist()} voxels of {spacing.tolist()} from {origin.tolist()}",
                            "some voxels along each axis, of a size above zero", "make the file again")
            shape, cells = tuple(int(n) for n in sizes[::-1]), f"{place}/{CELLS}"
            fields: dict[str, Field] = {}
            for name, entry in file.members(cells).items():
                if entry.dtype is not None and entry.dtype.kind in "fiub" and not entry.odd:
                    fields |= _field(path, file, f"{cells}/{name}", name, shape)
            lines = {dim: origin[i] + (np.arange(sizes[i]) + 0.5) * spacing[i] for i, dim in enumerate(SPACE)}
            return assemble(path, "DREAM.3D", fields, lines, None, file.unused(), container=place.split("/")[1])

    def _container(self, path: Path, file: Source) -> str:
        there = _containers(file.entries)
        if self.group is None and len(there) == 1:
            return there[0]
        if self.group not in there:
            raise fault(path, f"group={self.group!r}", f"one of {there}", f"say group={there[0]!r}")
        return self.group


def _containers(found: Sequence[str]) -> list[str]:
    """Names of the data containers on a grid of voxels."""
    wanted = [name.split("/") for name in found if name.endswith(f"/{GEOMETRY}/DIMENSIONS")]
    return [parts[1] for parts in wanted if len(parts) == 4 and parts[0] == ROOT]


def _three(path: Path, file: Source, name: str) -> np.ndarray:
    """Three numbers, of x, y and z."""
    values = file.numbers(name, 3)
    if values.shape != (3,):
        raise fault(path, f"'{name}' of shape {values.shape}", "three numbers, of x, y and z", "make the file again")
    return values.astype(int if values.dtype.kind in "iu" else float)


def _field(path: Path, file: Source, stored: str, name: str, grid: tuple[int, ...]) -> dict[str, Field]:
    """One field, or one for each component where there are several."""
    shape = file.shape(stored)
    if shape[:3] != grid or len(shape) < 4:
        raise fault(path, f"'{name}' of shape {shape}", f"(z, y, x, component) of {grid}, as its grid says",
                    "make the file again")
    attrs = {"long_name": MEANING.get(name, name), **({"units": UNITS[name]} if name in UNITS else {})}
    flat, dims = grid[0] == 1, ("z", "y", "x")
    if shape[3:] == (1,):
        where = [0 if flat else slice(None), slice(None), slice(None), 0]
        return {name: Field(dims[flat:], file.leaf(stored, where), attrs)}
    labels = ANGLES if name == "EulerAngles" else tuple(map(str, range(max(shape[3:]))))
    found = components(file, stored, dims, attrs, labels=labels)
    if not flat:
        return found
    return {key: Field(dims[1:], Picked(part.leaf, (0, slice(None), slice(None))), part.attrs)
            for key, part in found.items()}
