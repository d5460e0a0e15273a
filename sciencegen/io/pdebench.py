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

import numpy as np
import xarray

from ..files import fault
from ..files.hdf5 import entries
from .leaf import Stacked
from .schema import SPACE, Field, assemble, components, named_axes, parameter
from .source import Source, source, text

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


def _lines(file: Source, sizes: Mapping[str, int], names: Mapping[str, str]) -> dict[str, xarray.Variable]:
    """Coordinates by dim, of those in ``sizes``; of time edges the last is dropped."""
    found = {dim: file.line(name, sizes[dim]) for dim, name in names.items() if name in file and dim in sizes}
    if "time" in found and len(found["time"]) == sizes["time"] + 1:
        found["time"] = found["time"][:-1]
    return found


def _line_names() -> dict[str, str]:
    return {dim: f"{letter}-coordinate" for dim, letter in zip(("time", *SPACE), "txyz")}


def _parameters(file: Source, count: int, known: Sequence[str] = ()) -> dict[str, xarray.Variable]:
    """Numbers among the attributes, and datasets of one number a sample."""
    found = {k: v for k, v in file.attrs().items() if np.size(v) in (1, count) and np.asarray(v).dtype.kind in "fiu"}
    found |= {k: file.numbers(k) for k, entry in file.members().items() if entry.shape == (count,) and k not in known
              and not k.endswith("-coordinate") and not entry.odd and entry.dtype.kind in "fiu"}
    return {k: parameter(v, count) for k, v in found.items()}


@dataclass(frozen=True)
class Tensor:
    """One dataset ``tensor``: (sample, time, x), or Darcy's (sample, 1, x, y) beside its coefficient ``nu``.

    ``dims`` names the axes of a ``tensor`` that keeps an axis of parameters (the generators write one).
    """

    dims: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = entries(path, self.trusted)
        return "datasets 'tensor' and 'x-coordinate'" if {"tensor", "x-coordinate"} <= set(found) else ""

    def read(self, path: Path) -> xarray.Dataset:
        with source(path, self.trusted) as file:
            dims, where = self._axes(path, file)
            fields = {"tensor": Field(dims, file.leaf("tensor", where), _attrs("tensor"))}
            if "nu" in file and len(file.shape("nu")) == 3:
                fields["nu"] = Field(("sample", "x", "y"), file.leaf("nu"), _attrs("nu"))
            sizes = dict(zip(dims, fields["tensor"].leaf.shape))
            coords, rows = _lines(file, sizes, _line_names()), sizes.get("sample", 1)
            numbers = _parameters(file, rows, tuple(fields))
            return assemble(path, "PDEBench, tensor", fields, coords, numbers, file.unused())

    def _axes(self, path: Path, file: Source) -> tuple[tuple[str, ...], tuple[int | slice, ...]]:
        shape, every = file.shape("tensor"), slice(None)
        if "tensor" in self.dims:
            return named_axes(path, "tensor", shape, self.dims), (every,) * len(shape)
        plane = "y-coordinate" in file
        if len(shape) == 3 and not plane:
            return ("sample", "time", "x"), (every,) * 3
        if len(shape) == 4 and plane and "nu" in file and shape[1] == 1:
            return ("sample", "x", "y"), (every, 0, every, every)
        if len(shape) == 4 and plane and "nu" not in file and "t-coordinate" in file:
            return ("sample", "time", "x", "y"), (every,) * 4
        if len(shape) == 4 and not plane and shape[0] == 1:
            return ("sample", "time", "x"), (0, every, every, every)
        lines = [k for k in file.members() if k.endswith("-coordinate")]
        raise fault(path, f"'tensor' of shape {shape} with {lines}",
                    "(sample, time, x), or (sample, 1, x, y) beside 'nu'",
                    "its first axis may be a parameter's: say dims={'tensor': (...)}, as in "
                    "('parameter', 'sample', 'time', 'x')")


@dataclass(frozen=True)
class Fields:
    """One dataset a field, (sample, time, x[, y[, z]]): compressible flow, and what else is written that way."""

    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = entries(path, self.trusted)
        own = [name for name, entry in found.items() if len(entry.shape or ()) >= 3 and "/" not in name]
        known = "x-coordinate" in found and "t-coordinate" in found and "tensor" not in found
        return f"datasets {own} and 'x-coordinate'" if own and known else ""

    def read(self, path: Path) -> xarray.Dataset:
        names = _line_names()
        with source(path, self.trusted) as file:
            space = [axis for axis in SPACE if names[axis] in file]
            dims = ("sample", "time", *space)
            shapes = {k: entry.shape for k, entry in file.members().items() if len(entry.shape or ()) > 1}
            if wrong := [k for k, shape in shapes.items() if len(shape) != len(dims)]:
                raise fault(path, f"'{wrong[0]}' of shape {shapes[wrong[0]]}", f"axes {dims}, as there are coordinates",
                            "a coordinate is missing or the field is another's: make the file again")
            fields = {k: Field(dims, file.leaf(k), _attrs(k)) for k in shapes}
            sizes = dict(zip(dims, next(iter(shapes.values()))))
            coords, numbers = _lines(file, sizes, names), _parameters(file, sizes["sample"], tuple(fields))
            return assemble(path, "PDEBench, fields", fields, coords, numbers, file.unused())


@dataclass(frozen=True)
class Seeds:
    """One group a seed, ``0000/data`` beside ``0000/grid/{x,y,t}``; the attribute ``config`` is YAML.

    ``data`` is (time, x, 1) for the concentration of diffusion-sorption, (time, x, y, 1) for the depth of shallow
    water, and (time, y, x, 2) for activator and inhibitor of diffusion-reaction.

    A seed that is missing between others is the mark of a worker that crashed; ``trusted=True`` takes those there are.
    """

    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = entries(path, self.trusted)
        seeds = [name for name in found if re.fullmatch(r"\d+/data", name)]
        return f"{len(seeds)} groups with 'data' and 'grid', the first '{seeds[0][:-5]}'" if seeds else ""

    def read(self, path: Path) -> xarray.Dataset:
        with source(path, self.trusted) as file:
            names = self._seeds(path, file)
            shapes = {name: file.shape(f"{name}/data") for name in names}
            first = shapes[names[0]]
            labels, space = self._meaning(path, f"{names[0]}/data", first)
            dims = ("time", *space)
            if odd := [name for name in names if shapes[name] != first]:
                raise fault(path, f"'{odd[0]}/data' of shape {shapes[odd[0]]}", f"{first}, as '{names[0]}/data'",
                            "seeds of mixed resolution do not fit one dataset: split the file")
            fields = {}
            for i, label in enumerate(labels):
                where = (*(slice(None) for _ in dims), i)
                leaves = [file.leaf(f"{name}/data", where) for name in names]
                fields[label] = Field(("sample", *dims), Stacked(leaves), _attrs(label))
            coords = _lines(file, dict(zip(dims, first)), {d: f"{names[0]}/grid/{d[0]}" for d in dims})
            coords["sample"] = xarray.Variable("sample", [int(name) for name in names], {"long_name": "seed"})
            config = text(file.attrs(names[0]).get("config", ""))
            unused = {name: why for name, why in file.unused().items() if not re.match(r"\d+/grid/", name)}
            return assemble(path, "PDEBench, seeds", fields, coords, None, unused, config=config)

    def _seeds(self, path: Path, file: Source) -> list[str]:
        names = sorted((name for name, entry in file.members().items() if name.isdecimal() and entry.shape is None),
                       key=int)
        if not self.trusted and (odd := [k for k, v in file.members().items() if v.shape is None and k not in names]):
            raise fault(path, f"a group {odd[0]!r} beside the seeds", "numbers alone", "rename or remove it, or say "
                        "trusted=True to read without it")
        numbers = [int(name) for name in names]
        if len(set(numbers)) < len(numbers):
            twice = next(n for n in numbers if numbers.count(n) > 1)
            raise fault(path, f"seed {twice} twice, {[n for n in names if int(n) == twice]}", "each seed once",
                        "rename or remove one")
        if bare := [name for name in names if f"{name}/data" not in file]:
            raise fault(path, f"group '{bare[0]}' without 'data'", "an array in every group", "that worker crashed: "
                        "remove the group or run its seed again")
        lost = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
        if lost and not self.trusted:
            raise fault(path, f"{len(names)} seeds without {', '.join(map(str, lost[:5]))}", f"all of {numbers[0]} to "
                        f"{numbers[-1]}", "a worker crashed: run those seeds, or say trusted=True to take the rest")
        return names

    def _meaning(self, path: Path, name: str, shape: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = SEEDED.get((len(shape) - 2, shape[-1])) if shape else None
        if found is None:
            raise fault(path, f"'{name}' of shape {shape}", "(time, x, 1), (time, x, y, 1) or "
                        "(time, y, x, 2)", "map it yourself: dims={'NAME': (...)}")
        return found


@dataclass(frozen=True)
class Incompressible:
    """``velocity``, ``particles`` (sample, time, x, y, component), ``force`` (sample, x, y, component), ``t``.

    Files are made at full length and filled: only frames up to the attribute ``latestIndex`` are there.
    """

    trusted: bool = False

    def matches(self, path: Path) -> str:
        found = {"velocity", "particles", "force", "t"}
        return "datasets 'velocity', 'particles', 'force', 't'" if found <= set(entries(path, self.trusted)) else ""

    def read(self, path: Path) -> xarray.Dataset:
        flow = ("sample", "time", "x", "y")
        with source(path, self.trusted) as file:
            rows, stored = file.shape("t")
            stop = min(stored, int(file.attrs().get("latestIndex", stored - 1)) + 1)
            if stop < 1:
                raise fault(path, f"latestIndex {stop - 1}", "a frame", "its writer was stopped: make it again")
            fields = {}
            for name, dims in {"velocity": flow, "particles": flow, "force": ("sample", "x", "y")}.items():
                shape = file.members()[name].shape or ()
                if len(shape) != len(dims) + 1 or name == "particles" and shape[-1] != 1:
                    raise fault(path, f"'{name}' of shape {shape}", f"axes {(*dims, 'component')}",
                                "make the file again")
                fields |= components(file, name, dims, _attrs(name), stop)
            fields["particles"] = Field(flow, fields.pop("particles_x").leaf, _attrs("particles"))
            times = file.numbers("t", rows * stored, (slice(None), slice(None, stop)))
            if not (times == times[:1]).all():
                raise fault(path, "samples with times of their own in 't'", "the same for all", "split the file")
            return assemble(path, "PDEBench, incompressible", fields, {"time": times[0]}, None, file.unused(),
                            config=text(file.attrs().get("config", "")))
