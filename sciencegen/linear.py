"""Linear maps that are given as functions: their matrix, their adjoint, and systems of equations with them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .noise import Noise

__all__ = ["Linear", "Map", "affine", "conjugate_gradients", "linearised"]

Map = Callable[[Tensor], Tensor]


class Linear:
    """``function`` near ``at (*B, d)``: its value ``(*B, m)``, and its Jacobian from both sides."""

    def __init__(self, function: Map, at: Tensor) -> None:
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


def linearised(function: Map, at: Tensor) -> tuple[Tensor, Tensor]:
    """``A (m, d)`` and ``b (m,)`` of ``function(x) ~ A x + b`` near ``at (d,)``; ``(*B, d) -> (*B, m)``."""
    count, rows = function(at[None]).shape[-1], []
    for part in torch.arange(count, device=at.device).split(256):
        x = at.detach().repeat(len(part), 1).requires_grad_()
        with torch.enable_grad():
            one_each = function(x).gather(1, part[:, None]).sum()
        rows.append(torch.autograd.grad(one_each, x, materialize_grads=True)[0])
    A = torch.cat(rows)
    return A, function(at[None])[0].detach() - A @ at


def affine(function: Map, like: Tensor) -> tuple[Tensor, Tensor] | None:
    """``A (m, d), b (m,)`` if ``function(x) = A x + b`` for states like ``like (d,)``; None if it is not."""
    A, b = linearised(function, torch.zeros_like(like))
    x = 3 * Noise(torch.arange(3, device=like.device)).normal(len(like), like.dtype)
    with torch.no_grad():
        seen, straight = function(x), x @ A.mT + b
    size = x.abs() @ A.abs().mT + b.abs()
    return (A, b) if bool(((seen - straight).abs() <= 1e-4 * size + 1e-12).all()) else None


def conjugate_gradients(system: Callable[[Tensor], tuple[Tensor, Tensor]], right: Tensor, iterations: int,
                        whitened: bool = False) -> Tensor:
    """Solve ``system(z)[0] = right`` row by row, ``(*B, m)``, by a set number of iterations; rows stay independent.

    ``system(z)[1] (*B, 1)`` is the least curvature along ``z`` that is believed; a row stops where it is less. A
    ``whitened`` system is near the identity: a row takes at least the identity's own step, and stops once the rest is a
    thousandth, or grows (as it may where the system is not symmetric). "The Conjugate Gradient Method and Trust Regions
    in Large Scale Optimization" (Steihaug, 1983), https://doi.org/10.1137/0720042
    """
    z, residual = torch.zeros_like(right), right
    direction, square = residual, (residual**2).sum(-1, keepdim=True)
    finfo = torch.finfo(right.dtype)
    enough = 1e-6 * square if whitened else torch.full_like(square, -1.0)
    going = torch.ones_like(square, dtype=torch.bool)
    for index in range(min(iterations, right.shape[-1] + 2)):
        image, least = system(direction)
        curvature = (direction * image).sum(-1, keepdim=True)
        going = going & (curvature >= least) & (curvature > finfo.tiny)
        size = torch.where(going, square / curvature, float(whitened and index == 0))
        rest = residual - size * image
        fresh = (rest**2).sum(-1, keepdim=True)
        if whitened and index:
            going = going & (fresh < square)
            size = torch.where(going, size, 0)
        z, residual = z + size * direction, rest
        going = going & (fresh > enough)
        if whitened and not bool(going.any()):
            break
        direction, square = residual + fresh / square.clamp_min(finfo.tiny) * direction, fresh
    return z
