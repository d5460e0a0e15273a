r"""One metric for all rows: lift over drag by the embedded solver on a finer grid and for longer than any row had.

Forces are means over time first, then summed over the bodies, then divided. What cannot be built (outside the limits,
or no wing at all) is not solved and counts in the share buildable only. Statistics are over the designs of a row.

*Force error*: of what a row says of its own designs, :math:`|F - F_{solved}| / |F_{solved}|`, of the sums over bodies.
*Divergence*: of a generated flow, root mean square over frames and cells, in free streams a chord. *Diversity*: the
mean over pairs of designs of the root mean square distance of their outlines, chords.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import xarray
from torch import Tensor

from sciencegen import metrics
from sciencegen.airfoil.wings import Wings, gaps
from sciencegen.physics.mean_forces import MeanForces, efficiency

from .question import Designed, Question

__all__ = ["Summary", "apart", "dataset", "judged", "scores", "summary", "wings_of"]

PIXELS = 12  # cells a chord of a generated flow
AXES = ["x", "y"]
FORCES = ["drag", "lift"]
PARTS = ("shape", "chord", "alpha", "centre")


class Summary(NamedTuple):
    """Of ``n`` numbers: mean, half of its 95 % interval (Student's t), median, least and most."""

    mean: float
    half: float
    median: float
    least: float
    most: float
    n: int


def dataset(designed: Designed, attrs: Mapping[str, Any]) -> xarray.Dataset:
    """A row's answer as it is saved."""
    wings = designed.wings
    found = {
        "shape": (("sample", "body", "weight"), wings.shape, {"units": "own chords"}),
        "chord": (("sample", "body"), wings.chord, {"units": "chords"}),
        "alpha": (("sample", "body"), wings.alpha, {"units": "degrees"}),
        "centre": (("sample", "body", "axis"), wings.centre, {"units": "chords"}),
        "outline": (("sample", "body", "point", "axis"), wings.outline(101), {"units": "chords"})}
    if designed.force is not None:
        found["generated"] = ("sample", "part", "force"), designed.force
    if designed.flow is not None:
        found["flow"] = ("sample", "frame", "field", "i", "j"), designed.flow
    arrays = {name: (dims, value.double().numpy(), *rest) for name, (dims, value, *rest) in found.items()}
    return xarray.Dataset(arrays, {"axis": AXES, "force": FORCES},
                          {**attrs, "calls": designed.calls, "solver_seconds": designed.seconds})


def wings_of(designs: xarray.Dataset) -> Wings:
    """And back."""
    return Wings(*(torch.from_numpy(designs[name].values) for name in PARTS))


@torch.no_grad()
def judged(designs: xarray.Dataset, question: Question, judge: MeanForces) -> xarray.Dataset:
    """``designs`` with ``solved (sample, body, force)``, ``buildable`` and ``overlap``; best first, unsolved last."""
    wings = wings_of(designs)
    whole = torch.stack([part.flatten(1).isfinite().all(1) for part in wings]).all(0)
    kept, overlap = whole.clone(), torch.zeros_like(whole)
    kept[whole] = question.limits.kept(wings.row(whole))
    if question.bodies > 1:
        overlap[whole] = (gaps(wings.row(whole)) < 0).any(-1)
    solved = torch.full((*wings.chord.shape, 2), torch.nan, dtype=torch.float64)
    solved[kept] = judge(wings.row(kept).outline(101).float()).double() if kept.any() else solved[kept]
    found = designs.assign(solved=(("sample", "body", "force"), solved.numpy()),
                           buildable=("sample", kept.numpy()), overlap=("sample", overlap.numpy()))
    return found.isel(sample=efficiency(solved).nan_to_num(-torch.inf).argsort(descending=True).numpy())


@torch.no_grad()
def apart(found: xarray.Dataset, judge: MeanForces, count: int) -> xarray.Dataset:
    """``found`` with ``alone (sample, body, force)``: each wing at its place without the others, of the best."""
    solo = torch.full(found["solved"].shape, torch.nan, dtype=torch.float64)
    which = [i for i in range(min(count, len(solo))) if bool(found["solved"][i].notnull().all())]
    outlines = torch.from_numpy(found["outline"].values)[which].float()
    for body in range(outlines.shape[1]):
        solo[which, body] = judge(outlines[:, body : body + 1])[:, 0].double() if which else solo[which, body]
    return found.assign(alone=(("sample", "body", "force"), solo.numpy()))


def scores(found: xarray.Dataset) -> dict[str, list[float]]:
    """By design, NaN where there is none: ``efficiency, drag, lift, buildable, overlap``; of what is generated
    ``force_error, divergence``; ``diversity``, one number; and ``drag_together, efficiency_together``, the change from
    each flying alone to all together."""
    solved = torch.from_numpy(found["solved"].values)
    total, outline = solved.sum(1), torch.from_numpy(found["outline"].values)
    made = {"efficiency": efficiency(solved), "drag": total[:, 0], "lift": total[:, 1],
            "buildable": torch.from_numpy(found["buildable"].values).double(),
            "overlap": torch.from_numpy(found["overlap"].values).double()}
    if "generated" in found:
        said = torch.from_numpy(found["generated"].values).sum(1)
        made["force_error"] = (said - total).norm(dim=-1) / total.norm(dim=-1)
    if "flow" in found:
        made["divergence"] = divergence(torch.from_numpy(found["flow"].values))
    if "alone" in found:
        alone = torch.from_numpy(found["alone"].values)
        made["drag_together"] = total[:, 0] / alone.sum(1)[:, 0] - 1
        made["efficiency_together"] = made["efficiency"] / efficiency(alone) - 1
    loops = outline[outline.flatten(1).isfinite().all(1)].flatten(1, 2)
    made["diversity"] = metrics.diversity(loops)[None] if len(loops) > 1 else loops.new_full((1,), math.nan)
    return {name: value.tolist() for name, value in made.items()}


def divergence(flow: Tensor, pixels: int = PIXELS) -> Tensor:
    """Root mean square of the divergence of staggered ``flow (n, frames, 3, nx, ny)``: ``(n,)``."""
    u, v = flow[:, :, 0], flow[:, :, 1]
    found = (u[..., 1:, :-1] - u[..., :-1, :-1] + v[..., :-1, 1:] - v[..., :-1, :-1]) * pixels
    return found.square().flatten(1).mean(1).sqrt()


def summary(values: Sequence[float]) -> Summary:
    """Of the finite ones."""
    kept = torch.tensor([v for v in values if v is not None and math.isfinite(v)], dtype=torch.float64)
    if not len(kept):
        return Summary(*[math.nan] * 5, 0)
    half = math.nan
    if len(kept) > 1:
        mean, low, _ = metrics.interval(kept)
        half = float(mean - low)
    return Summary(float(kept.mean()), half, float(kept.quantile(0.5)), float(kept.min()), float(kept.max()), len(kept))
