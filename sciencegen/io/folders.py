"""Folders of .npy files: CinDM's flows around bodies (one file a frame) and its bouncing discs (one file for all of
them), DiffPhyCon's smoke (one a simulation).

Walls and bodies may be NaN; they stay NaN. The pickled ranges beside the data are never read: compute them anew. The
files are the interior of LilyPad's grid, (component, x, y). References: "Compositional Generative Inverse Design" (Wu
et al., 2024), https://arxiv.org/abs/2401.13171; "DiffPhyCon: A Generative Approach to Control Complex Physical Systems"
(Wei et al., 2024), https://arxiv.org/abs/2407.06494.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray

from ..files import Kind, fault, guarded, kind, regular
from .leaf import Files, Leaf, Picked
from .members import npy
from .schema import SPACE, Field, assemble

__all__ = ["Balls", "CinDM", "Smoke"]

SPLITS = ("training_trajectories", "test_trajectories")
SPLITS_SMOKE = ("train", "test")
PLANE = ("x", "y")
BODY = {"role": "design", "units": "1", "long_name": "outline of the body, grid cells"}


def _numbers(folder: Path, pattern: str) -> dict[int, str]:
    """Numbered entries of a folder, in order; ValueError where a number comes twice."""
    found: dict[int, str] = {}
    for entry in sorted(folder.iterdir()):
        if match := re.fullmatch(pattern, entry.name):
            if int(match[1]) in found:
                raise fault(folder, f"'{found[int(match[1])]}' and '{entry.name}'", "every number once", "remove one")
            found[int(match[1])] = entry.name
    return dict(sorted(found.items()))


def _without_gaps(folder: Path, what: str, numbers: Sequence[int], trusted: bool) -> None:
    lost = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers)) if numbers else []
    if lost and not trusted:
        raise fault(folder, f"{len(numbers)} {what} without {', '.join(map(str, lost[:5]))}",
                    f"all of {min(numbers)} to {max(numbers)}", "make or fetch the missing ones, or say trusted=True "
                    "to take those there are")


def _split(path: Path, group: str | None, names: Sequence[str], child: str) -> Path:
    """The folder of simulations: ``path`` itself, or the split below it that is there or was chosen."""
    if any(path.glob(child)):
        return path
    there = [name for name in names if any((path / name).glob(child))]
    if group is None and len(there) == 1:
        return path / there[0]
    if group not in there:
        raise fault(path, f"group={group!r}", f"one of {there}", f"say group={there[0]!r}")
    return path / group


def _evidence(path: Path, splits: Sequence[str], child: str) -> str:
    """The first file of that kind, in the folder or in a split below it; "" where there is none."""
    found = next((f for folder in ("", *splits) for f in (path / folder).glob(child)), None)
    return f"'{found.relative_to(path)}'" if found else ""


def _first(file: Path, shape: str, axes: int) -> np.ndarray:
    """The first array of a kind, which says what the others look like."""
    with guarded(file):
        found = np.load(regular(file), mmap_mode="r", allow_pickle=False)
    if found.ndim != axes or found.dtype.kind not in "fiub":
        raise fault(file, f"{found.dtype} of shape {found.shape}", f"numbers, {shape}", "fetch or make it again")
    return found


def _parts(leaf: Leaf, axis: int) -> list[Leaf]:
    every = (slice(None),) * len(leaf.shape)
    return [Picked(leaf, (*every[:axis], i, *every[axis + 1:])) for i in range(leaf.shape[axis])]


@dataclass(frozen=True)
class CinDM:
    """``sim_000000/velocity_000000.npy`` (2, x, y), ``pressure_000000.npy`` (x, y), ``boundary.npy`` (2, points).

    ``group`` chooses the split where the folder holds several.
    """

    group: str | None = None
    trusted: bool = False

    def matches(self, path: Path) -> str:
        if kind(path) is not Kind.FOLDER:
            return ""
        return _evidence(path, SPLITS, "sim_*/velocity_*.npy")

    def read(self, path: Path) -> xarray.Dataset:
        root = _split(path, self.group, SPLITS, "sim_*/velocity_*.npy")
        runs = _numbers(root, r"sim_(\d+)")
        _without_gaps(root, "simulations", list(runs), self.trusted)
        folder = root / next(iter(runs.values()))
        times = list(_numbers(folder, r"velocity_(\d+)\.npy"))
        _without_gaps(folder, "frames", times, self.trusted)
        flow, fields = ("sample", "time", *PLANE), {}
        velocity = self._files(root, runs, "velocity", times, "(2, x, y)", 3)
        for axis, part in zip(PLANE, _parts(velocity, 2)):
            fields[f"velocity_{axis}"] = Field(flow, part, {"long_name": f"velocity, {axis}", "component": axis,
                                                            "component_of": "velocity"})
        if (folder / f"pressure_{times[0]:06d}.npy").exists():
            leaf = self._files(root, runs, "pressure", times, "(x, y)", 2)
            fields["pressure"] = Field(flow, leaf, {"long_name": "pressure"})
        fields |= self._bodies(root, folder, runs, times)
        return assemble(path, "CinDM", fields, {"sample": list(runs), "time": times}, split=root.name)

    def _files(self, root: Path, runs: dict[int, str], name: str, times: list[int], shape: str, axes: int) -> Files:
        first = _first(root / next(iter(runs.values())) / f"{name}_{times[0]:06d}.npy", shape, axes)
        files = Files(root, "sim_{sample:06d}/" + name + "_{time:06d}.npy", list(runs), times, first.shape, first.dtype)
        for i in range(len(runs)):
            if not files.path(i, len(times) - 1).exists():
                raise fault(files.path(i, len(times) - 1), "nothing", f"{len(times)} frames, as in the first",
                            "that simulation was cut short: make it again or remove it")
        return files

    def _bodies(self, root: Path, folder: Path, runs: dict[int, str], times: list[int]) -> dict[str, Field]:
        """Outlines (fixed, or by frame), and the masks and offsets that some sets carry."""
        fields, still = {}, (folder / "boundary.npy").exists()
        name = "boundary.npy" if still else f"boundary_{times[0]:06d}.npy"
        if (folder / name).exists():
            first = _first(folder / name, "(2, points)", 2)
            pattern = "sim_{sample:06d}/boundary.npy" if still else "sim_{sample:06d}/boundary_{time:06d}.npy"
            leaf = Files(root, pattern, list(runs), None if still else times, first.shape, first.dtype)
            dims = ("sample", "point") if still else ("sample", "time", "point")
            for axis, part in zip(PLANE, _parts(leaf, len(dims) - 1)):
                fields[f"boundary_{axis}"] = Field(dims, part, {**BODY, "component": axis, "component_of": "boundary"})
        for name, axes in (("boundary_mask", 2), ("boundary_offset", 3)):
            if (file := root / name / f"sim_{next(iter(runs)):06d}.npy").exists():
                first = _first(file, "(x, y) or (x, y, 2)", axes)
                leaf = Files(root, name + "/sim_{sample:06d}.npy", list(runs), None, first.shape, first.dtype)
                parts = _parts(leaf, 3) if axes == 3 else [leaf]
                labels = [f"{name}_{axis}" for axis in PLANE] if axes == 3 else [name]
                fields |= {label: Field(("sample", *PLANE), part, {"long_name": label.replace("_", " ")})
                           for label, part in zip(labels, parts)}
        return fields


@dataclass(frozen=True)
class Balls:
    """``trajectory_balls_2_simu_6000_steps_1000.npy`` (sample, step of 1/60 s, body, [x, y, vx, vy]) in pixels of 200.

    The folder of it, or with ``schema=Balls()`` the file itself. ``group`` chooses the file where the folder holds
    several; ``trusted`` takes a set whose making was stopped before the number that its name promises.
    """

    group: str | None = None
    trusted: bool = False

    def matches(self, path: Path) -> str:
        return _evidence(path, (), "trajectory_balls_*.npy") if kind(path) is Kind.FOLDER else ""

    def read(self, path: Path) -> xarray.Dataset:
        file = path if path.is_file() else self._file(path)
        if not (named := re.fullmatch(r"trajectory_balls_(\d+)_simu_(\d+)_steps_(\d+)\.npy", file.name)):
            raise fault(file, "that name", "trajectory_balls_BODIES_simu_COUNT_steps_STEPS.npy", "give it its own name")
        leaf, (bodies, count, steps) = npy(file, trusted=False)[0]["data"], map(int, named.groups())
        made = leaf.shape[0] if self.trusted and leaf.shape else count
        if leaf.shape != (made, steps, bodies, 4):
            raise fault(file, f"shape {leaf.shape}", f"{(count, steps, bodies, 4)}, as its name says",
                        "its making was stopped: make it again, or say trusted=True to take what is there")
        dims, fields = ("sample", "time", "body"), {}
        for axis, part in zip(2 * PLANE, _parts(leaf, 3)):
            name, units = ("velocity", "s-1") if f"position_{axis}" in fields else ("position", "1")
            fields[f"{name}_{axis}"] = Field(dims, part, {"long_name": f"{name}, {axis}, in pixels, 200 to the box",
                                                          "units": units, "component": axis, "component_of": name})
        time = xarray.Variable("time", np.arange(steps) / 60, {"units": "s"})
        return assemble(file, "CinDM, discs", fields, {"time": time})

    def _file(self, folder: Path) -> Path:
        there = sorted(file.name for file in folder.glob("trajectory_balls_*.npy"))
        if self.group not in there and not (self.group is None and len(there) == 1):
            raise fault(folder, f"group={self.group!r}", f"one of {there}",
                        f"say group={there[0]!r}" if there else "name the folder that holds them")
        return folder / (self.group or there[0])


@dataclass(frozen=True)
class Smoke:
    """``sim_000000/``: ``Density``, ``Velocity``, ``Control`` (time, x, y, component), ``Smoke`` (time, outlet)."""

    group: str | None = None
    trusted: bool = False

    def matches(self, path: Path) -> str:
        if kind(path) is not Kind.FOLDER:
            return ""
        return _evidence(path, SPLITS_SMOKE, "sim_*/Density.npy")

    def read(self, path: Path) -> xarray.Dataset:
        root = _split(path, self.group, SPLITS_SMOKE, "sim_*/Density.npy")
        runs = _numbers(root, r"sim_(\d+)")
        _without_gaps(root, "simulations", list(runs), self.trusted)
        folder, fields = root / next(iter(runs.values())), {}
        for name in ("Density", "Velocity", "Control"):
            if (folder / f"{name}.npy").exists():
                first = _first(folder / f"{name}.npy", "(time, x, y, component)", 4)
                parts = _parts(self._leaf(root, runs, name, first), 4)
                labels = [name] if len(parts) == 1 else [f"{name}_{axis}" for axis in SPACE[: len(parts)]]
                role = {"role": "design"} if name == "Control" else {}
                for axis, label, part in zip(SPACE, labels, parts):
                    vector = {"component": axis, "component_of": name} if len(parts) > 1 else {}
                    attrs = {"long_name": label.lower(), **vector, **role}
                    fields[label] = Field(("sample", "time", *PLANE), part, attrs)
        if (folder / "Smoke.npy").exists():
            first = _first(folder / "Smoke.npy", "(time, outlet)", 2)
            leaf = self._leaf(root, runs, "Smoke", first)
            fields["Smoke"] = Field(("sample", "time", "outlet"), leaf, {"long_name": "smoke through each outlet"})
        return assemble(path, "DiffPhyCon, smoke", fields, {"sample": list(runs)}, split=root.name)

    def _leaf(self, root: Path, runs: dict[int, str], name: str, first: np.ndarray) -> Files:
        files = Files(root, "sim_{sample:06d}/" + name + ".npy", list(runs), None, first.shape, first.dtype)
        if lost := [files.path(i) for i in range(len(runs)) if not files.path(i).exists()]:
            raise fault(lost[0], "nothing", "every array in every simulation", "make it again or remove the simulation")
        return files
