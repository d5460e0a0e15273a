"""Pictures of designs in a stream: flows as the network has them beside the solver's, and the best one as a film."""

from __future__ import annotations

import os
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from matplotlib import pyplot
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from ...airfoil.wing_fit import CORNER, pixels
from ...physics import Flow, Outline
from ...physics.mean_forces import MeanForces, efficiency
from ...plot import COLORS, WIDTH, styled
from .compose import stream
from .constraints import WINDOW

__all__ = ["Film", "animate", "draw", "shoot", "vorticity"]

FRAME = 0.25  # time units from a film's frame to the next
VIEW = (-1.2, -1.6), (4.0, 1.6)  # lower left and upper right of a film, chords
STRONG = 8.0  # vorticity at which colours end, free-stream speeds a chord
RATE = 10  # frames a second
LOOK = {"cmap": "RdBu_r", "vmin": -STRONG, "vmax": STRONG, "origin": "lower", "interpolation": "bilinear"}


@dataclass(frozen=True)
class Film:
    """A solved flow from rest on: ``vorticity (T, nx, ny)`` of the part of the box with the given ``ends``
    (left, right, bottom, top; chords), ``force (T, K, 2)`` on the bodies and their ``outlines (K, n, 2)``."""

    vorticity: np.ndarray
    force: Tensor
    outlines: Tensor
    ends: tuple[float, float, float, float]

    @property
    def times(self) -> np.ndarray:
        """Since the start, ``(T,)``, chords over the free stream."""
        return FRAME * np.arange(1, len(self.force) + 1)


@torch.no_grad()
def shoot(judge: MeanForces, outlines: Tensor) -> Film:
    """The flow that ``judge`` averages, past ``outlines (K, n, 2)``; ValueError where one reaches the box's fringe."""
    flow = Flow(judge.cells, judge.size, judge.reynolds, frame=FRAME, compiled=judge.compiled)
    origin = flow.points(outlines, 0.0, 0.0)[0, 0]
    first, last = (((torch.tensor(corner) - origin) * judge.cells).round().int().clamp_min(0) for corner in VIEW)
    low, high = (origin + (first + 0.5) / judge.cells).tolist(), (origin + (last - 0.5) / judge.cells).tolist()
    path = flow.path(*(Outline(points) for points in outlines), start=flow.start(outlines.dtype))
    seen, forces = [], []
    for _ in range(round(judge.time / FRAME)):
        state, force = next(path)
        part = state[:, first[0]:last[0], first[1]:last[1]]
        seen.append(vorticity(part, 1 / judge.cells).numpy())
        forces.append(force)
    return Film(np.stack(seen), torch.stack(forces), outlines, (low[0], high[0], low[1], high[1]))


def vorticity(flow: Tensor, pitch: float) -> Tensor:
    """``v_x - u_y`` of a staggered state ``(..., 3, nx, ny)`` at its inner corners, ``(..., nx - 1, ny - 1)``."""
    u, v = flow[..., 0, :, :], flow[..., 1, :, :]
    return (v.diff(dim=-2)[..., 1:] - u.diff(dim=-1)[..., 1:, :]) / pitch


@styled
def draw(samples: xarray.Dataset, solved: Film | None, judge: MeanForces) -> tuple[Any, Any]:
    """The three best of a study's ``samples``; figure and axes ``(2, 3)``, never shown.

    Above the network's flows, with the bodies' images (dashed) and the wings that were traced (filled). Below the best
    one ``solved``, its forces over time, and for all designs the lift over drag that was generated and solved.
    """
    figure, axes = pyplot.subplots(2, 3, figsize=(WIDTH, 6.6))
    for number, axis in enumerate(axes[0]):
        axis.set_axis_off()
        if number < samples.sizes["sample"]:
            shown = _generated(axis, samples.isel(sample=number), number + 1)
    if solved is None:
        axes[1, 0].set_axis_off()
        axes[1, 1].set_axis_off()
    else:
        _solved(axes[1, 0], solved)
        _history(axes[1, 1], solved, samples.isel(sample=0), judge)
    _agreement(axes[1, 2], samples)
    for axis in axes[0, 1:]:
        axis.set_ylabel("")
    figure.colorbar(shown, ax=axes[0], shrink=0.8, aspect=15, label="vorticity, U / chord", extend="both")
    key = [Line2D([], [], color="k", ls="--", lw=0.8, label="body as the network has it"),
           Patch(facecolor="0.75", edgecolor="k", label="wing that was traced, and solved")]
    figure.legend(handles=key, loc="outside lower center", ncols=2)
    return figure, axes


@styled
def animate(solved: Film, path: Path) -> Path:
    """Write ``solved`` as an animated GIF, under another name first."""
    width, height = solved.ends[1] - solved.ends[0], solved.ends[3] - solved.ends[2]
    figure, axis = pyplot.subplots(figsize=(7.5, 7.5 * height / width + 0.3), layout="constrained")
    shown, label = _field(axis, solved.vorticity[0], solved.ends, solved.outlines), axis.set_title(" ", fontsize=10)

    def turn(k: int) -> tuple[Any, Any]:
        drag, lift = solved.force[k].sum(0).tolist()
        shown.set_data(solved.vorticity[k].T)
        label.set_text(f"time {solved.times[k]:5.2f} chords / U      drag {drag:6.3f}      lift {lift:6.3f}")
        return shown, label

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        moving = FuncAnimation(figure, turn, len(solved.times))
        moving.save(new := Path(folder) / "film.gif", PillowWriter(RATE), dpi=80)
        os.replace(new, path)
    pyplot.close(figure)
    return path


def _field(axis: Any, field: np.ndarray, ends: tuple[float, float, float, float], outlines: Tensor | np.ndarray) -> Any:
    """Vorticity in colours, bodies on it in grey."""
    shown = axis.imshow(field.T, extent=ends, **LOOK)
    for loop in np.asarray(outlines):
        axis.fill(*loop.T, facecolor="0.75", edgecolor="k", lw=0.8)
    axis.set(xlim=ends[:2], ylim=ends[2:], xlabel="x, chords", ylabel="y, chords")
    return shown


def _generated(axis: Any, sample: xarray.Dataset, number: int) -> Any:
    """The last frame of a sample's flow, or of what its bodies' flows add up to."""
    flow = torch.from_numpy(sample["flow"].values)
    flow = (stream(flow) if "part" in sample["flow"].dims else flow)[-1]
    pitch, (x, y) = WINDOW / flow.shape[-1], CORNER
    ends = (x + pitch / 2, x + WINDOW - pitch / 2, y + pitch / 2, y + WINDOW - pitch / 2)
    shown = _field(axis, vorticity(flow, pitch).numpy(), ends, sample["outline"].values)
    grid = pixels(torch.zeros(())).numpy()
    for body in sample["body"].values:
        axis.contour(grid[..., 0], grid[..., 1], body, levels=[0.0], colors="k", linewidths=0.8, linestyles="dashed")
    drag, lift = sample["force"].values.sum(0)
    again = _ratio(sample["solved"].values)
    word = f"solved {again:.2f} (lift / drag)" if np.isfinite(again) else "rejected"
    why = textwrap.fill(str(sample["reason"].values), 30)
    axis.text(0.5, 0.02, why, transform=axis.transAxes, ha="center", va="bottom", fontsize=9)
    axis.set_title(f"{number}: generated {lift:.2f} / {drag:.2f} = {lift / drag:.2f}\n{word}")
    axis.set_axis_on()
    return shown


def _solved(axis: Any, solved: Film) -> None:
    _field(axis, solved.vorticity[-1], solved.ends, solved.outlines)
    (x, y) = CORNER
    axis.set(xlim=(x, x + WINDOW), ylim=(y, y + WINDOW), title=f"1 by the solver,\ntime {solved.times[-1]:g}")


def _history(axis: Any, solved: Film, sample: xarray.Dataset, judge: MeanForces) -> None:
    """Drag and lift of all bodies together over time, what is averaged of it, and what was generated."""
    for total, made, name, color in zip(solved.force.sum(1).T, sample["force"].values.sum(0), ("drag", "lift"),
                                        (COLORS[1], COLORS[0])):
        axis.plot(solved.times, total, color=color, label=name)
        axis.axhline(made, color=color, ls="--", lw=1)
    axis.axvspan((1 - judge.mean) * judge.time, judge.time, color="0.9", zorder=0)
    late = solved.force[len(solved.force) // 4:].sum(1)
    spread = float(late.max() - late.min())
    axis.set(xlabel="time, chords / U", ylabel="coefficient, all bodies", xlim=(0, judge.time),
             ylim=(min(float(late.min()), 0.0) - 0.2 * spread, float(late.max()) + 0.4 * spread),
             title="forces on 1 (dashed: generated;\ngrey: averaged)")
    axis.set_box_aspect(1)
    axis.legend(loc="lower right", handlelength=1.5)


def _agreement(axis: Any, samples: xarray.Dataset) -> None:
    """Lift over drag of all designs that were solved."""
    made, again = (_ratio(samples[k].values) for k in ("force", "solved"))
    axis.scatter(made, again, s=18, color=COLORS[0])
    seen = np.isfinite(made) & np.isfinite(again)
    ends = np.concatenate([made[seen], again[seen], [0.0]])
    axis.axline((0, 0), slope=1, color="0.6", lw=0.8)
    gap = 0.1 * (ends.max() - ends.min()) + 0.05
    axis.set(xlabel="lift / drag, generated", ylabel="lift / drag, solved", aspect="equal",
             xlim=(ends.min() - gap, ends.max() + gap), ylim=(ends.min() - gap, ends.max() + gap),
             title=f"{seen.sum()} of {len(made)} designs\ncould be solved")


def _ratio(force: np.ndarray) -> np.ndarray:
    """Lift over drag ``(*B,)`` of ``force (*B, K, 2)``."""
    return efficiency(torch.from_numpy(np.asarray(force, dtype=float))).numpy()
