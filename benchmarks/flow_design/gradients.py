"""Gradients through the true solver: the rival that knows everything.

Adam on minus lift over drag from several starts at small angles, each the best of some that are drawn; every start
hands over the best that it saw. BFGS was tried: its line search spends half of so few evaluations on overshooting. A
call with a gradient costs about six without.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciencegen.airfoil.wings import Wings
from sciencegen.physics.mean_forces import MeanForces

from .question import Designed, Meter, Question
from .searches import Seen
from .space import STEEP, Space

__all__ = ["Descent", "descended"]

BETAS = (0.8, 0.95)
LAST = 0.25


@dataclass(frozen=True)
class Descent:
    """``evaluations`` of the solver with a gradient for each of the question's ``count`` starts.

    Arguments:
        judge: what is descended, the coarse solver for a shorter time.
        explored: random wings, called forward, a start is the best of.
        alpha: range of the starts' angles, degrees.
        step: first rate of Adam, which is about how far each coordinate goes in an evaluation.
    """

    space: Space
    judge: MeanForces
    evaluations: int
    explored: int = 3
    alpha: tuple[float, float] = (0.0, 15.0)
    step: float = 0.2
    name: str = "gradients, true solver"

    def __call__(self, question: Question) -> Designed:
        seen, start = Seen(self.space, Meter(self.judge)), time.process_time()
        drawn = self.space.draw(question.bodies, question.count * self.explored, question.random, self.alpha)
        rated = seen.rate(drawn).unflatten(0, (question.count, -1))
        begun = drawn.unflatten(0, rated.shape)[torch.arange(question.count), rated.argmin(-1)]
        ended = torch.cat([descended(self.space, seen.meter, x, self.evaluations, self.step) for x in begun.split(1)])
        return Designed(self.space.wings(ended), calls=seen.meter.calls, seconds=time.process_time() - start)


def descended(space: Space, worth: Callable[[Wings], Tensor], begun: Tensor, evaluations: int, step: float) -> Tensor:
    """The best that a descent of ``-worth(wings)`` from ``begun (n, d)`` saw within the limits, ``(n, d)``.

    Adam, each row for itself; the rate falls from ``step`` to ``LAST`` of it, evenly in its logarithm.
    """
    x = begun.clone().requires_grad_()
    optimiser = torch.optim.Adam([x], step, betas=BETAS)
    falling = torch.optim.lr_scheduler.ExponentialLR(optimiser, LAST ** (1 / max(evaluations - 1, 1)))
    best, least = begun.clone(), begun.new_full((len(begun),), torch.inf)
    for _ in range(evaluations):
        with torch.enable_grad():
            wings = space.wings(x)
            value = STEEP * space.outside(x) - worth(wings)
            x.grad, = torch.autograd.grad(value.nansum(), x)
        x.grad.nan_to_num_(0, 0, 0)
        with torch.no_grad():
            better = space.limits.kept(wings) & (value < least)
            best, least = torch.where(better[:, None], x, best), torch.where(better, value, least)
        optimiser.step()
        falling.step()
    return best
