"""Poisson and Helmholtz: second order, their own residual, and a linear map."""

import pytest
import torch

from oracles import close, normal, order
from sciencegen.physics import Helmholtz, Poisson
from sciencegen.physics.grids import centres

SYSTEMS = [Poisson, Helmholtz]


def manufactured(n: int, shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``a`` and ``u = x (1 - x) e^x y (1 - y) e^-y`` at the centres."""
    x, y = centres(n)[:, None], centres(n)[None]
    p, q = x * (1 - x) * x.exp(), y * (1 - y) * (-y).exp()
    second_p, second_q = -x * (x + 3) * x.exp(), (-4 + 5 * y - y**2) * (-y).exp()
    return second_p * q + p * second_q + shift * p * q, p * q


@pytest.mark.parametrize("system", [Poisson, lambda n: Helmholtz(n, k=3.0), lambda n: Helmholtz(n, k=5.0)])
def test_second_order(system):
    grids, errors = [16, 32, 64], []
    for n in grids:
        a, u = manufactured(n, system(n).shift)
        errors.append(float((system(n).solve(a) - u).abs().max() / u.abs().max()))
    assert abs(order(errors, grids) - 2) < 0.1
    assert errors[-1] < 2e-2


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_residual_of_an_exact_solution_falls_at_second_order(system):
    grids, residuals = [16, 32, 64], []
    for n in grids:
        x = centres(n)
        u = (torch.pi * x).sin()[:, None] * (3 * torch.pi * x).sin()
        residuals.append(float(system(n).residual((system(n).shift - 10 * torch.pi**2) * u, u).norm()))
    assert abs(order(residuals, grids) - 2) < 0.05


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("n", [16, 64])
def test_residual_is_rounding_for_a_solution_and_one_for_nothing(system, n):
    p = system(n)
    a = p.sources().sample(40).reshape(2, 20, n, n)
    u = p.solve(a)
    for defect in (p.residual, p.gap):
        assert defect(a, u).shape == (2, 20, n * n)
        assert defect(a, u).norm(dim=-1).max() < 1e-12
        assert 0.7 < defect(a, 0 * u).norm(dim=-1).mean() < 1.2
    single = p.solve(a.float())
    assert single.dtype == torch.float32
    assert p.residual(a.float(), single).norm(dim=-1).max() < 5e-4


@pytest.mark.parametrize("system", SYSTEMS)
def test_one_weight_means_the_same_on_every_grid(system):
    norms = []
    for n in (16, 64):
        x = centres(n)
        bump = 1e-3 * (torch.pi * x).sin()[:, None] * (2 * torch.pi * x).sin()
        zero = torch.zeros(n, n).double()
        norms.append([system(n).residual(zero, bump).norm(), system(n).gap(zero, bump).norm()])
    for one, other in zip(*norms, strict=True):
        assert abs(one / other - 1) < 0.02


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_matrix_is_the_solution_operator(system):
    p = system(6)
    a = normal(3, 6, 6)
    close((a.flatten(1) @ p.matrix().mT), p.solve(a).flatten(1), 1e-13)
    close(p.matrix(), p.matrix().mT, 1e-13)
    close(p.apply(p.solve(a)), a, 1e-11)


def test_the_covariance_of_solutions_is_known():
    p = Poisson(12)
    u = p.solve(p.sources().sample(4000)).flatten(1)
    root = p.matrix() @ p.sources().factor()
    wanted = (root @ root.mT).diagonal()
    error = u.square().mean(0) / wanted - 1
    assert error.abs().max() < 4.5 * (2 / 4000) ** 0.5


@pytest.mark.parametrize("system", SYSTEMS)
def test_gradients(system):
    a, u = normal(2, 4, 4).requires_grad_(), normal(2, 4, 4, seed=1).requires_grad_()
    p = system(4)
    assert torch.autograd.gradcheck(p.solve, a)
    assert torch.autograd.gradcheck(p.residual, (a, u))
    assert torch.autograd.gradcheck(p.gap, (a, u))


def test_a_resonance_is_refused():
    k = float(Poisson(8).spectrum()[0, 1].neg().sqrt())
    with pytest.raises(ValueError, match="resonance"):
        Helmholtz(8, k=k)
    with pytest.raises(ValueError, match="expected floating point with last axes"):
        Poisson(8).solve(torch.zeros(4, 4))
