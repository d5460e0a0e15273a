r"""Several bodies in one stream from a prior of one: what they share, and how they act on one another.

*Superposed*, by default: each body has a flow of its own as the prior knows it, and flies in the stream that the others
leave. Far from a body its flow differs little from the free stream :math:`U`, so that disturbances add,

.. math:: u = U + \sum_k (u_k - U), \qquad V_k = U + \sum_{j \ne k} \langle u_j - U \rangle_k ,

and a body in a stream :math:`V` has the flow of the same body turned by the angle of :math:`V` in the free stream,
faster by :math:`|V|`: its force is turned and grows with :math:`|V|^2`. That is the first-order theory of multiplanes,
"Induced Drag of Multiplanes" (Prandtl, 1924), http://naca.central.cranfield.ac.uk/report.php?NID=505, with flows in
the place of vortices.

*Shared*: all explain one flow. Given the flow, bodies know nothing of each other, so that a sum over bodies counts the
flow itself :math:`n - 1` times too often:

.. math:: \log p(u, b_1 \dots b_n) = \sum_k \log p(u, b_k) - (n - 1) \log p(u) .

But a prior of one body has never seen a flow of two: what explains it best is the same body twice. "Compositional
Generative Inverse Design" (Wu et al., 2024), https://arxiv.org/abs/2401.13171, averages the scores of the flow instead,
which takes each body's influence at one :math:`n`-th.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ... import compose
from ...energy import Energy
from ...layout import Layout
from ...priors import Prior
from .constraints import forces
from .laws import obeyed

__all__ = ["Shared", "Superposed", "climb", "enlarge", "shared", "stream", "superposed"]

PARTS = ("flow", "body", "force", "reynolds")


@dataclass(frozen=True)
class Shared:
    """``layout`` and ``prior`` of bodies in one ``flow (frames, 3, n, n)``."""

    layout: Layout
    prior: Energy

    def forces(self, flow: Tensor, body: Tensor, reynolds: Tensor, **_: Tensor) -> Tensor:
        """Drag and lift of each body in the stream, ``(*B, K, 2)``."""
        return forces(flow, body, reynolds)

    def inflow(self, flow: Tensor, body: Tensor, **_: Tensor) -> Tensor:
        """The stream ``(*B, K, 2)`` in which the prior's own stream along x has to be turned for each body."""
        return flow.new_tensor([1.0, 0.0]).expand(*body.shape[:-2], 2)

    def obeyed(self, flow: Tensor, body: Tensor, **_: Tensor) -> Tensor:
        """What a flow obeys, ``(*B, m)`` (:func:`sciencegen.studies.flow.laws.obeyed`)."""
        return obeyed(flow, body)


@dataclass(frozen=True)
class Superposed:
    """``layout`` and ``prior`` of bodies that have a state each: ``flow (K, frames, 3, n, n)``, ``reynolds (K,)``."""

    layout: Layout
    prior: Energy

    def forces(self, flow: Tensor, body: Tensor, reynolds: Tensor, **_: Tensor) -> Tensor:
        """Drag and lift of each body in the stream that the others leave, ``(*B, K, 2)``."""
        alone = forces(flow, body[..., None, :, :], reynolds)[..., 0, :]
        return turned(alone, self.inflow(flow, body))

    def inflow(self, flow: Tensor, body: Tensor, **_: Tensor) -> Tensor:
        """The mean velocity ``(*B, K, 2)`` where each body is, of the stream that the others leave."""
        free = flow.new_tensor([1.0, 0.0])
        at, left = _weight(body, flow.shape[-1]), _velocity(flow) - free[:, None, None]
        others = 1 - torch.eye(body.shape[-3], dtype=flow.dtype, device=flow.device)
        return free + torch.einsum("...kxy,...jcxy,kj->...kc", at, left, others)

    def obeyed(self, flow: Tensor, body: Tensor, **_: Tensor) -> Tensor:
        """What each flow obeys, ``(*B, m)`` (:func:`sciencegen.studies.flow.laws.obeyed`)."""
        return obeyed(flow, body[..., None, :, :]).flatten(-2)


Composition = Shared | Superposed


def superposed(layout: Layout, energy: Prior, bodies: int) -> Superposed:
    """A state for each of ``bodies``: the prior's energies add up."""
    many = enlarge(layout, bodies, *PARTS)
    return Superposed(many, compose.superposed(energy, many))


def shared(layout: Layout, energy: Prior, bodies: int) -> Shared:
    """One flow for all of ``bodies``, counted once."""
    many = enlarge(layout, bodies)
    return Shared(many, compose.superposed(energy, many))


def enlarge(layout: Layout, bodies: int, *each: str) -> Layout:
    """The same layout with the parts ``each``, body and force by default, once for each body; ValueError if it is not
    that of one body."""
    one = layout.variables
    if tuple(one) != PARTS or one["force"].shape != (2,) or bodies < 1:
        raise ValueError(f"got {bodies} bodies and a prior over { {k: v.shape for k, v in one.items()} }; expected at "
                         "least one, and one of flow, body (n, n), force (2,) and reynolds, as `sciencegen train flow` "
                         "makes it")
    return layout.grown(*(each or ("body", "force")), copies=bodies, dim="part")


def stream(flow: Tensor) -> Tensor:
    """The one flow ``(*B, frames, 3, n, n)`` that flows of several bodies, ``(*B, K, frames, 3, n, n)``, add up to."""
    free = flow.new_tensor([1.0, 0.0, 0.0])[:, None, None]
    return free + (flow - free).sum(-5)


def turned(force: Tensor, inflow: Tensor) -> Tensor:
    """The force ``(*B, 2)`` in a stream ``inflow (*B, 2)``, of what has ``force (*B, 2)`` in a stream (1, 0)."""
    (drag, lift), (u, v) = force.unbind(-1), inflow.unbind(-1)
    return torch.stack([u * drag - v * lift, v * drag + u * lift], -1) * inflow.norm(dim=-1, keepdim=True)


def climb(inflow: ArrayLike) -> Tensor:
    """By how much a stream ``(*B, 2)`` climbs, degrees."""
    u, v = torch.as_tensor(np.array(inflow)).unbind(-1)
    return torch.rad2deg(torch.atan2(v, u))


def _velocity(flow: Tensor) -> Tensor:
    """Mean over frames of the velocity at centres of cells, ``(*B, frames, 3, n, n)`` to ``(*B, 2, n, n)``."""
    u, v = flow[..., 0, :, :].mean(-3), flow[..., 1, :, :].mean(-3)
    u = torch.cat([(u[..., :-1, :] + u[..., 1:, :]) / 2, u[..., -1:, :]], -2)
    v = torch.cat([(v[..., :-1] + v[..., 1:]) / 2, v[..., -1:]], -1)
    return torch.stack([u, v], -3)


def _weight(body: Tensor, side: int) -> Tensor:
    """Where a body is, ``(*B, m, m)`` to ``(*B, side, side)``, of sum 1: smooth in an image that noise still blurs."""
    fold = body.shape[-1] // side
    lack = (1 - body).clamp_min(0).square().unflatten(-1, (side, fold)).unflatten(-3, (side, fold)).mean((-3, -1))
    return lack / lack.sum((-2, -1), keepdim=True).clamp_min(1e-9)
