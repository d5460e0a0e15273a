"""Linear maps of states: selections, interpolations and matrices, each of which keeps its structure.

A map is called as a function, ``(*B, d) -> (*B, m)``, and has an adjoint; together with a Gaussian it knows the
covariance of what it measures (:mod:`sciencegen.linear.gram`).
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor

from ..exact import Gaussian
from ..view import gather, scatter
from .functions import Linear, linearised
from .gram import Full, Gram, Structured, compressed

__all__ = ["Dense", "Local", "Map", "Select", "Sparse"]

LARGEST = 8192  # measurements whose covariance is written down as a matrix


class Map(abc.ABC):
    """A map ``A`` of states to ``m`` measurements, linear or linearised."""

    @abc.abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """``A x``, ``(*B, d) -> (*B, m)``."""

    @abc.abstractmethod
    def gram(self, gaussian: Gaussian) -> Gram:
        """The covariance of the measurements under ``gaussian``; ValueError where it would need too large a matrix."""

    @abc.abstractmethod
    def norms(self, gaussian: Gaussian) -> Tensor:
        """The 2-norm of each row, ``(m,)``; of a function's tangent at the Gaussian's mean."""

    @abc.abstractmethod
    def near(self, x: Tensor) -> Near | Linear:
        """Its value at ``x (*B, d)``, and products with it (``push``) and its adjoint (``pull``)."""


class Near:
    """A map at a state: its ``value (*B, m)``, and products with it (``push``) and its adjoint (``pull``)."""

    def __init__(self, value: Tensor, push: Callable[[Tensor], Tensor], pull: Callable[[Tensor], Tensor]) -> None:
        self.value, self.push, self.pull = value, push, pull


class Sparse(Map):
    """Weighted sums of few coordinates each: ``y_i = sum_k weight_ik x[index_ik]``, at ``O(m k)`` memory.

    Arguments:
        index, weight: ``(m, k)``.
        size: numbers of a state.
    """

    def __init__(self, index: Tensor, weight: Tensor, size: int) -> None:
        if index.shape != weight.shape or index.ndim != 2 or not len(index):
            raise ValueError(f"got index {tuple(index.shape)} and weight {tuple(weight.shape)}; expected (m, k) both")
        if int(index.min()) < 0 or int(index.max()) >= size:
            raise ValueError(f"got indices {int(index.min())} to {int(index.max())}; expected 0 to {size - 1}")
        self.index, self.weight, self.size, self.count = index, weight, size, len(index)

    def __call__(self, x: Tensor) -> Tensor:
        """``A x``, ``(*B, d) -> (*B, m)``."""
        return (gather(x, self.index.to(x.device)) * self.weight.to(x)).sum(-1)

    def adjoint(self, z: Tensor) -> Tensor:
        """``A^T z``, ``(*B, m) -> (*B, d)``."""
        return scatter(z[..., None] * self.weight.to(z), self.index.to(z.device), self.size)

    def at(self, rows: Tensor, value: Tensor) -> tuple[Sparse, Tensor]:
        """The same of the other coordinates, where ``rows (g,)`` are ``value (g,)``; and what those add, ``(m,)``."""
        known = torch.zeros(self.size, dtype=self.weight.dtype).index_copy(0, rows.cpu(), value.cpu().to(self.weight))
        free = torch.ones(self.size, dtype=torch.bool)
        free[rows.cpu()] = False
        place, here = free.cumsum(0) - 1, free[self.index]
        made = Sparse(place[self.index].clamp_min(0), self.weight * here, int(free.sum()))
        return made, (known[self.index] * self.weight * ~here).sum(-1)

    def near(self, x: Tensor) -> Near:
        return Near(self(x), self, self.adjoint)

    def gram(self, gaussian: Gaussian) -> Gram:
        if self.index.shape[1] == 1 and len(self.index.unique()) == self.count:
            return self._structured(gaussian)
        _require_few(self)
        touched, place = self.index.unique(return_inverse=True)
        weight, near = self.weight.to(gaussian.center), torch.zeros(self.count, len(touched)).to(gaussian.center)
        near.scatter_add_(1, place.to(near.device), weight)
        if gaussian.cov is not None:
            return _full(near @ gaussian.axes[touched], gaussian.variances)
        each = _beyond(gaussian)[touched.to(near.device)]
        if gaussian.axes is None:
            return _full(near, each)
        along, rest = _axes(gaussian)
        columns = torch.cat([near @ gaussian.axes[touched], near], -1)
        return Full(columns, torch.cat([along, each]), torch.cat([rest, torch.zeros_like(each)]))

    def _structured(self, gaussian: Gaussian) -> Gram:
        rows, weight = self.index[:, 0].to(gaussian.center.device), self.weight[:, 0].to(gaussian.center)
        if gaussian.cov is not None:
            _require_few(self)
            return _full(weight[:, None] * gaussian.axes[rows], gaussian.variances)
        each = _beyond(gaussian)[rows]
        if gaussian.axes is None:
            return Structured(weight, each)
        return Structured(weight, each, weight[:, None] * gaussian.axes[rows], *_axes(gaussian))

    def norms(self, gaussian: Gaussian) -> Tensor:
        return self.weight.norm(dim=-1)


class Select(Sparse):
    """Coordinates ``rows (m,)`` of a state, each read by itself, times ``scale``, a number or ``(m,)``."""

    def __init__(self, rows: Tensor, size: int, scale: float | Tensor = 1.0) -> None:
        weight = torch.as_tensor(scale, dtype=torch.float64).expand(rows.shape)
        super().__init__(rows[:, None], weight[:, None], size)


class Dense(Map):
    """A matrix ``(m, d)``."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, (self.count, self.size) = matrix, matrix.shape

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.matrix.to(x).mT

    def adjoint(self, z: Tensor) -> Tensor:
        """``A^T z``, ``(*B, m) -> (*B, d)``."""
        return z @ self.matrix.to(z)

    def near(self, x: Tensor) -> Near:
        return Near(self(x), self, self.adjoint)

    def gram(self, gaussian: Gaussian) -> Gram:
        _require_few(self)
        return _full(gaussian.modes(self.matrix.to(gaussian.center)), gaussian.variances)

    def norms(self, gaussian: Gaussian) -> Tensor:
        return self.matrix.norm(dim=-1)


class Local(Map):
    """A function that is linearised where it is asked: near each row; for its covariance, at the Gaussian's mean.

    Arguments:
        function: ``(*B, d) -> (*B, m)``, differentiable.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)

    def near(self, x: Tensor) -> Linear:
        return Linear(self.function, x)

    def gram(self, gaussian: Gaussian) -> Gram:
        return self._tangent(gaussian).gram(gaussian)

    def norms(self, gaussian: Gaussian) -> Tensor:
        return self._tangent(gaussian).norms(gaussian)

    def _tangent(self, gaussian: Gaussian) -> Dense:
        return Dense(linearised(self.function, gaussian.center)[0])


def _full(columns: Tensor, variances: Tensor) -> Full:
    columns, variances = compressed(columns, variances)
    return Full(columns, variances, torch.zeros_like(variances))


def _beyond(gaussian: Gaussian) -> Tensor:
    """Of each coordinate the variance that no axis explains, ``(d,)``."""
    rank = 0 if gaussian.axes is None else gaussian.axes.shape[1]
    return gaussian.variances[rank:] if gaussian.variances.ndim else gaussian.variances.expand(len(gaussian.center))


def _axes(gaussian: Gaussian) -> tuple[Tensor, Tensor]:
    """Variances along the axes of low rank, and what their coordinates have beyond them, ``(k,)`` each."""
    rank = gaussian.axes.shape[1]
    return gaussian.variances[:rank], gaussian.axes.square().mT @ gaussian.variances[rank:]


def _require_few(linear: Map) -> None:
    if linear.count > LARGEST:
        raise ValueError(f"got {linear.count:,} measurements that are no selection, or a Gaussian with a dense "
                         f"covariance, whose matrix takes {8e-9 * linear.count**2:.0f} GB; expected at most "
                         f"{LARGEST:,}, or a Gaussian of low rank: measure fewer")
