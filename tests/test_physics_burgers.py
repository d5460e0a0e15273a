"""Burgers: second order where smooth, the right shock speed, nothing lost and nothing new."""

import math

import pytest
import torch

from oracles import close, normal, order
from sciencegen.physics import Burgers
from sciencegen.physics.grids import centres


def cole_hopf(n: int, nu: float, time: float) -> torch.Tensor:
    """Means over the cells of ``u = -2 nu (log phi)_x``, ``phi = 1 + 0.9 e^(-4 pi^2 nu t) cos 2 pi x``."""
    faces = torch.arange(n + 1, dtype=torch.float64) / n
    phi = 1 + 0.9 * math.exp(-4 * math.pi**2 * nu * time) * (2 * math.pi * faces).cos()
    return -2 * nu * n * phi.log().diff()


def test_second_order_where_smooth():
    grids, errors, residuals = [32, 64, 128], [], []
    for n in grids:
        b = Burgers(n, nu=0.04, frame=0.1, frames=2, speed=1.1)
        a, u = cole_hopf(n, 0.04, 0.0), torch.stack([cole_hopf(n, 0.04, t) for t in (0.1, 0.2)])
        errors.append(float((b.solve(a) - u)[-1].abs().mean()))
        residuals.append(float(b.residual(a, u).norm()))
    assert abs(order(errors, grids) - 2) < 0.3
    assert abs(order(residuals, grids) - 2) < 0.3
    assert errors[-1] < 1e-3


def test_a_shock_runs_at_the_speed_of_rankine_and_hugoniot():
    n, left, right = 200, 1.2, 0.2
    x = centres(n)
    a = right + (left - right) * ((x > 0.1) & (x < 0.3)).double()
    u = Burgers(n, nu=0.0, frame=0.2, frames=1, speed=1.3).solve(a)[0]
    ahead = x[(x > 0.3) & (u > (left + right) / 2)].max() + 0.5 / n
    assert abs(float(ahead) - (0.3 + 0.2 * (left + right) / 2)) <= 1 / n
    assert ((u > right + 0.02) & (u < left - 0.02) & (x > 0.36)).sum() <= 4  # cells within the shock


def test_the_mean_is_kept_and_no_variation_is_made():
    b = Burgers(32, nu=0.0, frame=0.05, frames=10)
    a = 2 * b.starts().sample(20)
    u = torch.cat([a[:, None], b.solve(a)], 1)
    close(u.mean(-1), a.mean(-1, keepdim=True).expand(20, 11), 1e-15)
    variation = (u - u.roll(1, -1)).abs().sum(-1)
    assert (variation.diff(dim=1) <= 1e-12).all()
    assert (u.square().mean(-1).diff(dim=1) <= 1e-12).all()


@pytest.mark.parametrize("n", [32, 64])
def test_residual(n):
    b = Burgers(n, frame=0.1, frames=5)
    a = b.starts().sample(6).reshape(2, 3, n)
    u = b.solve(a)
    assert u.shape == (2, 3, 5, n)
    assert b.residual(a, u).shape == (2, 3, 5 * n)
    assert b.residual(a, u).norm(dim=-1).max() < 1e-12
    assert 0.5 < b.residual(a, 0 * u).norm(dim=-1).mean() < 1.5
    assert b.residual(a.float(), b.solve(a.float())).norm(dim=-1).max() < 1e-5
    assert b.solve(a.float()).dtype == torch.float32


def test_shifting_the_start_shifts_the_path():
    b = Burgers(32, frames=3)
    a = b.starts().sample(1)[0]
    close(b.solve(a.roll(5)), b.solve(a).roll(5, -1), 1e-14)
    close(b.solve(-a.flip(-1)), -b.solve(a).flip(-1), 1e-14)


def test_gradients():
    b = Burgers(6, nu=0.02, frame=0.02, frames=2)
    a, u = 0.5 * normal(2, 6), 0.5 * normal(2, 2, 6, seed=1)
    assert torch.autograd.gradcheck(b.solve, a.requires_grad_())
    assert torch.autograd.gradcheck(b.residual, (a, u.requires_grad_()))


def test_paths_and_starts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected 'u' to have one more axis"):
        Burgers(8).residual(torch.zeros(3, 8), torch.zeros(3, 8))


def test_a_start_that_is_too_fast_is_refused():
    with pytest.raises(ValueError, match=r"got \|a\| up to 3; expected at most speed = 2"):
        Burgers(8).solve(torch.full((8,), 3.0))
