"""Laws of the network for states of several parts."""

import pytest
import torch

from sciencegen.nets.parts import PartsUNet

SHAPES = [(2, 3, 8, 8), (16, 16), (2,), ()]
SIZE = 2 * 3 * 64 + 256 + 3


def net() -> PartsUNet:
    torch.manual_seed(0)
    return PartsUNet(SHAPES, (4, 4), (16, 16), (1, 1), 8)


def test_folding_loses_nothing():
    made, u = net(), torch.randn(3, SIZE)
    assert torch.allclose(made.places.together(*made.places.apart(u)), u, atol=1e-6)


def test_it_is_zero_before_training_and_then_every_part_reaches_every_other():
    made, u, c = net(), torch.randn(2, SIZE, requires_grad=True), torch.zeros(2, 1)
    assert not made(u, c, torch.ones_like(u)).any()
    torch.nn.init.normal_(made.body.ascent[-1][-1].weight)
    out = made(u, c, torch.ones_like(u))[0]
    for of in out.split([384, 256, 2, 1]):
        (pull,) = torch.autograd.grad(of.sum(), u, retain_graph=True)
        assert not pull[1].any()  # rows are independent
        assert all(part.any() for part in pull[0].split([384, 256, 2, 1]))


def test_it_sees_what_is_kept():
    made, u, c = net(), torch.randn(1, SIZE), torch.zeros(1, 1)
    torch.nn.init.normal_(made.body.ascent[-1][-1].weight)
    keep = torch.ones_like(u)
    keep[:, 384:640] = 0
    assert not torch.allclose(made(u, c, keep), made(u, c, torch.ones_like(u)))


@pytest.mark.parametrize("shapes, grid, said", [([(3, 12, 12)], (8, 8), "multiples of the structure's"),
                                                ([(3, 8, 4)], (8, 8), "multiples of the structure's"),
                                                ([(3, 6, 6)], (3, 3), "multiples of 2")])
def test_fields_that_do_not_fold_are_named(shapes, grid, said):
    with pytest.raises(ValueError, match=said):
        PartsUNet(shapes, grid, (16, 16), (1, 1))
