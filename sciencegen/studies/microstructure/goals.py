r"""Goals of a microstructure: effective properties that are asked for, and what a change of a pixel does to them.

The derivative of an effective property in the property of a pixel is that of a small change,
:math:`(p_1 - p_0) \, |e|^2`. A pixel of an image of two phases changes as a whole. In a background ``a`` a disc of
``b`` changes the energy by the share :math:`2 a / (a + b)` of that (its polarisation): almost nothing in the soft
phase, twice as much in the stiff one. Rows are weighted by it, so that a step of Newton's goes about as far as it
promises, at any contrast.

Reference: The topological derivative method in shape optimization (Novotny & Sokolowski, 2013), chapter 4,
https://doi.org/10.1007/978-3-642-35245-4
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...physics.bounds import wiener
from ...physics.homogenise import conductivity, stiffness

__all__ = ["CONDUCTIVITIES", "MODULI", "SHARE", "Goals", "slack"]

CONDUCTIVITIES = {"kx": 0, "ky": 1}
MODULI = {"C11": (0, 0), "C22": (1, 1), "C12": (0, 1), "C66": (2, 2)}
SHARE = "fraction"
POISSON = 0.3  # of both phases; the stiff one's Young's modulus is the unit of stiffness
ROUGH, EXACT = 1e-3, 1e-7  # of the residual: while designs move, and where they are judged


@dataclass(frozen=True)
class Goals:
    """Wanted properties by name, and the phases that they are of.

    Arguments:
        wanted: ``kx``, ``ky`` in units of phase 0's conductivity; ``C11``, ``C22``, ``C12``, ``C66`` (plane strain) in
            units of phase 1's Young's modulus; ``fraction`` of phase 1. Empty: nothing is asked for.
        contrast: conductivity of phase 1 over that of phase 0.
        void: stiffness of phase 0 over that of phase 1.

    Raises:
        ValueError: for an unknown name, a value that no material of these phases has, phases that do not differ.
    """

    wanted: Mapping[str, float] = field(default_factory=dict)
    contrast: float = 10.0
    void: float = 1e-4

    def __post_init__(self) -> None:
        for name, ratio in (("contrast", self.contrast), ("void", self.void)):
            if not (0 < ratio < math.inf and ratio != 1):
                raise ValueError(f"got --{name} {ratio:g}; expected a ratio of the phases above 0, and not 1")
        for name, value in self.wanted.items():
            if name not in (known := [*CONDUCTIVITIES, *MODULI, SHARE]):
                raise ValueError(f"got {name}={value:g}; expected one of {', '.join(known)}")
            low, high = self._ends(name)
            if not low < value < high:
                raise ValueError(f"got {name}={value:g}; expected a number between {low:g} and {high:.3g}, those of "
                                 "one phase alone")
        if SHARE in self.wanted:
            self._reachable(self.wanted[SHARE])

    @property
    def conducts(self) -> bool:
        """Whether a conductivity is asked for."""
        return any(name in CONDUCTIVITIES for name in self.wanted)

    @property
    def elastic(self) -> bool:
        """Whether a modulus is asked for."""
        return any(name in MODULI for name in self.wanted)

    def target(self, like: Tensor) -> Tensor:
        """``(m,)``."""
        return torch.tensor(list(self.wanted.values())).to(like)

    def _ends(self, name: str) -> tuple[float, float]:
        """Of one phase alone."""
        if name in CONDUCTIVITIES:
            return min(1.0, self.contrast), max(1.0, self.contrast)
        solid = self.stiffness(torch.ones(4, 4, dtype=torch.float64))
        return 0.0, 1.0 if name == SHARE else float(solid[MODULI[name]])

    def _reachable(self, fraction: float) -> None:
        """ValueError where no material of this fraction of phase 1 conducts so: beyond Wiener's bounds, or
        :func:`slack`'s."""
        shares, phases = torch.tensor([1 - fraction, fraction]).double(), torch.tensor([1.0, self.contrast]).double()
        low, high = (float(end) for end in wiener(phases, shares))
        for name in set(self.wanted) & set(CONDUCTIVITIES):
            if not low <= self.wanted[name] <= high:
                raise ValueError(f"got {name}={self.wanted[name]:g} at a fraction of {fraction:g}; expected {low:.3g} "
                                 f"to {high:.3g}, Wiener's bounds")
        if set(CONDUCTIVITIES) <= set(self.wanted):
            pair = torch.tensor([self.wanted["kx"], self.wanted["ky"]]).double()
            low, high = slack(pair, self.contrast, fraction).tolist()
            if min(low, high) < 0:
                raise ValueError(f"got kx={pair[0]:g} with ky={pair[1]:g} at a fraction of {fraction:g}; expected "
                                 f"{'more' if low < 0 else 'less'} of one: no material of these phases conducts so")

    def conductivity(self, phase: Tensor, tolerance: float = EXACT) -> Tensor:
        """``(*B, 2, 2)`` of ``phase (*B, ny, nx)``, axes x and y."""
        return conductivity(1 + (self.contrast - 1) * phase.mT, tolerance=tolerance)

    def stiffness(self, phase: Tensor, tolerance: float = EXACT) -> Tensor:
        """``(*B, 3, 3)`` of ``phase (*B, ny, nx)`` in Voigt's notation: x, y, shear."""
        young = self.void + (1 - self.void) * phase.mT
        lame = POISSON / (1 + POISSON) / (1 - 2 * POISSON)
        return stiffness(lame * young, young / 2 / (1 + POISSON), tolerance=tolerance)

    def of(self, phase: Tensor, tolerance: float = EXACT) -> Tensor:
        """What is asked for as it is, ``(*B, m)``."""
        found: dict[str, Tensor] = {}
        if self.conducts:
            k = self.conductivity(phase, tolerance)
            found |= {name: k[..., i, i] for name, i in CONDUCTIVITIES.items()}
        if self.elastic:
            c = self.stiffness(phase, tolerance)
            found |= {name: c[..., i, j] for name, (i, j) in MODULI.items()}
        found[SHARE] = phase.mean((-2, -1))
        return torch.stack([found[name] for name in self.wanted], -1)

    def rows(self, phase: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`of` images, ``(B, m)``, and what flipping each of their pixels adds to it, ``(B, m, ny, nx)``."""
        with torch.enable_grad():
            cells = phase.detach().requires_grad_()
            value = self.of(cells, ROUGH)
            rows = [torch.autograd.grad(part.sum(), cells, retain_graph=True)[0] for part in value.unbind(-1)]
        weights = [self._polarised(phase, name) for name in self.wanted]
        return value.detach(), torch.stack([row * weight for row, weight in zip(rows, weights)], 1)

    def _polarised(self, phase: Tensor, name: str) -> Tensor:
        if name == SHARE:
            return torch.ones_like(phase)
        ratio = self.contrast if name in CONDUCTIVITIES else 1 / self.void
        return 2 * torch.where(phase > 0.5, ratio, 1.0) / (1 + ratio)


def slack(pair: Tensor, contrast: float, fraction: float | Tensor) -> Tensor:
    r"""By how much conductivities ``pair (*B, 2)`` are inside of what two phases can do, ``(*B, 2)``; below zero: not.

    .. math:: \sum_i \frac{1}{k_i - k_0} \le \frac{1}{h - k_0} + \frac{1}{a - k_0}, \qquad
              \sum_i \frac{1}{k_1 - k_i} \le \frac{1}{k_1 - h} + \frac{1}{k_1 - a}

    with the harmonic and arithmetic mean ``h, a``; Hashin and Shtrikman's bounds are their isotropic points. "Exact
    estimates of conductivity of composites formed by two isotropically conducting media" (Lurie & Cherkaev, 1984),
    https://doi.org/10.1017/S030821050002564X
    """
    ends = sorted((1.0, contrast))
    mean = fraction * contrast + 1 - fraction
    other = 1 / (fraction / contrast + 1 - fraction)
    least = lambda v: v.clamp_min(1e-12) if isinstance(v, Tensor) else max(v, 1e-12)
    below = (1 / (pair - ends[0]).clamp_min(1e-12)).sum(-1)
    above = (1 / (ends[1] - pair).clamp_min(1e-12)).sum(-1)
    return torch.stack([1 / least(other - ends[0]) + 1 / least(mean - ends[0]) - below,
                        1 / least(ends[1] - other) + 1 / least(ends[1] - mean) - above], -1)
