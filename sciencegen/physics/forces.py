r"""What a window of a flow tells: the forces on the bodies in it, from u, v, p and signed distances alone.

For a weight :math:`\phi` that is 1 on a body and 0 on the other bodies and far away, the momentum equation times
:math:`\phi`, integrated over the window, gives the force on the body as

.. math:: F = -\frac{d}{dt} \int \phi\, v + \int \left(v v + p - \tfrac1{Re}(\nabla v + \nabla v^T)\right) \nabla \phi.

That is a control volume whose surface is smeared over the ramp of :math:`\phi`: no derivative at the wall is needed,
where a window resolves least. All terms are discretised on the staggered cells of :class:`flow.Flow`, on which
:func:`pool` keeps the velocity free of divergence, so that they are exact up to the window's resolution.

References:
    A comparison of methods for evaluating time-dependent fluid dynamic forces on bodies, using only velocity fields and
    their derivatives (Noca, Shiels & Jeon, 1999), https://doi.org/10.1006/jfls.1999.0219
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["pool", "window_forces"]


def pool(state: Tensor, factor: int) -> Tensor:
    """A state or window ``(*B, 3, nx, ny)`` on cells ``factor`` times as wide.

    u and v are means over what makes up the faces of the wide cells, p over the cells: what flows out of a wide cell is
    the sum of what flows out of its parts. ``ValueError`` where ``factor`` does not divide the grid.
    """
    nx, ny = state.shape[-2:]
    if nx % factor or ny % factor:
        raise ValueError(f"got a grid of {nx} x {ny} and factor {factor}; expected a factor that divides both; crop it")
    u, v, p = state.unbind(-3)
    along = u[..., ::factor, :].unflatten(-1, (-1, factor)).mean(-1)
    across = v[..., ::factor].unflatten(-2, (-1, factor)).mean(-2)
    mean = p.unflatten(-1, (-1, factor)).mean(-1).unflatten(-2, (-1, factor)).mean(-2)
    return torch.stack([along, across, mean], -3)


def window_forces(flow: Tensor, distances: Tensor, reynolds: Tensor | float, spacing: float, frame: float,
                  reach: float = 0.3) -> Tensor:
    """The forces on the bodies in a window, each the mean between two frames.

    Arguments:
        flow: ``(*B, frames, 3, nx, ny)``: u on left faces, v on lower faces, p in centres.
        distances: ``(*B, bodies, nx, ny)``, signed, of cell centres, chords; negative inside.
        reynolds: of the unit chord, a number or ``(*B)``.
        spacing: width of a cell, chords.
        frame: time between frames.
        reach: how far from a body its ramp ends, chords; before that it ends at other bodies and at the window's edge.

    Returns:
        ``(*B, frames - 1, bodies, 2)``, drag and lift coefficients as in :meth:`flow.Flow.solve`; with a single frame
        ``(*B, 1, bodies, 2)``, as if the flow were steady. Differentiable.

    Raises:
        ValueError: where the window of ``flow`` is not that of ``distances``.
    """
    if flow.shape[-2:] != distances.shape[-2:] or flow.shape[-3] != 3:
        raise ValueError(f"got a flow of shape {tuple(flow.shape)} and distances {tuple(distances.shape)}; expected "
                         "(*B, frames, 3, nx, ny) and (*B, bodies, nx, ny) on one window")
    weight = _weight(distances, spacing, reach).unsqueeze(-4)
    viscosity = 1 / (spacing * torch.as_tensor(reynolds).to(flow))[..., None, None, None, None]
    u, v, p = (part.unsqueeze(-3) for part in flow.unbind(-3))
    drag = _balance(u, v, p, weight, viscosity)
    lift = _balance(v.mT, u.mT, p.mT, weight.mT, viscosity)
    momentum, passed = (torch.stack(pair, -1) for pair in zip(drag, lift, strict=True))
    if flow.shape[-4] == 1:
        return 2 * spacing * passed
    before, after = passed[..., :-1, :, :], passed[..., 1:, :, :]
    return 2 * spacing * ((before + after) / 2 - momentum.diff(dim=-3) * (spacing / frame))


def _weight(distances: Tensor, spacing: float, reach: float) -> Tensor:
    """1 on each body, falling to 0 within ``reach``, on the other bodies and two cells from the edge."""
    nx, ny = distances.shape[-2:]
    x, y = (torch.arange(n, dtype=distances.dtype, device=distances.device) for n in (nx, ny))
    inward = torch.minimum(torch.minimum(x, nx - 1 - x)[:, None], torch.minimum(y, ny - 1 - y)) - 1
    edge, near = spacing * inward.clamp(min=0), distances.clamp(min=0)
    weights = []
    for k in range(distances.shape[-3]):
        others = [near[..., i, :, :] for i in range(distances.shape[-3]) if i != k]
        far = torch.stack(torch.broadcast_tensors(edge, *others)).amin(0)
        own = near[..., k, :, :]
        end = (own + far).clamp(max=reach)
        s = torch.where(end > 0, own / torch.where(end > 0, end, 1.0), 1.0).clamp(max=1)
        weights.append(1 - s * s * (3 - 2 * s))
    return torch.stack(weights, -3)


def _balance(u: Tensor, v: Tensor, p: Tensor, weight: Tensor, viscosity: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted momentum along x ``(*B, frames, bodies)``, and what passes through the ramp, per cell and cell width.

    ``viscosity`` is over a cell's width. At centres the normal stress meets the slope of the weight along x, at corners
    the shear stress the slope across.
    """
    at_u = (weight[..., 1:, :] + weight[..., :-1, :]) / 2  # on the faces that have a cell on either side
    middle = (u[..., 1:-1, :] + u[..., 2:, :]) / 2
    normal = middle**2 + p[..., 1:-1, :] - 2 * viscosity * u[..., 1:, :].diff(dim=-2)
    along = (u[..., 1:, 1:] + u[..., 1:, :-1]) / 2
    across = (v[..., 1:, 1:] + v[..., :-1, 1:]) / 2
    shear = along * across - viscosity * (u[..., 1:, :].diff(dim=-1) + v[..., 1:].diff(dim=-2))
    passed = (normal * at_u.diff(dim=-2)).sum((-2, -1)) + (shear * at_u.diff(dim=-1)).sum((-2, -1))
    return (at_u * u[..., 1:, :]).sum((-2, -1)), passed
