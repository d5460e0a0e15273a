r"""The angle at which an airfoil carries a given lift, and what it costs there.

Designers fix the lift, not the angle. The angle :math:`\alpha^*` solves :math:`c_l(s, \alpha^*, Re) = c^*` on the
branch below stall, where lift grows with the angle. A few coarse angles bracket it, bracketed secant steps (the
Illinois rule) close in, and one last Newton step carries the gradient of the implicit function, without a graph
through the search:

.. math::
    \alpha^* = \alpha_k - \frac{c_l(s, \alpha_k, Re) - c^*}{\partial_\alpha c_l},
    \qquad \frac{d\alpha^*}{ds} = -\frac{\partial_s c_l}{\partial_\alpha c_l}.

Where the airfoil cannot carry the lift, the angle is where it comes nearest (near the angle of largest lift, say), and
the lift that comes back differs from the one asked for. The gradient of that lift with respect to the shape is then
the gradient of the largest lift, so a penalty on the gap pulls a design back into reach.

References:
    A modified regula falsi method for computing the root of an equation (Dowell & Jarratt, 1971),
    https://doi.org/10.1007/BF01934364
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sciencegen.airfoil.aero import Aero

# Lift per degree, and degrees: a branch so flat, or a step so long, would lead the last Newton step past the stall.
_FLATTEST = 0.005
_LAST_STRIDE = 0.5


class Trim(NamedTuple):
    """An airfoil at (or as near as it gets to) a lift; every field is ``(*B)``. ``alpha``: degrees, see ``Aero``."""

    alpha: Tensor
    cl: Tensor
    cd: Tensor
    cm: Tensor
    confidence: Tensor
    log_cd: Tensor


@dataclass(frozen=True)
class Search:
    """Where and how finely an angle is looked for.

    Arguments:
        low, high: limits of the angle, degrees.
        coarse: evenly spaced angles at which a bracket is looked for.
        steps: secant steps inside the bracket.

    Raises:
        ValueError: where the angles are not in order or ``coarse`` is less than 3.
    """

    low: float = -10.0
    high: float = 18.0
    coarse: int = 8
    steps: int = 3

    def __post_init__(self) -> None:
        if not self.low < self.high or self.coarse < 3:
            raise ValueError(f"got {self.coarse} angles from {self.low} to {self.high} degrees; expected low < high "
                             "and at least 3; give a wider range")


def drag_at_lift(aero: Callable[[Tensor, Tensor, Tensor], Aero], shape: Tensor, cl: Tensor | float,
                 reynolds: Tensor | float, search: Search = Search()) -> Trim:
    """Drag, moment and confidence at a given lift; one row more than :func:`solve_alpha` per lift.

    First derivatives with respect to ``shape``, ``cl`` and ``reynolds`` are those at constant lift; arguments as in
    :func:`solve_alpha`.
    """
    alpha = solve_alpha(aero, shape, cl, reynolds, search)
    flow = aero(shape, alpha, reynolds)
    return Trim(alpha, flow.cl, flow.cd, flow.cm, flow.confidence, flow.log_cd)


def solve_alpha(aero: Callable[[Tensor, Tensor, Tensor], Aero], shape: Tensor, cl: Tensor | float,
                reynolds: Tensor | float, search: Search = Search()) -> Tensor:
    """The angle ``(*B)``, degrees, at which an airfoil reaches a lift below stall.

    Where the lift is out of reach the gradient is 0. Of several such angles (lift curves at low Reynolds numbers may
    have a dent), the one nearest 0 degrees is taken. Evaluates ``search.coarse`` rows per airfoil and Reynolds number,
    and ``search.steps + 2`` per airfoil, Reynolds number and lift.

    Arguments:
        aero: as ``NeuralFoil``: of shape ``(*B, 18)``, angle ``(*B)`` in degrees and Reynolds number ``(*B)``.
        shape: ``(*B, 18)``, chords.
        cl, reynolds: the lift coefficient asked for and the chord Reynolds number, ``(*B)``; all broadcast.
        search: limits of the angle, and how finely it is looked for.
    """
    target = torch.as_tensor(cl, dtype=shape.dtype, device=shape.device)
    flow = torch.as_tensor(reynolds, dtype=shape.dtype, device=shape.device)
    angles = torch.linspace(search.low, search.high, search.coarse, dtype=shape.dtype, device=shape.device)

    def gap(alpha: Tensor) -> Tensor:
        return aero(shape, alpha, flow).cl - target

    with torch.no_grad():
        gaps = aero(shape.unsqueeze(-2), angles, flow.unsqueeze(-1)).cl - target.unsqueeze(-1)
        angles, gaps = _insert(_vertex(gaps, angles), gap, angles, gaps)
        inside = _rises(gaps).any(-1)
        nearest = angles.gather(-1, gaps.abs().argmin(-1, keepdim=True)).squeeze(-1)
        start = torch.where(inside, _illinois(gap, *_bracket(gaps, angles), search.steps), nearest)
    return torch.where(inside, _newton(aero, shape, target, flow, start), start).clamp(search.low, search.high)


def _newton(
    aero: Callable[[Tensor, Tensor, Tensor], Aero], shape: Tensor, target: Tensor, flow: Tensor, start: Tensor
) -> Tensor:
    """One step from an angle without history; its gradient is that of the implicit function."""
    leaf = start.detach().requires_grad_()
    with torch.enable_grad():
        lift = aero(shape, leaf, flow).cl
        slope = torch.autograd.grad(lift.sum(), leaf, retain_graph=True)[0]
    lift = lift if torch.is_grad_enabled() else lift.detach()
    return start - ((lift - target) / slope.clamp(min=_FLATTEST)).clamp(-_LAST_STRIDE, _LAST_STRIDE)


def _vertex(gaps: Tensor, angles: Tensor) -> Tensor:
    """Where lift comes nearest the target ``(*B)``: the vertex of a parabola through three of the coarse angles."""
    middle = gaps.abs().argmin(-1, keepdim=True).clamp(1, gaps.shape[-1] - 2)
    before, here, after = (gaps.gather(-1, middle + i).squeeze(-1) for i in (-1, 0, 1))
    bend = before - 2 * here + after
    offset = torch.where(bend != 0, (before - after) / (2 * torch.where(bend != 0, bend, 1.0)), 0.0)
    return angles[middle.squeeze(-1)] + (angles[1] - angles[0]) * offset.clamp(-1, 1)


def _insert(extra: Tensor, gap: Callable[[Tensor], Tensor], angles: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
    """One more angle per row, in order: a lift just below the largest is reached only between coarse angles."""
    angles, order = torch.cat([angles.expand_as(gaps), extra.unsqueeze(-1)], dim=-1).sort(dim=-1)
    return angles, torch.cat([gaps, gap(extra).unsqueeze(-1)], dim=-1).gather(-1, order)


def _rises(gaps: Tensor) -> Tensor:
    """Where lift grows through the target: ``(*B, n)`` to ``(*B, n - 1)``."""
    return (gaps[..., :-1] <= 0) & (gaps[..., 1:] > 0)


def _bracket(gaps: Tensor, angles: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rising interval nearest 0 degrees: its ends and the gaps there, each ``(*B)``."""
    middle = (angles[..., :-1] + angles[..., 1:]).abs()
    left = torch.where(_rises(gaps), middle, torch.inf).argmin(-1, keepdim=True)
    ends = (angles.gather(-1, left), angles.gather(-1, left + 1), gaps.gather(-1, left), gaps.gather(-1, left + 1))
    return tuple(end.squeeze(-1) for end in ends)


def _illinois(
    gap: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, below: Tensor, above: Tensor, steps: int
) -> Tensor:
    """Regula falsi that halves the value at an end which stays twice, so that both ends close in."""
    side = torch.zeros_like(a)
    for _ in range(steps):
        c = _cut(a, b, below, above)
        value = gap(c)
        low = value <= 0
        above = torch.where(low, torch.where(side == 1, above / 2, above), value)
        below = torch.where(low, value, torch.where(side == -1, below / 2, below))
        a, b = torch.where(low, c, a), torch.where(low, b, c)
        side = torch.where(low, 1.0, -1.0)
    return _cut(a, b, below, above)


def _cut(a: Tensor, b: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """Where the chord through (a, below) and (b, above) is 0; the middle where there is no chord."""
    rise = above - below
    return a - (b - a) * torch.where(rise > 0, below / torch.where(rise > 0, rise, 1.0), -0.5)
