"""A design run of bodies in a stream as a directory, and as a table for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray
from matplotlib import pyplot
from rich.table import Table

from ...airfoil import cst, write_dat
from ...files import replacing
from ...result import Result
from .picture import animate, draw, shoot
from .study import Study

__all__ = ["table", "write"]


def table(result: Result, best: int = 10) -> Table:
    """The best designs, a row each, for a terminal; forces are those of all bodies together."""
    shown = Table(title=f"{int(result.success.sum())} of {len(result)} designs could be built and solved; "
                        f"the best {min(best, len(result))}")
    for name in ("#", "lift/drag\nsolved", "lift/drag\ngenerated", "drag", "lift"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("each body:\nchord, degrees, x, y", no_wrap=True)
    shown.add_column("buildable")
    for i in range(min(best, len(result))):
        row = result.samples.isel(sample=i)
        (made_drag, made_lift), (drag, lift) = (row[k].values.sum(0) for k in ("force", "solved"))
        shown.add_row(str(i + 1), _number(lift / drag), _number(made_lift / made_drag), _number(drag), _number(lift),
                      "\n".join(_numbers(row.isel(part=k)) for k in range(row.sizes["part"])), _word(row))
    return shown


def write(directory: Path, result: Result, study: Study, best: int = 10) -> list[Path]:
    """Write ``result.nc``, the ``best`` designs' bodies as .dat files, ``designs.png``, ``flow.gif`` of the best one
    and ``config.json``, each whole or not at all; their paths.

    The best one is solved once more for the picture. Designs and a film that an earlier run left there, and this one
    has not, are removed.
    """
    made = [result.save(directory / "result.nc"), *_bodies(directory, result.samples.isel(sample=slice(best)))]
    judge = replace(study.judge, reynolds=study.reynolds)
    outlines = torch.from_numpy(result.samples["outline"].values[:1])
    film = shoot(judge, outlines[0]) if result.success[:1].any() else None
    figure, _ = draw(result.samples, film, judge)
    with replacing(directory / "designs.png") as new:
        figure.savefig(new, dpi=110, format="png")
    pyplot.close(figure)
    made.append(directory / "designs.png")
    if film is not None:
        made.append(animate(film, directory / "flow.gif"))
    with replacing(directory / "config.json") as new:
        new.write_text(json.dumps(result.config, indent=2))
    made.append(directory / "config.json")
    for old in {*directory.glob("design_[0-9][0-9]_body_[0-9].dat"), *directory.glob("flow.gif")} - set(made):
        old.unlink()
    return made


def _bodies(directory: Path, samples: xarray.Dataset) -> Iterator[Path]:
    """Write each body's outline, in own chords; the file's first line says where in the stream it is."""
    for i in range(samples.sizes["sample"]):
        for k in range(samples.sizes["part"]):
            body, file = samples.isel(sample=i, part=k), directory / f"design_{i + 1:02d}_body_{k + 1}.dat"
            loop = cst.outline(torch.from_numpy(body["shape"].values).double()).numpy()
            chord, alpha, x, y = _place(body)
            name = (f"sciencegen design {i + 1}, body {k + 1}: chord {chord:.4f}, {alpha:+.2f} deg nose up, mid-chord "
                    f"at x {x:+.4f}, y {y:+.4f}")
            with suppress(ValueError):  # one that was not traced, or crosses itself, which no file should say
                write_dat(file, name, loop)
                yield file


def _place(body: xarray.Dataset) -> tuple[float, float, float, float]:
    """A body's chord, angle and mid-chord."""
    return float(body["chord"]), float(body["alpha"]), *body["centre"].values.tolist()


def _numbers(body: xarray.Dataset) -> str:
    chord, alpha, x, y = _place(body)
    return f"{chord:.2f} {alpha:+5.1f} {x:+.2f} {y:+.2f}" if np.isfinite(chord) else "-"


def _word(sample: xarray.Dataset) -> str:
    reason = str(sample["reason"].values)
    return f"no: {reason}" if reason else "yes"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
