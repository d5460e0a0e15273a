"""Random numbers by counter: a row's noise is the same bits whatever batch, rank or order it is drawn in.

Each row has a seed; what it draws depends on ``(seed, step, stream, position)`` alone. The generator is SplitMix64:
"Fast Splittable Pseudorandom Number Generators" (Steele, Lea & Flood, 2014), https://doi.org/10.1145/2660193.2660195,
whose output function also hashes seed, step and stream into the row's starting state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Noise"]

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


@dataclass(frozen=True)
class Noise:
    """One stream of random numbers per row: ``seeds (*B,)`` int64, at a ``step`` and ``stream`` of a longer run."""

    seeds: Tensor
    step: int = 0
    stream: int = 0

    @classmethod
    def fresh(cls, *batch: int) -> Noise:
        """New seeds from torch's own generator, one per row of a batch of that shape."""
        return cls(torch.randint(0, 2**62, batch))

    def at(self, step: int, stream: int = 0) -> Noise:
        """The same rows at another step or stream."""
        return replace(self, step=step, stream=stream)

    def to(self, device: torch.device | str) -> Noise:
        """The same streams on another device."""
        return replace(self, seeds=self.seeds.to(device))

    def uniform(self, size: int) -> Tensor:
        """``(*B, size)`` in float64, strictly between 0 and 1."""
        return _unit(self._bits(size) >> 32)

    def normal(self, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """``(*B, size)`` of ``N(0, 1)`` by Box and Muller's transform; computed in float64, returned in ``dtype``."""
        bits = self._bits((size + 1) // 2)
        radius = (-2 * torch.log(_unit(bits >> 32))).sqrt()
        angle = 2 * math.pi * _unit(bits)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1).flatten(-2)[..., :size].to(dtype)

    def _bits(self, count: int) -> Tensor:
        start = _mix(_mix(_mix(self.seeds) ^ self.step) ^ self.stream)
        return _mix(start[..., None] + torch.arange(1, count + 1, device=self.seeds.device) * _GOLDEN)


def _unit(bits: Tensor) -> Tensor:
    return ((bits & 0xFFFFFFFF).double() + 0.5) / 2**32


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _FIRST
    z = (z ^ _shift(z, 27)) * _SECOND
    return z ^ _shift(z, 31)


def _shift(z: Tensor, places: int) -> Tensor:
    return (z >> places) & ((1 << (64 - places)) - 1)  # torch shifts int64 with its sign
