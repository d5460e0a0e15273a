"""Covariances of low rank and parts of a state: what the closed forms share."""

from __future__ import annotations

import torch
from torch import Tensor

from ..view import View

__all__ = ["check_axes", "check_turned", "halved", "leading", "one_part", "orthonormal", "rounding",
           "symmetric"]


def one_part(view: View) -> Tensor:
    """The coordinates ``(n,)`` of a view without copies; ValueError for one with copies."""
    if view.copies:
        raise ValueError(f"got a view with copies, '{view}'; expected one part")
    return view.rows


def symmetric(cov: Tensor) -> Tensor:
    """``cov`` itself; ValueError unless it is symmetric."""
    if not torch.allclose(cov, cov.mT, atol=1e-6 * float(cov.abs().max())):
        raise ValueError("got a covariance that is not symmetric; expected cov == cov.T")
    return cov


def halved(matrix: Tensor) -> Tensor:
    """The symmetric part of a matrix."""
    return (matrix + matrix.mT) / 2


def check_axes(mean: Tensor, cov: Tensor, axes: Tensor) -> None:
    """ValueError unless these make a Gaussian of low rank: shapes, orthonormal axes, equal rest where they mix."""
    size, rank = axes.shape if axes.ndim == 2 else (0, 0)
    if mean.shape != (size,) or cov.shape not in ((rank + 1,), (rank + size,)) or not 0 < rank < size:
        raise ValueError(f"got mean {tuple(mean.shape)}, cov {tuple(cov.shape)} and axes {tuple(axes.shape)}; expected "
                         "(d,), (k + 1,) or (k + d,), and (d, k) with 0 < k < d")
    error = float((axes.mT @ axes - torch.eye(rank).to(axes)).abs().max())
    if not error < _tolerance(axes):
        raise ValueError(f"got axes that are orthonormal only to {error:.2g}; expected columns such as qr returns")
    turned = cov[rank:, None] * axes
    error = float((turned - axes @ (axes.mT @ turned)).abs().max())
    if not error <= _tolerance(axes) * float(cov[rank:].abs().max()):
        raise ValueError("got axes that mix coordinates with unequal variances beyond them; expected a span made of "
                         "parts with equal ones, as the leading axes of each part together")


def check_turned(mean: Tensor, cov: Tensor, variances: Tensor, axes: Tensor | None) -> None:
    """ValueError unless ``cov (d, d)`` has these variances along these axes: tried on a few directions, not proved."""
    size = len(mean)
    if axes is None or {cov.shape, axes.shape} != {(size, size)} or variances.shape != mean.shape:
        raise ValueError(f"got mean {tuple(mean.shape)}, cov {tuple(cov.shape)} and axes "
                         f"{None if axes is None else tuple(axes.shape)}; expected (d,), (d, d) and (d, d)")
    probes = torch.randn(size, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(axes)
    along = axes.mT @ probes
    for got, wanted in ((axes @ along, probes), (axes @ (variances[:, None] * along), cov @ probes)):
        if not float((got - wanted).norm()) <= _tolerance(axes) * float(wanted.norm()):
            raise ValueError("got a covariance whose axes and variances are another's; expected its own eigenvectors")


def _tolerance(axes: Tensor) -> float:
    return max(1e-3, 2 * torch.finfo(axes.dtype).eps)


def orthonormal(axes: Tensor) -> Tensor:
    """The nearest orthonormal columns to ``axes (d, k)``, which nearly are: Newton and Schulz's steps in float64."""
    axes = axes.double()
    for _ in range(2):
        axes = (3 * axes - axes @ (axes.mT @ axes)) / 2
    return axes


def rounding(axes: Tensor) -> float:
    """Mean square of the relative error of numbers in this precision, their leading digits as they come."""
    return torch.finfo(axes.dtype).eps ** 2 / 24


def leading(rows: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading axes ``(d, rank)`` and variances of centred ``rows (N, d)``, by iterating a subspace that is larger.

    "Finding Structure with Randomness" (Halko, Martinsson & Tropp, 2011), https://arxiv.org/abs/0909.4061
    """
    (count, size), generator = rows.shape, torch.Generator().manual_seed(0)
    basis = torch.randn(size, min(rank + 16, size), generator=generator, dtype=torch.float64).to(rows)
    for _ in range(5):
        basis = torch.linalg.qr(rows.mT @ (rows @ basis)).Q
    _, lengths, turn = torch.linalg.svd(rows @ basis, full_matrices=False)
    return orthonormal(basis @ turn.mT[:, :rank]).to(rows), lengths[:rank] ** 2 / (count - 1)
