"""The U-Net on grids: zero before training, row by row, and in the order of the state's fields."""

import pytest
import torch

from conformance import awake
from oracles import close, normal
from sciencegen.exact import Gaussian
from sciencegen.nets.unet import GridUNet
from sciencegen.priors import Denoiser
from sciencegen.train import Levels, fit

SHAPE = (2, 16, 8)
SIZE = 2 * 16 * 8
SMALL = {"channels": (4, 8), "blocks": (1, 1)}
D = torch.float64


def inputs(count=3, seed=0):
    return normal(count, SIZE, seed=seed), normal(count, 1, seed=seed + 1), torch.ones(count, SIZE, dtype=D)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_an_untrained_network_is_zero_and_can_learn(patch, periodic):
    net = GridUNet(SHAPE, patch=patch, periodic=periodic, **SMALL).double()
    out = net(*inputs())
    assert out.shape == (3, SIZE)
    assert bool((out == 0).all())
    (out - normal(3, SIZE, seed=5)).square().sum().backward()
    assert bool((net.body.ascent[-1][-1].weight.grad != 0).any())


@torch.no_grad()
def test_untrained_it_leaves_the_gaussian_as_it_is():
    data = Gaussian(normal(SIZE), normal(SIZE, seed=1) ** 2)
    energy = Denoiser(GridUNet(SHAPE, **SMALL).double(), data)
    x = normal(4, SIZE, seed=2)
    for sigma in (0.01, 1.0, 30.0):
        close(energy.mean(x, torch.tensor(sigma, dtype=D)), data.mean(x, torch.tensor(sigma, dtype=D)), 1e-12)


def test_it_learns_what_its_gaussian_does_not_know(tmp_path):
    """Fields that are one or minus one throughout, and a Gaussian that takes their pixels for independent."""
    rows = normal(500, 1).sign().float().expand(500, 128)
    energy = Denoiser(GridUNet((2, 8, 8), channels=(16, 16), blocks=(1, 1), patch=1), Gaussian(torch.zeros(128), 1.0))
    trained = fit(energy, rows, tmp_path, 50, batch=32, rate=1e-2, levels=Levels(low=0.2, high=1.0, spread=1.0))
    with torch.no_grad():
        loss = trained.prior.loss(rows[:100], torch.tensor(0.5), normal(100, 128, seed=1).float())
    assert float(loss.mean()) < 0.5


def test_rows_are_independent():
    net = awake(GridUNet(SHAPE, **SMALL))
    whole = net(*inputs())
    for row in range(3):
        close(net(*(i[row: row + 1] for i in inputs()))[0], whole[row], 1e-12)


@pytest.mark.parametrize("which", [0, 1, 2], ids=["state", "level", "keep"])
def test_it_hears_all_that_it_is_told(which):
    net, told = awake(GridUNet(SHAPE, **SMALL)), list(inputs())
    before = net(*told)
    told[which] = told[which] + 0.1
    assert bool((net(*told) != before).any())


def test_fields_are_images_that_follow_each_other():
    """What is near in the image is near for the network: one pixel moves its surroundings most, in both fields."""
    net, (u, c, keep) = awake(GridUNet((2, 32, 32), channels=(4,), blocks=(1,), patch=1)), inputs()
    u, keep = normal(1, 2 * 32 * 32), torch.ones(1, 2 * 32 * 32, dtype=D)
    moved = u.clone()
    moved.view(2, 32, 32)[1, 20, 5] += 1
    change = (net(moved, c[:1], keep) - net(u, c[:1], keep)).view(2, 32, 32).abs().amax(0)
    near = torch.zeros(32, 32, dtype=torch.bool)
    near[10:31, 0:16] = True  # six convolutions of 3 x 3 and group norms, which spread but little
    change = change.detach()
    assert float(change[~near].max()) < 0.2 * float(change[near].max())


@torch.no_grad()
def test_periodic_shifts_commute():
    net, (u, c, keep) = awake(GridUNet(SHAPE, patch=2, periodic=True, **SMALL)), inputs()
    moved = u.view(-1, *SHAPE).roll((8, 4), (-2, -1)).flatten(1)
    close(net(moved, c, keep), net(u, c, keep).view(-1, *SHAPE).roll((8, 4), (-2, -1)).flatten(1), 1e-10)
    walled = awake(GridUNet(SHAPE, patch=2, **SMALL))
    assert float((walled(moved, c, keep) - walled(u, c, keep).view(-1, *SHAPE).roll((8, 4), (-2, -1)).flatten(1))
                 .abs().max()) > 1e-3


def test_the_gradient_is_the_derivative():
    net, (u, c, keep) = awake(GridUNet(SHAPE, **SMALL)), inputs()
    direction, weight = normal(3, SIZE, seed=8), normal(3, SIZE, seed=9)
    v = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad((net(v, c, keep) * weight).sum(), v)
    ahead, behind = ((net(u + s * direction, c, keep) * weight).sum().detach() for s in (1e-5, -1e-5))
    assert float((slope * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-6)


def test_a_grid_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match=r"got a grid of 12 x 8; expected multiples of 8"):
        GridUNet((2, 12, 8))
