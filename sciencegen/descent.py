r"""Down an energy instead of sampling it: a kernel at temperature zero that learns the curvature as it goes.

Penalties make an energy steep in a few directions and flat in the others. A quasi-Newton method collects the inverse
Hessian :math:`B` from the gradients :math:`g` that it has seen (BFGS): with the move :math:`s` and the turn of the
gradient :math:`y`,

.. math:: B \leftarrow (1 - s y^T / s^T y) \, B \, (1 - y s^T / s^T y) + s s^T / s^T y .

Each row has its own :math:`B`, step and decisions, all rows of a batch share the evaluations.

References:
    Numerical Optimization (Nocedal & Wright, 2006), chapters 3 and 6, https://doi.org/10.1007/978-0-387-40065-5
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .energy import Energy, level, score_only
from .mcmc import Walk
from .random import Streams

__all__ = ["QuasiNewton"]

ENOUGH = 1e-4  # of the fall that the slope promises (Armijo)
CURVED = 1e-6  # least cosine of move and turn from which curvature is learned
SHORTEN = (0.1, 0.5)  # a move that did not go down is shortened to a share of this range
LOST = 1e-3  # a move so much shortened says that the curvature is wrong


@dataclass(frozen=True)
class QuasiNewton:
    """``repeats`` evaluations of BFGS with a backtracking line search, one evaluation a step; it keeps no density.

    For polishing designs of up to some hundred numbers: ``d^2`` of memory a row. No row ends higher than it began.

    Arguments:
        repeats: evaluations of the energy a call.
        stride: largest change of a coordinate in a step, in units of ``x``; the first step is a third of it.
    """

    repeats: int
    stride: float = 0.3

    def check(self, energy: Energy, sigma: float) -> None:
        """TypeError for a score-only energy."""
        if not energy.exact:
            raise score_only(energy)

    @torch.no_grad()
    def __call__(self, energy: Energy, x: Tensor, sigma: Tensor | float, noise: Streams | None = None
                 ) -> tuple[Tensor, Walk]:
        """``x (*B, d), sigma () or (*B, 1)`` to ``x``, :class:`Walk`; TypeError for a score-only energy.

        ``acceptance`` is the share of steps that went down; ``noise`` is not used.
        """
        self.check(energy, 0.0)
        sigma = level(sigma, x)
        at = energy.evaluate(x, sigma)
        inverse, share, went = self._fresh(at.score), torch.ones_like(at.value), torch.zeros_like(at.value)
        for step in range(self.repeats - 1):
            score = at.score
            heading = (inverse @ score[..., None])[..., 0]
            lost = ((heading * score).sum(-1) <= 0) | (share < LOST)  # the inverse Hessian is none: begin again
            share = torch.where(lost, 1.0, share)
            inverse = torch.where(lost[..., None, None], self._fresh(score), inverse)
            heading = torch.where(lost[..., None], (inverse @ score[..., None])[..., 0], heading)
            share = torch.minimum(share, self.stride / heading.abs().amax(-1).clamp_min(_tiny(x)))
            move = share[..., None] * heading
            new = energy.evaluate(x + move, sigma)
            inverse = _learned(inverse, move, score - new.score, rescale=step == 0)
            promised = (move * score).sum(-1)
            down = new.value <= at.value - ENOUGH * promised
            share = torch.where(down, 1.0, share * _shortening(new.value - at.value, promised))
            x, at, went = torch.where(down[..., None], x + move, x), new.where(down, at), went + down.to(x)
        return x, Walk(at, went / max(self.repeats - 1, 1))

    def _fresh(self, score: Tensor) -> Tensor:
        size = self.stride / 3 / score.abs().amax(-1).clamp_min(_tiny(score))
        return size[..., None, None] * torch.eye(score.shape[-1]).to(score)


def _learned(inverse: Tensor, move: Tensor, turn: Tensor, rescale: bool) -> Tensor:
    """BFGS's update of ``inverse (*B, d, d)``; as it was in rows where the energy does not curve up along the move."""
    along = (move * turn).sum(-1)
    curved = (along > CURVED * move.norm(dim=-1) * turn.norm(dim=-1))[..., None, None]
    along = torch.where(curved[..., 0, 0], along, 1.0)[..., None, None]
    if rescale:
        unit = torch.eye(move.shape[-1]).to(move)
        inverse = torch.where(curved, along / turn.square().sum(-1)[..., None, None] * unit, inverse)
    image = (inverse @ turn[..., None])
    cross = move[..., :, None] * image.mT
    curve = (turn * image[..., 0]).sum(-1)[..., None, None]
    new = inverse - (cross + cross.mT) / along + (1 + curve / along) / along * move[..., :, None] * move[..., None, :]
    return torch.where(curved, new, inverse)


def _shortening(rise: Tensor, promised: Tensor) -> Tensor:
    """Where the parabola through both values and the first slope is lowest, as a share of the move."""
    best = promised / (2 * (rise + promised)).clamp_min(_tiny(rise))
    return best.nan_to_num(SHORTEN[0], posinf=SHORTEN[1]).clamp(*SHORTEN)


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
