r"""An airfoil as one vector of 18 numbers: class function times shape function (CST).

Over the chord, :math:`x \in [0, 1]`, the two sides of an airfoil with a round nose and a sharp tail are

.. math::
    y_\pm(x) = \sqrt{x}\,(1 - x) \sum_{i=0}^{7} w^\pm_i \binom{7}{i} x^i (1 - x)^{7-i}
               + \ell\, x (1 - x)^{8.5} \pm \tfrac{t}{2} x

with eight weights :math:`w^+` of the upper side, eight weights :math:`w^-` of the lower side (negative below the
chord), a leading-edge weight :math:`\ell` and the thickness :math:`t` of the trailing edge. The vector is
``shape = (w+, w-, l, t)``, all in chords. It is linear in the surface: thickness, camber and area are linear in
``shape``, and fitting coordinates is a linear least-squares problem.

References:
    Universal Parametric Geometry Representation Method (Kulfan, 2008), https://doi.org/10.2514/1.29958
    Modification of CST Airfoil Representation Methodology (Kulfan, 2020), https://www.brendakulfan.com
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

WEIGHTS = 8
SIZE = 2 * WEIGHTS + 2
_GRID = 201


class Weights(NamedTuple):
    """The parts of a shape: ``upper`` and ``lower`` of shape (*B, 8), ``leading_edge`` and ``trailing_edge`` (*B)."""

    upper: Tensor
    lower: Tensor
    leading_edge: Tensor
    trailing_edge: Tensor


def split(shape: Tensor) -> Weights:
    """Names the parts of ``shape`` (*B, 18). Raises ``ValueError`` where the last axis is not 18 long."""
    if shape.ndim == 0 or shape.shape[-1] != SIZE:
        raise ValueError(
            f"got a shape tensor of size {tuple(shape.shape)}; expected (*B, {SIZE}): 8 upper weights, 8 lower "
            "weights, a leading-edge weight and a trailing-edge thickness; build one with cst.join or airfoil.fit"
        )
    return Weights(shape[..., :WEIGHTS], shape[..., WEIGHTS : 2 * WEIGHTS], shape[..., -2], shape[..., -1])


def join(upper: Tensor, lower: Tensor, leading_edge: Tensor, trailing_edge: Tensor) -> Tensor:
    """The inverse of :func:`split`: (*B, 8), (*B, 8), (*B) and (*B) to a shape (*B, 18)."""
    return torch.cat([upper, lower, leading_edge.unsqueeze(-1), trailing_edge.unsqueeze(-1)], dim=-1)


def cosine(points: int, like: Tensor) -> Tensor:
    """Stations (points,) from 0 to 1, dense at both ends, with the dtype and device of ``like``."""
    return (1 - torch.cos(torch.linspace(0, math.pi, points, dtype=like.dtype, device=like.device))) / 2


def surfaces(shape: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The height of the upper and the lower side over the chord.

    Arguments:
        shape: (*B, 18), chords.
        x: stations (n,) or (*B, n) in [0, 1], chords. At x = 0, where the slope is infinite, its gradient is set to 0.

    Returns:
        ``(upper, lower)``, each (*B, n), chords.
    """
    parts = split(shape)
    basis = _basis(x)
    bend = parts.leading_edge.unsqueeze(-1) * x * (1 - x).clamp(min=0) ** (WEIGHTS + 0.5)
    wedge = parts.trailing_edge.unsqueeze(-1) * x / 2
    upper = torch.einsum("...ni,...i->...n", basis, parts.upper) + bend + wedge
    lower = torch.einsum("...ni,...i->...n", basis, parts.lower) + bend - wedge
    return upper, lower


def outline(shape: Tensor, points: int = 101) -> Tensor:
    """The closed loop (*B, 2 * points - 1, 2) in Selig order, cosine spaced, in chords.

    It runs from the trailing edge over the upper side to the leading edge and back below. The last edge, from the
    last point to the first, is the blunt trailing edge (of length 0 where its thickness is 0).
    """
    x = cosine(points, shape)
    upper, lower = surfaces(shape, x)
    loop = torch.cat([x.flip(-1), x[1:]]).expand(*upper.shape[:-1], -1)
    return torch.stack([loop, torch.cat([upper.flip(-1), lower[..., 1:]], dim=-1)], dim=-1)


def thickness(shape: Tensor, x: Tensor) -> Tensor:
    """Upper minus lower side, (*B, n), at the stations ``x`` (n,) or (*B, n); chords. Negative where sides cross."""
    upper, lower = surfaces(shape, x)
    return upper - lower


def camber(shape: Tensor, x: Tensor) -> Tensor:
    """The line half way between the sides, (*B, n), at the stations ``x`` (n,) or (*B, n); chords."""
    upper, lower = surfaces(shape, x)
    return (upper + lower) / 2


def max_thickness(shape: Tensor) -> Tensor:
    """The largest thickness (*B) over 201 cosine-spaced stations, chords (within 2e-5 of the continuous maximum)."""
    return thickness(shape, cosine(_GRID, shape)).amax(-1)


def max_camber(shape: Tensor) -> Tensor:
    """The camber (*B) of largest size, with its sign, over 201 cosine-spaced stations, chords."""
    line = camber(shape, cosine(_GRID, shape))
    return line.gather(-1, line.abs().argmax(-1, keepdim=True)).squeeze(-1)


def least_thickness(shape: Tensor, start: float = 0.005, stop: float = 0.995) -> Tensor:
    """The smallest thickness (*B) between two stations, chords: negative where the sides cross.

    The ends themselves are left out, because a sharp edge has thickness 0 there.
    """
    return thickness(shape, start + (stop - start) * cosine(_GRID, shape)).amin(-1)


def area(shape: Tensor) -> Tensor:
    r"""The enclosed area (*B), square chords, in closed form.

    :math:`\sum_i (w^+_i - w^-_i) \binom{7}{i} B(i + 3/2, 9 - i) + t/2`, with Euler's beta function.
    """
    parts = split(shape)
    modes = [math.comb(WEIGHTS - 1, i) * _beta(i + 1.5, WEIGHTS + 1 - i) for i in range(WEIGHTS)]
    return (parts.upper - parts.lower) @ shape.new_tensor(modes) + parts.trailing_edge / 2


def leading_edge_radius(shape: Tensor) -> Tensor:
    r"""The nose radius (*B) of the thickness form, :math:`\frac12 \left(\frac{w^+_0 - w^-_0}{2}\right)^2`, chords."""
    parts = split(shape)
    return (parts.upper[..., 0] - parts.lower[..., 0]).square() / 8


def trailing_edge_angle(shape: Tensor) -> Tensor:
    """The angle (*B) between the two sides at the trailing edge, degrees; negative where the sides cross there."""
    parts = split(shape)
    upper = torch.atan(parts.upper[..., -1] - parts.trailing_edge / 2)
    lower = torch.atan(parts.lower[..., -1] + parts.trailing_edge / 2)
    return torch.rad2deg(upper - lower)


def _basis(x: Tensor) -> Tensor:
    """The class function times the Bernstein polynomials: (*B, n) to (*B, n, 8)."""
    order = torch.arange(WEIGHTS, dtype=x.dtype, device=x.device)
    choose = x.new_tensor([math.comb(WEIGHTS - 1, i) for i in range(WEIGHTS)])
    rest = (1 - x).clamp(min=0)
    inside = x > 0
    # The square root's own gradient at 0 is infinite and would turn into NaN behind a zero factor.
    root = torch.where(inside, torch.where(inside, x, 1.0).sqrt(), 0.0)
    powers = x.unsqueeze(-1) ** order * rest.unsqueeze(-1) ** (WEIGHTS - 1 - order)
    return (root * rest).unsqueeze(-1) * choose * powers


def _beta(a: float, b: float) -> float:
    return math.gamma(a) * math.gamma(b) / math.gamma(a + b)
