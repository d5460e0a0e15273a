r"""Helmholtz' equation on the unit square: :math:`\Delta u + k^2 u = a` inside, :math:`u = 0` at the walls.

Discretised and solved as Poisson's equation (:mod:`elliptic`), with every eigenvalue moved by :math:`k^2`. The first
resonance is at :math:`k^2 = 2 \pi^2`; the published sets have k = 1, well below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .elliptic import Elliptic
from .system import Stored

__all__ = ["Helmholtz"]


@dataclass(frozen=True)
class Helmholtz(Elliptic):
    """Parts: source ``a (*B, n, n)``, solution ``u (*B, n, n)``.

    Arguments:
        n: cells along a side.
        k: wavenumber, radians per side.
        source: the natural size of ``a``; the rms of the published sources by default.
        solution: the natural size of ``u``; the rms of their solutions by default.

    Raises:
        ValueError: where ``k`` is at a resonance of the grid: no solution, or many.
    """

    n: int
    k: float = 1.0
    source: float = 0.29
    solution: float = 0.0044

    def __post_init__(self) -> None:
        if (least := float(self.spectrum().abs().min())) < 1e-9 * max(1.0, self.k**2):
            raise ValueError(
                f"got k = {self.k}, with k^2 within {least:.1e} of a resonance of the grid; expected k^2 away from "
                "about pi^2 (i^2 + j^2); choose another k"
            )

    @property
    def shift(self) -> float:
        """:math:`k^2`."""
        return self.k**2

    def read(self, stored: Stored) -> Mapping[str, Helmholtz]:
        """With the file's ``k``."""
        k = stored("k")
        return {f"k = {k:.4g}": replace(self, k=k)}
