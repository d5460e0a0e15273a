"""What a prior expects of given bodies: conditional moments where they are known, the flow's forces, gradients."""

import math

import pytest
import torch

from sciencegen.exact import Gaussian
from sciencegen.physics import ellipse, placed
from sciencegen.priors import zoo
from sciencegen.random import Streams
from sciencegen.sample import karras
from sciencegen.studies.flow.compose import superposed
from sciencegen.studies.flow.surrogate import Surrogate, sample_given


def joint(unit: float) -> tuple[Gaussian, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two numbers that depend on two others, these in a unit ``unit`` times smaller; mean and noise given them."""
    gain = torch.tensor([[0.8, -0.3], [0.2, 0.9]]).double()
    noise = torch.tensor([[0.3, 0.1], [0.1, 0.4]]).double()
    known = torch.tensor([[1.0, 0.2], [0.2, 0.7]]).double()
    cov = torch.cat([torch.cat([gain @ known @ gain.mT + noise, unit * gain @ known], 1),
                     torch.cat([unit * known @ gain.mT, unit**2 * known], 1)])
    return Gaussian(torch.zeros(4).double(), cov), gain, noise, torch.tensor([0, 0, 1, 1]).bool()


def test_given_what_is_seen_early_samples_have_the_conditional_moments():
    prior, gain, noise, held = joint(100.0)
    given, count = torch.tensor([0.7, -0.4]).double(), 4000
    clean = torch.cat([torch.zeros(2).double(), 100 * given]).expand(count, 4)
    x = sample_given(prior, clean, held, karras(150, 1e-3, 3e3).double(), Streams(torch.arange(count)))
    assert torch.equal(x[:, 2:], clean[:, 2:])
    assert torch.allclose(x[:, :2].mean(0), gain @ given, atol=4.5 * math.sqrt(0.4 / count) + 5e-3)
    assert torch.allclose(x[:, :2].T.cov(), noise, rtol=0.25, atol=0.02)  # 150 steps lack a sixth


def test_what_is_seen_late_is_seen_too_late():
    """In the same unit the first two are nearly decided before the others are seen: why images have theirs."""
    prior, gain, _, held = joint(0.01)
    given, count = torch.tensor([0.7, -0.4]).double(), 2000
    clean = torch.cat([torch.zeros(2).double(), 0.01 * given]).expand(count, 4)
    x = sample_given(prior, clean, held, karras(60, 1e-3, 3e3).double(), Streams(torch.arange(count)))
    assert (x[:, :2].mean(0) - gain @ given).norm() > 0.5 * (gain @ given).norm()


@pytest.fixture(scope="module")
def expected():
    prior = zoo("flow")
    many = superposed(prior.layout, prior.energy.requires_grad_(False), 2)
    return lambda seeds: Surrogate(many, math.log10(250.0), torch.as_tensor(seeds), steps=4)


def outlines(angle: torch.Tensor) -> torch.Tensor:
    """Two ellipses, ``(1, 2, n, 2)``."""
    return torch.stack([placed(ellipse(0.9, 0.2, 40), angle, (0.0, -0.4)),
                        placed(ellipse(0.8, 0.2, 40), 2 * angle, (0.0, 0.4))])[None]


def test_bodies_are_the_given_ones_and_forces_their_flow_s(expected):
    judge = expected([3])
    parts = judge.parts(outlines(torch.tensor(8.0)))
    assert parts["flow"].shape == (1, 2, 3, 3, 32, 32)
    assert torch.allclose(10 ** parts["reynolds"], torch.tensor(250.0))
    again = expected([3])(outlines(torch.tensor(8.0)))
    assert torch.allclose(again, judge.many.forces(**parts), atol=1e-5)
    assert not torch.allclose(judge(outlines(torch.tensor(8.0))), again, atol=1e-3)  # drawn anew


def test_forces_have_the_gradient_of_finite_differences(expected):
    def lift(angle: torch.Tensor) -> torch.Tensor:
        return expected([5])(outlines(angle))[..., 1].sum()

    angle = torch.tensor(8.0, requires_grad=True)
    slope, = torch.autograd.grad(lift(angle), angle)
    with torch.no_grad():
        found = (lift(angle + 0.2) - lift(angle - 0.2)) / 0.4
    assert float(slope) == pytest.approx(float(found), rel=0.1, abs=2e-3)
