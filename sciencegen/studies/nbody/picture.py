"""The picture of flights: paths in the box, discs where they end, and what the solver makes of their starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray
from matplotlib import pyplot
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from torch import Tensor

from ...physics.nbody import NBody
from ...plot import WIDTH, styled

__all__ = ["CAPTION", "LABELS", "draw"]

LABELS = {name: (f"x, y and velocity of each disc {how}", "box, box/s") for name, how in (
    ("start", "at the start"), ("imagined", "as the network has them"), ("trajectory", "by the engine"))}

CAPTION = "The best designs: above as the network has them, below what the solver makes of their starts."


@styled
def draw(samples: xarray.Dataset, system: NBody, best: int = 3) -> tuple[Any, Any]:
    """The first ``best`` of ``samples`` (``trajectory (sample, time, body, feature)``); figure and axes, never shown.

    Above what the network imagined, or the trajectory itself where there is no ``imagined``; below its start solved
    again, and above the solver's way is drawn too, thin and dark, so that a difference shows.
    """
    best = min(best, samples.sizes["sample"])
    flights = torch.tensor(samples["trajectory"].values[:best]).double()
    imagined = torch.tensor(samples["imagined" if "imagined" in samples else "trajectory"].values[:best]).double()
    figure, axes = pyplot.subplots(2, best, figsize=(WIDTH * best / 3, 6.6), squeeze=False)
    for above, below, guess, flight in zip(*axes, imagined, flights):
        for axis, way in ((above, guess), (below, flight)):
            again = system.solve(way[:1], len(way))[0]
            _box(axis, way, system)
            axis.plot(*again[..., :2].unbind(-1), color="k", lw=0.8, ls=":")
            end = float((again[-1, :, :2] - 0.5).norm(dim=-1).mean())
            axis.set_xlabel(f"engine: {end:.3f} from the centre")
    for number, axis in enumerate(axes[0], 1):
        axis.set_title(f"design {number}")
    axes[0, 0].set_ylabel("as the network has it")
    axes[1, 0].set_ylabel("as the engine flies it")
    key = [Line2D([], [], color="0.3", label="way of a disc"),
           Line2D([], [], color="0.3", marker="o", ls="", label="start"),
           Line2D([], [], color="0.6", marker="o", ms=11, ls="", alpha=0.5, label="disc at the end"),
           Line2D([], [], color="k", lw=0.8, ls=":", label="engine, same start"),
           Line2D([], [], color="k", marker="+", ls="", label="centre")]
    figure.legend(handles=key, loc="outside lower center", ncols=5, columnspacing=1.2, handletextpad=0.4)
    return figure, axes


def _box(axis: Any, way: Tensor, system: NBody) -> None:
    """One flight ``(T, n, 4)``: a line a body, a dot where it starts, its disc where it ends."""
    axis.add_patch(Rectangle((system.wall, system.wall), 1 - 2 * system.wall, 1 - 2 * system.wall, fill=False, lw=1))
    for path, color in zip(way[..., :2].unbind(1), pyplot.cm.turbo(np.linspace(0.05, 0.9, way.shape[1]))):
        axis.plot(*path.T, color=color, lw=1.2)
        axis.plot(*path[0], "o", color=color, ms=4)
        axis.add_patch(Circle(path[-1].tolist(), system.radius, color=color, alpha=0.35, lw=0))
    axis.plot(0.5, 0.5, "k+", ms=6)
    axis.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
