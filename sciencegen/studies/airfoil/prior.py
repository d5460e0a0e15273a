r"""The airfoil prior: one energy over a shape, its polar at one Reynolds number, and that Reynolds number.

The state of one operating condition is 18 shape numbers, the polar as a trajectory over 25 angles of attack (lift,
log drag, moment, confidence) and ``log10 Re``. The prior knows the joint and the shape's own marginal, so that
conditions which were never seen together compose: ``polar.on(shape & op.each()) - (K - 1) * shape_prior.on(shape)``.

1,715 training shapes are few in 18 dimensions. A smoothed bootstrap with shrinkage ("Density Estimation for Statistics
and Data Analysis" (Silverman, 1986), https://doi.org/10.1201/9781315140919, section 6.4) fills the space between them:
``mean + cos(t) (A - mean) + sin(t) (B - mean)`` of two airfoils has the data's covariance at any ``t``. The largest
``t`` is near the kernel width that gives held-out airfoils the highest likelihood. NeuralFoil adds the polars.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from ...airfoil import cst
from ...airfoil.aero import NeuralFoil
from ...exact import Gaussian
from ...files import netcdf
from ...layout import Layout, Variable
from ...priors import EnergyNet, Recipe
from ...train import Levels, Packed, Training

__all__ = ["blends", "condition_layout", "polars", "recipe", "recorded", "require_condition"]

QUANTITIES = ("cl", "log_cd", "cm", "confidence")
LARGEST_BLEND = 0.6
FLOOR = 1e-4


def recorded(file: str | os.PathLike, split: str) -> dict[str, Tensor]:
    """Rows of ``datasets/airfoils.nc``: ``shape (N, 18)``, ``polar (N, 25, 4)``, ``log_re (N,)``, a row a condition."""
    data = netcdf.tree(file)[""]
    data = data.isel(airfoil=(data.split == split).values)
    polar = torch.stack([torch.tensor(data[q].values) for q in QUANTITIES], dim=-1).float()
    shape = torch.tensor(data["shape"].values).float()[:, None].expand(*polar.shape[:2], -1)
    log_re = torch.tensor(data["reynolds"].values).double().log10().float()
    return {"shape": shape.flatten(0, 1), "polar": polar.flatten(0, 1), "log_re": log_re.flatten()}


def blends(shapes: Tensor, count: int, seed: int = 0) -> Tensor:
    """Up to ``count`` new shapes from ``shapes (N, 18)``; those whose sides cross are left out."""
    generator = torch.Generator().manual_seed(seed)
    center = shapes.mean(0)
    first, second = (shapes[torch.randint(len(shapes), (count,), generator=generator)] - center for _ in range(2))
    angle = torch.rand(count, 1, generator=generator) * LARGEST_BLEND
    new = center + angle.cos() * first + angle.sin() * second
    new = torch.cat([new[:, :-1], new[:, -1:].clamp_min(0)], dim=-1)
    return new[cst.least_thickness(new) > 0]


@torch.no_grad()
def polars(shapes: Tensor, log_re: Tensor, alpha: Tensor, chunk: int = 512) -> Tensor:
    """NeuralFoil's polars ``(N, 25, 4)`` of ``shapes (N, 18)`` at ``log_re (N,)`` over the angles ``alpha (25,)``."""
    aero, out = NeuralFoil(), []
    for s, r in zip(shapes.split(chunk), log_re.split(chunk)):
        answer = aero(s[:, None], alpha, 10 ** r[:, None])
        out.append(torch.stack([getattr(answer, q) for q in QUANTITIES], dim=-1))
    return torch.cat(out)


def condition_layout(rows: dict[str, Tensor], alpha: Tensor) -> Layout:
    """One operating condition, standardised by the mean and spread of ``rows``."""
    shape, polar = ({"loc": rows[k].double().mean(0), "scale": rows[k].double().std(0)} for k in ("shape", "polar"))
    return Layout(
        shape=Variable((18,), dims=("weight",), units="chord", **shape),
        polar=Variable((len(alpha), 4), dims=("alpha", "quantity"), units="1", **polar,
                       coords={"alpha": alpha.tolist()}),
        log_re=Variable((), loc=6.0, scale=3**-0.5, units="1"),
    )


def require_condition(layout: Layout) -> None:
    """ValueError unless ``layout`` is one of :func:`condition_layout`: the parts of one operating condition."""
    polar = layout.variables.get("polar")
    shapes = {name: variable.shape for name, variable in layout.variables.items()}
    angles = len(polar.coords.get("alpha", ())) if polar is not None else 0
    if shapes != {"shape": (18,), "polar": (angles, len(QUANTITIES)), "log_re": ()}:
        raise ValueError(f"got a prior over {shapes}; expected one of airfoils at one condition: shape (18,), "
                         f"polar (A, {len(QUANTITIES)}) with coordinate alpha, log_re (); train it by 'sciencegen "
                         "train airfoil'")


def recipe(file: str | os.PathLike, steps: int = 22_000, count: int = 160_000, width: int = 240, depth: int = 4,
           seed: int = 0) -> tuple[Packed, Training]:
    """What to train on, from ``file`` (datasets/airfoils.nc), and how: 40 minutes on 2 cores."""
    alpha = torch.tensor(netcdf.tree(file)[""].alpha.values, dtype=torch.float32)
    rows = recorded(file, "train")
    new = blends(rows["shape"].unique(dim=0), count, seed)
    log_re = 5 + 2 * torch.rand(len(new), generator=torch.Generator().manual_seed(seed + 1))
    new_rows = {"shape": new, "polar": polars(new, log_re, alpha), "log_re": log_re}
    layout = condition_layout(rows, alpha)
    states = layout.pack(**{k: torch.cat([rows[k], new_rows[k]]) for k in rows}).float()
    held = [layout.pack(**recorded(file, split)).float() for split in ("valid", "test")]
    net = Recipe("sciencegen.nets.mlp.ScalarMLP", {"size": layout.size, "width": width, "depth": depth})
    gaussian = Gaussian(states.mean(0), torch.cov(states.double().T).float() + FLOOR * torch.eye(layout.size))
    notes = (f"UIUC airfoils, NeuralFoil polars (datasets/airfoils.nc): {len(rows['shape'])} real rows, {len(new)} "
             "blended ones",)
    how = Training(EnergyNet, net, gaussian, (("shape",),), steps=steps, batch=256, rate=2e-3, decay=1e-3, gated=False,
                   levels=Levels(center=0.22, spread=1.8), shares=(0.75, 0.25), seed=seed, every=500)
    return Packed(layout, states, *held, notes=notes), how
