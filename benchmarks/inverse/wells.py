r"""Samples of pairs that should obey a law: Darcy's between closed walls, the set of physics-informed diffusion models.

No data here: a prior of pairs ``(a, u)``, ``a`` the logarithm of the permeability, is sampled, and each row is judged
by two numbers that only count together. The residual is the solver's own; the distance is a sliced Wasserstein
distance to as many held-out pairs, in units of each part's spread. A residual alone is lowered by samples that are all
alike; a distance alone does not see a broken law.

"Physics-Informed Diffusion Models" (Bastek, Sun & Kochmann, 2025), https://arxiv.org/abs/2403.14404
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from sciencegen.energy import Energy
from sciencegen.exact import Gaussian
from sciencegen.guide import Moments
from sciencegen.layout import Layout
from sciencegen.physics import Cosine, LogWells, Wells
from sciencegen.priors import Model
from sciencegen.random import Streams
from sciencegen.sample import Multistep, karras
from sciencegen.studies.pde.pairs import pairs

from ..common import whole
from .exact import fitted

HELD, OTHER = 1, 2  # seeds of the pairs that rows are held against, and of those that stand for a perfect row
COUNT, GUIDED, DIRECTIONS = 512, 128, 512
LOW, STEPS, NOISE = 2e-3, 25, 3e-3
# Residual and Wasserstein distance times 100 of table 1 of PBFM (ICLR 2026), quoted second-hand: grid 64, other norms.
PUBLISHED = {"PBFM": (0.838, 0.138), "flow matching": (4.159, 0.059), "CoCoGen": (1.320, 0.249),
             "PIDM": (0.022, 3.103), "DiffusionPDE": (3.388, 0.089), "D-Flow": (2.286, 0.147), "ECI": (3.045, 2.892)}


def judged(model: Model, file: Path) -> dict[str, dict[str, float]]:
    """Residual, distances and cost of every row; those in the file are not made again."""
    found = json.loads(file.read_text()) if file.is_file() else {}
    for layout, name, make, count in rows(model):
        if name in found:
            continue
        clock = time.process_time()
        x = make(count)
        spent = (time.process_time() - clock) / count
        found[name] = {"n": count, **scores(layout, x.double()), "cpu_seconds": spent}
        whole(file, lambda new: new.write_text(json.dumps(found, indent=1) + "\n"))
    return found


def rows(model: Model) -> Iterator[tuple[Layout, str, Callable[[int], Tensor], int]]:
    """Layout, name, ``count -> x (count, d)``, and count."""
    layout, law = fitted("wells")
    held = lambda count: layout.pack(**pairs(LogWells(grid(layout)), count, OTHER))
    yield layout, "other held-out pairs (the floor)", held, COUNT
    yield layout, "other held-out pairs, as few as guided", held, GUIDED
    yield layout, "fitted Gaussian", lambda count: gaussian(law, count), COUNT
    yield layout, "fitted Gaussian, u solved anew", lambda count: solved(layout, gaussian(law, count)), COUNT
    yield layout, "fitted Gaussian + law by Moments", lambda count: guided(law, layout, count), GUIDED
    layout, prior = model.layout, model.energy.requires_grad_(False)
    yield layout, "network", lambda count: sampled(prior, layout, count), COUNT
    yield layout, "network, u solved anew", lambda count: solved(layout, sampled(prior, layout, count)), COUNT
    yield layout, "network + law by Moments", lambda count: guided(prior, layout, count), GUIDED


def gaussian(law: Gaussian, count: int) -> Tensor:
    """Samples ``(count, d)``."""
    white = Streams(torch.arange(count)).normal(len(law.variances), law.center.dtype)
    return law.center + law.back(white * law.variances.sqrt())


def sampled(prior: Energy, layout: Layout, count: int) -> Tensor:
    """The prior's samples: from the noised law of its Gaussian, of which nothing is left out above the first level."""
    like = prior.gaussian().center
    return Multistep(karras(STEPS, LOW, 80.0)).draw(prior, layout.size, Streams(torch.arange(count)), like)


def solved(layout: Layout, x: Tensor) -> Tensor:
    """The same ``a`` with the solution for it: the law by projection."""
    a = layout.unpack(x.double())["a"]
    return layout.pack(a=a, u=LogWells(grid(layout)).solve(a))


def guided(prior: Energy, layout: Layout, count: int) -> Tensor:
    """The law as a measurement that reads zero, from the first step to the last."""
    around = prior.gaussian()
    energy = Moments(prior, lambda x: gap(layout, x), torch.zeros(layout.size // 2), NOISE / grid(layout), 4,
                     around=around)
    sampler, seeds = Multistep(karras(12, 0.02, 80.0, dtype=around.center.dtype)), torch.arange(count)
    x = sampler(energy, sampler.start(count, layout.size, seeds), seeds)
    return energy.draw(x, sampler.sigmas[-1], Streams(seeds, len(sampler.sigmas)), 4)


def gap(layout: Layout, x: Tensor) -> Tensor:
    """``(*B, n^2)``: the missing source as a pressure in even rock, and the mean pressure, over their natural size."""
    parts, n = layout.unpack(x), grid(layout)
    system, basis = Wells(n), Cosine(n)
    a, u = parts["a"].clamp(-6, 6).exp(), parts["u"]
    scale = basis.differences().to(u).clamp_min(1.0)
    missing = basis.expand(system.apply(a, u) - system.source(u)) / scale
    missing = missing + basis.expand(u.mean((-2, -1), keepdim=True).expand_as(u))
    return basis.collect(missing).flatten(-2) / (system.pressure * n)


def grid(layout: Layout) -> int:
    """Cells along a side."""
    return layout.variables["a"].shape[-1]


def scores(layout: Layout, x: Tensor) -> dict[str, float]:
    """Median residual, and sliced distances of the pair and of its parts to held-out pairs."""
    parts = layout.unpack(x)
    held = layout.pack(**pairs(LogWells(grid(layout)), len(x), HELD))
    residual = LogWells(grid(layout)).residual(parts["a"], parts["u"]).norm(dim=-1)
    distances = {name: sliced(layout[name](x), layout[name](held)) for name in ("a", "u")}
    return {"residual": float(residual.median()), "distance": sliced(x, held), **distances}


def sliced(x: Tensor, y: Tensor) -> float:
    """Sliced 2-Wasserstein distance of ``x, y (N, d)``: 1 for a shift by one in every coordinate."""
    axes = Streams(torch.arange(DIRECTIONS)).normal(x.shape[1], x.dtype)
    axes = (axes / axes.norm(dim=-1, keepdim=True)).mT
    gaps = (x @ axes).sort(0).values - (y @ axes).sort(0).values
    return float(gaps.square().mean().sqrt())


def table(found: dict[str, dict[str, float]]) -> Table:
    """The rows, and what was published."""
    made = Table(title="wells: samples of pairs, no data (residual of u = 0: 1)", title_justify="left")
    for name in ("row", "n", "residual", "sliced W2 to held-out pairs", "of a", "of u", "CPU s a sample"):
        made.add_column(name, justify="left" if name == "row" else "right")
    for name, cell in found.items():
        made.add_row(name, f"{cell['n']:.0f}", f"{cell['residual']:.1e}", *(f"{cell[k]:.4f}" for k in (
            "distance", "a", "u")), f"{cell['cpu_seconds']:.2g}")
    for name, (residual, distance) in PUBLISHED.items():
        made.add_row(f"[dim]{name} (published, 64 grid, other norms, not comparable)", "", f"[dim]{residual:g}",
                     f"[dim]{distance / 100:g}", *[""] * 3)
    return made
