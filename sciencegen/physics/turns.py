"""The symmetries of the square: quarter turns and mirrors, which Laplacians and even walls do not notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

__all__ = ["SQUARE", "Orientation"]


@dataclass(frozen=True)
class Orientation:
    """A symmetry of the square: x and y swapped or not, then so many quarter turns, of every part alike."""

    quarters: int
    swapped: bool = False

    def __call__(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parts ``(*B, ..., n, n)``, turned over their last two axes."""
        return {name: (value.mT if self.swapped else value).rot90(self.quarters, (-2, -1))
                for name, value in parts.items()}


SQUARE = tuple(Orientation(quarters, swapped) for swapped in (False, True) for quarters in range(4))[1:]
