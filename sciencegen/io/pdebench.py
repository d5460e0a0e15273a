"""PDEBench's four layouts.

Grids are cell-centred, quantities dimensionless. Time coordinates may have one entry more than there are frames (edges
of steps): the last is dropped. Reference: "PDEBench: An Extensive Benchmark for Scientific Machine Learning" (Takamoto
et al., 2022), https://arxiv.org/abs/2210.07182.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import xarray

from .content import entries, hdf5, text
from .fault import fault
from .leaf import Handle, Stacked
from .schema import SPACE, Field, assemble, components, named_axes, parameter, pick

__all__ = ["Fields", "Incompressible", "Seeds", "Tensor"]

MEANING = {"density": "mass density", "pressure": "pressure", "tensor": "solution", "nu": "diffusion coefficient",
           "Vx": "velocity, x", "Vy": "velocity, y", "Vz": "velocity, z", "omega_x": "vorticity, x",
           "omega_y": "vorticity, y", "omega_z": "vorticity, z", "velocity": "velocity",
           "particles": "particle density", "force": "force",
           "c": "concentration", "h": "water depth", "activator": "activator", "inhibitor": "inhibitor"}
# the seeds' fields and axes, by dimension and number of components: diffusion-sorption, shallow water, and
# diffusion-reaction, whose generator writes y before x
SEEDED = {(1, 1): (("c",), ("x",)), (2, 1): (("h",), ("x", "y")), (2, 2): (("activator", "inhibitor"), ("y", "x"))}


def _attrs(name: str) -> dict[str, str]:
    return {"long_name": MEANING.get(name, name), "units": "1"}


def _lines(path: Path, file: h5py.Group, times: int | None, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Coordinates by dim; of time edges the last is dropped."""
    found = {dim: file[name][:] for dim, name in names.items() if name in file}
    if "time" in found and times is not None and len(found["time"]) == times + 1:
        found["time"] = found["time"][:-1]
    return found


def _line_names() -> dict[str, str]:
    return {dim: f"{letter}-coordinate" for dim, letter in zip(("time", *SPACE), "txyz")}


def _parameters(file: h5py.File, count: int, known: Sequence[str] = ()) -> dict[str, xarray.Variable]:
    """Numbers among the attributes, and datasets of one number a sample."""
    found = {k: v for k, v in file.attrs.items() if np.size(v) in (1, count) and np.asarray(v).dtype.kind in "fiu"}
    found |= {k: v[:] for k, v in file.items() if isinstance(v, h5py.Dataset) and v.shape == (count,) and k not in known
              and not k.endswith("-coordinate") and v.dtype.kind in "fiu"}
    return {k: parameter(v, count) for k, v in found.items()}


@dataclass(frozen=True)
class Tensor:
    """One dataset ``tensor``: (sample, time, x), or Darcy's (sample, 1, x, y) beside its coefficient ``nu``.

    ``dims`` names the axes of a ``tensor`` that keeps an axis of parameters (the generators write one).
    """

    dims: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = entries(path)
        return "datasets 'tensor' and 'x-coordinate'" if {"tensor", "x-coordinate"} <= set(found) else ""

    def read(self, path: Path) -> xarray.Dataset:
        handle = Handle(path)
        with hdf5(path) as file:
            tensor = file["tensor"]
            dims, where = self._axes(path, file)
            fields = {"tensor": Field(dims, pick(path, tensor, self.trusted, handle, where), _attrs("tensor"))}
            if "nu" in file and file["nu"].ndim == 3:
                fields["nu"] = Field(("sample", "x", "y"), pick(path, file["nu"], self.trusted, handle), _attrs("nu"))
            sizes = dict(zip(dims, fields["tensor"].leaf.shape))
            coords = _lines(path, file, sizes.get("time"), _line_names())
            rows = sizes.get("sample", 1)
            return assemble(path, "PDEBench, tensor", fields, coords, _parameters(file, rows, tuple(fields)))

    def _axes(self, path: Path, file: h5py.File) -> tuple[tuple[str, ...], tuple[int | slice, ...]]:
        tensor, every = file["tensor"], slice(None)
        if "tensor" in self.dims:
            dims = named_axes(path, "tensor", tensor.shape, self.dims)
            return dims, (every,) * tensor.ndim
        plane = "y-coordinate" in file
        if tensor.ndim == 3 and not plane:
            return ("sample", "time", "x"), (every,) * 3
        if tensor.ndim == 4 and plane and "nu" in file and tensor.shape[1] == 1:
            return ("sample", "x", "y"), (every, 0, every, every)
        if tensor.ndim == 4 and plane and "nu" not in file and "t-coordinate" in file:
            return ("sample", "time", "x", "y"), (every,) * 4
        if tensor.ndim == 4 and not plane and tensor.shape[0] == 1:
            return ("sample", "time", "x"), (0, every, every, every)
        lines = [k for k in file if k.endswith("-coordinate")]
        raise fault(path, f"'tensor' of shape {tensor.shape} with {lines}",
                    "(sample, time, x), or (sample, 1, x, y) beside 'nu'",
                    "its first axis may be a parameter's: say dims={'tensor': (...)}, as in "
                    "('parameter', 'sample', 'time', 'x')")


@dataclass(frozen=True)
class Fields:
    """One dataset a field, (sample, time, x[, y[, z]]): compressible flow, and what else is written that way."""

    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = entries(path)
        own = [name for name, shape in found.items() if shape and len(shape) >= 3 and "/" not in name]
        known = "x-coordinate" in found and "t-coordinate" in found and "tensor" not in found
        return f"datasets {own} and 'x-coordinate'" if own and known else ""

    def read(self, path: Path) -> xarray.Dataset:
        handle, names = Handle(path), _line_names()
        with hdf5(path) as file:
            space = [axis for axis in SPACE if names[axis] in file]
            dims = ("sample", "time", *space)
            shapes = {k: v.shape for k, v in file.items() if isinstance(v, h5py.Dataset) and v.ndim > 1}
            if wrong := [k for k, shape in shapes.items() if len(shape) != len(dims)]:
                raise fault(path, f"'{wrong[0]}' of shape {shapes[wrong[0]]}", f"axes {dims}, as there are coordinates",
                            "a coordinate is missing or the field is another's: make the file again")
            fields = {k: Field(dims, pick(path, file[k], self.trusted, handle), _attrs(k)) for k in shapes}
            rows, times = next(iter(shapes.values()))[:2]
            coords = _lines(path, file, times, names)
            return assemble(path, "PDEBench, fields", fields, coords, _parameters(file, rows, tuple(fields)))


@dataclass(frozen=True)
class Seeds:
    """One group a seed, ``0000/data`` beside ``0000/grid/{x,y,t}``; the attribute ``config`` is YAML.

    ``data`` is (time, x, 1) for the concentration of diffusion-sorption, (time, x, y, 1) for the depth of shallow
    water, and (time, y, x, 2) for activator and inhibitor of diffusion-reaction.

    A seed that is missing between others is the mark of a worker that crashed; ``trusted=True`` takes those there are.
    """

    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = entries(path)
        seeds = [name for name in found if re.fullmatch(r"\d+/data", name)]
        return f"{len(seeds)} groups with 'data' and 'grid', the first '{seeds[0][:-5]}'" if seeds else ""

    def read(self, path: Path) -> xarray.Dataset:
        handle = Handle(path)
        with hdf5(path) as file:
            names = self._seeds(path, file)
            first = file[names[0]]["data"]
            labels, space = self._meaning(path, first)
            dims = ("time", *space)
            shapes = {name: file[name]["data"].shape for name in names}
            if odd := [name for name in names if shapes[name] != first.shape]:
                raise fault(path, f"'{odd[0]}/data' of shape {shapes[odd[0]]}", f"{first.shape}, as '{names[0]}/data'",
                            "seeds of mixed resolution do not fit one dataset: split the file")
            fields = {}
            for i, label in enumerate(labels):
                where = (*(slice(None) for _ in dims), i)
                leaves = [pick(path, file[name]["data"], self.trusted, handle, where) for name in names]
                fields[label] = Field(("sample", *dims), Stacked(leaves), _attrs(label))
            coords = _lines(path, file[names[0]], first.shape[0], {d: f"grid/{d[0]}" for d in dims})
            coords["sample"] = xarray.Variable("sample", [int(name) for name in names], {"long_name": "seed"})
            config = text(file[names[0]].attrs.get("config", ""))
            return assemble(path, "PDEBench, seeds", fields, coords, **({"config": config} if config else {}))

    def _seeds(self, path: Path, file: h5py.File) -> list[str]:
        names = sorted((name for name in file if name.isdigit()), key=int)
        numbers = [int(name) for name in names]
        if len(set(numbers)) < len(numbers):
            twice = next(n for n in numbers if numbers.count(n) > 1)
            raise fault(path, f"seed {twice} twice, {[n for n in names if int(n) == twice]}", "each seed once",
                        "rename or remove one")
        if bare := [name for name in names if "data" not in file[name]]:
            raise fault(path, f"group '{bare[0]}' without 'data'", "an array in every group", "that worker crashed: "
                        "remove the group or run its seed again")
        lost = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
        if lost and not self.trusted:
            raise fault(path, f"{len(names)} seeds without {', '.join(map(str, lost[:5]))}", f"all of {numbers[0]} to "
                        f"{numbers[-1]}", "a worker crashed: run those seeds, or say trusted=True to take the rest")
        return names

    def _meaning(self, path: Path, data: h5py.Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = SEEDED.get((data.ndim - 2, data.shape[-1]))
        if found is None:
            raise fault(path, f"'{data.name.lstrip('/')}' of shape {data.shape}", "(time, x, 1), (time, x, y, 1) or "
                        "(time, y, x, 2)", "map it yourself: schema=Plain(dims=...)")
        return found


@dataclass(frozen=True)
class Incompressible:
    """``velocity``, ``particles`` (sample, time, x, y, component), ``force`` (sample, x, y, component), ``t``.

    Files are made at full length and filled: only frames up to the attribute ``latestIndex`` are there.
    """

    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = {"velocity", "particles", "force", "t"}
        return "datasets 'velocity', 'particles', 'force', 't'" if found <= set(entries(path)) else ""

    def read(self, path: Path) -> xarray.Dataset:
        handle, flow = Handle(path), ("sample", "time", "x", "y")
        with hdf5(path) as file:
            rows, stored = file["t"].shape
            stop = min(stored, int(file.attrs.get("latestIndex", stored - 1)) + 1)
            if stop < 1:
                raise fault(path, f"latestIndex {stop - 1}", "a frame", "its writer was stopped: make it again")
            trusted = self.trusted or stop < stored
            fields = {}
            for name, dims in {"velocity": flow, "particles": flow, "force": ("sample", "x", "y")}.items():
                if file[name].ndim != len(dims) + 1:
                    raise fault(path, f"'{name}' of shape {file[name].shape}", f"axes {(*dims, 'component')}",
                                "make the file again")
                fields |= components(path, file[name], name, dims, _attrs(name), trusted, handle, stop=stop)
            fields["particles"] = Field(flow, fields.pop("particles_x").leaf, _attrs("particles"))
            times = file["t"][:, :stop]
            if not (times == times[0]).all():
                raise fault(path, "samples with times of their own in 't'", "the same for all", "split the file")
            return assemble(path, "PDEBench, incompressible", fields, {"time": times[0]},
                            config=text(file.attrs.get("config", "")))
