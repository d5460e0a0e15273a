r"""Poisson's equation on the unit square: :math:`\Delta u = a` inside, :math:`u = 0` at the walls (:mod:`elliptic`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .elliptic import Elliptic
from .system import Stored

__all__ = ["Poisson"]


@dataclass(frozen=True)
class Poisson(Elliptic):
    """Parts: source ``a (*B, n, n)``, solution ``u (*B, n, n)``.

    Arguments:
        n: cells along a side.
        source: the natural size of ``a``; the rms of the published sources by default.
        solution: the natural size of ``u``; the rms of their solutions by default.
    """

    n: int
    source: float = 0.29
    solution: float = 0.0042

    @property
    def shift(self) -> float:
        """0."""
        return 0.0

    def read(self, stored: Stored) -> Mapping[str, Poisson]:
        """Itself: there are no parameters."""
        return {"source and walls as given": self}
