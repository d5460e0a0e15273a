"""Homogenisation: duality, laminates, equal shear moduli and bounds hold for any image; gradients are exact."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oracles import close
from sciencegen.physics.bounds import conductivity_bounds, modulus_bounds, wiener
from sciencegen.physics.homogenise import conductivity, stiffness

SIZES = st.integers(2, 12)


def image(*shape: int, seed: int = 0, share: float = 0.4) -> Tensor:
    """Pixels of 0 and 1, each by itself."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share).double()


@given(SIZES, SIZES, st.integers(0, 99), st.sampled_from([1e-3, 0.2, 10.0, 100.0]))
@settings(max_examples=25, deadline=None)
def test_keller_s_duality_holds_for_any_image(height, width, seed, contrast):
    """det k*(m) det k*(1 - m) = (k1 k2)^2 for every periodic two-phase image in two dimensions."""
    m = image(2, height, width, seed=seed)
    one, other = (conductivity(1 + (contrast - 1) * part, tolerance=1e-11) for part in (m, 1 - m))
    close(torch.linalg.det(one) * torch.linalg.det(other) / contrast**2, torch.ones(2).double(), 1e-7)


def test_layers_are_in_series_across_and_parallel_along():
    values = torch.tensor([5.0, 5.0, 1.0, 2.0, 2.0, 2.0]).double()
    k = values[:, None].expand(6, 4)
    least, most = wiener(values, torch.ones(6).double() / 6)
    close(conductivity(k), torch.diag(torch.stack([least, most])), 1e-9)
    close(conductivity(k.mT.clone()), torch.diag(torch.stack([most, least])), 1e-9)
    cube = conductivity(k[..., None].expand(6, 4, 3), axes=3)
    close(cube, torch.diag(torch.stack([least, most, most])), 1e-9)


@pytest.mark.parametrize("axes, seed", [(2, 0), (2, 1), (3, 2)])
def test_hill_s_equal_shear_modulus_fixes_the_stiffness(axes, seed):
    """1 / (K* + c mu) = <1 / (K + c mu)> for every geometry, of which the rest is isotropic with the same mu."""
    m, mu = image(*[7, 8, 5][:axes], seed=seed), 0.7
    lame = 0.5 + 8 * m
    bulk, more = lame + 2 * mu / axes, 2 * (axes - 1) / axes * mu
    whole = 1 / (1 / (bulk + more)).mean() - more
    found = stiffness(lame, torch.full_like(m, mu), axes)
    ones = torch.zeros_like(found)
    ones[:axes, :axes] = 1
    shears = torch.diag(torch.tensor([2.0] * axes + [1.0] * (len(found) - axes)).double())
    close(found, (whole - 2 * mu / axes) * ones + mu * shears, 1e-6)


def test_a_homogeneous_cell_is_its_material():
    k = torch.full((2, 5, 6), 3.0)
    close(conductivity(k), 3 * torch.eye(2).expand(2, 2, 2), 1e-6)
    close(stiffness(k, k / 3)[0], torch.tensor([[5.0, 3.0, 0.0], [3.0, 5.0, 0.0], [0.0, 0.0, 1.0]]), 1e-5)


@pytest.mark.parametrize("grid", [(3, 4), (2, 4), (2, 3, 2)])
def test_gradients_are_those_of_differences(grid):
    axes, loose = len(grid), 1e-6
    k = (0.5 + torch.rand(1, *grid, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda k: conductivity(k, axes, 1e-12), (k,), atol=loose)
    assert torch.autograd.gradcheck(lambda a, b: stiffness(a, b, axes, 1e-12), (k, (k.detach() + 1).requires_grad_()),
                                    atol=loose)


@given(st.integers(0, 99), st.floats(0.1, 0.9))
@settings(max_examples=10, deadline=None)
def test_no_image_leaves_wiener_s_bounds_and_rows_are_independent(seed, share):
    m = image(3, 9, 8, seed=seed, share=share)
    found = conductivity(1 + 9 * m)
    part = m.mean((-1, -2))
    least, most = wiener(torch.tensor([10.0, 1.0]).double().expand(3, 2), torch.stack([part, 1 - part], -1))
    values = torch.linalg.eigvalsh(found)
    assert (values[:, 0] >= least - 1e-6).all()
    assert (values[:, 1] <= most + 1e-6).all()
    close(conductivity(1 + 9 * m[1]), found[1], 1e-6)


def test_coated_discs_come_to_hashin_and_shtrikman_s_bound():
    """Few hard discs of the worse phase are near the coated assembly; the error is of the share's second order."""
    n = 96
    x = (torch.arange(n).double() + 0.5) / n - 0.5
    disc = (x[:, None] ** 2 + x**2 < 0.2**2).double()
    part = disc.mean()
    k, shares = torch.tensor([1.0, 10.0]).double(), torch.stack([part, 1 - part])
    least, most = conductivity_bounds(k, shares)
    found = torch.linalg.eigvalsh(conductivity(10 - 9 * disc))
    assert least < found[0]
    assert found[1] < most + 2e-3 * most
    assert found[0] > most * 0.98
    bulk, shear = torch.tensor([1.0, 4.0]).double(), torch.tensor([0.5, 3.0]).double()
    c = stiffness(*(b[1] + (b[0] - b[1]) * disc for b in (bulk - shear, shear)))
    low, high = modulus_bounds(bulk, shear, shares)
    assert low[0] < (c[0, 0] + c[0, 1]) / 2 < high[0] * 1.002
    assert (c[0, 0] + c[0, 1]) / 2 > 0.97 * high[0]


@pytest.mark.parametrize("call, words", [
    (lambda: conductivity(torch.ones(4)), "expected floats .* a grid of 2 or 3 axes"),
    (lambda: conductivity(torch.zeros(4, 4)), "above zero: a void is a pixel 1e4 times softer"),
    (lambda: conductivity(torch.full((4, 4), torch.nan)), "finite numbers above zero"),
    (lambda: stiffness(torch.ones(4, 4), torch.ones(4, 5)), "expected the same"),
    (lambda: wiener(torch.ones(2), torch.ones(2)), "add up to one"),
    (lambda: modulus_bounds(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0]), torch.full((2,), 0.5)), "one order"),
])
def test_what_is_no_cell_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
