"""Matrices of functions, from both sides; systems solved row by row."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles import close, covariance, normal
from sciencegen.linear import Linear, affine, conjugate_gradients, linearised

A, B = normal(300, 7, seed=1), normal(300, seed=2)


def test_the_matrix_of_a_function():
    for function in (lambda x: x @ A.mT + B, lambda x: x @ A.mT):
        matrix, offset = affine(function, normal(7))
        close(matrix, A)
        close(offset, function(torch.zeros(1, 7).double())[0])
    single, _ = affine(lambda x: x @ A.mT.to(x) + B.to(x), normal(7).float())
    assert single.dtype == torch.float32


def test_what_is_not_linear_is_seen():
    for function in (lambda x: x**2, lambda x: x + 0.01 * x.sin(), lambda x: x.abs()):
        assert affine(function, normal(4)) is None
    at = normal(4)
    matrix, offset = linearised(lambda x: x**2, at)
    close(matrix, torch.diag(2 * at))
    close(offset, -(at**2))


@given(st.integers(0, 50))
def test_a_jacobian_from_both_sides(seed):
    x, v, z = normal(5, 3, seed=seed), normal(5, 3, seed=seed + 1), normal(5, 2, seed=seed + 2)
    near = Linear(lambda x: torch.stack([x.prod(-1), x[..., 0].exp()], -1), x)
    jacobian = torch.autograd.functional.jacobian
    whole = torch.stack([jacobian(lambda r: torch.stack([r.prod(), r[0].exp()]), row) for row in x])
    close(near.push(v), (whole @ v[..., None])[..., 0], 1e-9)
    close(near.pull(z), (z[:, None] @ whole)[:, 0], 1e-9)
    close(near.value, torch.stack([x.prod(-1), x[:, 0].exp()], -1))


def test_conjugate_gradients_solve_each_row_by_itself():
    cov, right = covariance(6), normal(4, 6)
    system = lambda z: (z @ cov, torch.zeros(len(z), 1).double())
    wanted = torch.linalg.solve(cov, right.mT).mT
    for whitened, tolerance in ((False, 1e-9), (True, 1e-2)):
        got = conjugate_gradients(system, right, 8, whitened)
        close(got, wanted, tolerance)
        close(conjugate_gradients(system, right[1:2], 8, whitened), got[1:2], 1e-12)


def test_a_whitened_system_takes_at_least_the_identitys_step_and_no_step_for_the_worse():
    right = normal(4, 6)
    refused = lambda z: (-z, (z**2).sum(-1, keepdim=True))
    close(conjugate_gradients(refused, right, 5, whitened=True), right)
    close(conjugate_gradients(refused, right, 5), 0 * right)
    turn = torch.linalg.matrix_exp(3 * (normal(6, 6) - normal(6, 6).mT))
    turned = lambda z: (z @ (torch.eye(6).double() + turn), -torch.ones(len(z), 1).double())
    got = conjugate_gradients(turned, right, 20, whitened=True)
    assert float((turned(got)[0] - right).norm()) < 10 * float(right.norm())
