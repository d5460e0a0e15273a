r"""Covariances of measurements, ``noise^2 + A f(C) A^T`` with ``f(C) = sigma^2 C / (C + sigma^2)``, in factored form.

``f(C)`` of a Gaussian is a number for each mode. Seen through ``A`` it is a diagonal plus a product of few columns,

.. math:: A f(C) A^T = w^2 f(e) + M \, (f(v) - f(r)) \, M^T ,

so that a selection of coordinates costs as much memory as it has numbers. A factor ``L`` with ``L L^T`` equal to the
whole is what whitens: ``L^{-1} z`` and ``L^{-T} z``.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Full", "Gram", "Structured", "Whitening"]


class Whitening(abc.ABC):
    """A factor ``L`` of a covariance of ``m`` measurements: both its inverses, rows of ``(*B, m)`` in and out."""

    @abc.abstractmethod
    def white(self, z: Tensor) -> Tensor:
        """``L^{-1} z``: unit covariance."""

    @abc.abstractmethod
    def colour(self, z: Tensor) -> Tensor:
        """``L^{-T} z``."""


@dataclass(frozen=True)
class Triangle(Whitening):
    """By the inverse of a Cholesky factor, ``(m, m)``."""

    inverse: Tensor

    def white(self, z: Tensor) -> Tensor:
        return z @ self.inverse.to(z).mT

    def colour(self, z: Tensor) -> Tensor:
        return z @ self.inverse.to(z)


@dataclass(frozen=True)
class Scaled(Whitening):
    r"""``L = D^{1/2} (1 + Q (T - 1) Q^T)``: standard deviations ``(m,)``, and along few columns ``Q (m, k)`` more.

    ``less`` is ``T^{-1} - 1``, ``(k, k)``; both None for a diagonal covariance.
    """

    deviations: Tensor
    columns: Tensor | None = None
    less: Tensor | None = None

    def white(self, z: Tensor) -> Tensor:
        return self._along(z / self.deviations.to(z))

    def colour(self, z: Tensor) -> Tensor:
        return self._along(z) / self.deviations.to(z)

    def _along(self, z: Tensor) -> Tensor:
        if self.columns is None:
            return z
        columns = self.columns.to(z)
        return z + (z @ columns @ self.less.to(z)) @ columns.mT


@dataclass(frozen=True)
class Mixed(Whitening):
    """A factor for each noise level, where rows are at different ones: ``which (*B,)`` says at which."""

    each: tuple[Whitening, ...]
    which: Tensor

    def white(self, z: Tensor) -> Tensor:
        return self._by_level(z, [w.white for w in self.each])

    def colour(self, z: Tensor) -> Tensor:
        return self._by_level(z, [w.colour for w in self.each])

    def _by_level(self, z: Tensor, functions: list) -> Tensor:
        which, out = self.which.expand(z.shape[:-1]), torch.empty_like(z)
        for k, function in enumerate(functions):
            out[which == k] = function(z[which == k])
        return out


class Gram(abc.ABC):
    """A measurement's covariance at any noise level."""

    @abc.abstractmethod
    def whitening(self, sigma: float, noise: Tensor) -> Whitening:
        """The factor at level ``sigma`` with ``noise (m,)`` in float64."""


@dataclass(frozen=True)
class Full(Gram):
    """``M (f(v) - f(r)) M^T`` with columns ``M (m, c)``: an ``m`` by ``m`` matrix, factored at each level.

    In double precision: its condition number may be a million, and the square of single precision's is not.
    """

    columns: Tensor
    variances: Tensor
    rest: Tensor

    def whitening(self, sigma: float, noise: Tensor) -> Whitening:
        columns, weights = self.columns.double(), _answer(self.variances, sigma) - _answer(self.rest, sigma)
        system = (columns * weights) @ columns.mT
        system.diagonal().add_(noise.to(system) ** 2)
        lower = torch.linalg.cholesky(system)
        return Triangle(torch.linalg.solve_triangular(lower, torch.eye(len(lower)).to(lower), upper=False))


@dataclass(frozen=True)
class Structured(Gram):
    """A diagonal ``w^2 f(e)``, ``(m,)``, and where there are axes ``M (f(v) - f(r)) M^T`` with ``M (m, k)``."""

    scale: Tensor
    each: Tensor
    columns: Tensor | None = None
    variances: Tensor | None = None
    rest: Tensor | None = None

    def whitening(self, sigma: float, noise: Tensor) -> Whitening:
        each = self.scale.double() ** 2 * _answer(self.each, sigma)
        deviations = (noise.to(each) ** 2 + each).sqrt()
        if self.columns is None:
            return Scaled(deviations)
        q, r = torch.linalg.qr(self.columns.double() / deviations[:, None])
        weights = _answer(self.variances, sigma) - _answer(self.rest, sigma)
        inner = torch.eye(len(r)).to(r) + (r * weights) @ r.mT
        values, turn = torch.linalg.eigh((inner + inner.mT) / 2)
        return Scaled(deviations, q, (turn * (values.clamp_min(1e-12).rsqrt() - 1)) @ turn.mT)


def compressed(columns: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """``M (m, r), v (r,)`` with the same ``M f(v) M^T``: no more than ``m`` columns share the last variance."""
    variances = variances.expand(columns.shape[-1]).clone()
    same = variances == variances[-1]
    if same.sum() <= len(columns):
        return columns, variances
    shared = torch.linalg.qr(columns[:, same].mT, mode="r").R.mT
    last = variances[-1:].expand(len(columns))
    return torch.cat([columns[:, ~same], shared], -1), torch.cat([variances[~same], last])


def _answer(variances: Tensor, sigma: float) -> Tensor:
    """``f(v) = sigma^2 v / (v + sigma^2)``, what a level leaves open of a variance."""
    variances = variances.double()
    return sigma**2 * variances / (variances + sigma**2)
