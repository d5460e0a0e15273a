"""The loss of rows that nobody trains on: what says which weights are best, and whether any are of use.

Rows, levels and noise are the same at every look, so that two looks differ by their weights alone.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..priors.base import Prior
from .rows import some
from .schedule import Schedule

__all__ = ["HeldOut"]

DRAWS = 512  # rows with noise that are looked at
BUDGET = 256 * 2**20  # bytes of them
AWAY = 2**30  # from the seed of the training


class HeldOut:
    """The mean loss of a prior on held-out rows, over noise levels and parts as they are trained.

    Arguments:
        data: rows that are not trained on, ``(N, n)`` or a dataset of them.
        schedule: of the training, whose levels and shares these have.
    """

    def __init__(self, data: Tensor | Dataset, schedule: Schedule) -> None:
        if not len(data):
            raise ValueError("got no held-out rows; expected some, as a validation split, or held_out=None")
        count = max(min(DRAWS, BUDGET // (4 * schedule.size)), 1)
        found = some(data, min(len(data), count), schedule.size)
        self.rows = found.repeat(-(-count // len(found)), 1)[:count]
        self.batch = 4 * schedule.batch  # no gradient is kept
        self.schedule = replace(schedule, batch=count, seed=(schedule.seed + AWAY) % 2**31)

    def __call__(self, prior: Prior) -> float:
        """The loss; for a prior that corrects a Gaussian one means no better than it where the data are Gaussian."""
        like, total = next(p for group in prior.groups() for p in group), 0.0
        for places in torch.arange(len(self.rows)).split(self.batch):
            clean = self.rows[places].to(like)
            draw = self.schedule.draw(0, places.to(like.device))
            draw = draw._replace(sigma=draw.sigma.to(clean), noise=draw.noise.to(clean), uniform=draw.uniform.to(clean))
            with torch.no_grad():
                total += float(prior.plan_loss(clean, draw).run().double().sum())
        return total / len(self.rows)
