r"""What a flow past bodies obeys, as residuals of a state's parts; zero, up to the window's resolution, where it holds.

On staggered cells a pooled window keeps :math:`\nabla \cdot v = 0` exactly. The body's surface is thinner than its
cells, so no slip is asked of what lies deep inside; and the pressure's Poisson equation,
:math:`\Delta p = -\nabla \cdot (v \cdot \nabla v)`, holds in the fluid, two cells away from bodies.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .constraints import WINDOW
from .prior import distance

__all__ = ["divergence", "no_slip", "obeyed", "pressure_poisson"]


def obeyed(flow: Tensor, body: Tensor, **_: Tensor) -> Tensor:
    """All of them, ``(*B, m)``, each over the root mean square that a cell has where a flow obeys nothing."""
    return torch.cat([divergence(flow) / 7, no_slip(flow, body), pressure_poisson(flow, body)], -1)


def divergence(flow: Tensor, **_: Tensor) -> Tensor:
    """Outflow of each cell per volume and time unit, ``flow (*B, frames, 3, n, n)`` to ``(*B, m)``."""
    u, v = flow[..., 0, :, :], flow[..., 1, :, :]
    rate = u.diff(dim=-2)[..., :-1] + v.diff(dim=-1)[..., :-1, :]
    return (rate * (flow.shape[-1] / WINDOW)).flatten(-3)


def no_slip(flow: Tensor, body: Tensor, **_: Tensor) -> Tensor:
    """Velocities inside of bodies ``(*B, K, m, m)``, by how deep in the cell is: ``(*B, m)``, free-stream speeds."""
    inside = (-_near(flow, body) * flow.shape[-1] / WINDOW).clamp(0, 1)[..., None, None, :, :]
    return (inside * flow[..., :2, :, :]).flatten(-4)


def pressure_poisson(flow: Tensor, body: Tensor, **_: Tensor) -> Tensor:
    """Residual of the pressure's Poisson equation in the fluid, ``(*B, m)``, over the square of a cell's width."""
    n, (u, v, p) = flow.shape[-1], flow.unbind(-3)
    along = ((u[..., 1:, :] + u[..., :-1, :]) / 2).square()[..., 1:-2]  # u u at centres, all but the last column
    across = ((v[..., 1:] + v[..., :-1]) / 2).square()[..., 1:-2, :]
    corner = (u[..., 1:, 1:] + u[..., 1:, :-1]) * (v[..., 1:, 1:] + v[..., :-1, 1:]) / 4  # u v at lower left corners
    source = (along.diff(n=2, dim=-2) + across.diff(n=2, dim=-1)
              + 2 * corner.diff(dim=-2).diff(dim=-1)[..., : n - 3, : n - 3])
    middle = p[..., 1:-2, 1:-2]
    laplacian = p[..., 2:-1, 1:-2] + p[..., :-3, 1:-2] + p[..., 1:-2, 2:-1] + p[..., 1:-2, :-3] - 4 * middle
    fluid = (_near(flow, body) > 2 * WINDOW / n)[..., None, 1:-2, 1:-2]
    return ((laplacian + source) * fluid).flatten(-3)


def _near(flow: Tensor, body: Tensor) -> Tensor:
    """The distance ``(*B, n, n)`` of the flow's cells to the nearest body, chords."""
    least = distance(body).amin(-3) if body.ndim > flow.ndim - 2 else distance(body)
    fold = least.shape[-1] // flow.shape[-1]
    return avg_pool2d(least.flatten(0, -3)[:, None], fold).reshape(*least.shape[:-2], *flow.shape[-2:])
