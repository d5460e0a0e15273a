r"""Priors over pairs: what is given (a source, a rock, a start) and what it leads to, of a system of the physics.

The state is all parts of the system. Where it has symmetries, as the square's turns and mirrors, the Gaussian is
averaged over them, and the network sees every pair in all positions. Two kinds of Gaussian come with a network:

- Where all parts are smooth, the leading axes of the joint covariance and next to nothing beyond them. Axes are sums of
  pairs, so that an equation that is linear, as Poisson's, holds for every state that this Gaussian deems possible; with
  a Gaussian ``a`` it is then all there is to know, and the network learns hardly anything.
- Else the leading axes of each part, with the covariance between them, and for what a part has beyond them a variance
  of its own: that of a rock in channels is not small and not to be mixed up with that of a smooth pressure.

Rock that is the sign of a Gaussian level needs no network: the level's law follows from the rocks in closed form
(:mod:`.level_law`), and that law is the prior.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...exact import Gaussian
from ...layout import Layout
from ...nets.suited import suited
from ...nets.zero import Zero
from ...physics import Part, System, resolve
from ...priors import Denoiser, Model
from ...recipe import Recipe
from ...train import Packed, Training
from ...train import train as fit_prior
from .level_law import learned
from .level_set import TwoMaterials, level_layout
from .pairs import orders, pair_layout, pairs

__all__ = ["Setup", "Turned", "gaussian", "level_prior", "setup", "train"]

FLOOR = 1e-10
HELD = 256  # pairs to choose the weights by, and as many to judge them by
PATCH = 8  # cells along the side of a cell of the U-Net's coarsest grid


@dataclass(frozen=True)
class Setup:
    """How the prior of one system on one grid is made.

    Arguments:
        name, grid: of the system; cells along a side.
        system: what draws and solves the pairs.
        ranks: axes of the Gaussian, of the pair or of each part; see :func:`gaussian`.
        channels, blocks: of the U-Net.
        count: pairs to train on.
        steps, batch, rate: of the training.
    """

    name: str
    grid: int
    system: System
    ranks: tuple[int, ...]
    channels: tuple[int, ...] = (32, 64, 96)
    blocks: tuple[int, ...] = (1, 2, 2)
    count: int = 20_000
    steps: int = 8000
    batch: int = 64
    rate: float = 2e-3

    @property
    def orders(self) -> Tensor:
        """The system's symmetries as orders of the numbers of a state, ``(m, d)``, the first of them none."""
        return orders(self.system.parts, self.system.symmetries)

    def network(self, layout: Layout) -> Recipe:
        """A U-Net where the parts are stacked images on one square grid, or rows of one; else what suits the layout."""
        parts = list(self.system.parts.values())
        side = (parts[-1].shape or (1,))[-1]
        if side % PATCH or layout.size % side**2 or any(part.shape[-1:] != (side,) for part in parts):
            return suited(layout, periodic=sorted({dim for part in parts for dim in part.periodic}))
        return Recipe("sciencegen.nets.unet.GridUNet", {
            "shape": [layout.size // side**2, side, side], "channels": list(self.channels), "blocks": list(self.blocks),
            "periodic": all(map(_wraps, parts))})


def _wraps(part: Part) -> bool:
    """Whether all axes of a part that are longer than one are periodic."""
    return all(dim in part.periodic for dim, n in zip(part.dims, part.shape) if n > 1)


def setup(name: str, grid: int = 32) -> Setup:
    """The recipe of a system, by any name of :func:`sciencegen.physics.resolve`.

    ``poisson``, ``helmholtz`` and ``heat`` on a grid of 32 are for two CPU cores and less than 40 minutes, ``darcy``
    for one minute; the others, and finer grids, are for a GPU. Your own is taken to be smooth. ValueError for a shipped
    one on a grid that is not a multiple of 8, else as ``resolve``.
    """
    system = resolve(name, grid)
    sizes = [math.prod(part.shape) for part in system.parts.values()]
    net = {} if grid <= 32 else {"channels": (64, 128, 192), "blocks": (2, 2, 3)}
    linear = {"ranks": (min(sum(sizes) // 2, 1024),), "channels": (16, 32, 64), "blocks": (1, 1, 1), "steps": 500,
              "rate": 1e-3}
    smooth = {"ranks": (min(sizes[-1] // 2, 1024),), **net}
    rock = {"ranks": tuple(min(size // 2, 384) for size in sizes), **net}
    known = {"poisson": linear, "helmholtz": linear, "heat": linear, "darcy": rock, "channels": rock}
    return Setup(name, grid, system, **known.get(name, smooth))


class Turned(Dataset):
    """Rows ``(N, d)`` in every order of ``orders (m, d)``: ``N m`` rows."""

    def __init__(self, rows: Tensor, orders: Tensor) -> None:
        self.rows, self.orders = rows, orders

    def __len__(self) -> int:
        return len(self.rows) * len(self.orders)

    def __getitem__(self, index: int) -> Tensor:
        return self.rows[index % len(self.rows)][self.orders[index // len(self.rows)]]


def gaussian(rows: Tensor, orders: Tensor, split: Sequence[int], ranks: Sequence[int]) -> Gaussian:
    """The Gaussian of ``rows (N, d)`` in every order of ``orders (m, d)``, of low rank.

    One rank: that many leading axes of the covariance, and next to nothing beyond them. One for each part of the state
    (of ``split`` numbers): the covariance between the leading axes of the parts, and beyond them, for each part, one
    variance.
    """
    mean = rows.mean(0)[orders].mean(0)
    cov = torch.cov(rows.mT)
    cov = sum(cov[order][:, order] for order in orders) / len(orders)
    if len(ranks) == 1:
        variances, axes = (v[..., -ranks[0]:].contiguous() for v in torch.linalg.eigh(cov))
        return Gaussian(mean, torch.cat([variances, variances.new_tensor([FLOOR])]), axes)
    places = torch.arange(len(cov)).split(list(split))
    parts = [torch.linalg.eigh(cov[p][:, p]) for p in places]
    axes = torch.block_diag(*(part.eigenvectors[:, -k:] for part, k in zip(parts, ranks)))
    beyond = [part.eigenvalues[:-k].mean().expand(len(p)) for part, k, p in zip(parts, ranks, places)]
    variances, turn = torch.linalg.eigh(axes.mT @ cov @ axes)
    return Gaussian(mean, torch.cat([variances, *beyond]), axes @ turn)


def within(data: Gaussian, rows: Tensor) -> Tensor:
    """What of ``rows (N, d)`` lies along the axes of a Gaussian of low rank whose variance beyond them is nothing."""
    return data.center + (rows - data.center) @ data.axes @ data.axes.mT


def train(recipe: Setup, directory: str | os.PathLike, *, device: str = "cpu", seed: int = 0) -> Model:
    """Train a prior by a recipe (:func:`setup`); resumable from ``directory``; deterministic by ``seed``.

    Some more pairs are held out: where the network is not better on them than its Gaussian, as of a linear equation
    with a Gaussian source, the model is that Gaussian alone. That of a rock's level is one from the start.
    """
    if isinstance(recipe.system, TwoMaterials):
        return level_prior(recipe, seed)
    held = min(HELD, 1 + recipe.count // 8)
    made, orders = pairs(recipe.system, recipe.count + 2 * held, seed), recipe.orders
    layout = pair_layout(recipe.system, {name: part[: recipe.count] for name, part in made.items()})
    rows = layout.pack(**made)
    data = gaussian(rows[: recipe.count], orders, [v.size for v in layout.variables.values()], recipe.ranks).float()
    rows = rows.float() if len(recipe.ranks) > 1 else within(data, rows.float())
    split = rows.split([recipe.count, held, held])
    facts = {"system": recipe.name, "grid": recipe.grid, "pairs": recipe.count, "orders": len(orders),
             "ranks": list(recipe.ranks)}
    how = Training(net=recipe.network(layout), gaussian=data, steps=recipe.steps, batch=recipe.batch, rate=recipe.rate,
                   precision=torch.bfloat16, seed=seed, facts=tuple(facts.items()))
    return fit_prior(Packed(layout, Turned(split[0], orders), *split[1:]), how, directory, device)


def level_prior(recipe: Setup, seed: int = 0) -> Model:
    """The law of the level behind rocks of two materials, learned from ``recipe.count`` of them: no network."""
    system = recipe.system
    name, layout = next(iter(system.parts)), level_layout(system)
    rocks = system.draw(recipe.count, seed)[name].flatten(1)
    turns = recipe.orders[:, : layout.size]  # the rock comes first, and keeps to its places
    law = learned(rocks > math.prod(system.materials) ** 0.5, turns, min(recipe.ranks[0], layout.size - 1))
    zero = Recipe(f"{Zero.__module__}.{Zero.__qualname__}", {"scalar": False})
    facts = {"system": recipe.name, "grid": recipe.grid, "rocks": recipe.count, "orders": len(turns), "seed": seed,
             "ranks": [law.axes.shape[1]], "materials": list(system.materials)}
    return Model(layout, Denoiser(Zero(), law.float()).eval(), zero, training=facts)
