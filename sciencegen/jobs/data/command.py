"""``sciencegen data``: a thin mirror of :mod:`sciencegen.io` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console

from ...files import replacing
from ...physics import SYSTEMS

__all__ = ["data"]

data = App(name="data", help="Say what is in other people's files, convert them, check them against their physics.")
Repeated = Annotated[tuple[str, ...], Parameter(negative="")]
NAMED = f"The equation: {', '.join(SYSTEMS)}, or your own as module:Class."
Switch = Annotated[bool, Parameter(negative="")]


@data.command
def describe(file: Path, *, plot: Path | None = None, dims: Repeated = (), group: str | None = None,
             trusted: Switch = False) -> None:
    """Schema, dims, units, ranges, what is missing, chunks.

    Parameters
    ----------
    file
        A file or a folder, of any schema.
    plot
        Draw some of it into this .png.
    dims
        Axes of a dataset that no schema names, in the order of the file: NAME=sample,time,x. Repeat it for several.
    group
        The part to read where there are several: a split, a simulation, a netCDF group.
    trusted
        Unpickle, and read what was never written or is incomplete.
    """
    from . import describe as described

    console = Console()
    dataset, evidence = _opened(file, dims, group, trusted)
    console.print(*described.tables(described.describe(dataset, evidence), file), sep="\n", highlight=False)
    if plot is not None:
        _picture(dataset, plot)
        console.print(f"the picture is {plot}", markup=False, highlight=False, soft_wrap=True)


@data.command
def convert(source: Path, out: Path, *, to: Literal["sciencegen", "pdebench", "well"] = "sciencegen",
            dims: Repeated = (), group: str | None = None, trusted: Switch = False) -> None:
    """Write what is in a file in another layout; the same data, sample by sample, whatever the size.

    Parameters
    ----------
    source
        A file or a folder, of any schema.
    out
        The file to write; it is there when it is whole.
    to
        Our own netCDF4, PDEBench's HDF5 or The Well's.
    dims
        Axes of a dataset that no schema names, in the order of the file: NAME=sample,time,x. Repeat it for several.
    group
        The part to read where there are several: a split, a simulation, a netCDF group.
    trusted
        Unpickle, and read what was never written or is incomplete.
    """
    from tqdm.auto import tqdm

    from ... import io

    if out.resolve() == source.resolve():
        raise ValueError(f"got {out} to read and to write; expected another name for what is written")
    dataset, _ = _opened(source, dims, group, trusted)
    write = {"sciencegen": io.save, "pdebench": io.save_pdebench, "well": io.save_well}[to]
    with tqdm(total=dataset.nbytes, unit="B", unit_scale=True, desc="writing", delay=2, leave=False) as bar:
        write(dataset, out, bar.update)
    Console().print(f"{len(dataset.data_vars)} variables of {dataset.sizes.get('sample', 1)} samples are in {out}, "
                    f"{out.stat().st_size:,} bytes; see it with: sciencegen data describe {out}", markup=False,
                    highlight=False, soft_wrap=True)


@data.command
def check(file: Path, *, physics: Annotated[str, Parameter(help=NAMED)], parameter: Repeated = (),
          dims: Repeated = (), group: str | None = None, trusted: Switch = False) -> None:
    """Residual of the stored fields against their stored parameters, beside that of zero.

    Parameters
    ----------
    file
        A file or a folder, of any schema.
    parameter
        NAME=VALUE, for a parameter that the file does not store or stores wrongly.
    dims
        Axes of a dataset that no schema names, in the order of the file: NAME=sample,time,x. Repeat it for several.
    group
        The part to read where there are several: a split, a simulation, a netCDF group.
    trusted
        Unpickle, and read what was never written or is incomplete.
    """
    from . import check as checks

    dataset, _ = _opened(file, dims, group, trusted)
    numbers = {name: float(value) for name, value in _pairs("--parameter", parameter, "nu=0.01").items()}
    found = checks.check(dataset, physics, numbers)
    Console().print(checks.table(found, physics), highlight=False)


def _pairs(option: str, words: tuple[str, ...], example: str) -> dict[str, str]:
    if wrong := [word for word in words if not word.partition("=")[2]]:
        raise ValueError(f"got {option} {wrong[0]}; expected NAME=VALUE, as in {example}")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _opened(path: Path, dims: tuple[str, ...], group: str | None, trusted: bool) -> tuple[object, str]:
    """The dataset, and the evidence for what it was taken for."""
    from ... import io

    named = {name: tuple(axes.split(",")) for name, axes in _pairs("--dims", dims, "u=sample,time,x").items()}
    dataset = io.open(path, dims=named or None, group=group, trusted=trusted or None)
    try:
        return dataset, io.detect(path)[1]
    except ValueError:
        return dataset, "the dims that were given"


def _picture(dataset: object, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from .picture import plot

    figure, _ = plot(dataset)
    with replacing(path) as new:
        figure.savefig(new, dpi=110, format="png")
    pyplot.close(figure)
