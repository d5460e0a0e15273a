r"""The prior over flights of discs in a box: windows of two bodies, and all their parts that compositions ask for.

A state is a window of frames, features x, y, vx, vy of each body; its units are fixed numbers, so that windows of any
length and any number of bodies share them, and the weights too (:class:`sciencegen.nets.bodies.Bodies`). The Gaussian
that the network corrects is the unit one, the same seen from every side and in any order of the bodies; nearly all that
is beyond it is kinks, of which a Gaussian knows nothing. The square's turns and mirrors take flights to flights: the
network sees windows in all eight positions. Windows in which the bodies touch are listed more often than they happen,
so that the prior is the flights' law tilted towards contacts; a card says by how much.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...calls import Plan
from ...exact import Gaussian
from ...files import fault
from ...files.hdf5 import hdf5, whole
from ...layout import Layout, Variable, View
from ...physics.nbody import NBody
from ...priors import Denoiser, Recipe
from ...priors.base import Draw
from ...train import Levels, Packed, Training

__all__ = ["SMALL", "FlightDenoiser", "FlightWindows", "energy", "network", "parts", "prior_layout", "read", "recipe",
           "within"]

PLACE, SPEED = 0.23, 0.29  # the spreads of a coordinate and of a component of the velocity, box units
SHARES = (0.7, 0.1, 0.05, 0.05, 0.04, 0.02, 0.02, 0.02)  # of a batch, for the joint and for each of parts()
HELD_OUT = 0.05  # share of the flights, the last ones of a file, that are not trained on
SMALL = Training(steps=8000, batch=128, rate=2e-3, levels=Levels(low=2e-3, high=80.0, center=0.12, spread=1.6),
                 given=(), shares=SHARES, precision=torch.bfloat16, every=200, gated=False)
TOUCHING = 2  # how often a window is listed in which the bodies touch


def prior_layout(frames: int = 24, bodies: int = 2) -> Layout:
    """``trajectory (frames, bodies, 4)`` in box units: places over the side, velocities in sides per second."""
    return Layout(trajectory=Variable(
        (frames, bodies, 4), torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.tensor([PLACE, PLACE, SPEED, SPEED]),
        ("time", "body", "feature"), "box, box/s"))


def parts(layout: Layout) -> list[View]:
    """What a prior knows beside the joint: overlaps of windows, both bodies and one."""
    flight = layout["trajectory"]
    return [flight[:14], flight[:, 0], flight[:14, 0], flight[:4], flight[:4, 0], flight[:1], flight[:1, 0]]


def read(file: str | os.PathLike, held_out: bool = False) -> Tensor:
    """Flights ``(N, frames, bodies, 4)`` of a file that datasets/make_nbody.py wrote: those to train on, or the others.

    ValueError if the file holds no trajectories.
    """
    whole(file)
    with hdf5(file) as data:
        if "trajectory" not in data or data["trajectory"].ndim != 4 or data["trajectory"].shape[-1] != 4:
            raise fault(file, "a file without trajectories (sample, time, body, feature)",
                        "a file that datasets/make_nbody.py wrote", "make it by that")
        count = len(data["trajectory"])
        split = count - max(round(HELD_OUT * count), 1)
        return torch.from_numpy(data["trajectory"][split:] if held_out else data["trajectory"][:split]).float()


class FlightWindows(Dataset):
    """Windows of flights as states, in all eight positions of the square.

    Arguments:
        flights: ``(N, T, bodies, 4)`` in box units.
        layout: of a window.
        touching: how often a window is listed in which two bodies touch; the others are listed once.
        stride: frames between the starts of windows.
    """

    def __init__(self, flights: Tensor, layout: Layout, touching: int = 1, stride: int = 3) -> None:
        frames = layout.variables["trajectory"].shape[0]
        if flights.shape[1] < frames:
            raise ValueError(f"got flights of {flights.shape[1]} frames; expected at least {frames}, a window's")
        self.flights, self.layout, self.frames = flights, layout, frames
        flight, start = torch.cartesian_prod(torch.arange(len(flights)),
                                             torch.arange(0, flights.shape[1] - frames + 1, stride)).unbind(-1)
        again = torch.where(touches(flights, frames)[flight, start], touching, 1)
        self.flight, self.start = flight.repeat_interleave(again), start.repeat_interleave(again)

    def __len__(self) -> int:
        return 8 * len(self.flight)

    def __getitem__(self, index: int) -> Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Several rows at once, which is what a loader asks for."""
        index = torch.as_tensor(indices)
        flight, start = self.flight[index // 8], self.start[index // 8]
        rows = self.flights[flight[:, None], start[:, None] + torch.arange(self.frames)]
        return list(turned(self.layout.pack(trajectory=rows), index % 8))


def touches(flights: Tensor, frames: int) -> Tensor:
    """Whether two bodies touch in the window of ``frames`` that starts there, ``(N, T - frames + 1)``.

    Counted is what is seen: a frame in which two are within a fortieth of touching, or an impact between two frames,
    which turns both velocities at once.
    """
    near = torch.zeros(flights.shape[:2], dtype=torch.bool)
    for i, j in torch.combinations(torch.arange(flights.shape[2])):
        near |= (flights[:, :, i, :2] - flights[:, :, j, :2]).norm(dim=-1) < 2.05 * NBody().radius
        turn = (flights[:, 1:, :, 2:] - flights[:, :-1, :, 2:])[:, :, [i, j]]
        near[:, 1:] |= ((turn.sum(2).norm(dim=-1) < 1e-3) & (turn[:, :, 0].norm(dim=-1) > 1e-3))
    return near.unfold(1, frames, 1).any(-1)


def turned(rows: Tensor, position: Tensor) -> Tensor:
    """Packed rows ``(N, d)`` in one of the square's eight positions each, ``position (N,)``; 0 changes nothing."""
    axes = rows.unflatten(-1, (-1, 2, 2))  # (place, speed), (x, y)
    signs = 1 - 2 * torch.stack([position & 1, position >> 1 & 1], -1).to(rows)
    axes = axes * signs[:, None, None]
    return torch.where((position >= 4)[:, None, None, None], axes.flip(-1), axes).flatten(1)


def network(bodies: int = 2, channels: Sequence[int] = (48, 72, 96), extra: int = 48,
            trunk: str = "sciencegen.nets.trunks.TemporalUNet") -> Recipe:
    """The network of windows, of two stages with one kind of ``trunk``; see :class:`sciencegen.nets.bodies.Bodies`."""
    system, features = NBody(), {"channels": list(channels)}
    return Recipe("sciencegen.nets.bodies.Bodies", {
        "first": Recipe(trunk, features), "second": Recipe(trunk, {**features, "extra": extra}), "bodies": bodies,
        "reach": (0.5 - system.margin) / PLACE, "contact": 2 * system.radius / PLACE,
        "step": system.steps * system.step * SPEED / PLACE})


class FlightDenoiser(Denoiser):
    """A denoiser of windows of flights, of which parts of one body are of a body that is *alone* in the box.

    Windows in which bodies touch do not teach these parts, so that they know kinks at walls only. A pair's marginal
    would know kinks in the middle of the box too, without a cause, and compositions that subtract it forbid them.
    """

    def plan_loss(self, clean: Tensor, draw: Draw) -> Plan:
        bodies = self.net.bodies
        alone = [len({row % (4 * bodies) // 4 for row in part}) < bodies for part in self.marginals]
        flights = prior_layout(self.size // (4 * bodies), bodies).unpack(clean)["trajectory"]
        met = touches(flights, flights.shape[1])[:, 0]
        taught = ~(met & torch.tensor([False, *alone], device=met.device)[draw.part])
        return super().plan_loss(clean, draw).then(lambda loss: loss * taught)


def energy(net: Recipe, layout: Layout) -> FlightDenoiser:
    """The untrained energy of windows of a layout."""
    return FlightDenoiser(net.build(), unit(layout.size), parts(layout))


def unit(size: int) -> Gaussian:
    """The Gaussian that a network corrects: of unit variance in every coordinate."""
    return Gaussian(torch.zeros(size), torch.ones(size))


def within(whole: Denoiser, frames: int, bodies: int) -> Denoiser:
    """The energy of states of :func:`prior_layout` ``(frames, bodies)``, by the same network.

    Of a part of what it was trained on it is the marginal, at a lower price than ``whole.marginal``: nothing that was
    marginalised out is computed. Of more it is a guess.
    """
    return Denoiser(whole.net.among(bodies), unit(prior_layout(frames, bodies).size), lowest=whole.lowest).eval()


def recipe(file: str | os.PathLike, full: bool = False, steps: int | None = None, seed: int = 0
           ) -> tuple[Packed, Training]:
    """What to train on, from ``file`` (datasets/make_nbody.py), and how.

    The small network takes about an hour on one core with bfloat16 units. The ``full`` one, of the original's size, is
    meant for a GPU, in pieces of any length (an interrupt ends a piece); it was never run.
    """
    flights, held = read(file), read(file, held_out=True)
    bodies = flights.shape[2]
    layout = prior_layout(bodies=bodies)
    rows = FlightWindows(flights, layout, TOUCHING)
    half = -(-len(held) // 2)
    others = [FlightWindows(part, layout) if len(part) else torch.zeros(0, layout.size)
              for part in (held[:half], held[half:])]
    facts = {"flights": len(flights), "windows": len(rows.flight), "touching": TOUCHING, "positions": 8}
    how = replace(SMALL, kind=FlightDenoiser, net=network(bodies), gaussian=unit(layout.size), seed=seed,
                  facts=tuple(facts.items()), marginals=tuple((view,) for view in parts(layout)))
    if full:
        how = replace(how, net=network(bodies, (192, 288, 384), 192), steps=200_000, batch=1024, rate=5e-4)
    return Packed(layout, rows, *others), replace(how, steps=steps or how.steps)
