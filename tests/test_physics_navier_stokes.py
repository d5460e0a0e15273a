"""Navier-Stokes: exact vortices, fourth order in time, the right equation, and what must be conserved."""

import math
from dataclasses import replace

import pytest
import torch

from oracles import close, normal, order
from sciencegen.physics import NavierStokes
from sciencegen.physics.grids import centres


def test_taylor_green_vortices_decay_exactly():
    x = centres(16)
    w = (4 * math.pi * x).cos()[:, None] * (4 * math.pi * x).cos()
    flow = NavierStokes(16, force=0.0, frame=0.5, frames=2, steps=3)
    wanted = torch.stack([math.exp(-1e-3 * 32 * math.pi**2 * t) * w for t in (0.5, 1.0)])
    close(flow.solve(w), wanted, 1e-13)


def test_it_solves_the_equation():
    """``w_t`` by a short step against the right-hand side of an analytic flow, by automatic differentiation."""
    n, nu = 32, 1e-2
    x, y = torch.meshgrid(centres(n), centres(n), indexing="ij")
    x, y = x.flatten().requires_grad_(), y.flatten().requires_grad_()
    slope = lambda f, v: torch.autograd.grad(f.sum(), v, create_graph=True)[0]
    p = 2 * math.pi
    psi = 0.05 * (p * x).sin() * (p * y).cos() + 0.02 * (2 * p * x + p * y).cos() + 0.01 * (p * (x - 2 * y)).sin()
    w = -slope(slope(psi, x), x) - slope(slope(psi, y), y)
    advection = slope(psi, y) * slope(w, x) - slope(psi, x) * slope(w, y)
    force = 0.1 * ((p * (x + y)).sin() + (p * (x + y)).cos())
    wanted = -advection + nu * (slope(slope(w, x), x) + slope(slope(w, y), y)) + force
    start = w.detach().reshape(n, n)
    # The step that forwards and backwards differ by: a central difference, of second order.
    ahead, behind = (NavierStokes(n, nu=nu, frame=t, steps=1).advance(start) for t in (1e-4, -1e-4))
    close(((ahead - behind) / 2e-4).flatten(), wanted, 1e-7)


def test_fourth_order_in_time():
    flow = NavierStokes(16, frame=1.0)
    w = 4 * flow.starts().sample(3)
    exact = replace(flow, steps=256).solve(w)
    steps, errors = [8, 16, 32], []
    for count in steps:
        errors.append(float((replace(flow, steps=count).solve(w) - exact).norm() / exact.norm()))
    assert abs(order(errors, steps) - 4) < 0.3


def test_the_steps_of_the_published_task_are_short_enough():
    flow = NavierStokes(32)
    w = flow.starts().sample(4)
    close(flow.solve(w), replace(flow, steps=80).solve(w), 2e-6)


def test_mean_vorticity_is_conserved_and_so_is_enstrophy_without_viscosity_and_force():
    flow = NavierStokes(24, frame=0.5, frames=4)
    w = flow.starts().sample(4) + 0.3
    close(flow.solve(w).mean((-2, -1)), w.mean((-2, -1))[:, None].expand(4, 4), 1e-15)
    ideal = replace(flow, nu=0.0, force=0.0, steps=40)
    start = ideal.starts().sample(4)
    frequencies = torch.fft.fftfreq(24, 1 / 24).abs()
    kept = (frequencies[:, None] < 8) & (frequencies < 8)
    start = torch.fft.ifft2(torch.fft.fft2(start) * kept).real
    enstrophy = ideal.solve(start).square().mean((-2, -1))
    close(enstrophy / enstrophy[:, :1], torch.ones(4, 4).double(), 1e-8)


@pytest.mark.parametrize("n", [15, 32])
def test_residual(n):
    flow = NavierStokes(n, frame=0.5, frames=2)
    a = flow.starts().sample(6).reshape(2, 3, n, n)
    u = flow.solve(a)
    assert u.shape == (2, 3, 2, n, n)
    assert flow.residual(a, u).shape == (2, 3, 2 * n * n)
    assert flow.residual(a, u).norm(dim=-1).max() < 1e-12
    assert 0.5 < flow.residual(a, 0 * u).norm(dim=-1).mean() < 1.5
    assert flow.residual(a.float(), flow.solve(a.float())).norm(dim=-1).max() < 1e-4
    assert flow.solve(a.float()).dtype == torch.float32


def test_the_unforced_flow_turns_with_the_square():
    flow = NavierStokes(16, force=0.0)
    w = flow.starts().sample(1)[0]
    close(flow.solve(w.rot90()), flow.solve(w).rot90(1, (-2, -1)), 1e-13)
    close(flow.solve(-w.mT), -flow.solve(w).mT, 1e-13)  # a mirror turns vortices round
    close(flow.solve(w.roll((3, 5), (0, 1))), flow.solve(w).roll((3, 5), (1, 2)), 1e-13)


def test_gradients():
    flow = NavierStokes(6, nu=1e-2, frame=0.1, steps=1, frames=1)
    a, u = normal(1, 6, 6).requires_grad_(), normal(1, 1, 6, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(flow.solve, a)
    assert torch.autograd.gradcheck(flow.residual, (a, u))
