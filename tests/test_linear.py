"""Matrices of functions, from both sides; systems solved row by row."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles import close, covariance, normal
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.linear import Dense, Linear, Select, Sparse, affine, conjugate_gradients, linearised
from sciencegen.measure import Averages, Entries, Lines, Points

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


# --- maps that keep their structure ------------------------------------------------------------------------------

SIZE = 12
GAUSSIANS = {
    "dense": lambda: Gaussian(normal(SIZE), covariance(SIZE)),
    "diagonal": lambda: Gaussian(normal(SIZE), normal(SIZE, seed=3).exp()),
    "one variance": lambda: Gaussian(normal(SIZE), torch.tensor(0.7, dtype=torch.float64)),
    "low rank": lambda: Gaussian(normal(SIZE), torch.tensor([3.0, 1.0, 0.2, 0.4]).double(),
                                 torch.linalg.qr(normal(SIZE, 3, seed=5)).Q),
    "low rank by parts": lambda: Gaussian(
        normal(SIZE), torch.cat([torch.tensor([3.0, 2.0]), torch.full((5,), 0.3), torch.full((7,), 0.8)]).double(),
        torch.block_diag(torch.linalg.qr(normal(5, 1, seed=6)).Q, torch.linalg.qr(normal(7, 1, seed=7)).Q)),
}
MAPS = {
    "select": lambda: Select(torch.tensor([7, 0, 3, 11]), SIZE, torch.tensor([1.0, 2.0, 0.5, 3.0])),
    "the same twice": lambda: Select(torch.tensor([7, 0, 7]), SIZE),
    "sparse": lambda: Sparse(torch.tensor([[0, 1, 2], [2, 5, 5], [11, 3, 0]]), normal(3, 3, seed=1), SIZE),
    "dense": lambda: Dense(normal(5, SIZE, seed=2)),
    "everything": lambda: Select(torch.arange(SIZE), SIZE),
}


@pytest.mark.parametrize("make", MAPS.values(), ids=MAPS)
def test_a_map_is_its_matrix_from_both_sides(make):
    linear, x = make(), normal(4, 2, SIZE)
    matrix = linear(torch.eye(SIZE, dtype=torch.float64)).mT
    z = normal(4, 2, len(matrix), seed=9)
    close(linear(x), x @ matrix.mT)
    close(linear.adjoint(z), z @ matrix)
    near = linear.near(x)
    close(near.value, linear(x))
    close((near.push(x) * z).sum(-1), (x * near.pull(z)).sum(-1), 1e-9)


@pytest.mark.parametrize("form", GAUSSIANS)
@pytest.mark.parametrize("make", MAPS.values(), ids=MAPS)
def test_a_whitening_is_a_factor_of_what_is_expected_of_the_measurement(make, form):
    linear, gaussian = make(), GAUSSIANS[form]()
    eye = torch.eye(SIZE, dtype=torch.float64)
    matrix, noise = linear(eye).mT, 0.1 + normal(len(linear(eye).mT), seed=8).abs()
    for sigma in (1e-2, 1.0, 50.0):
        left = gaussian.back(sigma**2 * gaussian.variances / (gaussian.variances + sigma**2) * gaussian.modes(eye))
        wanted = matrix @ left @ matrix.mT + torch.diag(noise**2)
        factor, one = linear.gram(gaussian).whitening(sigma, noise), torch.eye(len(matrix), dtype=torch.float64)
        white = factor.white(one).mT  # L^{-1}
        close(white @ wanted @ white.mT, one, 1e-8)
        close(factor.colour(one), white, 1e-10)
        close(factor.colour(factor.white(one)), torch.linalg.inv(wanted), 1e-7 * float(1 / noise.min() ** 2))


def test_a_selection_keeps_no_matrix():
    """A million numbers of which half are read: everything that is kept is as long as a state, or a few of them."""
    size, rank = 200_000, 3
    axes = torch.linalg.qr(normal(size, rank, seed=4)).Q
    gaussian = Gaussian(torch.zeros(size).double(), torch.tensor([4.0, 3.0, 2.0, 0.5]).double(), axes)
    read, noise = Select(torch.arange(0, size, 2), size), torch.full((size // 2,), 0.1).double()
    factor = read.gram(gaussian).whitening(1.0, noise)
    kept = sum(v.numel() for v in vars(factor).values() if isinstance(v, torch.Tensor))
    assert kept < (rank + 2) * size


def test_what_would_take_a_large_matrix_is_refused():
    gaussian = Gaussian(torch.zeros(20_000), torch.ones(20_000))
    index = torch.arange(10_000)[:, None] + torch.arange(2)
    with pytest.raises(ValueError, match="got 10,000 measurements that are no selection"):
        Sparse(index, torch.ones(10_000, 2), 20_000).gram(gaussian)
    with pytest.raises(ValueError, match="measures 50,000 numbers of 50,000, whose matrix takes 20 GB"):
        affine(lambda x: 2 * x, torch.zeros(50_000))
    with pytest.raises(ValueError, match=r"got index \(3, 2\) and weight \(3,\)"):
        Sparse(torch.zeros(3, 2).long(), torch.ones(3), 5)
    with pytest.raises(ValueError, match="got indices 0 to 9; expected 0 to 4"):
        Sparse(torch.tensor([[0], [9]]), torch.ones(2, 1), 5)


@pytest.mark.parametrize("make", [MAPS["select"], MAPS["sparse"]])
def test_a_map_of_a_state_of_which_a_part_is_known(make):
    linear, rows, x = make(), torch.tensor([0, 7, 5]), normal(4, SIZE)
    free = [i for i in range(SIZE) if i not in rows.tolist()]
    known, offset = linear.at(rows, x[0, rows])
    close(known(x[0, free]) + offset, linear(x[0]))


def test_measurements_know_their_map_of_a_layout():
    grid = Variable((4, 3), loc=normal(4, 3), scale=2.0, dims=("x", "y"))
    layout = Layout(p=Variable((), loc=5.0, scale=0.1), u=grid)
    measure = (Points("u", [[0.5, 1.2], [3, 2]]) & Lines("u", [[[0, 0], [3, 2]]], count=5)
               & Averages("u", [[[0, 2], [1, 2]]]) & Entries("u", (slice(1, 3), 0)) & Entries("p"))
    linear, offset = measure.of(layout)
    x = normal(6, layout.size)
    close(linear(x) + offset, measure(**layout.unpack(x)))
    assert len(measure.labels(layout).variable) == linear.count
    with pytest.raises(KeyError, match="no part 'q' to measure"):
        Points("q", [[0, 0]]).of(layout)
