"""``sciencegen data``: a thin mirror of :mod:`sciencegen.io` on the command line.

A file is opened in a process of its own, with limits of time and memory, unless it is trusted.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from cyclopts import App
from rich.console import Console

from .options import Dims, Group, Repeated, Trusted

__all__ = ["data", "in_flags"]

data = App(name="data", help="Say what is in other people's files, convert them, check them against their physics.")
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")
WRITTEN = (".nc", ".nc4", ".netcdf", ".h5", ".hdf5", ".hdf", ".he5")
FLAGS = ((r"dims=\{'([^']+)': \(([^()]*)\)\}", lambda m: f"--dims {m[1]}={_axes(m[2])}"),
         (r"dims=\{\.\.\.\}", lambda m: "--dims NAME=AXIS,AXIS"), (r"trusted=True", lambda m: "--trusted"),
         (r"group='([^']*)'", lambda m: f"--group {m[1]}"), (r"group=None", lambda m: "no --group"),
         (r": dataset\.drop_vars\('([^']*)'\)", lambda m: f" in Python, by drop_vars('{m[1]}')"))


@data.command
def describe(file: Path, *, plot: Path | None = None, dims: Dims = (), group: Group = None, trusted: Trusted = False
             ) -> None:
    """Schema, dims, units, ranges, what is missing, chunks.

    Parameters
    ----------
    file
        A file or a folder, of any schema.
    plot
        Draw some of it into this file: .png, .pdf, .svg or .jpg.
    """
    from ..io import describe as described

    if plot is not None:
        import matplotlib
        from matplotlib import pyplot  # noqa: F401  (before the fork, as all that takes long)

        _suffix("--plot", plot, PICTURES)
        matplotlib.use("Agg")

    def work(beat: Callable[..., object], draft: Path | None) -> list[object]:
        dataset, evidence = _opened(file, dims, group, trusted)
        beat()
        found = described.tables(described.describe(dataset, evidence, beat), file)
        if draft is not None:
            _picture(dataset, draft)
        return found

    with _draft(plot) as draft:
        found = _apart(file, trusted, lambda beat: work(beat, draft))
    console = Console()
    console.print(*found, sep="\n", highlight=False)
    if plot is not None:
        console.print(f"the picture is {plot}", markup=False, highlight=False, soft_wrap=True)


@data.command
def convert(source: Path, out: Path, *, to: Literal["sciencegen", "pdebench", "well", "dream3d"] = "sciencegen",
            dims: Dims = (), group: Group = None, trusted: Trusted = False) -> None:
    """Write what is in a file in another layout; the same data, sample by sample, whatever the size.

    Parameters
    ----------
    source
        A file or a folder, of any schema.
    out
        The file to write, .nc or .h5; it is there when it is whole.
    to
        Our own netCDF4, or HDF5 of PDEBench, The Well or DREAM.3D (one image).
    """
    from tqdm.auto import tqdm

    from .. import io

    if out.resolve() == source.resolve():
        raise ValueError(f"got {out} to read and to write; expected another name for what is written")
    if not out.is_dir():
        _suffix("OUT", out, WRITTEN)
    write = {"sciencegen": io.save, "pdebench": io.save_pdebench, "well": io.save_well, "dream3d": io.save_dream3d}[to]

    def work(beat: Callable[..., object], draft: Path) -> tuple[int, int]:
        dataset, _ = _opened(source, dims, group, trusted)
        beat()
        with tqdm(total=dataset.nbytes, unit="B", unit_scale=True, desc="writing", delay=2, leave=False) as bar:
            write(dataset, draft, lambda count: (bar.update(count), beat()))
        return len(dataset.data_vars), dataset.sizes.get("sample", 1)

    with _draft(out) as draft:
        variables, samples = _apart(source, trusted, lambda beat: work(beat, draft))
    Console().print(f"{variables} variables of {samples} samples are in {out}, "
                    f"{out.stat().st_size:,} bytes; see it with: sciencegen data describe {out}", markup=False,
                    highlight=False, soft_wrap=True)


@data.command
def check(file: Path, *, physics: str, parameter: Repeated = (), dims: Dims = (), group: Group = None,
          trusted: Trusted = False) -> None:
    """Residual of the stored fields against their stored parameters, beside that of zero, and a verdict.

    Parameters
    ----------
    file
        A file or a folder, of any schema.
    physics
        burgers, darcy, heat, helmholtz, navier-stokes or poisson, or module:attribute of a system of your own.
    parameter
        NAME=VALUE, for a parameter that the file does not store or stores wrongly.
    """
    from ..physics import check as checks

    numbers = {name: _number(name, value) for name, value in _pairs("--parameter", parameter, "nu=0.01").items()}

    def work(beat: Callable[..., object]) -> list[object]:
        dataset, _ = _opened(file, dims, group, trusted)
        beat()
        return checks.check(dataset, physics, numbers, beat)

    Console().print(checks.table(_apart(file, trusted, work), physics), highlight=False)


def _pairs(option: str, words: tuple[str, ...], example: str) -> dict[str, str]:
    if wrong := [word for word in words if not word.partition("=")[2]]:
        raise ValueError(f"got {option} {wrong[0]}; expected NAME=VALUE, as in {example}")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"got --parameter {name}={value}; expected a number, as in nu=0.01") from None


def _suffix(option: str, path: Path, known: tuple[str, ...]) -> None:
    """ValueError unless a name says what is to be written."""
    if path.suffix.lower() not in known:
        raise ValueError(f"got {option} {path}; expected a name that ends in one of {', '.join(known)}")


def _opened(path: Path, dims: tuple[str, ...], group: str | None, trusted: bool) -> tuple[Any, str]:
    """The dataset, and the evidence for what it was taken for."""
    from .. import io

    named = {name: tuple(axes.split(",")) for name, axes in _pairs("--dims", dims, "u=sample,time,x").items()}
    dataset = io.open(path, dims=named or None, group=group, trusted=trusted or None)
    try:
        return dataset, io.detect(path, trusted)[1]
    except ValueError:
        return dataset, "the dims that were given"


def _apart(path: Path, trusted: bool, work: Callable[[Callable[..., object]], Any]) -> Any:
    """``work`` in a process of its own, unless it is trusted; what is wrong with the file in the command's words."""
    from .. import io  # noqa: F401  (imported before the fork, so that the child's time is the file's)
    from ..files.child import in_child

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about numbers that the tables show
            return work(lambda *_: None) if trusted else in_child(path, work)
    except ValueError as error:
        raise type(error)(in_flags(str(error))) from error


def in_flags(text: str) -> str:
    """An error's text with flags where it speaks of Python's arguments."""
    for pattern, flag in FLAGS:
        text = re.sub(pattern, flag, text)
    return text


def _axes(words: str) -> str:
    return ",".join(word.strip(" '\"") or "AXIS" for word in words.replace("...", "AXIS, AXIS").strip(", ").split(","))


@contextmanager
def _draft(path: Path | None) -> Any:
    """A name for what a child writes, in a folder that goes with it whatever happens; it becomes ``path`` at the end.
    """
    from ..files import replacing

    if path is None:
        yield None
        return
    with replacing(path) as new, tempfile.TemporaryDirectory(dir=new.parent, prefix=f".{path.name}.") as folder:
        yield Path(folder) / path.name
        (Path(folder) / path.name).replace(new)


def _picture(dataset: Any, path: Path) -> None:
    from matplotlib import pyplot

    from ..io.picture import plot

    figure, _ = plot(dataset)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
