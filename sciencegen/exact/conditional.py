r"""The conditional Gaussian: an energy of some coordinates where the others are known.

For a Gaussian over free and given coordinates ``(f, g)``,

.. math:: x_f | x_g \sim N(m_f + C_{fg} C_{gg}^{-1} (x_g - m_g), \; C_{ff} - C_{fg} C_{gg}^{-1} C_{gf}) ,

and noise on ``f`` alone adds ``sigma^2`` to its variances.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..calls import Plan
from ..energy import Energy, Evaluation
from ..random import Streams
from ..view import View, scatter
from .axes import halved, one_part
from .gaussian import Gaussian

__all__ = ["Conditional"]

LARGEST = 1024  # numbers of which a dense covariance is made where no other form has them


class Conditional(Energy):
    """``-log N(x_f; mean(x_g), C + sigma^2)`` over the whole state ``(*B, d)``; its score is zero on what is given.

    Arguments:
        joint: the Gaussian of all coordinates.
        view: those that are given, without copies.

    Attributes:
        rest: the Gaussian of the free coordinates, at its mean where the given ones are at theirs.
        free, rows: which coordinates are free ``(f,)``, and given ``(g,)``.

    Raises:
        ValueError: every coordinate is given, or one of them twice.
    """

    def __init__(self, joint: Gaussian, view: View) -> None:
        super().__init__()
        rows, size, device = one_part(view), joint.center.numel(), joint.center.device
        free = view.rest
        if not len(free) or len(free) + len(rows) != size:
            raise ValueError(f"got '{view}' given, {len(rows)} coordinates of {size}; expected each once, some left")
        self.view, self.joint = view, joint
        free, rows = free.to(device), rows.to(device)
        self.rest, left, right = _conditioned(joint, free, rows)
        for name, value in (("free", free), ("rows", rows), ("left", left), ("right", right)):
            self.register_buffer(name, value, persistent=False)

    def center(self, x: Tensor) -> Tensor:
        """Mean of the free coordinates ``(*B, f)`` given those in ``x (*B, d)``."""
        off = x[..., self.rows] - self.joint.center[self.rows]
        if self.left is None:
            return self.rest.center
        return self.rest.center + (off if self.right is None else off @ self.right.mT) @ self.left.mT

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        known = x[..., self.rows].detach()  # the energy of the others: not to be gone down along what is given
        return self.evaluate(x.index_copy(-1, self.rows, known), sigma).value

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        def finish(_: object) -> Evaluation:
            modes = self.rest.modes(x[..., self.free] - self.center(x))
            variance = self.rest.variances + sigma**2
            score = scatter(-self.rest.back(modes / variance), self.free, x.shape[-1])
            return Evaluation(self.rest.value(modes, variance), score)

        return Plan((), finish)

    def takes(self, rows: Tensor) -> bool:
        return bool(torch.isin(rows, self.view.rows).all())

    def gaussian_at(self, view: View, value: Tensor) -> Gaussian | None:
        """The conditional Gaussian; several values ``(*B, g)`` give it as many means."""
        if not torch.equal(view.rows, self.view.rows):
            return None
        whole = scatter(value.to(self.rest.center), self.rows, self.joint.center.numel())
        return self.rest.around(self.center(whole))

    def drawn(self, value: Tensor, noise: Streams) -> Tensor:
        """Free coordinates ``(*B, f)`` where the others are ``value (*B, g)``, a row of ``noise`` each."""
        near = self.gaussian_at(self.view, value)
        return near.center + near.coloured(noise.at(-1).normal(near.center.shape[-1], value.dtype).to(value))

    def __repr__(self) -> str:
        return f"{self.joint!r}.given({self.view})"


def _conditioned(joint: Gaussian, free: Tensor, rows: Tensor) -> tuple[Gaussian, Tensor | None, Tensor | None]:
    """The free coordinates' Gaussian, and its mean's gain ``left @ right`` (None: no gain; the identity)."""
    center = joint.center[free]
    if joint.axes is None:
        variances = joint.variances[free] if joint.variances.ndim else joint.variances
        return Gaussian(center, variances), None, None
    if joint.cov is not None:
        cov = joint.cov.double()
        across, own = cov[free][:, rows], cov[rows][:, rows]
        gain = torch.linalg.solve(own, across.mT).mT
        return Gaussian(center, halved(cov[free][:, free] - gain @ across.mT).to(center)), gain.to(center), None
    return _of_low_rank(joint, free, rows)


def _of_low_rank(joint: Gaussian, free: Tensor, rows: Tensor) -> tuple[Gaussian, Tensor, Tensor]:
    """With ``C = r + U S U^T`` by coordinates, all of ``k`` unknowns: ``S^{-1} + U_g^T r_g^{-1} U_g`` is inverted."""
    rank, axes = joint.axes.shape[1], joint.axes.double()
    along, each = joint.variances.double().tensor_split([rank])
    values, turn = torch.linalg.eigh(halved(torch.diag(along) - axes.mT @ (each[:, None] * axes)))
    root = axes @ (turn * values.clamp_min(0).sqrt())  # U S U^T = root root^T, where S may lack a direction
    known, others, beyond = root[rows], root[free], each[free]
    one = bool((beyond == beyond[-1]).all())
    if not bool((each[rows] > 0).all()) or not (one or len(free) <= LARGEST):
        raise ValueError(f"got {joint!r}, some of whose {len(free)} free coordinates differ in what they have beyond "
                         f"its axes, or whose given ones have nothing there; expected one variance for all that are "
                         f"free, above zero for all that are given, or {LARGEST} free ones at most")
    right = known.mT / each[rows]
    core = torch.linalg.inv(torch.eye(rank).to(axes) + right @ known)
    center, left = joint.center[free], others @ core
    if one and len(free) > rank:
        q, r = torch.linalg.qr(others)
        variances, turn = torch.linalg.eigh(halved(r @ core @ r.mT))
        variances = torch.cat([variances.clamp_min(0), variances.new_zeros(1)]) + beyond[-1]
        made = Gaussian(center, variances.to(center), (q @ turn).to(center))
    else:
        made = Gaussian(center, (halved(left @ others.mT) + torch.diag(beyond)).to(center))
    return made, left.to(center), right.to(center)
