"""Damaged files of every layout that is read, our own among them: what is read is what was there, or a refusal.

A field may be missing where its name was hit, and the numbers whose bytes were hit are others: nothing in a file tells.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import xarray

from sciencegen import io
from sciencegen.observations import Observations, Readings
from sciencegen.result import Result

from .mutate import BYTES, STRUCTURE, damaged, restructured

sys.path.append(str(Path(__file__).parents[2] / "tests"))
import io_files

__all__ = ["FileCase", "cases", "judge"]

Arrays = dict[str, np.ndarray]
MENDABLE = (ValueError, FileNotFoundError, PermissionError, ImportError)  # an error in words, as of a missing file
FOLDERS: list[tempfile.TemporaryDirectory] = []  # until the program ends


@dataclass(frozen=True)
class FileCase:
    """A layout, a kind of damage, and the seed of that damage."""

    layout: str
    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.layout}, seed {self.seed}"


def cases(seed: int) -> Iterator[FileCase]:
    draw = np.random.default_rng(seed)
    while True:
        layout = str(draw.choice(list(LAYOUTS)))
        _whole(layout)  # here, so that every process that judges has it
        structured = LAYOUTS[layout].hdf5 and draw.random() < 0.35
        kind = str(draw.choice(list(STRUCTURE if structured else BYTES)))
        yield FileCase(layout, kind, int(draw.integers(2**31)))


@dataclass(frozen=True)
class Layout:
    """How a file of it is built below a folder, which returns its path, and read."""

    build: Callable[[Path], Path]
    read: Callable[[Path], Arrays]
    hdf5: bool


def judge(case: FileCase) -> str:
    layout, draw = LAYOUTS[case.layout], np.random.default_rng(case.seed)
    whole, wanted = _whole(case.layout)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(whole.parent, folder, dirs_exist_ok=True)
        path = Path(folder) / whole.name
        hit = _damage(path, draw, case.kind)
        try:
            found = layout.read(path)
        except MENDABLE as error:
            text = str(error)
            return f"refused: {text}" if len(text) < 1500 and "\n" not in text else f"traceback: {text}"
        except Exception as error:
            return f"traceback: {type(error).__name__}: {error}"
    free = case.kind == "attributes" or hit and case.layout == "EngiBench"
    return _compared(found, wanted, 2**62 if free else hit, case.kind == "renamed")


def _damage(path: Path, draw: np.random.Generator, kind: str) -> int:
    """Damage a file, or one of a folder's; returns how many bytes were hit in place."""
    if kind in STRUCTURE:
        restructured(path, draw, kind)
        return 0
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    file = files[int(draw.integers(len(files)))]
    data, hit = damaged(file.read_bytes(), draw, kind)
    file.write_bytes(data)
    return hit


def _compared(found: Arrays, wanted: Arrays, hit: int, turned: bool) -> str:
    """What is in both has to be the same, but for as many numbers as bytes were hit.

    An attribute decides on all numbers, a byte of a Parquet page without checksum on the page's, the name of a
    dimension on the order of the axes.
    """
    others = 0
    for name in sorted(set(found) & set(wanted)):
        a, b = np.asarray(found[name]), np.asarray(wanted[name])
        if turned and a.shape != b.shape and sorted(a.shape) == sorted(b.shape):
            continue
        if a.shape != b.shape:
            return f"differ: {name} of shape {a.shape}, not {b.shape}"
        if a.dtype.kind in "OSUMm" or b.dtype.kind in "OSUMm":
            continue
        gone = np.isnan(a) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
        unlike = (a != b) & ~gone
        others += int(unlike.sum())
        if others > hit:
            zeros = int((a[unlike] == 0).sum())
            return f"differ: {int(unlike.sum())} of {a.size} numbers of {name}, {zeros} of them zero, {hit} bytes hit"
    lost = sorted(set(wanted) - set(found))
    if not set(found) & set(wanted):
        return f"differ: none of {sorted(wanted)[:5]}"
    return ("numbers" if others else "equal") + (f": without {', '.join(lost[:3])}" if lost else "")


@cache
def _whole(layout: str) -> tuple[Path, Arrays]:
    """An undamaged file, alone in a folder of this process, and what it holds."""
    FOLDERS.append(tempfile.TemporaryDirectory(prefix="robustness"))
    path = LAYOUTS[layout].build(Path(FOLDERS[-1].name))
    return path, LAYOUTS[layout].read(path)


# --- layouts ------------------------------------------------------------------------------------------------------

def _opened(path: Path, dims: Mapping[str, tuple[str, ...]] | None = None) -> Arrays:
    dataset = io.open(path, dims=dims, isolated=True)
    return {str(k): v.values for k, v in dataset.variables.items()}


def _known(name: str) -> Layout:
    file, build = io_files.LAYOUTS[name]

    def made(folder: Path) -> Path:
        build(folder / file)
        return folder / file / io_files.FOIL if name == "AirfRANS" else folder / file
    return Layout(made, _opened, file.endswith((".h5", ".hdf5")) or name == "FNO, 7.3")


def _data() -> xarray.Dataset:
    u = io_files.numbers(3, 4, 6)
    return xarray.Dataset({"u": (("sample", "time", "x"), u), "nu": ("sample", np.array([0.1, 0.2, 0.3]))},
                          {"time": np.arange(4) * 0.5, "x": io_files.centres(6)})


def _result(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    samples = xarray.Dataset({"shape": (("sample", "weight"), rng.standard_normal((3, 4)))})
    history = xarray.Dataset({"prior": (("step", "sample"), rng.random((2, 3)))}, {"sigma": ("step", [1.0, 0.1])})
    result = Result(samples, np.arange(3.0), np.ones(3, bool), 0, "done", 7, history, np.arange(3))
    return result.save(folder / "result.nc")


def _loaded(path: Path) -> Arrays:
    found = Result.load(path, isolated=True)
    return {"fun": found.fun, "seeds": found.seeds, **{str(k): v.values for k, v in found.samples.variables.items()}}


def _observed(folder: Path) -> Path:
    where = np.random.default_rng(0).random((9, 2))
    return Observations({"u": Readings(where, where.sum(1), 0.1)}).save(folder / "sensors.h5")


def _readings(path: Path) -> Arrays:
    found = Observations.load(path, isolated=True).readings
    return {f"{k}/{name}": getattr(v, name) for k, v in found.items() for name in ("coordinates", "values", "noise")}


def _plain(folder: Path) -> Path:
    with h5py.File(folder / "plain.h5", "w") as file:
        file.create_dataset("u", data=_data().u.values, chunks=(1, 1, 6))
        file["packed"] = np.arange(24, dtype="i2").reshape(3, 8)
        file["packed"].attrs.update({"scale_factor": 0.5, "_FillValue": np.int16(3)})
    return folder / "plain.h5"


def _old(folder: Path) -> Path:
    _data().to_netcdf(folder / "old.nc", engine="scipy")
    return folder / "old.nc"


def _latest(folder: Path) -> Path:
    with h5py.File(folder / "new.h5", "w", libver="latest") as file:
        file.create_dataset("u", data=_data().u.values, chunks=(1, 2, 6), compression="gzip", fletcher32=True)
        file["packed"] = np.arange(24, dtype="i2").reshape(3, 8)
    return folder / "new.h5"


DIMS = {"u": ("sample", "time", "x"), "packed": ("sample", "point")}
WRITERS = {"netCDF": io.save, "The Well": io.save_well, "PDEBench": io.save_pdebench}
LAYOUTS: dict[str, Layout] = {
    **{name: _known(name) for name in io_files.LAYOUTS},
    **{f"ours, {name}": Layout(lambda folder, save=save: save(_data(), folder / "ours.h5"), _opened, True)
       for name, save in WRITERS.items()},
    "netCDF3": Layout(_old, _opened, False),
    "a result": Layout(_result, _loaded, True), "observations": Layout(_observed, _readings, True),
    "plain": Layout(_plain, lambda path: _opened(path, DIMS), True),
    "plain, latest": Layout(_latest, lambda path: _opened(path, DIMS), True),
}
