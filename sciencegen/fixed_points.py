r"""Fixed-point iterations of coupled solvers: Picard's, relaxed, Aitken's and IQN-ILS, without Jacobians.

A round :math:`\tilde x = H(x)` calls every solver once; its residual is :math:`r = \tilde x - x`.

- Relaxation, :math:`x + \omega r`: it converges where all eigenvalues of :math:`H'` lie within the circle of radius
  :math:`1 / \omega` about :math:`1 - 1 / \omega`; Picard's iteration is that of :math:`\omega = 1`.
- Aitken's: :math:`\omega_k = -\omega_{k-1} \, r_{k-1} \cdot (r_k - r_{k-1}) / |r_k - r_{k-1}|^2`, a secant along one
  direction.
- IQN-ILS, the interface quasi-Newton method with an inverse Jacobian from least squares: with the differences
  :math:`V` of residuals and :math:`W` of :math:`\tilde x`, :math:`x = \tilde x + W \alpha`,
  :math:`\alpha = \arg\min |V \alpha + r|`. It is preCICE's method of choice, and GMRES where H is linear. Columns that
  depend on newer ones to within a small share of their size are left out (preCICE's filter QR2).

Rows of a batch are independent, and a row stands still once it has converged.

References:
    Fixed-point fluid-structure interaction solvers with dynamic relaxation (Kuettler & Wall, 2008),
    https://doi.org/10.1007/s00466-008-0255-5; Performance of a new partitioned procedure versus a monolithic procedure
    in fluid-structure interaction (Degroote, Bathe & Vierendeels, 2009), https://doi.org/10.1016/j.compstruc.2008.11.013;
    preCICE v2 (Chourdakis et al., 2022), https://doi.org/10.12688/openreseurope.14445.2
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Aitken", "FixedPoint", "InterfaceQuasiNewton", "Iteration", "Relaxed", "fixed_point"]

KEPT = 40  # rounds that a rule may look back at


class FixedPoint(NamedTuple):
    """Where an iteration ended.

    Arguments:
        point: ``(b, d)``; the last H(x), whose residual has been measured.
        iterations: rounds of each row ``(b,)``, all of them where it has not converged.
        converged: ``(b,)``.
        history: residual after each round, ``(rounds, b)``; that of a row that stands still is repeated.
        starts, ends: of the last rounds.
    """

    point: Tensor
    iterations: Tensor
    converged: Tensor
    history: Tensor
    starts: list[Tensor]
    ends: list[Tensor]


class Iteration(abc.ABC):
    """The rule that makes the next start of a round of all rounds so far."""

    @abc.abstractmethod
    def next(self, starts: Sequence[Tensor], ends: Sequence[Tensor], memory: Tensor | None
             ) -> tuple[Tensor, Tensor | None]:
        """The next start ``(b, d)`` from starts and ends of the rounds so far, and what the rule remembers."""


@dataclass(frozen=True)
class Relaxed(Iteration):
    """Picard's iteration, relaxed by a constant ``factor``; 1 for none."""

    factor: float = 1.0

    def next(self, starts: Sequence[Tensor], ends: Sequence[Tensor], memory: Tensor | None
             ) -> tuple[Tensor, Tensor | None]:
        """``x + factor r``."""
        return starts[-1] + self.factor * (ends[-1] - starts[-1]), None


@dataclass(frozen=True)
class Aitken(Iteration):
    """Relaxation by Aitken's factor, which begins with ``first``."""

    first: float = 0.5

    def next(self, starts: Sequence[Tensor], ends: Sequence[Tensor], memory: Tensor | None
             ) -> tuple[Tensor, Tensor | None]:
        """``x + omega r``; omega ``(b, 1)`` is remembered."""
        now = ends[-1] - starts[-1]
        if memory is None:
            omega = torch.full_like(now[:, :1], self.first)
        else:
            before = ends[-2] - starts[-2]
            change = now - before
            omega = -memory * (before * change).sum(-1, keepdim=True) / _safe(change.square().sum(-1, keepdim=True))
        return starts[-1] + omega * now, omega


@dataclass(frozen=True)
class InterfaceQuasiNewton(Iteration):
    """IQN-ILS.

    Arguments:
        first: relaxation of the first round, of which no difference is known.
        columns: how many differences are kept, the newest.
        filter: a column counts if at least that share of it does not depend on newer ones.
    """

    first: float = 0.5
    columns: int = 20
    filter: float = 1e-4

    def next(self, starts: Sequence[Tensor], ends: Sequence[Tensor], memory: Tensor | None
             ) -> tuple[Tensor, Tensor | None]:
        """``H(x) + W alpha``."""
        lacks = [end - start for start, end in zip(starts, ends)]
        if len(lacks) < 2:
            return starts[-1] + self.first * lacks[-1], None
        rest, found, newest = -lacks[-1], ends[-1], range(len(lacks) - 1, max(0, len(lacks) - 1 - self.columns), -1)
        kept: list[tuple[Tensor, Tensor]] = []
        for k in newest:
            v, w = lacks[k] - lacks[k - 1], ends[k] - ends[k - 1]
            size = v.norm(dim=-1, keepdim=True)
            for unit, moved in kept * 2:  # twice, against rounding
                share = (unit * v).sum(-1, keepdim=True)
                v, w = v - share * unit, w - share * moved
            length = v.norm(dim=-1, keepdim=True)
            counts = (length > self.filter * size).to(v)
            unit, moved = counts * v / _safe(length), counts * w / _safe(length)
            kept.append((unit, moved))
            found = found + (unit * rest).sum(-1, keepdim=True) * moved
        return found, None


def fixed_point(step: Callable[[Tensor], Tensor], start: Tensor, how: Iteration, tolerance: float | Tensor = 1e-6,
                most: int = 500, absolute: bool = False) -> FixedPoint:
    """Iterate ``H`` from ``start (b, d)`` until ``|H(x) - x| <= tolerance |H(x)|`` in every row, or ``most`` rounds.

    Arguments:
        step: H, from ``(b, d)`` to ``(b, d)``, rows independent.
        start: where the first round starts.
        how: the rule.
        tolerance: of the residual, a number or one a row, ``(b,)``.
        most: rounds.
        absolute: it is of the root mean square of the residual itself.
    """
    x, memory, done = start, None, torch.zeros(len(start), dtype=torch.bool, device=start.device)
    starts, ends, history = [], [], []
    rounds = torch.zeros(len(start), dtype=torch.long, device=start.device)
    for _ in range(most):
        end = torch.where(done[:, None], ends[-1] if ends else x, step(x))
        rounds = rounds + (~done).long()
        size = max(x.shape[-1], 1) ** 0.5 if absolute else _safe(end.norm(dim=-1))
        residual = (end - x).norm(dim=-1) / size
        history.append(torch.where(done, history[-1], residual) if history else residual)
        done = done | (residual <= tolerance)
        starts, ends = [*starts[-KEPT:], x], [*ends[-KEPT:], end]
        if bool((done | ~end.isfinite().all(-1)).all()):
            break
        following, memory = how.next(starts, ends, memory)
        x = torch.where(done[:, None], x, following)
    return FixedPoint(ends[-1], rounds, done, torch.stack(history), starts, ends)


def _safe(number: Tensor) -> Tensor:
    return number.clamp_min(torch.finfo(number.dtype).tiny)
