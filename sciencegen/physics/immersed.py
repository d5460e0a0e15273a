r"""One step of :class:`flow.Flow`, as functions of tensors: convection, diffusion, immersion, projection.

The unit of length in here is a cell. A state is ``(B, 3, nx, ny)``: u on left faces, v on lower faces, p in centres;
all axes are periodic. What leaves a cell by a face enters the next one, so that momentum changes by the forces alone,
to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from .bodies import moments

__all__ = ["Setting", "immersion", "march", "transport"]


class Setting(NamedTuple):
    """All that a step needs besides the state.

    ``transport``, compiled or not; ``batch`` before it was flattened to B; ``step`` in time and ``courant``, step over
    cell; ``viscosity`` over a cell (B, 1, 1); the share of the way to the free stream that a step goes, ``relaxation``
    (2, nx, ny); the ``inverse`` Laplacian (nx, ny // 2 + 1); and in a ``box`` of cells, at u and v points: ``solid`` =
    1 - mu_0 (B, 2, bx, by), ``slope`` = mu_1 n / 2 along x and y (2, B, 2, bx, by), and each body's ``share``
    (B, bodies, 2, bx, by).
    """

    transport: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
    batch: torch.Size
    step: float
    courant: float
    viscosity: Tensor
    relaxation: Tensor
    inverse: Tensor
    box: tuple[slice, slice]
    solid: Tensor
    slope: Tensor
    share: Tensor


def immersion(distances: list[Tensor], width: float) -> tuple[Tensor, Tensor, Tensor]:
    """``solid``, ``slope`` and ``share`` from each body's distances ``(B, 2, bx + 2, by + 2)``, in cells."""
    if not distances:
        return (torch.zeros(0),) * 3
    every = torch.stack(distances, 1)
    nearest = every.amin(1)
    normal = torch.stack([nearest[..., 2:, 1:-1] - nearest[..., :-2, 1:-1],
                          nearest[..., 1:-1, 2:] - nearest[..., 1:-1, :-2]]) / 2
    zeroth, first = moments(nearest[..., 1:-1, 1:-1], width)
    return 1 - zeroth, first * normal / 2, torch.softmax(-every[..., 1:-1, 1:-1], 1)


def march(state: Tensor, setting: Setting, count: int) -> tuple[Tensor, Tensor]:
    """The state after ``count`` steps, and the sum over them of the forces ``(B, bodies, 2)``, per square cell."""
    total = 0.0
    for _ in range(count):
        middle, early = _stage(state, setting)
        end, late = _stage(middle, setting)
        state = torch.cat([(state[:, :2] + end[:, :2]) / 2, end[:, 2:]], 1)
        total = total + (early + late) / 2
    return state, total


def transport(state: Tensor, viscosity: Tensor, courant: float) -> tuple[Tensor, Tensor]:
    """The velocities ``u, v (B, nx, ny)`` after convection, diffusion and pressure have acted for ``courant`` cells."""
    u, v, p = pad(state, (2, 2, 2, 2), mode="circular").unbind(1)
    inner = p[:, 2:-2, 2:-2]
    # What carries u and v through the faces around their points: twice the mean of the two neighbours.
    uu, uv = u[:, 1:-2, 2:-2] + u[:, 2:-1, 2:-2], u[:, 2:-1, 1:-3] + u[:, 2:-1, 2:-2]
    vv, vu = v[:, 2:-2, 1:-2] + v[:, 2:-2, 2:-1], v[:, 1:-3, 2:-1] + v[:, 2:-2, 2:-1]
    x = torch.sub(u[:, 2:-2, 2:-2], inner - p[:, 1:-3, 2:-2], alpha=courant)
    x = torch.sub(x, _flux(u[:, :, 2:-2], uu, viscosity, 1).diff(dim=1), alpha=courant / 32)
    x = torch.sub(x, _flux(u[:, 2:-2], vu, viscosity, 2).diff(dim=2), alpha=courant / 32)
    y = torch.sub(v[:, 2:-2, 2:-2], inner - p[:, 2:-2, 1:-3], alpha=courant)
    y = torch.sub(y, _flux(v[:, :, 2:-2], uv, viscosity, 1).diff(dim=1), alpha=courant / 32)
    y = torch.sub(y, _flux(v[:, 2:-2], vv, viscosity, 2).diff(dim=2), alpha=courant / 32)
    return x, y


def _flux(q: Tensor, speed: Tensor, viscosity: Tensor, axis: int) -> Tensor:
    """32 times the momentum through the faces between neighbours along ``axis``, of which ``q`` has two more at an end.

    ``speed`` is twice the velocity there. QUICK: the mean of the four nearest with weights (-1, 9, 9, -1) / 16, and
    1/16 of their third difference against the speed.
    """
    n = q.shape[axis] - 3
    a, b, c, d = (q.narrow(axis, k, n) for k in range(4))
    jump = c - b
    mean, third = torch.sub(a + d, b + c, alpha=9), torch.sub(d - a, jump, alpha=3)
    carried = torch.addcmul(speed.abs() * third, speed, mean, value=-1)
    return torch.addcmul(carried, viscosity, jump, value=-32)


def _stage(state: Tensor, setting: Setting) -> tuple[Tensor, Tensor]:
    """An Euler step, and the forces on the bodies in it."""
    u, v = setting.transport(state, setting.viscosity, setting.courant)
    velocity = torch.stack([torch.addcmul(u, setting.relaxation[0], 1 - state[:, 0]),
                            torch.addcmul(v, setting.relaxation[1], state[:, 1], value=-1)], 1)
    velocity, force = _immersed(velocity, setting)
    u, v = velocity.unbind(1)
    source = u.diff(dim=1, append=u[:, :1]) + v.diff(dim=2, append=v[:, :, :1])
    rise = torch.fft.irfft2(torch.fft.rfft2(source) * setting.inverse, s=source.shape[-2:])
    u, v = u - rise.diff(dim=1, prepend=rise[:, -1:]), v - rise.diff(dim=2, prepend=rise[:, :, -1:])
    return torch.stack([u, v, torch.add(state[:, 2], rise, alpha=1 / setting.courant)], 1), force


def _immersed(velocity: Tensor, setting: Setting) -> tuple[Tensor, Tensor]:
    """The velocity with the bodies in it, and what they took from it."""
    if not setting.share.numel():
        return velocity, velocity.new_zeros(len(velocity), setting.share.shape[1] if setting.share.ndim > 1 else 0, 2)
    (i, j), (k, l) = ((s.start, s.stop) for s in setting.box)
    near = velocity[..., i - 1 : j + 1, k - 1 : l + 1]
    across_x = near[..., 2:, 1:-1] - near[..., :-2, 1:-1]
    across_y = near[..., 1:-1, 2:] - near[..., 1:-1, :-2]
    change = setting.slope[0] * across_x + setting.slope[1] * across_y - setting.solid * near[..., 1:-1, 1:-1]
    force = -(setting.share * change[:, None]).sum((-2, -1)) / setting.step
    inside = near[..., 1:-1, 1:-1] + change
    return velocity.slice_scatter(velocity[..., i:j, :].slice_scatter(inside, -1, k, l), -2, i, j), force

