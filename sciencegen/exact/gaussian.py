r"""Closed-form energies: the oracles, the baselines, and what a network is a correction to.

Convolving a Gaussian (or a mixture of them) with ``N(0, sigma^2 I)`` adds ``sigma^2`` to its variances, so that energy,
score and Tweedie's mean are known at every noise level.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..calls import Plan
from ..energy import Ahead, Energy, Evaluation, Information
from ..values import finite
from ..view import View
from .axes import check_axes, check_turned, halved, leading, one_part, orthonormal, rounding, symmetric

if TYPE_CHECKING:
    from .conditional import Conditional

__all__ = ["Gaussian"]

LARGEST = 4096  # numbers of a state of which a dense matrix is made


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
        finite("a Gaussian's mean", mean)
        finite("a Gaussian's covariance", cov)
        if axes is None:
            if mean.ndim != 1 or cov.shape not in (2 * mean.shape, mean.shape, ()):
                raise ValueError(f"got mean {tuple(mean.shape)} and cov {tuple(cov.shape)}; expected (d,) and (d, d), "
                                 "or variances (d,) or ()")
            variances, axes = torch.linalg.eigh(symmetric(cov)) if cov.ndim == 2 else (cov, None)
        else:
            check_axes(mean, cov, axes)
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
        if rows.ndim != 2 or len(rows) < 2 or not rows.is_floating_point():
            raise ValueError(f"got rows of shape {tuple(rows.shape)}, {rows.dtype}; expected (N, d) real floats of two "
                             "samples or more")
        finite("the rows", rows)
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
        axes, variances = leading(clean, rank)
        rest = ((total - variances.sum()) / (size - rank)).clamp_min(0)
        return cls(mean, torch.cat([variances, rest[None]]) + floor, axes)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Gaussian:
        """The one whose ``state_dict`` this is; axes of low rank may be in 16 bits, and are made orthonormal again.

        By what their rounding moves a state, it may then differ from the axes: that is added to the variance beyond
        them, so that a law that is met more closely (``u`` solves for ``a``) does not contradict the prior. ValueError
        if they are the tensors of no Gaussian.
        """
        if odd := [name for name, value in state.items() if not value.is_floating_point()]:
            raise ValueError(f"got {odd[0]} as {state[odd[0]].dtype}; expected real floats")
        center, variances, axes = state["center"], state["variances"], state.get("axes")
        if "cov" in state:
            made = cls(center, variances)  # diagonalising again would move its smallest variances
            check_turned(center, state["cov"], variances, axes)
            made.register_buffer("cov", state["cov"])
            made.register_buffer("axes", axes.mT.contiguous().mT)  # in memory as eigh leaves them, to the last bit
            return made
        if axes is None:
            return cls(center, variances)
        if axes.dtype != center.dtype:
            along, beyond = variances.tensor_split([axes.shape[1]])
            variances = torch.cat([along, beyond + rounding(axes) * variances.sum() / len(center)])
            axes = orthonormal(axes).to(center)
        return cls(center, variances, axes)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.evaluate(x, sigma)[0]

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        def finish(_: object) -> Evaluation:
            modes, variance = self.modes(x - self.center), self.variances + sigma**2
            return Evaluation(self.value(modes, variance), -self.back(modes / variance))

        return Plan((), finish)

    def gaussian(self) -> Gaussian:
        return self

    def information(self) -> Information | None:
        """None for a large state without a diagonal covariance, or where a variance is zero."""
        size = self.center.numel()
        if (self.axes is not None and size > LARGEST) or not bool((self.variances > 0).all()):
            return None
        if self.axes is None:
            precision = (1 / self.variances).expand(size)
            return Information(precision, precision * self.center, Gaussian)
        precision = self.back(self.modes(torch.eye(size).to(self.center)) / self.variances)
        return Information(precision, precision @ self.center, Gaussian)

    def times(self, weight: float) -> Gaussian:
        """The Gaussian of ``weight`` times the energy: its variances by ``weight``, in the same form."""
        if self.cov is not None or self.axes is None:
            return Gaussian(self.center, (self.variances if self.cov is None else self.cov) / weight)
        return Gaussian(self.center, self.variances / weight, self.axes)

    def around(self, center: Tensor) -> Gaussian:
        """The same about another mean ``(d,)``, or several ``(*B, d)``."""
        other = copy.copy(self)
        other._buffers = {**self._buffers, "center": center}
        return other

    def given(self, view: View) -> Conditional:
        """The conditional Gaussian of the other coordinates, where those in ``view`` are known clean."""
        from .conditional import Conditional

        return Conditional(self, view)

    def ahead(self, view: View, sampler: Any = None) -> Ahead:
        return self.given(view).drawn

    def coloured(self, white: Tensor, power: float = 0.5, sigma: Tensor | float = 0.0) -> Tensor:
        """``(C + sigma^2)^power white (*B, d)``: of standard normal numbers, by default, draws less the mean."""
        return self.back((self.variances + sigma**2) ** power * self.modes(white))

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

    def deviations(self) -> Tensor:
        """The standard deviation of each coordinate, ``(d,)``."""
        if self.axes is None:
            return self.variances.sqrt().expand_as(self.center)
        squares = self.axes.square()
        along, beyond = self.variances.tensor_split([squares.shape[1]])
        rest = beyond * (1 - squares.sum(-1)).clamp_min(0) if self.cov is None else 0
        return (squares @ along + rest).sqrt()

    def value(self, modes: Tensor, variance: Tensor) -> Tensor:
        """The energy ``(*B,)`` from the :meth:`modes` of ``x - center`` and their noised variances."""
        spread = torch.log(2 * math.pi * variance).expand_as(modes)
        total = (modes**2 / variance + spread).sum(-1)
        if modes.shape[-1] > self.center.shape[-1]:  # the last d stand for d - k directions
            total = total - spread[..., self.axes.shape[1]:] @ self.axes.square().sum(-1)
        return total / 2

    def marginal(self, view: View) -> Gaussian:
        """The Gaussian of the coordinates in ``view`` (which must have no copies), of the same form.

        Of low rank, it has up to ``k`` axes again; on ``k`` coordinates or fewer it is dense.
        """
        rows = one_part(view)
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
        beyond, turn = torch.linalg.eigh(halved(r * (self.variances[: r.shape[1]] - rest) @ r.mT))
        if len(rows) > len(beyond):
            return Gaussian(center, torch.cat([beyond + rest, rest[None]]), q @ turn)
        turn = q @ turn
        return Gaussian(center, halved(turn * (beyond + rest) @ turn.mT))
