r"""Newton's method in what is asked for, on images that are sharp: few goals, very many pixels.

With the rows :math:`J` of derivatives of the goals :math:`g(x)` in the state, the shortest move that meets them is

.. math:: x \leftarrow x + J^T (J J^T)^{-1} (y - g(x)) ,

in the units of the prior, so that it is the likeliest way there. Were :math:`g` linear, a sample of a Gaussian prior
became one of the posterior by it (Matheron's rule): designs are as diverse as the prior. The homogeniser gives all
rows with the value, so that a step costs one solve; the matrix is of as many rows as goals, where a quasi-Newton
method would have to learn one of as many as there are pixels. How much of a promised change comes is learned (a
secant). An image jumps where two parts of it meet, so that a step may lead away; each design keeps the best that it
has seen.

Reference: Efficiently sampling functions from Gaussian process posteriors (Wilson et al., 2020),
https://arxiv.org/abs/2002.09309
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .goals import Goals

__all__ = ["Reached", "misses", "newton"]

FARTHEST = 3.0  # a move, in standard deviations of the prior
GAIN, LEARNED = (0.1, 3.0), (0.4, 2.0)  # of promised changes: at all, and from one step to the next
WIDTHS = (0.3, 0.12)  # of a slope, while far away and near: the interface is taken as this thick
FAR = 0.2  # of a goal
RIDGE = 1e-4


class Reached(NamedTuple):
    """States ``(B, d)``, how far each misses its goals ``(B,)``, and the solves that it took ``(B,)``."""

    x: Tensor
    miss: Tensor
    solves: Tensor


def misses(ratio: Tensor) -> Tensor:
    """The worst of properties over what is wanted ``(*B, m)``: how far it is from one, ``(*B,)``."""
    return (ratio - 1).abs().amax(-1)


def newton(x: Tensor, phase: Callable[[Tensor, float], Tensor], goals: Goals, solves: int, enough: float = 1e-3,
           target: Tensor | None = None) -> Reached:
    """States ``x (B, d)`` moved until their images meet the goals to ``enough``, by at most ``solves`` each.

    Arguments:
        phase: ``(x (B, d), width of slopes) -> (B, ny, nx)``.
        target: of each state its own, ``(B, m)``; that of the goals unless given.
    """
    target = goals.target(x).expand(len(x), -1) if target is None else target.to(x)
    look = lambda x, rows, widths: _look(x, phase, goals, target[rows], widths)
    at = look(x, torch.arange(len(x)), torch.full((len(x),), WIDTHS[0]))
    x, kept, best = x.clone(), x.clone(), at.ratio.clone()
    gain, spent = torch.ones(len(x)), torch.ones(len(x), dtype=torch.long)
    for _ in range(solves - 1):
        busy = (misses(best) > enough).nonzero()[:, 0]
        if not len(busy):
            break
        here = _View(*(part[busy] for part in at))
        move = _move(here, gain[busy])
        move = move * (FARTHEST / move.norm(dim=-1).clamp_min(1e-12)).clamp_max(1)[:, None]
        x[busy] = x[busy] + move
        new = look(x[busy], busy, _width(misses(here.ratio)))
        gain[busy] = _learned(gain[busy], (here.rows @ move[..., None])[..., 0], new.ratio - here.ratio)
        better = (misses(new.ratio) < misses(best[busy]))[:, None]
        kept[busy] = torch.where(better, x[busy], kept[busy])
        best[busy] = torch.where(better, new.ratio, best[busy])
        for whole, part in zip(at, new):
            whole[busy] = part
        spent[busy] += 1
    return Reached(kept, misses(best), spent)


class _View(NamedTuple):
    ratio: Tensor  # (B, m)
    rows: Tensor  # (B, m, d)


def _look(x: Tensor, phase: Callable[[Tensor, float], Tensor], goals: Goals, target: Tensor, widths: Tensor) -> _View:
    """Properties of the images of states over what is wanted, and their derivatives in the states."""
    found = None
    for width in widths.unique().tolist():
        some = (widths == width).nonzero()[:, 0]
        with torch.enable_grad():
            state = x[some].detach().requires_grad_()
            image = phase(state, width)
            value, flips = goals.rows(image.detach())
            rows = [torch.autograd.grad(image, state, part, retain_graph=True)[0] for part in flips.unbind(1)]
        here = _View(value / target[some], torch.stack(rows, 1) / target[some][..., None])
        found = found or _View(*(x.new_zeros(len(x), *part.shape[1:]) for part in here))
        for whole, part in zip(found, here):
            whole[some] = part
    return found


def _width(miss: Tensor) -> Tensor:
    return torch.where(miss > FAR, WIDTHS[0], WIDTHS[1])


def _move(at: _View, gain: Tensor) -> Tensor:
    """The shortest move ``(B, d)`` that meets the goals, if changes come as learned."""
    gram = at.rows @ at.rows.mT
    gram = gram + RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * torch.eye(gram.shape[-1]).to(gram)
    return (at.rows.mT @ torch.linalg.solve(gram, (1 - at.ratio)[..., None]))[..., 0] / gain[:, None]


def _learned(gain: Tensor, promised: Tensor, came: Tensor) -> Tensor:
    """Of promised changes ``(B, m)`` the share that came, from now on."""
    share = (came * promised).sum(-1) / promised.square().sum(-1).clamp_min(1e-12)
    return torch.where(share > 0, (gain * (share / gain).clamp(*LEARNED)).clamp(*GAIN), gain)
