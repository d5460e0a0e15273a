r"""The joint Gaussian of which several conditional Gaussians are the conditionals.

A Gaussian's conditionals stand in the rows of its precision matrix: with
:math:`u | v \sim N(m + K v, \; P^{-1})` they are :math:`\Lambda_{uu} = P, \; \Lambda_{uv} = -P K`. Conditionals are
those of one density where the matrix that their rows make is symmetric; of learned ones it is nearly so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..energy import Energy, Information
from ..exact import Gaussian
from ..view import View, gather

__all__ = ["Precision", "Stated", "precision_of"]

FLAT = 1e-12  # least variance that is inverted
LARGEST = 1024  # numbers of a state of which a dense matrix is made
UNLIKE = 0.2  # asymmetry, as a share of the matrix, from which rows are not of one Gaussian


class Stated(Protocol):
    """What is asked of a block: an energy of its ``free`` coordinates given the others, and where they are."""

    rows: Tensor
    scale: Tensor
    shift: Tensor
    known: Energy
    free: Tensor


class Precision(NamedTuple):
    """A Gaussian of the free coordinates of a state, as a function of those that are known.

    Arguments:
        free, known: which they are, rising.
        matrix: ``(f, f)``, symmetric and positive.
        shift: ``(f,)``, the matrix times the mean where what is known is zero.
        pull: ``(f, k)``, by how much each known number moves it.
        values, axes: eigenvalues ``(f,)`` and vectors ``(f, f)`` of the matrix.
    """

    free: Tensor
    known: Tensor
    matrix: Tensor
    shift: Tensor
    pull: Tensor
    values: Tensor
    axes: Tensor

    def at(self, value: Tensor) -> Gaussian:
        """The Gaussian of the free coordinates where the known ones are ``value (*B or none, k)``."""
        told = self.shift.to(value) + value @ self.pull.to(value).mT
        one = told.reshape(-1, told.shape[-1])[0]
        found = Information(self.matrix.to(value), one, Gaussian).gaussian()
        return found if told.ndim == 1 else found.around(told @ found.cov.mT)

    def mean(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Tweedie's mean ``(M, f)`` of the free coordinates of ``x (M, d)`` at levels ``sigma (M, 1)``."""
        axes, noisy = self.axes.to(x), gather(x, self.free)
        told = self.shift.to(x) + gather(x, self.known) @ self.pull.to(x).mT
        modes = (sigma**2 * told + noisy) @ axes
        return (modes / (1 + sigma**2 * self.values.to(x))) @ axes.mT


def precision_of(blocks: Sequence[Stated], known: Tensor, size: int) -> Precision | None:
    """The joint Gaussian of blocks' conditional Gaussians; None where one has none, or they are not of one density."""
    free = torch.ones(size, dtype=torch.bool)
    free[known] = False
    free = free.nonzero()[:, 0]
    if not 0 < len(free) <= LARGEST or size > 4 * LARGEST:
        return None
    matrix, shift = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for block in blocks:
        stated = _stated(block)
        if stated is None:
            return None
        count = block.rows.shape[-1]
        scales, shifts = (v.double().expand(block.rows.shape).reshape(-1, count) for v in (block.scale, block.shift))
        for copy, scale, moved in zip(block.rows.reshape(-1, count), scales, shifts):
            own, others = copy[stated.own], copy[stated.others]
            matrix[own[:, None], own] += stated.inverse
            matrix[own[:, None], others] -= stated.inverse @ stated.gain * scale[stated.others]
            shift[own] += stated.inverse @ (stated.center + stated.gain @ moved[stated.others])
    inner = matrix[free][:, free]
    if float((inner - inner.mT).norm()) > UNLIKE * float(inner.norm()):
        return None
    inner = (inner + inner.mT) / 2
    values, axes = torch.linalg.eigh(inner)
    if not float(values[0]) > 0:
        return None
    return Precision(free, known, inner, shift[free], -matrix[free][:, known], values, axes)


class _Conditional(NamedTuple):
    """``own | others ~ N(center + gain others, inverse^{-1})`` in a model's own coordinates."""

    own: Tensor
    others: Tensor
    center: Tensor
    gain: Tensor
    inverse: Tensor


def _stated(block: Stated) -> _Conditional | None:
    """The conditional Gaussian of a block; None where it has none."""
    count = block.rows.shape[-1]
    given = torch.ones(count, dtype=torch.bool)
    given[block.free] = False
    view = View(given.nonzero()[:, 0], 0, count, "the other fields")
    like = next((t for t in (*block.known.parameters(), *block.known.buffers()) if t.is_floating_point()),
                torch.zeros(0, dtype=torch.float64))
    probes = torch.cat([torch.zeros(1, len(view.rows)), torch.eye(len(view.rows))]).to(like)
    found = block.known.gaussian_at(view, probes) if len(view.rows) else block.known.gaussian()
    if found is None:
        return None
    center = found.center.double().cpu().expand(len(probes), -1)
    unit = torch.eye(center.shape[-1]).to(found.variances)
    inverse = found.back(found.modes(unit) / found.variances.clamp_min(FLAT)).double().cpu()
    return _Conditional(view.rest, view.rows, center[0], (center[1:] - center[:1]).mT, inverse)
