r"""Closed-form energies: the oracles, the baselines, and what a network is a correction to.

Convolving a Gaussian (or a mixture of them) with ``N(0, sigma^2 I)`` adds ``sigma^2`` to its variances, so that energy,
score and Tweedie's mean are known at every noise level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .calls import Asking
from .energy import Energy, level
from .view import View

__all__ = ["Gaussian", "Mixture"]


class Gaussian(Energy):
    r"""``N(mean, C)``: ``E = (x-m)^T (C + sigma^2)^{-1} (x-m) / 2 + log det 2 pi (C + sigma^2) / 2``.

    Every function of ``C`` is a number per mode: ``back(f(variances) * modes(v)) = f(C) v``, where the modes are an
    isometry of the state. A diagonal ``C`` has the coordinates as its modes and costs no product; a dense one, its
    eigenvectors; one of low rank, the ``k`` axes and what ``d`` coordinates have beyond them, at ``O(k d)`` a state.

    Arguments:
        mean: ``(d,)``.
        cov: ``(d, d)`` symmetric positive semi-definite; or variances: ``()`` one for all coordinates, ``(d,)`` one
            each; or, with ``axes``, ``(k + 1,)``: along each axis, then the one in every other direction; or
            ``(k + d,)``: then one for what each coordinate has beyond the axes, ``U cov U^T + (1 - U U^T) rest``.
        axes: ``(d, k)``, orthonormal columns, ``0 < k < d``; their span has to be one of parts with equal rest.

    Attributes:
        variances: of the modes: ``()``, ``(d,)`` or, of low rank, ``(k + d,)``.
    """

    def __init__(self, mean: Tensor, cov: Tensor | float, axes: Tensor | None = None) -> None:
        super().__init__()
        mean = torch.as_tensor(mean)
        cov = torch.as_tensor(cov, dtype=None if isinstance(cov, Tensor) else mean.dtype)
        if axes is None:
            if mean.ndim != 1 or cov.shape not in (2 * mean.shape, mean.shape, ()):
                raise ValueError(f"got mean {tuple(mean.shape)} and cov {tuple(cov.shape)}; expected (d,) and (d, d), "
                                 "or variances (d,) or ()")
            variances, axes = torch.linalg.eigh(_symmetric(cov)) if cov.ndim == 2 else (cov, None)
        else:
            _check_axes(mean, cov, axes)
            along, beyond = cov.tensor_split([axes.shape[1]])
            variances = torch.cat([along, beyond.expand_as(mean)])
        low, high = variances.aminmax()
        if low < -1e-6 * high:
            raise ValueError(f"got a covariance with eigenvalue {float(low):.3g}; expected none below zero")
        self.register_buffer("center", mean)
        self.register_buffer("cov", cov if cov.ndim == 2 else None)
        self.register_buffer("variances", variances.clamp_min(0))
        self.register_buffer("axes", axes)

    @classmethod
    def fit(cls, rows: Tensor, rank: int | None = None, floor: float = 0.0) -> Gaussian:
        """Mean and covariance of ``rows (N, d)``, with ``floor`` added to the variance in every direction.

        ``rank`` keeps that many leading axes and gives all other directions their mean variance (0: one variance for
        all); without it the covariance is dense. ValueError unless ``0 <= rank < min(N - 1, d)``.
        """
        count, size = rows.shape
        if rank is not None and not 0 <= rank < min(count - 1, size):
            raise ValueError(f"got rank {rank} for {count} rows of {size} numbers; expected 0 to "
                             f"{min(count - 1, size) - 1}, or None for a dense covariance")
        mean = rows.mean(0, dtype=torch.float64).to(rows)
        if rank is None:
            cov = torch.cov(rows.double().mT).reshape(size, size) + floor * torch.eye(size).to(mean.device)
            return cls(mean, cov.to(rows))
        clean = rows - mean
        total = clean.square().sum(dtype=torch.float64).to(rows) / (count - 1)
        if not rank:
            return cls(mean, total / size + floor)
        axes, variances = _leading(clean, rank)
        rest = ((total - variances.sum()) / (size - rank)).clamp_min(0)
        return cls(mean, torch.cat([variances, rest[None]]) + floor, axes)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Gaussian:
        """The one whose ``state_dict`` this is; axes of low rank may be in 16 bits, and are made orthonormal again.

        By what their rounding moves a state, it may then differ from the axes: that is added to the variance beyond
        them, so that a law that is met more closely (``u`` solves for ``a``) does not contradict the prior.
        """
        center, variances, axes = state["center"], state["variances"], state.get("axes")
        if "cov" in state:
            made = cls(center, state["cov"])
            made.load_state_dict(state)  # diagonalising again, elsewhere, would move its smallest variances
            return made
        if axes is None:
            return cls(center, variances)
        if axes.dtype != center.dtype:
            along, beyond = variances.tensor_split([axes.shape[1]])
            variances = torch.cat([along, beyond + _rounding(axes) * variances.sum() / len(center)])
            axes = _orthonormal(axes).to(center)
        return cls(center, variances, axes)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.evaluate(x, sigma)[0]

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        yield []
        modes, variance = self.modes(x - self.center), self.variances + sigma**2
        return self.value(modes, variance), -self.back(modes / variance)

    def modes(self, v: Tensor) -> Tensor:
        """A direction ``(*B, d)`` by its modes ``(*B, d or k + d)``: lengths and angles stay as they are."""
        if self.axes is None:
            return v
        along = v @ self.axes
        return along if self.cov is not None else torch.cat([along, v - along @ self.axes.mT], dim=-1)

    def back(self, modes: Tensor) -> Tensor:
        """The direction that has these :meth:`modes`, ``(*B, d)``."""
        if self.axes is None:
            return modes
        along, beyond = modes.tensor_split([self.axes.shape[1]], dim=-1)
        return along @ self.axes.mT + beyond if self.cov is None else along @ self.axes.mT

    def value(self, modes: Tensor, variance: Tensor) -> Tensor:
        """The energy ``(*B,)`` from the :meth:`modes` of ``x - center`` and their noised variances."""
        spread = torch.log(2 * math.pi * variance).expand_as(modes)
        total = (modes**2 / variance + spread).sum(-1)
        if modes.shape[-1] > self.center.numel():  # the last d stand for d - k directions
            total = total - spread[..., self.axes.shape[1]:] @ self.axes.square().sum(-1)
        return total / 2

    def marginal(self, view: View) -> Gaussian:
        """The Gaussian of the coordinates in ``view`` (which must have no copies), of the same form.

        Of low rank, it has up to ``k`` axes again; on ``k`` coordinates or fewer it is dense.
        """
        rows = _part(view)
        if len(rows) > len(rows.unique()):
            raise ValueError(f"got a coordinate twice in '{view}'; expected each one once")
        center = self.center[rows]
        if self.cov is not None:
            return Gaussian(center, self.cov[rows][:, rows])
        if self.axes is None:
            return Gaussian(center, self.variances[rows] if self.variances.ndim else self.variances)
        each = self.variances[self.axes.shape[1]:][rows]
        rest, (q, r) = each[-1], torch.linalg.qr(self.axes[rows])
        if not bool((each == rest).all()):
            raise ValueError(f"got '{view}', whose coordinates differ in what they have beyond the axes; expected a "
                             "part in which all have the same, or a dense covariance")
        beyond, turn = torch.linalg.eigh(_halved(r * (self.variances[: r.shape[1]] - rest) @ r.mT))
        if len(rows) > len(beyond):
            return Gaussian(center, torch.cat([beyond + rest, rest[None]]), q @ turn)
        turn = q @ turn
        return Gaussian(center, _halved(turn * (beyond + rest) @ turn.mT))


class Mixture(Energy):
    r"""``sum_k w_k N(mean_k, std_k^2 I)``.

    Arguments:
        weights: ``(k,)`` positive, normalised here.
        means: ``(k, d)``.
        std: ``()`` or ``(k,)``.
    """

    def __init__(self, weights: Tensor, means: Tensor, std: Tensor | float) -> None:
        super().__init__()
        means = torch.as_tensor(means)
        weights = torch.as_tensor(weights, dtype=means.dtype)
        if means.ndim != 2 or weights.shape != means.shape[:1] or not bool((weights > 0).all()):
            raise ValueError(f"got weights {weights.tolist()} and means {tuple(means.shape)}; expected (k,) positive "
                             "numbers and (k, d)")
        self.register_buffer("log_weights", torch.log(weights / weights.sum()))
        self.register_buffer("centers", means)
        self.register_buffer("std", torch.as_tensor(std, dtype=means.dtype))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        variance = self.std**2 + level(sigma, x) ** 2
        square = ((x[..., None, :] - self.centers) ** 2).sum(-1)
        spread = x.shape[-1] / 2 * torch.log(2 * math.pi * variance)
        return -torch.logsumexp(self.log_weights - square / (2 * variance) - spread, dim=-1)

    def marginal(self, view: View) -> Mixture:
        """The mixture of the coordinates in ``view`` (which must have no copies)."""
        return Mixture(self.log_weights.exp(), self.centers[:, _part(view)], self.std)


def _part(view: View) -> Tensor:
    if view.copies:
        raise ValueError(f"got a view with copies, '{view}'; expected one part")
    return view.rows


def _symmetric(cov: Tensor) -> Tensor:
    if not torch.allclose(cov, cov.mT, atol=1e-6 * float(cov.abs().max())):
        raise ValueError("got a covariance that is not symmetric; expected cov == cov.T")
    return cov


def _halved(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


def _check_axes(mean: Tensor, cov: Tensor, axes: Tensor) -> None:
    size, rank = axes.shape if axes.ndim == 2 else (0, 0)
    if mean.shape != (size,) or cov.shape not in ((rank + 1,), (rank + size,)) or not 0 < rank < size:
        raise ValueError(f"got mean {tuple(mean.shape)}, cov {tuple(cov.shape)} and axes {tuple(axes.shape)}; expected "
                         "(d,), (k + 1,) or (k + d,), and (d, k) with 0 < k < d")
    error = float((axes.mT @ axes - torch.eye(rank).to(axes)).abs().max())
    if not error < 1e-3:
        raise ValueError(f"got axes that are orthonormal only to {error:.2g}; expected columns such as qr returns")
    turned = cov[rank:, None] * axes
    error = float((turned - axes @ (axes.mT @ turned)).abs().max())
    if not error <= 1e-3 * float(cov[rank:].abs().max()):
        raise ValueError("got axes that mix coordinates with unequal variances beyond them; expected a span made of "
                         "parts with equal ones, as the leading axes of each part together")


def _orthonormal(axes: Tensor) -> Tensor:
    """The nearest orthonormal columns to ``axes (d, k)``, which nearly are: Newton and Schulz's steps in float64."""
    axes = axes.double()
    for _ in range(2):
        axes = (3 * axes - axes @ (axes.mT @ axes)) / 2
    return axes


def _rounding(axes: Tensor) -> float:
    """Mean square of the relative error of numbers in this precision, their leading digits as they come."""
    return torch.finfo(axes.dtype).eps ** 2 / 24


def _leading(rows: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading axes ``(d, rank)`` and variances of centred ``rows (N, d)``, by iterating a subspace that is larger.

    "Finding Structure with Randomness" (Halko, Martinsson & Tropp, 2011), https://arxiv.org/abs/0909.4061
    """
    (count, size), generator = rows.shape, torch.Generator().manual_seed(0)
    basis = torch.randn(size, min(rank + 16, size), generator=generator, dtype=torch.float64).to(rows)
    for _ in range(5):
        basis = torch.linalg.qr(rows.mT @ (rows @ basis)).Q
    _, lengths, turn = torch.linalg.svd(rows @ basis, full_matrices=False)
    return _orthonormal(basis @ turn.mT[:, :rank]).to(rows), lengths[:rank] ** 2 / (count - 1)
