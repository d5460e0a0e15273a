"""A U-Net from masked inputs to both fields: one estimate, trained on the pairs that the prior is trained on.

Inputs are the values at the sensors, zeros elsewhere, and the mask; sensors, noise and the square's symmetries are
drawn anew for every batch, half of the batches with pressure only. Losses: cross entropy for the permeability, square
for the pressure. What others call conditional regression; it has no spread, hence no interval.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sciencegen.nets.unet import GridUNet
from sciencegen.physics import resolve
from sciencegen.studies.pde.pairs import pairs

from ..common import whole
from .row import Answer
from .task import GRID, Question, Task

LOW, HIGH, POINTS = 3.0, 12.0, 60


@dataclass(frozen=True)
class Masked:
    """Trains for ``seconds`` of CPU time the first time that it is asked; the weights are kept in ``file``."""

    file: Path
    seconds: float = 300.0
    count: int = 8000
    batch: int = 32
    name: str = "U-Net, masked inputs"
    samples: int = 1

    def suits(self, task: Task) -> bool:
        """Binary Darcy only."""
        return task.binary

    def __call__(self, question: Question) -> Answer:
        net, unit = trained(self)
        values, mask = torch.zeros(2, len(question.data), 2, GRID**2)
        columns = question.data.split([len(cells) for cells in question.where.values()], -1)
        for (name, cells), seen in zip(question.where.items(), columns):
            part = ("a", "u").index(name)
            values[:, part, cells] = (_signed(seen) if part == 0 else seen / unit).float()
            mask[:, part, cells] = 1
        with torch.no_grad():
            out = net(values.flatten(1), _level(question.level, len(values)), mask.flatten(1))
        out = out.unflatten(1, (2, GRID, GRID))
        chance = out[:, :1].sigmoid().double()
        a = LOW ** (1 - chance) * HIGH**chance  # the mean of the logarithm
        return Answer({"a": a, "u": out[:, 1:].double() * unit}, calls=1)


@lru_cache(1)
def trained(row: Masked) -> tuple[GridUNet, float]:
    """The network and the unit of the pressure, from the file if it is there."""
    net = GridUNet((2, GRID, GRID), (32, 64, 96), (1, 2, 2))
    if not row.file.is_file():
        _train(net, row)
    state = torch.load(row.file, weights_only=True)
    net.load_state_dict(state["net"])
    return net.eval(), state["unit"]


def _train(net: GridUNet, row: Masked) -> None:
    made = pairs(resolve("darcy", GRID), row.count, 0)
    unit = float(made["u"].square().mean().sqrt())
    rows = torch.stack([_signed(made["a"]), made["u"] / unit], 1).float()
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-4)
    start, steps = time.process_time(), 0
    while (share := (time.process_time() - start) / row.seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (steps + 1) / 100) * (1 + math.cos(math.pi * share)) / 2
        pick = torch.randint(len(rows), (row.batch,), generator=generator)
        loss = _loss(net, _turned(rows[pick], steps), generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 200 == 0:
            print(f"U-Net: {steps} steps, loss {loss.item():.4f}, {100 * share:.0f} %", flush=True)
    state = {"net": net.state_dict(), "unit": unit, "steps": steps}
    whole(row.file, lambda new: torch.save(state, new))


def _loss(net: GridUNet, fields: Tensor, generator: torch.Generator) -> Tensor:
    """``fields (B, 2, n, n)``: signs of the permeability and the pressure in its unit."""
    count = len(fields)
    chosen = torch.rand(count, 2, GRID**2, generator=generator).argsort(-1) < POINTS
    chosen[:, 0] &= torch.rand(count, 1, generator=generator) < 0.5
    level = 0.01 * torch.randint(2, (1,), generator=generator)
    noisy = fields.flatten(2) + level * torch.randn(count, 2, GRID**2, generator=generator)
    mask = chosen.float()
    out = net((noisy * mask).flatten(1), _level(float(level), count), mask.flatten(1)).unflatten(1, (2, GRID, GRID))
    sharp = nn.functional.binary_cross_entropy_with_logits(out[:, 0], (fields[:, 0] > 0).float())
    return sharp + nn.functional.mse_loss(out[:, 1], fields[:, 1])


def _turned(fields: Tensor, step: int) -> Tensor:
    fields = fields.mT if step % 2 else fields
    return fields.rot90(step // 2 % 4, (-2, -1)).contiguous()


def _signed(a: Tensor) -> Tensor:
    return (a.clamp_min(1e-3).log() - math.log(math.sqrt(LOW * HIGH))) / math.log(math.sqrt(HIGH / LOW))


def _level(level: float, count: int) -> Tensor:
    return torch.full((count, 1), math.log(max(level, 1e-4)) / 4)
