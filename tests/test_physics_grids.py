"""The bases diagonalise what they say they do, and the stencils lose nothing."""

import pytest
import torch

from oracles import close, normal, order
from sciencegen.physics import Cosine, Fourier, Sine
from sciencegen.physics.grids import centres, check
from sciencegen.physics.stencils import conductance, divergence, flux, laplacian

BASES = [Sine, Cosine, Fourier]


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("n", [7, 8])
def test_functions_are_orthogonal_and_of_unit_mean_square(kind, n):
    functions = kind(n).functions()
    close(functions @ functions.mT / n, torch.eye(n).double(), 1e-13)


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("dims", [1, 2])
def test_collect_inverts_expand(kind, dims):
    x = normal(2, 3, *(6,) * dims)
    basis = kind(6)
    close(basis.collect(basis.expand(x, dims), dims), x, 1e-13)
    close(basis.expand(x, dims).square().sum(), x.square().sum() / 6**dims, 1e-13)


@pytest.mark.parametrize("kind, ghost", [(Sine, lambda u: (-u[:1], -u[-1:])), (Cosine, lambda u: (u[:1], u[-1:])),
                                         (Fourier, lambda u: (u[-1:], u[:1]))])
@pytest.mark.parametrize("n", [7, 8])
def test_functions_are_eigenvectors_of_the_second_difference(kind, ghost, n):
    basis = kind(n)
    for function, value in zip(basis.functions(), basis.differences(1), strict=True):
        before, after = ghost(function)
        padded = torch.cat([before, function, after])
        close(padded.diff().diff() * n**2, -value * function, 1e-12)


@pytest.mark.parametrize("kind", BASES)
def test_differences_tend_to_the_laplacian_at_second_order(kind):
    error = [float((kind(n).differences() / kind(n).laplacian() - 1)[3, 2].abs()) for n in (16, 32, 64)]
    assert abs(order(error, [16, 32, 64]) - 2) < 0.05


def test_the_five_point_laplacian_is_diagonal_in_sines():
    u = normal(2, 9, 9)
    basis = Sine(9)
    close(laplacian(u), basis.collect(-basis.differences() * basis.expand(u)), 1e-12)
    close(divergence(*flux(torch.ones_like(u), u, 2.0)), -laplacian(u), 1e-12)


def test_what_leaves_the_cells_leaves_through_the_walls():
    a, u = normal(2, 6, 6).exp(), normal(2, 6, 6, seed=1)
    for walls in (0.0, 2.0):
        x, y = flux(a, u, walls)
        out = (x[:, -1] - x[:, 0]).sum(-1) + (y[..., -1] - y[..., 0]).sum(-1)
        close(divergence(x, y).sum((-2, -1)) / 6, out, 1e-12)
        assert (out.abs() < 1e-12).all() == (walls == 0)


def test_the_flux_through_layers_is_exact():
    a = torch.ones(4, 4).double()
    a[2:] = 5.0
    pressure = torch.cumsum(1 / a, 0) - 0.5 / a  # a unit flux in -x: the drop over a cell is its resistance
    x, _ = flux(a, pressure / 4, 2.0)
    close(x[1:-1], -torch.ones(3, 4).double(), 1e-13)
    close(conductance(a)[0][1], torch.full((4,), 2 / (1 + 1 / 5), dtype=torch.float64), 1e-13)


def test_centres_and_shapes():
    close(centres(4), torch.tensor([0.125, 0.375, 0.625, 0.875]).double(), 1e-15)
    with pytest.raises(ValueError, match=r"got 'a' of shape \(3, 4\).*expected.*\(4, 4\)"):
        check("a", torch.zeros(3, 4), 4, 4)
    with pytest.raises(ValueError, match="int64"):
        check("a", torch.zeros(4, 4).long(), 4, 4)
