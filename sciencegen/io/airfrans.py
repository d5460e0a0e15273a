"""AirfRANS: steady RANS flow around an airfoil on an unstructured mesh, one folder of VTK files a simulation.

Meshes differ from simulation to simulation, so a set is not one array: one simulation is read at a time, and
:func:`on_grid` brings several onto one grid. Needs the extra ``mesh``. Reference: "AirfRANS: High Fidelity
Computational Fluid Dynamics Dataset for Approximating Reynolds-Averaged Navier-Stokes Solutions" (Bonnet et al., 2022),
https://arxiv.org/abs/2212.07564.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from ..files import Kind, fault, guarded, kind
from .schema import CONVENTIONS

__all__ = ["AirfRANS", "on_grid"]

FIELDS = {"U": ("velocity", "m s-1"), "p": ("pressure over density", "m2 s-2"),
          "nut": ("turbulent viscosity", "m2 s-1"), "implicit_distance": ("minus the distance to the airfoil", "m")}
VECTORS = ("U", "Normals")
LONGEST = 10**8  # bytes of a manifest
NAME = re.compile(r"airFoil2D_SST(?:_-?\d+(?:\.\d+)?){5,}$")


@dataclass(frozen=True)
class AirfRANS:
    """``NAME/NAME_internal.vtu`` beside ``NAME_aerofoil.vtp``; NAME says speed, angle of attack and NACA digits.

    ``group`` chooses a simulation in a folder with a ``manifest.json``.
    """

    group: str | None = None

    def matches(self, path: Path) -> str:
        if kind(path) is Kind.FOLDER:
            inside = [f.name for f in path.glob("*_internal.vtu")] or [f.name for f in path.glob("manifest.json")
                      if _manifest(f)]
            return f"'{inside[0]}'" if inside else ""
        return "a VTK XML mesh with AirfRANS's name" if kind(path) is Kind.VTK and _name(path) else ""

    def read(self, path: Path) -> xarray.Dataset:
        folder = self._folder(path)
        name = _name(folder) or folder.name
        mesh, points = _mesh(folder / f"{name}_internal.vtu", ("U", "p", "nut", "implicit_distance"))
        values = {"x": points[:, 0], "y": points[:, 1], "velocity_x": mesh["U"][:, 0], "velocity_y": mesh["U"][:, 1],
                  "p": mesh["p"], "nut": mesh["nut"], "implicit_distance": mesh["implicit_distance"]}
        data = {k: ("point", v) if k in "xy" else (("sample", "point"), v[None]) for k, v in values.items()}
        found = xarray.Dataset(data, attrs={"Conventions": CONVENTIONS, "source_schema": "AirfRANS", "title": name})
        if (outline := folder / f"{name}_aerofoil.vtp").exists():
            surface, ends = _mesh(outline, ("Normals",))
            for i, axis in enumerate("xy"):
                found[f"surface_{axis}"] = (("sample", "vertex"), ends[None, :, i], {
                    "role": "design", "units": "m", "long_name": f"airfoil, {axis}"})
                found[f"normal_{axis}"] = (("sample", "vertex"), surface["Normals"][None, :, i], {"long_name": axis})
        return _described(found.assign(_numbers(name))).set_coords(["x", "y"])

    def _folder(self, path: Path) -> Path:
        if kind(path) is not Kind.FOLDER:
            return path.parent
        if any(path.glob("*_internal.vtu")):
            return path
        names = sorted(f.name for f in path.iterdir() if (f / f"{f.name}_internal.vtu").exists())
        listed = {name for split in _manifest(path / "manifest.json").values() for name in split}
        if lost := sorted(listed - set(names)):
            raise fault(path, f"a manifest with {len(lost)} simulations that are not there, as '{lost[0]}'",
                        "every simulation's folder", "fetch the set again")
        if self.group not in names:
            raise fault(path, f"group={self.group!r} in a set of {len(names)} simulations on meshes of their own",
                        "one of them at a time", f"say group={names[0]!r}; on_grid brings several onto one grid")
        return path / self.group


def _manifest(file: Path) -> dict[str, list[str]]:
    if not file.is_file() or file.stat().st_size > LONGEST:
        return {}
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and "full_train" in found else {}


def _name(path: Path) -> str:
    stem = re.sub(r"_(internal|aerofoil)$", "", path.stem if path.suffix in (".vtu", ".vtp") else path.name)
    return stem if NAME.fullmatch(stem) else ""


def _mesh(path: Path, names: tuple[str, ...]) -> tuple[Any, np.ndarray]:
    """Point data and points of a VTK file."""
    try:
        import pyvista
    except ImportError as error:
        raise ImportError('got no pyvista; expected it for VTK files; pip install "sciencegen[mesh]"') from error
    if not path.exists():
        raise fault(path, "nothing", "a VTK file for every part of the simulation", "fetch the simulation again")
    if kind(path) is not Kind.VTK:
        raise fault(path, kind(path).value, Kind.VTK.value, "fetch the simulation again")
    with guarded(path, "a VTK file"), warnings.catch_warnings():
        warnings.simplefilter("error")  # VTK goes on with what it has
        mesh = pyvista.read(path)
        points, data = np.asarray(mesh.points), mesh.point_data
        if lost := [name for name in names if name not in data]:
            raise fault(path, f"point data {sorted(data.keys())}", f"'{lost[0]}' too", "fetch it again")
        shapes = {name: np.shape(data[name]) for name in names}
        if odd := [name for name in names if shapes[name] != ((len(points), 3) if name in VECTORS else (len(points),))]:
            raise fault(path, f"'{odd[0]}' of shape {shapes[odd[0]]}", f"a value for each of {len(points)} points",
                        "fetch it again")
        return data, points


def _numbers(name: str) -> dict[str, tuple[str, list[float], dict[str, str]]]:
    """What the name says: inlet speed, angle of attack, and the airfoil's three or four NACA numbers."""
    numbers = [float(word) for word in name.split("_")[2:]] if _name(Path(name)) else []
    found = dict(zip(("inlet_speed", "angle_of_attack"), numbers)) | {f"naca_{i}": n for i, n in enumerate(numbers[2:])}
    units = {"inlet_speed": "m s-1", "angle_of_attack": "degree"}
    return {k: ("sample", [v], {"role": "design" if k[:4] == "naca" else "parameter", "units": units.get(k, "1"),
                                "long_name": k.replace("_", " ")}) for k, v in found.items()}


def _described(found: xarray.Dataset) -> xarray.Dataset:
    for name, (long_name, units) in FIELDS.items():
        own = {"velocity_x": "x", "velocity_y": "y"} if name == "U" else {name: ""}
        for label, axis in own.items():
            vector = {"component": axis, "component_of": "U"} if axis else {}
            found[label].attrs = {"long_name": f"{long_name}, {axis}" if axis else long_name, "units": units, **vector}
    for axis in "xy":
        found[axis].attrs = {"units": "m", "long_name": f"position, {axis}"}
    return found


def on_grid(simulation: xarray.Dataset, x: np.ndarray, y: np.ndarray) -> xarray.Dataset:
    """One simulation on a regular grid, linearly interpolated: (sample, x, y); NaN in the airfoil and beyond the mesh.

    ``x`` (nx,) and ``y`` (ny,) are in metres. Simulations on one grid go together by ``xarray.concat(..., "sample")``.
    """
    from scipy.interpolate import LinearNDInterpolator  # half a second

    names = [k for k, v in simulation.data_vars.items() if v.dims == ("sample", "point")]
    points = np.stack([simulation.x.values, simulation.y.values], -1)
    nodes = np.stack(np.meshgrid(x, y, indexing="ij"), -1)
    values = LinearNDInterpolator(points, np.stack([simulation[k].values[0] for k in names], -1))(nodes)
    solid = values[..., names.index("implicit_distance")] > 0
    values[solid] = np.nan
    grid = {k: (("sample", "x", "y"), values[None, ..., i], simulation[k].attrs) for i, k in enumerate(names)}
    rest = simulation.drop_vars(names).drop_vars(["x", "y"])
    return rest.assign(grid).assign_coords({"x": ("x", x, {"units": "m"}), "y": ("y", y, {"units": "m"})})
