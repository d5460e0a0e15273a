"""Measurements that are given as functions: near which matrix they are, and whether they are one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..random import Streams

__all__ = ["Linear", "affine", "linearised"]

Function = Callable[[Tensor], Tensor]
ROOM = 4e9  # bytes of a dense matrix of a function


class Linear:
    """``function`` near ``at (*B, d)``: its value ``(*B, m)``, and its Jacobian from both sides."""

    def __init__(self, function: Function, at: Tensor) -> None:
        with torch.enable_grad():
            self.at = at.detach().requires_grad_()
            self.seen = function(self.at)
            self.dual = torch.zeros_like(self.seen).requires_grad_()
            (self.pulled,) = torch.autograd.grad(self.seen, self.at, self.dual, create_graph=True)
        self.value = self.seen.detach()

    def pull(self, z: Tensor) -> Tensor:
        """``A^T z``, ``(*B, m) -> (*B, d)``."""
        return torch.autograd.grad(self.seen, self.at, z, retain_graph=True)[0]

    def push(self, v: Tensor) -> Tensor:
        """``A v``, ``(*B, d) -> (*B, m)``: the gradient of ``A^T dual`` in ``dual``."""
        return torch.autograd.grad(self.pulled, self.dual, v, retain_graph=True)[0]


def linearised(function: Function, at: Tensor) -> tuple[Tensor, Tensor]:
    """``A (m, d)`` and ``b (m,)`` of ``function(x) ~ A x + b`` near ``at (d,)``; ``(*B, d) -> (*B, m)``."""
    count, rows = function(at[None]).shape[-1], []
    _require_room(count, len(at))
    for part in torch.arange(count, device=at.device).split(256):
        x = at.detach().repeat(len(part), 1).requires_grad_()
        with torch.enable_grad():
            one_each = function(x).gather(1, part[:, None]).sum()
        rows.append(torch.autograd.grad(one_each, x, materialize_grads=True)[0])
    A = torch.cat(rows)
    return A, function(at[None])[0].detach() - A @ at


def affine(function: Function, like: Tensor) -> tuple[Tensor, Tensor] | None:
    """``A (m, d), b (m,)`` if ``function(x) = A x + b`` for states like ``like (d,)``; None if it is not."""
    A, b = linearised(function, torch.zeros_like(like))
    x = 3 * Streams(torch.arange(3, device=like.device)).normal(len(like), like.dtype)
    with torch.no_grad():
        seen, straight = function(x), x @ A.mT + b
    size = x.abs() @ A.abs().mT + b.abs()
    return (A, b) if bool(((seen - straight).abs() <= 1e-4 * size + 1e-12).all()) else None


def _require_room(count: int, size: int) -> None:
    if 8 * count * size > ROOM:
        raise ValueError(f"got a function that measures {count:,} numbers of {size:,}, whose matrix takes "
                         f"{8e-9 * count * size:.0f} GB; expected a measurement that knows its places (Entries, "
                         "Points, Lines or Averages of sciencegen.measure), or fewer numbers")
