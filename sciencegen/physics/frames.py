r"""What the systems in time share: frames of a state, stored apart from the state that they start from.

A system's ``advance`` is the map :math:`\Phi` from one frame to the next, one or more steps of its solver. A path is
right where every frame is the map of the one before it, so the residual is :math:`u_j - \Phi(u_{j-1})`, frame by frame
and with :math:`u_0 = a`: it is zero to rounding for what the solver computed, whatever the accuracy of the solver.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["defects", "kicked", "march"]


def march(advance: Callable[[Tensor], Tensor], a: Tensor, frames: int, dims: int) -> Tensor:
    """``frames`` states after ``a (*B, n[, n])``, ``(*B, frames, n[, n])``."""
    path = []
    for _ in range(frames):
        path.append(advance(path[-1] if path else a))
    return torch.stack(path, -1 - dims)


def kicked(advance: Callable[[Tensor], Tensor], a: Tensor, kicks: Tensor, dims: int) -> Tensor:
    """The states ``(*B, frames, n[, n])`` after ``a``, each the map of the one before it and a kick of that shape."""
    path = []
    for kick in kicks.unbind(-1 - dims):
        path.append(advance(path[-1] if path else a) + kick)
    return torch.stack(path, -1 - dims)


def defects(advance: Callable[[Tensor], Tensor], a: Tensor, u: Tensor, dims: int, size: float) -> Tensor:
    """``(*B, m)``: what each frame of ``u`` differs by from the map of the one before it, over ``size``.

    The norm of a row is the rms over space, added in quadrature over the frames. ``ValueError`` where the shapes of
    ``a (*B, n[, n])`` and ``u (*B, frames, n[, n])`` do not fit.
    """
    axis = u.ndim - 1 - dims
    if u.ndim != a.ndim + 1 or u.shape[:axis] + u.shape[axis + 1 :] != a.shape:
        raise ValueError(f"got 'a' of shape {tuple(a.shape)} and 'u' of {tuple(u.shape)}; expected 'u' to have one "
                         f"more axis, the frames, before its last {dims}")
    before = torch.cat([a.unsqueeze(axis).expand_as(u.narrow(axis, 0, 1)), u.narrow(axis, 0, u.shape[axis] - 1)], axis)
    points = math.prod(u.shape[-dims:])
    return (u - advance(before)).flatten(-1 - dims) / (size * math.sqrt(points))
