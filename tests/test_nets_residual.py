"""The residual network: zero untrained, every coordinate is heard, shifts along rings are exact, walls are seen."""

import pytest
import torch

from conformance import awake
from oracles import close, normal
from sciencegen.nets.residual import FieldResNet

SHAPES, AXES = [(2, 12), (3, 6), ()], [(-1, 0), (-1, 0), ()]  # two parts, of which one on a finer grid, and a number
RING = {"shapes": SHAPES, "axes": AXES, "grid": (6,), "periodic": (True,)}
TUBE = {"shapes": [(2, 5, 6), ()], "axes": [(-1, 0, 1), ()], "grid": (5, 6), "periodic": (False, True)}
CUBE = {"shapes": [(3, 4, 3)], "axes": [(0, 1, 2)], "grid": (3, 4, 3), "periodic": (True, False, True)}
every = pytest.mark.parametrize("form", [RING, TUBE, CUBE], ids=["ring", "tube", "cube"])


def built(form):
    return awake(FieldResNet(**form, width=8, blocks=2, kernel=3))


def told(form, count=3):
    size = sum(torch.Size(shape).numel() for shape in form["shapes"])
    return normal(count, size), normal(count, 1, seed=1), torch.ones(count, size, dtype=torch.float64)


@every
def test_an_untrained_network_is_zero(form):
    net = FieldResNet(**form, width=8, blocks=2, kernel=3).double()
    assert bool((net(*told(form)) == 0).all())


@every
def test_every_coordinate_is_heard_and_said(form):
    net, (u, c, keep) = built(form), told(form)
    slope = torch.autograd.functional.jacobian(lambda x: net(x[None], c[:1], keep[:1])[0], u[0])
    assert bool((slope != 0).any(0).all())
    assert bool((slope != 0).any(1).all())


@every
def test_rows_are_independent(form):
    net, inputs = built(form), told(form)
    close(net(*(part[1:2] for part in inputs))[0], net(*inputs)[1], 1e-12)


@every
def test_level_and_what_is_known_are_heard(form):
    net, (u, c, keep) = built(form), told(form)
    before = net(u, c, keep)
    assert bool((net(u, c + 0.1, keep) != before).any(-1).all())
    assert bool((net(u, c, -keep) != before).any(-1).all())


def test_shifts_along_an_axis_whose_ends_meet_commute_and_others_do_not():
    net, (u, c, keep) = built(TUBE), told(TUBE)

    def shifted(x, axis):
        fields = x[:, :60].reshape(-1, 2, 5, 6).roll(1, 2 + axis)
        return torch.cat([fields.flatten(1), x[:, 60:]], -1)

    close(net(shifted(u, 1), c, keep), shifted(net(u, c, keep), 1), 1e-12)
    assert float((net(shifted(u, 0), c, keep) - shifted(net(u, c, keep), 0)).detach().abs().max()) > 1e-3


def test_a_finer_part_shifts_with_the_grid():
    net, (u, c, keep) = built(RING), told(RING)

    def shifted(x):
        fine, coarse = x[:, :24].reshape(-1, 2, 12).roll(2, -1), x[:, 24:42].reshape(-1, 3, 6).roll(1, -1)
        return torch.cat([fine.flatten(1), coarse.flatten(1), x[:, 42:]], -1)

    close(net(shifted(u), c, keep), shifted(net(u, c, keep)), 1e-12)


def test_with_patches_shifts_by_whole_patches_commute_and_others_do_not():
    form = {"shapes": [(2, 12)], "axes": [(-1, 0)], "grid": (12,), "periodic": (True,), "patch": 3}
    net, (u, c, keep) = built(form), told(form)

    def shifted(x, by):
        return x.reshape(-1, 2, 12).roll(by, -1).flatten(1)

    close(net(shifted(u, 3), c, keep), shifted(net(u, c, keep), 3), 1e-12)
    assert float((net(shifted(u, 1), c, keep) - shifted(net(u, c, keep), 1)).detach().abs().max()) > 1e-3


def test_patches_that_do_not_fit_the_grid_are_refused():
    with pytest.raises(ValueError, match="got patch=4 for a grid of"):
        FieldResNet(**RING, patch=4)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd"):
        FieldResNet(**RING, kernel=4)


def test_a_noise_vector_is_heard_and_dropout_is_silent_when_trained():
    net = awake(FieldResNet([[2, 8]], [[-1, 0]], [8], [True], 8, 1, 3, 8, vector=3, dropout=0.5)).eval()
    u, c = normal(4, 16), torch.zeros(4, 4, dtype=torch.float64)
    told = torch.cat([c[:, :1], normal(4, 3, seed=1)], -1)
    plain, heard = (net(u, level, torch.ones_like(u)) for level in (c, told))
    assert float((plain - heard).abs().max()) > 1e-3
    assert torch.equal(plain, net(u, c, torch.ones_like(u)))
    assert not torch.equal(plain, net.train()(u, c, torch.ones_like(u)))
