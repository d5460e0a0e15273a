"""Projections: idempotent, onto the constraint, and to the nearest point of it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles import close, normal
from sciencegen.constrain import Affine, Box, Pin, Solenoidal
from sciencegen.layout import Layout

LAYOUT = Layout(p=(3,), v=(2, 2, 6, 5), q=(2,))
V, Q = LAYOUT["v"], LAYOUT["q"]
A, B = normal(4, LAYOUT.size, seed=1), normal(4, seed=2)
LOW, HIGH = -normal(LAYOUT.size, seed=3).abs(), normal(LAYOUT.size, seed=4).abs()

CASES = {
    "Pin": Pin(Q, torch.tensor([1.0, -2.0])),
    "Pin of copies": Pin(V[:, 0, 0].each(), normal(2, 5, seed=6)),
    "Box": Box(-0.5, 0.7),
    "Box of tensors": Box(LOW, torch.where(torch.arange(LAYOUT.size) < 5, torch.inf, HIGH)),
    "Affine": Affine(A, B),
    "Solenoidal": Solenoidal(V, (0.1, 0.3)),
    "Solenoidal, one frame": Solenoidal(V[1], (0.1, 0.3)),
    "Solenoidal, copies": Solenoidal(V.windows(1, 1)),
}
LINEAR = {"Affine", "Solenoidal", "Solenoidal, one frame", "Solenoidal, copies"}
every = pytest.mark.parametrize("project", CASES.values(), ids=CASES)


@every
@given(st.lists(st.integers(1, 3), max_size=2), st.integers(0, 100))
def test_projecting_twice_is_projecting_once(project, batch, seed):
    x = 3 * normal(*batch, LAYOUT.size, seed=seed)
    once = project(x)
    assert once.shape == x.shape
    close(project(once), once, 1e-12)
    assert float((once - x).abs().max()) > 1e-3, "nothing was projected"


@every
def test_rows_are_independent_and_the_argument_is_left_alone(project):
    x = normal(5, LAYOUT.size)
    before, together = x.clone(), project(x)
    assert torch.equal(x, before)
    for row in range(5):
        close(project(x[row]), together[row], 1e-13)
    x[0] = torch.nan
    close(project(x)[1:], together[1:], 1e-13)


@every
@given(st.integers(0, 100))
def test_no_point_of_the_constraint_is_nearer(project, seed):
    x, other = 3 * normal(LAYOUT.size, seed=seed), project(3 * normal(LAYOUT.size, seed=seed + 1000))
    nearest = project(x)
    # Every one of these sets is convex: the way back makes no acute angle with any way along the set.
    assert float(((x - nearest) * (other - nearest)).sum()) < 1e-9


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_onto_a_plane_the_way_is_orthogonal(name):
    project, x = CASES[name], normal(5, LAYOUT.size)
    along = project(normal(5, LAYOUT.size, seed=1)) - project(normal(5, LAYOUT.size, seed=2))
    close(((x - project(x)) * along).sum(-1), torch.zeros(5, dtype=torch.float64), 1e-11)


@every
def test_gradients_pass(project):
    x = normal(2, LAYOUT.size).requires_grad_()
    (gradient,) = torch.autograd.grad((project(x) ** 2).sum(), x)
    assert bool(gradient.isfinite().all())
    assert bool((gradient != 0).any())


@every
def test_single_precision_stays(project):
    assert project(normal(2, LAYOUT.size).float()).dtype == torch.float32


# --- each meets its constraint -----------------------------------------------------------------------------------

def test_pin_sets_its_view_and_nothing_else():
    x, value = normal(3, LAYOUT.size), normal(3, 2, seed=1)
    for pinned in (Pin(Q, value)(x), torch.stack([Pin(Q, v)(row) for v, row in zip(value, x)])):
        assert torch.equal(Q(pinned), value)
        assert torch.equal(pinned[:, :-2], x[:, :-2])


def test_box_clamps_each_coordinate_to_its_own_bounds():
    y = Box(LOW, HIGH)(5 * normal(100, LAYOUT.size))
    assert bool((y >= LOW).all())
    assert bool((y <= HIGH).all())
    inside = LOW + (HIGH - LOW) * torch.rand(LAYOUT.size, dtype=torch.float64)
    assert torch.equal(Box(LOW, HIGH)(inside), inside)


def test_affine_meets_its_equations_to_machine_precision():
    y = Affine(A, B)(normal(20, LAYOUT.size))
    close(y @ A.mT, B.expand(20, 4), 1e-13)


def divergence(field, spacing):
    """Spectral divergence of ``(..., 2, nx, ny)``; the Nyquist mode of a derivative is zero by definition."""
    total = 0
    for axis, step in zip((-2, -1), spacing):
        n = field.shape[axis]
        k = 2 * math.pi * torch.fft.fftfreq(n, step, dtype=torch.float64)
        k[n // 2] = 0 if n % 2 == 0 else k[n // 2]
        hat = torch.fft.fft(field[..., axis + 2, :, :], dim=axis)
        shape = (n, 1) if axis == -2 else (n,)
        total = total + torch.fft.ifft(1j * k.reshape(shape) * hat, dim=axis).real
    return total


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (6, 5), (1, 8)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.1, 0.3)])
def test_solenoidal_fields_have_no_divergence(shape, spacing):
    layout = Layout(p=(3,), v=(2, *shape))
    x = normal(4, layout.size)
    y = Solenoidal(layout["v"], spacing)(x)
    fields = [layout.unpack(z)["v"] for z in (x, y)]
    close(divergence(fields[1], spacing), torch.zeros(4, *shape, dtype=torch.float64), 1e-11)
    assert float(divergence(fields[0], spacing).abs().max()) > 0.1
    assert torch.equal(y[:, :3], x[:, :3]), "what is no velocity is left alone"


def test_the_parts_of_helmholtz():
    layout, n = Layout(v=(2, 16, 16)), 16
    at = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    x, y = torch.meshgrid(at, at, indexing="ij")
    gradient = torch.stack([torch.cos(x) * torch.cos(2 * y), -2 * torch.sin(x) * torch.sin(2 * y)])
    curl = torch.stack([3 * torch.cos(x) * torch.cos(3 * y), torch.sin(x) * torch.sin(3 * y)])
    wind = torch.tensor([0.5, -1.0], dtype=torch.float64)[:, None, None].expand(2, n, n)
    project = Solenoidal(layout["v"], (2 * math.pi / n, 2 * math.pi / n))
    state = layout.pack(v=gradient + curl + wind)
    close(layout.unpack(project(state))["v"], curl + wind, 1e-12)


def test_solenoidal_wants_two_components():
    with pytest.raises(ValueError, match=r"got a field of shape \(3, 8, 8\); expected \(..., 2, nx, ny\)"):
        Solenoidal(Layout(v=(3, 8, 8))["v"])(torch.zeros(192))


def test_repr_is_short():
    assert repr(Affine(A, B)) == "Affine()"
    assert repr(Pin(Q, torch.zeros(2))) == "Pin(view=q)"
