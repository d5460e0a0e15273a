"""What an evaluation of an energy comes to, and the closed form that energies may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..view import scatter

__all__ = ["Evaluation", "Information", "Reading"]

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


class Evaluation(NamedTuple):
    """Value, score and record of an energy at one state and noise level.

    Arguments:
        value: ``(*B,)``; None where only a score is known.
        score: ``(*B, d)``.
        told: ``{name: (*B,)}``, numbers a row that are worth recording (a term's energy, a misfit). They add like
            energies, and go through the same accept decisions as the state.
    """

    value: Tensor | None
    score: Tensor
    told: Mapping[str, Tensor] = NOTHING

    def where(self, accept: Tensor, other: Evaluation) -> Evaluation:
        """Rows of this one where ``accept (*B,)`` is true, of ``other`` elsewhere."""
        told = {k: torch.where(accept, v, other.told[k]) for k, v in self.told.items()}
        value = None if self.value is None else torch.where(accept, self.value, other.value)
        return Evaluation(value, torch.where(accept[..., None], self.score, other.score), told)

    def detached(self) -> Evaluation:
        """The same without a graph."""
        value = None if self.value is None else self.value.detach()
        return Evaluation(value, self.score.detach(), {k: v.detach() for k, v in self.told.items()})


class Reading(NamedTuple):
    """A law as a measurement: ``function(x) -> (*B, m)`` reads zero up to ``noise``, a number or ``(m,)``."""

    function: Callable[[Tensor], Tensor]
    noise: Tensor


class Information(NamedTuple):
    r"""A Gaussian factor by its precision: ``x^T Q x / 2 - h^T x``, which need not know all coordinates.

    Factors of a product add, parts are embedded and weights scale, so that any sum of Gaussians has one.

    Arguments:
        precision: ``(d,)`` where it is diagonal, else ``(d, d)``.
        shift: ``(d,)``, precision times mean.
        make: ``(mean, cov) -> Gaussian``.
    """

    precision: Tensor
    shift: Tensor
    make: Callable[[Tensor, Tensor], Any]

    def times(self, weight: float) -> Information:
        """The factor of ``weight`` times the energy."""
        return Information(weight * self.precision, weight * self.shift, self.make)

    def plus(self, other: Information) -> Information:
        """The factor of the sum of both energies."""
        first, second = self.precision, other.precision
        if first.ndim != second.ndim:
            first, second = (torch.diag(p) if p.ndim == 1 else p for p in (first, second))
        return Information(first + second, self.shift + other.shift, self.make)

    def embedded(self, rows: Tensor, size: int) -> Information:
        """The factor of copies ``rows (*copies, n)`` of this one in a state of ``size`` numbers."""
        rows = rows.reshape(-1, rows.shape[-1])
        shift = scatter(self.shift.expand(rows.shape), rows, size)
        if self.precision.ndim == 1:
            return Information(scatter(self.precision.expand(rows.shape), rows, size), shift, self.make)
        whole = self.precision.new_zeros(size * size)
        places = (rows[:, :, None] * size + rows[:, None, :]).reshape(-1)
        whole.index_add_(0, places, self.precision.reshape(-1).repeat(len(rows)))
        return Information(whole.reshape(size, size), shift, self.make)

    def gaussian(self) -> Any | None:
        """The Gaussian; None where the factor is not one, for want of curvature in some direction."""
        if self.precision.ndim == 1:
            good = bool((self.precision > 0).all())
            return self.make(self.shift / self.precision, 1 / self.precision) if good else None
        lower, failed = torch.linalg.cholesky_ex(self.precision)
        if int(failed):
            return None
        cov = torch.cholesky_inverse(lower)
        return self.make(cov @ self.shift, (cov + cov.mT) / 2)
