"""The training set's own: flows around one airfoil each, with their forces, as wings that can be handed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import torch
import xarray
from torch import Tensor

from sciencegen.airfoil.wings import Wings
from sciencegen.physics.mean_forces import MeanForces

from .question import Designed, Meter, Question
from .searches import Seen
from .space import NUMBERS, Space

__all__ = ["Flows", "Members", "read"]

LATE = 12  # frames of the history that are averaged
REYNOLDS = (200.0, 300.0)


class Flows(NamedTuple):
    """``distance (N, 64, 64)``, mean ``force (N, 2)``, ``reynolds (N,)`` of all bodies; ``wings (M, 1)`` and their
    lift over drag ``(M,)``, of those that are airfoils."""

    distance: Tensor
    force: Tensor
    reynolds: Tensor
    wings: Wings
    efficiency: Tensor


def read(file: Path, airfoils: Path) -> Flows:
    """A file of datasets/make_flows.py, what is at Reynolds numbers of 200 to 300; shapes are those of ``airfoils``."""
    with h5py.File(file) as data:
        ok = (data["status"][:] == 0) & (data["reynolds"][:] >= REYNOLDS[0]) & (data["reynolds"][:] <= REYNOLDS[1])
        named = {k: data[k][:][ok] for k in ("distance", "history", "reynolds", "length", "alpha", "x", "y")}
        names = [name.decode() for name in data["name"][:][ok]]
    value = {k: torch.from_numpy(v) for k, v in named.items()}
    force = value["history"][:, -LATE:].mean(1)
    with xarray.open_dataset(airfoils) as known:
        index = {str(name): i for i, name in enumerate(known["airfoil"].values)}
        shapes = torch.from_numpy(known["shape"].values).double()
    mine = torch.tensor([i for i, name in enumerate(names) if name in index], dtype=torch.long)
    shape = shapes[[index[names[i]] for i in mine.tolist()]]
    chord, alpha, x, y = (value[k].double()[mine, None] for k in ("length", "alpha", "x", "y"))
    return Flows(value["distance"], force, value["reynolds"],
                 Wings(shape[:, None], chord, alpha, torch.stack([x, y], -1)), force[mine, 1] / force[mine, 0])


@dataclass(frozen=True)
class Members:
    """The best airfoils of the training set: as they are, or, for several bodies, in the best places found.

    Arguments:
        calls: of the coarse solver, to place several.
        best: how many members are placed.
    """

    space: Space
    judge: MeanForces
    flows: Flows
    calls: int
    best: int = 20
    name: str = "best of the training set"

    def __call__(self, question: Question) -> Designed:
        allowed = self.space.limits.kept(self.flows.wings)
        rated = torch.where(allowed, self.flows.efficiency.double(), -torch.inf)
        if question.bodies == 1:
            return Designed(self.flows.wings.row(rated.topk(min(question.count, int(allowed.sum()))).indices))
        members = self.space.vector(self.flows.wings.row(rated.topk(min(self.best, int(allowed.sum()))).indices))
        seen, random = Seen(self.space, Meter(self.judge)), question.random
        while seen.meter.calls < self.calls:
            chosen = members[torch.randint(len(members), (self.calls, question.bodies), generator=random)]
            place = 2 * torch.rand(*chosen.shape[:2], 2, generator=random, dtype=chosen.dtype) - 1
            x = torch.cat([chosen[..., : NUMBERS - 2], place], -1).flatten(-2)
            seen.rate(x[self.space.outside(x) == 0][: self.calls - seen.meter.calls])
        return seen.best(question.count)
