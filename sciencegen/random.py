"""Random numbers by counter: a row's noise is the same bits whatever batch, rank or order it is drawn in.

Each row has a seed; what it draws depends on ``(seed, step, stream, position)`` alone. The generator is SplitMix64:
"Fast Splittable Pseudorandom Number Generators" (Steele, Lea & Flood, 2014), https://doi.org/10.1145/2660193.2660195,
whose output function also hashes the seed, and step and stream, whose exclusive or is the row's starting state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

__all__ = ["Streams", "spares"]

_WORD = (1 << 64) - 1
_BRANCH = 1 << 32  # a stream beyond all that are counted
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True)
class Streams:
    """One stream of random numbers per row: ``seeds (*B,)`` int64, at a ``step`` and ``stream`` of a longer run."""

    seeds: Tensor
    step: int = 0
    stream: int = 0
    _hashed: Tensor | None = field(default=None, repr=False, compare=False)  # the seeds, once for all steps

    def __post_init__(self) -> None:
        if self._hashed is None:
            object.__setattr__(self, "_hashed", _mix(self.seeds))

    @classmethod
    def fresh(cls, *batch: int) -> Streams:
        """New seeds from torch's own generator, one per row of a batch of that shape."""
        return cls(torch.randint(0, 2**62, batch))

    def at(self, step: int, stream: int = 0) -> Streams:
        """The same rows at another step or stream."""
        return replace(self, step=step, stream=stream)

    def branch(self, index: int) -> Streams:
        """Streams of seeds of their own, which each row's seed and ``index`` say: for one part of a longer run."""
        words = self.at(index, _BRANCH)._bits(1)
        return Streams(_shift(words, 2)[..., 0])

    def spread(self, copies: tuple[int, ...]) -> Streams:
        """Streams of their own for ``copies`` of each row, ``(*B * copies,)`` of them, a row's copies together."""
        count = math.prod(copies)
        if count == 1:
            return self
        return Streams(torch.stack([self.branch(k).seeds for k in range(count)], -1).reshape(-1))

    def split(self, count: int) -> list[Streams]:
        """The rows in order, ``count`` at a time."""
        return [replace(self, seeds=seeds, _hashed=hashed) for seeds, hashed
                in zip(self.seeds.split(count), self._hashed.split(count))]

    def to(self, device: torch.device | str) -> Streams:
        """The same streams on another device."""
        return replace(self, seeds=self.seeds.to(device), _hashed=None)

    def uniform(self, size: int) -> Tensor:
        """``(*B, size)`` in float64, strictly between 0 and 1."""
        return ((self._bits(size) >> 32 & 0xFFFFFFFF).double() + 0.5) / 2**32

    def normal(self, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """``(*B, size)`` of ``N(0, 1)`` by Box and Muller's transform in ``dtype``, the same in each to rounding."""
        return _normal(self._bits((size + 1) // 2), size, dtype)

    def ahead(self, size: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        """What :meth:`normal` draws at this step and some to come, at once: a few large operations for many small."""
        count = min(max(2**16 // max(self.seeds.numel() * size, 1), 1), 8)
        keys = [_key(self.step + k, self.stream) for k in range(count)]
        start = self._hashed ^ torch.tensor(keys, device=self.seeds.device).reshape(count, *[1] * self.seeds.ndim)
        return _normal(_words(start, (size + 1) // 2), size, dtype).unbind()

    def _bits(self, count: int) -> Tensor:
        return _words(self._hashed ^ _key(self.step, self.stream), count)


def _words(start: Tensor, count: int) -> Tensor:
    counter = torch.arange(1, count + 1, device=start.device) * _signed(_GOLDEN)
    return _mix(start[..., None] + counter)


def _normal(bits: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    pairs = torch.empty(*bits.shape, 2, dtype=torch.promote_types(dtype, torch.float32), device=bits.device)
    radius = (bits >> 32).to(pairs).abs_().mul_(2**-31).add_(2**-32)  # finest near zero: far tails
    radius = radius.clamp_max_(1)  # of the one word in 2^32 without a positive twin
    radius, angle = radius.log_().mul_(-2).sqrt_(), bits.to(torch.int32).to(pairs).mul_(math.pi * 2**-31)
    torch.mul(radius, angle.cos(), out=pairs[..., 0])
    torch.mul(radius, angle.sin(), out=pairs[..., 1])
    return pairs.flatten(-2)[..., :size].to(dtype)


def spares(seeds: Tensor, count: int) -> Tensor:
    """``count`` seeds of which the first are ``seeds (n,)``, further ones theirs plus multiples of 2^50."""
    times = -(-count // len(seeds)) if len(seeds) else 0
    return torch.cat([seeds + k * 2**50 for k in range(times)] or [seeds])[:count]


def _key(step: int, stream: int) -> int:
    return _signed(_hash(_hash(step + _GOLDEN) ^ stream))


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)).mul_(_signed(_FIRST))
    z = (z ^ _shift(z, 27)).mul_(_signed(_SECOND))
    return z ^ _shift(z, 31)


def _shift(z: Tensor, places: int) -> Tensor:
    return (z >> places).bitwise_and_((1 << (64 - places)) - 1)  # torch shifts int64 with its sign


def _hash(word: int) -> int:
    """What :func:`_mix` does, of one number."""
    word &= _WORD
    word = ((word ^ word >> 30) * _FIRST) & _WORD
    word = ((word ^ word >> 27) * _SECOND) & _WORD
    return word ^ word >> 31


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
