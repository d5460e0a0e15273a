"""Darcy's law: second order for smooth rock, nothing lost, exact gradients through the solver."""

import pytest
import torch

from oracles import close, normal, order
from sciencegen.physics import Darcy, Poisson, Wells, binary, channels
from sciencegen.physics.grids import centres
from sciencegen.physics.stencils import flux


def manufactured(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``a``, ``u`` and ``f = -div(a grad u)`` at the centres, by automatic differentiation."""
    x, y = torch.meshgrid(centres(n), centres(n), indexing="ij")
    x, y = x.flatten().requires_grad_(), y.flatten().requires_grad_()
    a, u = 2 + torch.sin(3 * x + y), (torch.pi * x).sin() * y * (1 - y) * (x + y).exp()
    ux, uy = torch.autograd.grad(u.sum(), (x, y), create_graph=True)
    fx = torch.autograd.grad((a * ux).sum(), x, retain_graph=True)[0]
    fy = torch.autograd.grad((a * uy).sum(), y)[0]
    return tuple(v.detach().reshape(n, n) for v in (a, u, -fx - fy))


def test_second_order_for_smooth_rock():
    grids, errors = [16, 32, 64], []
    for n in grids:
        a, u, f = manufactured(n)
        errors.append(float((Darcy(n, f=f).solve(a) - u).abs().max() / u.abs().max()))
    assert abs(order(errors, grids) - 2) < 0.1
    assert errors[-1] < 1e-3


def test_even_rock_is_poisson():
    n = 16
    close(Darcy(n).solve(torch.full((n, n), 2.0, dtype=torch.float64)),
          Poisson(n).solve(torch.full((n, n), -0.5, dtype=torch.float64)), 1e-14)


@pytest.mark.parametrize("n", [16, 32])
def test_residual_is_rounding_for_a_solution_and_one_for_nothing(n):
    d = Darcy(n)
    a = torch.stack([binary(d.fields().sample(4)), channels(n, 4)])
    u = d.solve(a)
    assert (u > 0).all()
    assert d.residual(a, u).shape == (2, 4, n * n)
    assert d.residual(a, u).norm(dim=-1).max() < 1e-12
    assert d.gap(a, u).norm(dim=-1).max() < 1e-12
    close(d.residual(a, 0 * u).norm(dim=-1), torch.ones(2, 4).double(), 1e-12)
    assert 0.5 < d.gap(a, 0 * u).norm(dim=-1).mean() < 1.5
    single = d.solve(a.float())
    assert single.dtype == torch.float32
    assert d.residual(a.float(), single).norm(dim=-1).max() < 1e-4


def test_the_gap_is_about_the_error_of_the_solution():
    d = Darcy(24)
    a = binary(d.fields().sample(10))
    u = d.solve(a)
    wrong = u + 1e-4 * normal(10, 24, 24)
    error = (wrong - u).flatten(1).norm(dim=-1) / (24 * d.pressure)
    ratio = d.gap(a, wrong).norm(dim=-1) / error
    assert (ratio > 3 / d.permeability / 1.5).all()
    assert (ratio < 12 / d.permeability * 1.5).all()


def test_all_that_is_put_in_leaves_through_the_walls():
    d = Darcy(16)
    a = channels(16, 3)
    x, y = flux(a, d.solve(a), 2.0)
    out = (x[:, -1] - x[:, 0]).sum(-1) + (y[..., -1] - y[..., 0]).sum(-1)
    close(out / 16, torch.ones(3).double(), 1e-12)


def test_wells():
    w = Wells(16)
    a = normal(3, 16, 16).exp()
    u = w.solve(a)
    assert abs(float(w.source(u).sum())) < 1e-12
    assert w.source(u).count_nonzero() == 8
    assert w.residual(a, u).norm(dim=-1).max() < 1e-11
    close(u.mean((-2, -1)), torch.zeros(3).double(), 1e-14)
    close(w.residual(a, 0 * u).norm(dim=-1), torch.ones(3).double(), 1e-12)
    close(w.residual(a, u + w.pressure).norm(dim=-1), torch.ones(3).double(), 1e-10)
    assert (u[:, 0, 0] > 0).all()
    # Turning the square end for end swaps the wells.
    close(w.solve(a.flip(-2, -1)), -u.flip(-2, -1), 1e-12)


@pytest.mark.parametrize("system", [Darcy(4), Wells(4, side=0.3)])
def test_gradients(system):
    n = system.n
    a, u = (0.5 * normal(2, n, n)).exp().requires_grad_(), normal(2, n, n, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(system.solve, a)
    assert torch.autograd.gradcheck(system.residual, (a, u))
    if isinstance(system, Darcy):
        assert torch.autograd.gradcheck(system.gap, (a, u))


def test_the_gradient_of_a_pressure_by_differences_at_a_jump():
    d = Darcy(12)
    a = binary(d.fields().sample(1))[0].requires_grad_()
    loss = lambda v: d.solve(v)[3, 4] + d.solve(v).square().sum()
    (slope,) = torch.autograd.grad(loss(a), a)
    way = normal(12, 12)
    with torch.no_grad():
        difference = (loss(a + 1e-4 * way) - loss(a - 1e-4 * way)) / 2e-4
    assert abs(float((slope * way).sum() / difference) - 1) < 1e-6


def test_a_row_does_not_depend_on_its_batch():
    d = Darcy(10)
    a = binary(d.fields().sample(4))
    assert torch.equal(d.solve(a)[2], d.solve(a[2]))
    assert d.solve(a[:0]).shape == (0, 10, 10)


def test_rock_that_lets_nothing_through_is_refused():
    a = torch.ones(8, 8)
    a[3, 3] = 0
    with pytest.raises(ValueError, match="got a permeability of 0 at the least; expected positive"):
        Darcy(8).solve(a)
    with pytest.raises(ValueError, match="expected floating point with last axes"):
        Darcy(9).residual(torch.ones(8, 8), torch.ones(8, 8))
