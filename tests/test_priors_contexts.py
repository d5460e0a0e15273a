"""Contexts: noise on what is given, and rows of which nothing else is known."""

import pytest
import torch

from conformance import awake
from oracles import close, covariance, normal
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.nets.mlp import MLP
from sciencegen.priors import Denoiser, Draw
from sciencegen.priors.contexts import Context

D = torch.float64
X = Layout(x=(5,))["x"]
KNOWN = X[:2]


def prior(context=None, net=None):
    gaussian = Gaussian(normal(5), covariance(5))
    return Denoiser(net or awake(MLP(5, 8, 1)), gaussian, given=[KNOWN], context=context or Context()).double()


def draw(count, part=1, uniform=0.3):
    sigma = torch.linspace(0.1, 3.0, count, dtype=D)[:, None]
    return Draw(sigma, normal(count, 5, seed=4), torch.full((count,), part), torch.full((count, 4), uniform, dtype=D))


def test_without_noise_and_blank_rows_it_is_the_loss_of_before():
    rows = normal(6, 5, seed=2)
    given = draw(6)
    close(prior().plan_loss(rows, given).run(), prior().given(KNOWN).loss(rows, given.sigma, given.noise), 1e-12)


def test_the_joint_is_left_alone():
    rows, context = normal(6, 5, seed=2), Context(noise=0.5, means=1.0)
    close(prior(context).plan_loss(rows, draw(6, part=0)).run(), prior().plan_loss(rows, draw(6, part=0)).run(), 1e-12)


def test_noise_on_what_is_given_is_of_its_own_spread_and_of_many_sizes():
    """At the quantile 0.3 of sizes over three decades: the loss where what is given is moved by hand."""
    rows, given = normal(6, 5, seed=2), draw(6)
    gaussian, moved = Gaussian(normal(5), covariance(5)), rows.clone()
    moved[:, :2] += 0.5 * 10 ** (-3 * 0.3) * gaussian.deviations()[:2] * given.noise[:, :2]
    wanted = prior().given(KNOWN).loss(moved, given.sigma, given.noise)
    close(prior(Context(noise=0.5)).plan_loss(rows, given).run(), wanted, 1e-12)


def test_blank_rows_start_from_zero_at_the_highest_level_and_teach_the_mean():
    """An untrained network's loss there is that of the conditional mean, whatever the noise."""
    rows, context = normal(6, 5, seed=2), Context(means=1.0, high=500.0)
    found = prior(context, MLP(5, 8, 1)).plan_loss(rows, draw(6)).run()
    exact = Gaussian(normal(5), covariance(5)).given(KNOWN)
    off = exact.rest.modes(rows[:, 2:] - exact.center(rows))
    close(found, (off.square() / exact.rest.variances).mean(-1), 1e-4)


def test_a_balanced_loss_is_least_where_its_weights_are_the_losses_of_their_level():
    """exp of the learned weight is then the loss, and each counts as one with the logarithm of what it was."""
    ours, rows, given = prior(Context(balanced=True)), normal(6, 5, seed=2), draw(6)
    plain = prior().plan_loss(rows, given).run()
    close(ours.plan_loss(rows, given).run(), plain, 1e-12)
    loss = torch.tensor([0.01], dtype=D)
    table = ours.balance.table
    balanced = ours.balance(loss, draw(1), torch.ones(1, 1, dtype=torch.bool))
    (slope,) = torch.autograd.grad(balanced.sum(), table)
    assert int((slope != 0).sum()) == 1, "rows that start from nothing have a weight of their own"
    with torch.no_grad():
        table[slope != 0] = loss.log() / 30.0
    again = ours.balance(loss, draw(1), torch.ones(1, 1, dtype=torch.bool))
    close(again, 1 + loss.log(), 1e-6)
    close(torch.autograd.grad(again.sum(), table)[0], torch.zeros_like(table), 1e-6)


def test_what_is_said_and_read_again_is_the_same():
    context = Context(noise=0.01, means=0.5, high=40.0)
    ours = prior(context)
    again = Denoiser.build(ours.config(), ours.net, ours.tensors())
    assert again.context == context
    assert ours.given(KNOWN).context == context
    assert "context" not in prior().config()


@pytest.mark.parametrize("wrong", [{"noise": -1.0}, {"means": 1.5}, {"high": 0.0}], ids=str)
def test_what_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="expected noise >= 0"):
        Context(**wrong)
