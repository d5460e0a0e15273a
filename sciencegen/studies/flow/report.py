"""A run of bodies in a stream: a row of the table, the picture, the bodies as .dat files and the best one's film."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray

from ...airfoil import cst, write_dat
from ...result import Result
from ..study import PICTURE, keep
from . import picture

if TYPE_CHECKING:
    from .study import FlowStudy

__all__ = ["CAPTIONS", "draw", "files", "film", "judged", "row", "seconds"]

BEST = 10  # designs that are written as outlines
JUDGED = 8.0  # seconds a design takes the package's own judge
LABELS = {
    "shape": ("weights of the body's shape, see sciencegen.airfoil.cst", "1"), "chord": ("chord of the body", "chord"),
    "alpha": ("angle, nose up", "degree"), "centre": ("mid-chord of the body", "chord"),
    "outline": ("outline of the body in the stream", "chord"), "force": ("drag and lift coefficient, generated", "1"),
    "solved": ("drag and lift coefficient, solved", "1"), "inflow": ("stream in which the body is", "U"),
    "expected": ("minus lift over drag that the network expects", "1"),
}
CAPTIONS = {PICTURE: "The three best as the network has them, and the best one by the solver.",
            "flow.gif": "The best design from rest, frame by frame, on the coarse grid."}


def row(sample: xarray.Dataset) -> dict[str, str]:
    """Cells of one design in the table; forces are those of all bodies together."""
    (made_drag, made_lift), (drag, lift) = (sample[k].values.sum(0) for k in ("force", "solved"))
    bodies = "\n".join(_numbers(sample.isel(part=k)) for k in range(sample.sizes["part"]))
    return {"lift/drag\nsolved": _number(lift / drag), "lift/drag\ngenerated": _number(made_lift / made_drag),
            "drag": _number(drag), "lift": _number(lift), "each body:\nchord, degrees, x, y": bodies}


def draw(study: FlowStudy, result: Result, shot: picture.Film | None) -> tuple[Any, Any]:
    """The three best, and the best one's flow as it was ``shot``; figure and axes."""
    return picture.draw(result.samples, shot, replace(study.solver, reynolds=study.reynolds))


def files(study: FlowStudy, directory: Path, result: Result) -> None:
    """Write the picture, each body's outline, in own chords, and ``flow.gif`` of the best design; an outline's first
    line says where in the stream the body is."""
    keep(draw(study, result, shot := film(study, result))[0], directory / PICTURE)
    for i in range(min(BEST, len(result))):
        for k in range(result.samples.sizes["part"]):
            body = result.samples.isel(sample=i, part=k)
            chord, alpha, x, y = _place(body)
            name = (f"sciencegen design {i + 1}, body {k + 1}: chord {chord:.4f} at {alpha:+.2f} deg nose up, "
                    f"mid-chord at x {x:+.4f} and y {y:+.4f}")
            with nullcontext() if result.success[i] else suppress(ValueError):  # without a wing, or crossing itself
                loop = cst.outline(torch.from_numpy(body["shape"].values).double()).numpy()
                write_dat(directory / f"design_{i + 1:02d}_body_{k + 1}.dat", name, loop)
    if shot is not None:
        picture.animate(shot, directory / "flow.gif")


def judged(study: FlowStudy) -> list[str]:
    """Who judged the designs, in a sentence."""
    return [f"Forces at a Reynolds number of {study.reynolds:g} are by {study.judge.words}."]


def seconds(study: FlowStudy, count: int) -> float:
    """About how long a run takes on two cores."""
    sampled = study.spare * (0.5 + 0.018 * len(study.sampler.sigmas)) + 0.09 * study.imagined
    refined = min(study.refined, count)
    descents = 0.25 * study.solver.time * (study.solver.cells / 24) ** 3 * 2.2 * refined * study.evaluations
    return 10 + count * study.bodies * sampled + descents + JUDGED * (count + refined)


def film(study: FlowStudy, result: Result) -> picture.Film | None:
    """The best design solved once more, frame by frame; None if there is none."""
    if not result.success[:1].any():
        return None
    outlines = torch.from_numpy(result.samples["outline"].values[0])
    return picture.shoot(replace(study.solver, reynolds=study.reynolds), outlines)


def _place(body: xarray.Dataset) -> tuple[float, float, float, float]:
    """A body's chord, angle and mid-chord."""
    return float(body["chord"]), float(body["alpha"]), *body["centre"].values.tolist()


def _numbers(body: xarray.Dataset) -> str:
    chord, alpha, x, y = _place(body)
    return f"{chord:.2f} {alpha:+5.1f} {x:+.2f} {y:+.2f}" if np.isfinite(chord) else "-"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
