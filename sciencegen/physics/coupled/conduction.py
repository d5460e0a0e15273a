r"""Conduction with feedback on a rod: the temperature ``u`` that a source gives, and the source ``v`` that it gives.

.. math:: -u'' = v, \quad u(0) = u(1) = 0, \qquad v = \lambda e^{b u}

By differences of second order between the walls. The first component is linear and the second is pointwise; together
they are stiff. With b = -1 a round has one extreme eigenvalue, -.55, -1.24 and -1.95 at the loads 10, 50 and 200:
Picard's iteration diverges beyond -1, although the solution is unique. With b = 1 it is Bratu's problem: two solutions
below the load 3.5138, of which the upper one repels every relaxed iteration (eigenvalue 3.67 at load 1), and none above
it: the load 4 is without a solution.

Each field elsewhere covers the coupled one in range where ``hot`` is above its largest ``u``, but not in shape: a
temperature from elsewhere does not vanish at the walls.

References:
    Bratu's problem: Frank-Kamenetskii's, in the closed form of "An Efficient Method for Solving Bratu Equations"
    (Boyd, 2003), https://doi.org/10.1016/S0096-3003(02)00345-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fields import generator
from ..system import Part
from .elsewhere import Elsewhere
from .system import GIVEN, Component, Coupled

__all__ = ["Conduction"]


@dataclass(frozen=True)
class Conduction(Coupled):
    """Fields: temperature ``u (*B, n)``, source ``v (*B, n)``; given: ``load (*B, 1)``. Without units.

    Arguments:
        load: the load about which loads are drawn.
        feedback: b; -1 cools, 1 is Bratu's.
        hot: the largest temperature elsewhere, and ``load e^(b hot)`` the source there.
        spread: loads are drawn evenly between ``load (1 - spread)`` and ``load (1 + spread)``.
        length: correlation length of what is drawn elsewhere.
        n: points between the walls.
    """

    load: float
    feedback: float = -1.0
    hot: float = 3.0
    spread: float = 0.0
    length: float = 0.3
    n: int = 32

    @property
    def fields(self) -> Mapping[str, Part]:
        """Temperature ``u`` and source ``v``."""
        at = [(i + 1) / (self.n + 1) for i in range(self.n)]
        return {name: Part((self.n,), ("x",), {"x": at}) for name in ("u", "v")}

    @property
    def given(self) -> Mapping[str, Part]:
        """The ``load``."""
        return {"load": Part((1,), ("one",), low=0.0)}

    @property
    def elsewhere(self) -> Mapping[str, Elsewhere]:
        """Temperatures from 0 to ``hot``, and the sources that these would give."""
        ends = sorted((self.load, self.load * float(np.exp(self.feedback * self.hot))))
        return {"u": Elsewhere(0.0, self.hot, (self.length,)),
                "v": Elsewhere(*ends, (self.length,), positive=True)}

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Loads ``{"load": (count, 1)}``."""
        drawn = np.array([generator(seed, first + i, GIVEN).uniform(-1, 1) for i in range(count)])
        return {"load": torch.from_numpy(self.load * (1 + self.spread * drawn))[:, None]}

    def component(self, name: str) -> Component:
        """:meth:`temperature` of ``u`` and :meth:`source` of ``v``."""
        return {"u": self.temperature, "v": self.source}[name]

    def temperature(self, v: Tensor, load: Tensor | None = None) -> Tensor:
        """``u (*B, n)`` of the source ``v``; the load is not asked for."""
        return v @ self.inverse().to(v)

    def source(self, u: Tensor, load: Tensor) -> Tensor:
        """``v (*B, n)``, which the temperature ``u`` and the load give."""
        return load * (self.feedback * u).exp()

    def inverse(self) -> Tensor:
        """Of minus the second difference, ``(n, n)`` in float64: Green's function times the spacing."""
        at = torch.arange(1, self.n + 1, dtype=torch.float64) / (self.n + 1)
        low, high = torch.minimum(at[:, None], at), torch.maximum(at[:, None], at)
        return low * (1 - high) / (self.n + 1)
