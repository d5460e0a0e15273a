"""Which windows of the data are for training, validation and test: no trajectory in two of them.

Samples are dealt out at random by a seed. Data of one long trajectory are cut in time instead, with a gap as long as a
window between the pieces, because frames next to each other are nearly copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..random import Streams

__all__ = ["Cut", "cut"]

NAMES = ("training", "validation", "test")
Shares = Sequence[float] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class Cut:
    """Samples ``(n,)`` and frames ``[first, last)`` of each of training, validation and test; and how, in words."""

    samples: tuple[Tensor, Tensor, Tensor]
    frames: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    words: str

    def windows(self, which: int, length: int, starts: range) -> tuple[Tensor, Tensor]:
        """Which windows are in a split, counted as ``sample * len(starts) + k``, and the sample of each."""
        first, last = self.frames[which]
        inside = torch.tensor([k for k, start in enumerate(starts) if first <= start and start + length <= last],
                              dtype=torch.long)
        windows = self.samples[which][:, None] * len(starts) + inside
        return windows.flatten(), self.samples[which][:, None].expand_as(windows).flatten()


def cut(split: Shares, count: int, frames: int, length: int, seed: int) -> Cut:
    """Cut the samples of a data set, or its one trajectory in time.

    Arguments:
        split: shares of training, validation and test, or three lists of samples.
        count, frames: samples of the data, and frames of each.
        length: frames of a window.
        seed: deals out the samples.

    Raises:
        ValueError: shares that are none, lists with a sample twice, a trajectory too short to be cut.
    """
    if len(split) == 3 and all(isinstance(part, Sequence | Tensor) or hasattr(part, "tolist") for part in split):
        return _given(split, count, frames)
    shares = [float(s) for s in split] if len(split) == 3 else []
    if not shares or min(shares) < 0 or not shares[0] > 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"got split={tuple(split)}; expected the shares of training, validation and test, three "
                         "numbers with sum 1, the first above 0; or three lists of samples")
    if count == 1 and frames > length:
        return _in_time(shares, frames, length)
    sizes = _sizes(shares, count)
    order = Streams(torch.tensor(seed), 0, 5).uniform(count).argsort(stable=True)
    samples = tuple(part.sort().values for part in order.split(sizes))
    return Cut(samples, 3 * ((0, frames),), " / ".join(map(str, sizes)) + " samples")


def _given(split: Sequence[Sequence[int]], count: int, frames: int) -> Cut:
    """The samples that a caller names for each split."""
    samples = tuple(torch.as_tensor(part, dtype=torch.long).reshape(-1) for part in split)
    every = torch.cat(samples)
    if len(every) != len(every.unique()) or not len(samples[0]) or int(every.min()) < 0 or int(every.max()) >= count:
        raise ValueError(f"got split lists of {[len(s) for s in samples]} samples; expected each of 0 to {count - 1} "
                         "at most once, at least one for training")
    return Cut(samples, 3 * ((0, frames),), " / ".join(str(len(s)) for s in samples) + " samples, as given")


def _sizes(shares: Sequence[float], count: int) -> list[int]:
    """Whole numbers near ``shares * count``, with sum ``count``; at least 1 where there are enough."""
    sizes = [int(share * count + 1e-9) for share in shares]
    for k, share in enumerate(shares):
        if share and not sizes[k] and sum(map(bool, shares[: k + 1])) <= count:
            sizes[k] = 1
    sizes[0] += count - sum(sizes)
    return sizes


def _in_time(shares: Sequence[float], frames: int, length: int) -> Cut:
    """One trajectory in up to three stretches, each at least a window long."""
    used = [k for k, share in enumerate(shares) if share]
    room = frames - length * (len(used) - 1)  # what the gaps leave
    if room < length * len(used):
        raise ValueError(f"got one trajectory of {frames} frames for windows of {length} in {len(used)} splits; "
                         f"expected at least {length * (2 * len(used) - 1)}, with gaps: make windows shorter, or "
                         "split=(1, 0, 0)")
    spare = room - length * len(used)
    sizes = [length + extra if share else 0 for share, extra in zip(shares, _sizes(shares, spare))]
    sizes[0] += room - sum(sizes)
    stretches, at = [], 0
    for size in sizes:
        stretches.append((at, at + size))
        at += size + length if size else 0
    words = ", ".join(f"{name} {first} to {last - 1}" for name, (first, last) in zip(NAMES, stretches) if last > first)
    return Cut(3 * (torch.zeros(1, dtype=torch.long),), tuple(stretches), f"one trajectory, cut in time: frames of "
               f"{words}, with gaps of a window between them")
