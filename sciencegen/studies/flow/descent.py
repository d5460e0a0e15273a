r"""Wings down through the solver: some evaluations of its gradient for each design that is worth them.

Adam on minus lift over drag, a row for itself; gap, area and lift are kept by penalties, all other limits by
construction (:meth:`sciencegen.airfoil.wings.Limits.within`); the best that was seen is kept. A call of the solver
with its gradient costs about six without.

"Adam: A Method for Stochastic Optimization" (Kingma & Ba, 2015), https://arxiv.org/abs/1412.6980
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ...airfoil.wing_fit import SPREAD, WEIGHTS
from ...airfoil.wings import Limits, Wings, areas, gaps
from ...physics.mean_forces import efficiency
from .constraints import ANY, NEAR, missing

__all__ = ["descend"]

AXES = torch.tensor(WEIGHTS * SPREAD)  # weights of shapes by how much drawn airfoils differ along each
UNITS = (0.2, 15.0, 0.25, 0.5)  # of a step: chord, degrees, place
STEP, LAST, BETAS = 0.2, 0.25, (0.8, 0.95)
STEEP, STEEP_LIFT = 40.0, 10.0  # lift over drag that a chord too near costs, and lift out of its range
CLEAR = 1e-3  # chords by which a gap is kept to


def descend(wings: Wings, judge: Callable[[Tensor], Tensor], limits: Limits, evaluations: int,
            lift: tuple[float, float] = ANY, noisy: bool = False, bar: str = "") -> tuple[Wings, Tensor]:
    """The best of ``evaluations`` of each row, and its lift over drag by ``judge`` ``(N,)``; NaN where none is allowed.

    Arguments:
        wings: (N, K).
        judge: the solver, for which a short time and a coarse grid will do, or what a network expects.
        limits: what is kept to.
        evaluations: of the solver and its gradient, each row.
        lift: least and most of all bodies together.
        noisy: of such a judge, whose best is the luckiest, the last that is allowed.
        bar: name of a progress bar, where there is a terminal; none without.
    """
    x = _numbers(wings).requires_grad_()
    optimiser = torch.optim.Adam([x], STEP, betas=BETAS)
    falling = torch.optim.lr_scheduler.ExponentialLR(optimiser, LAST ** (1 / max(evaluations - 1, 1)))
    best, most = limits.within(_wings(x.detach())), torch.full((len(x),), torch.nan).double()
    for _ in tqdm(range(evaluations), desc=bar, disable=None if bar else True):
        with torch.enable_grad():
            now = limits.within(_wings(x))
            force = judge(now.outline().float()).double()
            worth, short = efficiency(force), missing(force, lift)
            (x.grad,) = torch.autograd.grad((STEEP * _fault(now, limits) + STEEP_LIFT * short - worth).nansum(), x)
        x.grad.nan_to_num_(0, 0, 0)
        now, worth, short = Wings(*(part.detach() for part in now)), worth.detach(), short.detach()
        better = limits.kept(now) & (short <= NEAR) & (noisy | (worth > most.nan_to_num(-torch.inf)))
        best = Wings(*(torch.where(better.reshape(-1, *(1,) * (a.ndim - 1)), a, b) for a, b in zip(now, best)))
        most = torch.where(better, worth, most)
        optimiser.step()
        falling.step()
    return best, most


def _fault(wings: Wings, limits: Limits) -> Tensor:
    """By how much gaps and areas fall short, ``(N,)``."""
    short = (limits.area - areas(wings)).clamp_min(0).sum(-1)
    return short + (limits.gap + CLEAR - gaps(wings)).clamp_min(0).sum(-1) if wings.chord.shape[-1] > 1 else short


def _numbers(wings: Wings) -> Tensor:
    """What is stepped in, of unit scale, ``(N, K, 22)``."""
    shape = torch.linalg.solve(AXES, wings.shape.double()[..., None])[..., 0]
    place = torch.cat([wings.chord[..., None], wings.alpha[..., None], wings.centre], -1).double()
    return torch.cat([shape, place / place.new_tensor(UNITS)], -1)


def _wings(x: Tensor) -> Wings:
    """The inverse."""
    place = x[..., 18:] * x.new_tensor(UNITS)
    return Wings(x[..., :18] @ AXES.mT, place[..., 0], place[..., 1], place[..., 2:])
