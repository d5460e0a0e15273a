"""Networks: zero before training, smooth enough to be energies, and aware of all that they are told."""

import math

import pytest
import torch

from conformance import awake
from oracles import close, normal
from sciencegen.nets.mlp import MLP, LevelFeatures, ScalarMLP

NETS = {"MLP": lambda: MLP(5, 16, 2), "MLP of other outputs": lambda: MLP(5, 16, 2, outputs=3),
        "ScalarMLP": lambda: ScalarMLP(5, 16, 2)}
every = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def inputs(count=4, seed=0):
    keep = (normal(count, 5, seed=seed + 1) > -1).double()
    return normal(count, 5, seed=seed) * keep, normal(count, 1, seed=seed + 2), keep


@every
def test_an_untrained_network_is_zero_and_can_learn(make):
    net = make().double()
    out = net(*inputs())
    assert bool((out == 0).all())
    loss = (out - 1).square().sum()
    loss.backward()
    assert any(bool((p.grad != 0).any()) for p in net.parameters() if p.grad is not None)


@every
def test_rows_are_independent(make):
    net = awake(make())
    whole = net(*inputs())
    for row in range(4):
        close(net(*(i[row: row + 1] for i in inputs()))[0], whole[row], 1e-12)


@every
@pytest.mark.parametrize("which", [0, 1, 2], ids=["state", "level", "keep"])
def test_it_hears_all_that_it_is_told(make, which):
    net, told = awake(make()), list(inputs())
    before = net(*told)
    told[which] = told[which] + 0.1
    assert bool((net(*told) != before).all())


def test_a_scalar_network_is_minus_the_product_of_its_input_and_its_field():
    net = awake(ScalarMLP(5, 16, 2))
    u, c, keep = inputs()
    close(net(u, c, keep), -(u * net.net(u, c, keep)).sum(-1))


@every
def test_derivatives_up_to_the_third_are_right(make):
    """Training an energy needs two, guiding with it three: torch's own layer norm (2.13) is wrong in the third."""
    net, (u, c, keep) = awake(make()), inputs()
    a, b, d = (normal(*u.shape, seed=seed) for seed in (7, 8, 9))

    def first(u):
        return net(u, c, keep).reshape(len(u), -1).cos().sum()

    def second(u):
        return (torch.autograd.grad(first(u), u, create_graph=True)[0] * a).sum()

    def third(u):
        return (torch.autograd.grad(second(u), u, create_graph=True)[0] * b).sum()

    for function in (first, second, third):
        v = u.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(v), v)
        step = 1e-5
        ahead, behind = (function((u + s * d).requires_grad_()).detach() for s in (step, -step))
        assert float((gradient * d).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-5, abs=1e-5)


def test_fourier_features_lie_on_circles_and_tell_levels_apart():
    c = torch.log(torch.logspace(math.log10(2e-3), math.log10(80), 200, dtype=torch.float64))[:, None] / 4
    features = LevelFeatures(64).double()(c)
    close(features[:, :32] ** 2 + features[:, 32:] ** 2, torch.ones(200, 32, dtype=torch.float64))
    apart = (features[1:] - features[:-1]).norm(dim=-1)
    assert float(apart.min()) > 0.5
    assert float(torch.cdist(features, features).fill_diagonal_(9).min()) > 0.5


def test_the_state_of_a_network_is_its_parameters():
    net = MLP(5, 16, 2)
    assert {name for name, _ in net.named_parameters()} == set(net.state_dict())
