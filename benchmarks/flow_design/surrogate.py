r"""Gradients through a learned surrogate: the field's usual way, with one network for any number of bodies.

A U-Net maps the image :math:`\tanh(d / 0.2)` of the bodies' distance and the Reynolds number to a density whose mean
is the force. It is trained on flows around one body, and asked about several through the image of their union (the
least of the distances), as the baselines of "Compositional Generative Inverse Design" (Wu et al., 2024),
https://arxiv.org/abs/2401.13171, are. Mirror images across the stream, with the lift turned, double the data.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from azula.nn.unet import UNet
from torch import Tensor, nn

from sciencegen.airfoil.wing_fit import pixels
from sciencegen.airfoil.wings import Wings
from sciencegen.physics import Outline
from sciencegen.studies.flow.prior import image

from .gradients import descended
from .question import Designed, Question
from .space import Space
from .training_set import Flows

__all__ = ["Forces", "Surrogate", "trained"]

LEAST = 0.05  # drag that a design may be promised
HELD = 10  # every so many samples is held out
SAVED = 100  # steps between savings


class Forces(nn.Module):
    """``(image (N, 64, 64), reynolds (N,))`` to drag and lift ``(N, 2)`` of all bodies together."""

    def __init__(self, channels: tuple[int, ...] = (32, 64, 96), features: int = 32) -> None:
        super().__init__()
        self.level = nn.Sequential(nn.Linear(1, features), nn.SiLU(), nn.Linear(features, features), nn.SiLU())
        self.split = nn.PixelUnshuffle(2)
        self.body = UNet(4, 2, hid_channels=channels, hid_blocks=(1,) * len(channels), mod_features=features,
                         norm="group")

    def forward(self, image: Tensor, reynolds: Tensor) -> Tensor:
        level = self.level((reynolds / 250).log()[:, None])
        return self.body(self.split(image[:, None]), level).mean((-1, -2))


def trained(flows: Flows, file: Path, steps: int, batch: int = 32, seed: int = 0) -> tuple[Forces, dict[str, float]]:
    """A network after ``steps`` of AdamW, begun or gone on with from ``file``, and what is known of its training."""
    torch.manual_seed(seed)
    network = Forces()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps + 1)
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    first, spent = _resumed(file, parts, steps, len(flows.force))
    held = torch.arange(len(flows.force)) % HELD == 0
    images, train = image(flows.distance), (~held).nonzero()[:, 0]
    for step in range(first, steps):
        start, random = time.process_time(), torch.Generator().manual_seed(1_000_003 * seed + step)
        rows = train[torch.randint(len(train), (batch,), generator=random)]
        turned = torch.rand(batch, generator=random) < 0.5
        x = torch.where(turned[:, None, None], images[rows].flip(-1), images[rows])
        wanted = flows.force[rows] * torch.stack([torch.ones(batch), 1 - 2 * turned.float()], -1)
        with torch.autocast("cpu", torch.bfloat16):
            force = network(x, flows.reynolds[rows])
        loss = (force.float() - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        spent += time.process_time() - start
        if (step + 1) % SAVED == 0 or step + 1 == steps:
            _save(file, parts, step + 1, steps, len(flows.force), spent)
    network.eval().requires_grad_(False)
    off = (network(images[held], flows.reynolds[held]) - flows.force[held]).norm(dim=-1)
    return network, {"training_seconds": spent, "samples": len(train), "steps": steps,
                     "held_out_error": float(off.mean() / flows.force[held].norm(dim=-1).mean())}


def _resumed(file: Path, parts: dict[str, object], steps: int, samples: int) -> tuple[int, float]:
    if not file.is_file():
        return 0, 0.0
    found = torch.load(file, weights_only=True)
    if (found["steps"], found["samples"]) != (steps, samples):
        return 0, 0.0
    for name, part in parts.items():
        part.load_state_dict(found[name])
    return found["done"], found["spent"]


def _save(file: Path, parts: dict[str, object], done: int, steps: int, samples: int, spent: float) -> None:
    new = file.with_suffix(".new")
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "done": done, "steps": steps,
                "samples": samples, "spent": spent}, new)
    os.replace(new, file)


@dataclass(frozen=True)
class Surrogate:
    """Descents of minus the promised lift over drag; the best by the promise are handed over.

    Arguments:
        network: trained.
        starts: random wings at small angles that descend.
        evaluations: of the network, a start.
    """

    space: Space
    network: Forces
    starts: int
    evaluations: int
    alpha: tuple[float, float] = (0.0, 15.0)
    step: float = 0.1
    name: str = "gradients, surrogate"

    def __call__(self, question: Question) -> Designed:
        begun = self.space.draw(question.bodies, max(self.starts, question.count), question.random, self.alpha)
        x = descended(self.space, lambda wings: self.promised(wings, question.reynolds)[1], begun, self.evaluations,
                      self.step)
        with torch.no_grad():
            force, worth = self.promised(self.space.wings(x), question.reynolds)
        best = worth.topk(question.count).indices
        return Designed(self.space.wings(x[best]), force[best, None])

    def promised(self, wings: Wings, reynolds: float) -> tuple[Tensor, Tensor]:
        """Drag and lift ``(n, 2)``, and their ratio ``(n,)``."""
        loops = wings.outline(41).float()
        rows = [Outline(row)(pixels(loops)).amin(0) for row in loops]
        force = self.network(image(torch.stack(rows)), torch.full((len(rows),), reynolds)).double()
        return force, force[:, 1] / force[:, 0].clamp_min(LEAST)
