"""Residual multilayer perceptrons for flat states of up to a few hundred numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MLP", "LevelFeatures", "ScalarMLP", "normalised"]


class MLP(nn.Module):
    """Pre-norm residual blocks modulated by the noise level, ``(u, c, keep) -> (N, outputs)``; zero when untrained.

    The modulation (scale, shift and gate from the noise level) is that of "Scalable Diffusion Models with Transformers"
    (Peebles & Xie, 2023), https://arxiv.org/abs/2212.09748. All activations are smooth, so that it can be an energy.

    Arguments:
        size: numbers of a state, ``n``.
        width, depth: of the residual stream, and how many blocks.
        outputs: numbers out; ``None`` is ``size``.
    """

    def __init__(self, size: int, width: int = 256, depth: int = 4, outputs: int | None = None) -> None:
        super().__init__()
        self.level = nn.Sequential(LevelFeatures(64), nn.Linear(64, width), nn.SiLU())
        self.enter = nn.Linear(2 * size, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.leave = nn.Linear(width, outputs or size)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, outputs)``."""
        level = self.level(c)
        h = self.enter(torch.cat([u, keep], dim=-1))
        for block in self.blocks:
            h = block(h, level)
        return self.leave(h)


class ScalarMLP(nn.Module):
    r"""A scalar from an :class:`MLP`: ``g = -<u, f(u)>``, ``(u, c, keep) -> (N,)``; zero when untrained."""

    def __init__(self, size: int, width: int = 256, depth: int = 4) -> None:
        super().__init__()
        self.net = MLP(size, width, depth)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N,)``."""
        return -(u * self.net(u, c, keep)).sum(-1)


class Block(nn.Module):
    """One residual block: normalise, modulate, two linear maps, gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulate = nn.Linear(width, 3 * width)
        self.body = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, level: Tensor) -> Tensor:
        """``h, level (N, width)`` to ``(N, width)``."""
        scale, shift, gate = self.modulate(level).chunk(3, dim=-1)
        return h + (1 + gate) * self.body(normalised(h) * (1 + scale) + shift)


class LevelFeatures(nn.Module):
    """Sines and cosines of a number at fixed, log-spaced frequencies, ``(N, 1) -> (N, size)``."""

    def __init__(self, size: int, highest: float = 32.0) -> None:
        super().__init__()
        frequencies = torch.logspace(-1, 1, size // 2, device="cpu") * highest / 10  # on `meta` it would load dynamo
        self.register_buffer("frequencies", frequencies.to(torch.empty(0).device), persistent=False)

    def forward(self, c: Tensor) -> Tensor:
        """``c (N, 1)`` to ``(N, size)``."""
        phase = c * self.frequencies
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


def normalised(h: Tensor) -> Tensor:
    """Features with mean 0 and variance 1 along the last axis."""
    # Not torch's layer norm: its third derivative is wrong (torch 2.13), and guidance on an energy needs it.
    h = h - h.mean(-1, keepdim=True)
    return h * (h.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
