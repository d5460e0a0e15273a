"""Bodies: distances against closed forms, whatever the order of the corners, and the moments of the kernel."""

import math

import pytest
import torch

from oracles import close, normal
from sciencegen.physics import Circle, Outline, ellipse, placed
from sciencegen.physics.bodies import moments

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)


def square(x: torch.Tensor) -> torch.Tensor:
    """The signed distance to the unit square, in closed form."""
    q = (x - 0.5).abs() - 0.5
    return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0)


@pytest.mark.parametrize("corners", [SQUARE, SQUARE.flip(0), SQUARE.roll(2, 0), torch.cat([SQUARE, SQUARE[:1]])])
def test_distance_to_a_polygon(corners):
    x = 1.5 * normal(30, 7, 2)
    close(Outline(corners)(x), square(x), 1e-12)


def test_a_polygon_with_a_notch_and_a_blunt_tail():
    corners = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 0.2], [0.0, 1.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.5], [1.0, 0.1], [0.2, 0.5], [3.0, 0.5]], dtype=torch.float64)
    slant = 0.3 / math.hypot(1, 0.8)  # from (1, .5) to the flanks of the notch
    close(Outline(corners)(x), torch.tensor([slant, -0.1, -0.2, 1.0], dtype=torch.float64), 1e-12)


def test_circle_and_ellipse_agree_in_a_batch():
    radius, centre = torch.tensor([0.3, 0.7], dtype=torch.float64), normal(2, 2)
    x = 2 * normal(50, 2)
    polygons = Outline(placed(ellipse(2 * radius, 2 * radius, 4000), torch.tensor([0.0, 40.0]), centre))
    close(Circle(centre, radius)(x), polygons(x), 1e-6)


def test_an_angle_of_attack_lifts_the_nose_and_the_centre_is_where_the_origin_goes():
    line = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    nose, middle, tail = placed(line, 30.0, (2.0, 5.0))
    close(middle, torch.tensor([2.0, 5.0], dtype=torch.float64))
    close(nose - middle, torch.tensor([-math.sqrt(3) / 2, 0.5], dtype=torch.float64))
    close(tail + nose, 2 * middle)


def test_gradients_of_distances():
    corners, x = (placed(ellipse(1.0, 0.4, 9), 20.0)).double().requires_grad_(), normal(6, 2)
    assert torch.autograd.gradcheck(lambda c, y: Outline(c)(y), (corners, x.requires_grad_()))
    centre, radius = normal(2, seed=1).requires_grad_(), torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, r: Circle(c, r)(x.detach()), (centre, radius))
    middle = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    Circle(middle, torch.tensor(1.0))(torch.zeros(1, 2, dtype=torch.float64)).sum().backward()
    assert torch.equal(middle.grad, torch.zeros(2).double())


def test_moments_of_the_kernel():
    """The integrals that they stand for, over the fluid's side of a wall at distance d, by the midpoint rule."""
    width, n = 0.7, 20000
    t = ((torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 - 1) * width
    kernel = (1 + torch.cos(math.pi * t / width)) / (2 * width) * (2 * width / n)
    d = torch.linspace(-1, 1, 21, dtype=torch.float64)
    fluid = (t > -d[:, None]).double()
    zeroth, first = moments(d, width)
    close(zeroth, (kernel * fluid).sum(-1), 1e-4)
    close(first, (kernel * t * fluid).sum(-1), 1e-4)


@pytest.mark.parametrize("points", [torch.zeros(2, 2), torch.zeros(5, 3), torch.full((5, 2), torch.nan)])
def test_what_is_no_outline_is_refused(points):
    with pytest.raises(ValueError, match="corners of a closed polygon"):
        Outline(points)
