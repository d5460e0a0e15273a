r"""Priors over pairs: what is given (a source, a rock, a start) and what it leads to, of a system of the physics.

The state is ``(a, u)``. Where the square's turns and mirrors take solutions to solutions, the Gaussian is averaged over
all eight, and the network sees every pair in all eight positions. Two kinds of Gaussian come with a network:

- Where both are smooth, the leading axes of the joint covariance and next to nothing beyond them. Axes are sums of
  pairs, so that an equation that is linear, as Poisson's, holds for every state that this Gaussian deems possible; with
  a Gaussian ``a`` it is then all there is to know, and the network learns hardly anything.
- Else the leading axes of each part, with the covariance between them, and for what a part has beyond them a variance
  of its own: that of a rock of two materials is not small and not to be mixed up with that of a smooth pressure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...exact import Gaussian
from ...layout import Layout, Variable
from ...model import Model, Recipe
from ...network import Denoiser
from ...physics import Burgers, Darcy, Fourier, Heat, Helmholtz, NavierStokes, Poisson, Wells, binary, channels
from ...physics.fields import exponential, white
from ...physics.grids import centres
from ...train import fit

__all__ = ["Setup", "Turned", "gaussian", "pair_layout", "pairs", "setup", "train", "turns"]

FLOOR = 1e-10


@dataclass(frozen=True)
class Setup:
    """How the prior of one system on one grid is made.

    Arguments:
        name, grid: of the system; cells along a side.
        draw: ``(count, seed, first) -> a``, in float64.
        solve: ``a -> u``.
        ranks: axes of the Gaussian, of the pair or of each part; see :func:`gaussian`.
        channels, blocks: of the U-Net.
        symmetric: whether turns and mirrors of the square take pairs to pairs.
        periodic: whether opposite sides touch.
        count: pairs to train on.
        steps, batch, rate: of the training.
    """

    name: str
    grid: int
    draw: Callable[[int, int, int], Tensor]
    solve: Callable[[Tensor], Tensor]
    ranks: tuple[int, ...] = (1024,)
    channels: tuple[int, ...] = (32, 64, 96)
    blocks: tuple[int, ...] = (1, 2, 2)
    symmetric: bool = False
    periodic: bool = False
    count: int = 20_000
    steps: int = 8000
    batch: int = 64
    rate: float = 2e-3


def setup(name: str, grid: int = 32) -> Setup:
    """The recipe of a system: poisson, helmholtz, darcy, channels, wells, heat, burgers or navier-stokes.

    Of ``wells`` the part ``a`` is the logarithm of the permeability, a Gaussian field. ``poisson``, ``helmholtz``,
    ``heat`` and ``darcy`` on a grid of 32 are for two CPU cores and less than 40 minutes; the others, and finer grids,
    are for a GPU. KeyError for another name, ValueError for a grid that is not a multiple of 8.
    """
    if grid < 8 or grid % 8:
        raise ValueError(f"got a grid of {grid}; expected a multiple of 8, as 32 or 64")
    poisson, helmholtz, darcy = Poisson(grid), Helmholtz(grid), Darcy(grid)
    heat, flow = Heat(Fourier(grid)), NavierStokes(grid)
    burgers = Burgers(grid, frame=1 / (grid - 1), frames=grid - 1)  # with the start an image, a row a time
    net = {} if grid <= 32 else {"channels": (64, 128, 192), "blocks": (2, 2, 3)}
    linear = {"ranks": (min(grid**2, 1024),), "channels": (16, 32, 64), "blocks": (1, 1, 1), "symmetric": True,
              "steps": 500, "rate": 1e-3}
    smooth = {"ranks": (min(grid**2 // 2, 1024),), **net}
    rock = {"ranks": 2 * (min(grid**2 // 2, 384),), **net}
    known = {
        "poisson": (poisson.sources().sample, poisson.solve, linear),
        "helmholtz": (helmholtz.sources().sample, helmholtz.solve, linear),
        "darcy": (lambda *which: binary(darcy.fields().sample(*which)), darcy.solve, {**rock, "symmetric": True}),
        "channels": (partial(channels, grid), darcy.solve, rock),
        "wells": (partial(_logarithms, grid), lambda a: Wells(grid).solve(a.exp()), smooth),
        "heat": (heat.starts().sample, heat.solve, {**linear, "periodic": True}),
        "burgers": (burgers.starts().sample, burgers.solve, smooth),
        "navier-stokes": (flow.starts().sample, flow.solve, {**smooth, "periodic": True}),
    }
    if name not in known:
        raise KeyError(f"no recipe for a prior of '{name}'; there are {', '.join(known)}")
    draw, solve, options = known[name]
    return Setup(name, grid, draw, solve, **options)


@lru_cache(2)
def _modes(grid: int) -> Tensor:
    return exponential(grid, 0.1, min(64, grid**2 // 2))


def _logarithms(grid: int, count: int, seed: int, first: int) -> Tensor:
    factor = _modes(grid)
    return (white(factor.shape[1], count, seed, first, dims=1) @ factor.mT).unflatten(-1, (grid, grid))


@torch.no_grad()
def pairs(recipe: Setup, count: int, seed: int = 0, chunk: int = 500) -> dict[str, Tensor]:
    """Pairs ``a (count, ...)``, ``u (count, ...)`` in float64; the first ones of a seed are the same for any count."""
    a = [recipe.draw(min(chunk, count - first), seed, first) for first in range(0, count, chunk)]
    return {"a": torch.cat(a), "u": torch.cat([recipe.solve(part) for part in a])}


def pair_layout(recipe: Setup, a: Tensor, u: Tensor) -> Layout:
    """The state of pairs ``a (N, n[, n])``, ``u (N, [frames,] n[, n])``; their means and spreads are the units."""
    space = ("x", "y")[: a.ndim - 1]
    coords = {dim: centres(recipe.grid).tolist() for dim in space}
    dims = {"a": space, "u": (*("frame",)[: u.ndim - a.ndim], *space)}
    return Layout(**{k: Variable(v.shape[1:], float(v.mean()), float(v.std()), dims[k], coords=coords)
                     for k, v in {"a": a, "u": u}.items()})


def turns(grid: int, fields: int) -> Tensor:
    """The square's eight symmetries as orders ``(8, fields grid^2)`` of a state; the first changes nothing."""
    index = torch.arange(fields * grid**2).reshape(fields, grid, grid)
    return torch.stack([v.rot90(k, (1, 2)).flatten() for v in (index, index.mT) for k in range(4)])


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
    """Train a prior by a recipe (:func:`setup`); resumable from ``directory``; deterministic by ``seed``."""
    made = pairs(recipe, recipe.count, seed)
    layout = pair_layout(recipe, **made)
    rows = layout.pack(**made).to(device)
    fields = layout.size // recipe.grid**2
    orders = turns(recipe.grid, fields)[: 8 if recipe.symmetric else 1]
    data = gaussian(rows, orders, [v.size for v in layout.variables.values()], recipe.ranks).float()
    rows = rows.float() if len(recipe.ranks) > 1 else within(data, rows.float())
    torch.manual_seed(seed)
    net = Recipe("sciencegen.nets.unet.GridUNet", {
        "shape": [fields, recipe.grid, recipe.grid], "channels": list(recipe.channels), "blocks": list(recipe.blocks),
        "periodic": recipe.periodic})
    trained = fit(Denoiser(net.build().to(device), data), Turned(rows.cpu(), orders), Path(directory), recipe.steps,
                  batch=recipe.batch, rate=recipe.rate, precision=torch.bfloat16, seed=seed, every=200)
    facts = {"system": recipe.name, "grid": recipe.grid, "pairs": recipe.count, "orders": len(orders), "seed": seed,
             "steps": recipe.steps, "batch": recipe.batch, "rate": recipe.rate, "ranks": list(recipe.ranks),
             "loss": float(trained.history.loss[-200:].mean()), "seconds": float(trained.history.seconds[-1])}
    return Model(layout, trained.energy.cpu(), net, training=facts)
