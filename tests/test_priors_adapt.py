"""Networks trained elsewhere: on Gaussian data each convention is the exact energy. Likelihoods in nats."""

import copy
import math

import pytest
import torch

from conformance import awake
from oracles import close, covariance, normal
from sciencegen.energy import Denoised
from sciencegen.exact import Gaussian, Mixture
from sciencegen.nets.mlp import MLP
from sciencegen.priors import Denoiser, adapt, log_likelihood

D = torch.float64
DATA = Gaussian(normal(3, seed=1), covariance(3))


def alpha_bar(kind, steps):
    if kind == "linear":
        return (1 - torch.linspace(1e-4, 0.02, steps, dtype=D)).cumprod(0)
    t = torch.arange(1, steps + 1, dtype=D) / steps * 0.999
    return torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2


class Exact(torch.nn.Module):
    """What a perfect network of Gaussian data says of ``x = scale * clean + spread * noise``."""

    def __init__(self, says, level):
        super().__init__()
        self.says, self.level = says, level

    def forward(self, x, t):
        assert t.shape == x.shape[:1]
        scale, spread = (v[:, None] for v in self.level(t))
        clean = DATA.mean(x / scale, spread / scale)
        noise = (x - scale * clean) / spread
        return self.says(scale, spread, clean, noise, x)


NOISE, CLEAN = lambda a, b, x0, e, x: e, lambda a, b, x0, e, x: x0
VELOCITY, SCORE = lambda a, b, x0, e, x: a * e - b * x0, lambda a, b, x0, e, x: -e / b
SAME = lambda t: (torch.ones_like(t), t)
LINES = {adapt.rectified_flow: (lambda a, b, x0, e, x: e - x0, lambda t: (1 - t, t)),
         adapt.flow_matching: (lambda a, b, x0, e, x: x0 - e, lambda t: (t, 1 - t)),
         adapt.exploding: (CLEAN, SAME), adapt.score: (SCORE, SAME)}
STEPPED = {adapt.epsilon: NOISE, adapt.velocity: VELOCITY, adapt.clean: CLEAN}


def of_table(table):
    """Scale and spread at times that may be fractions, as a smooth network has them."""
    def level(t):
        low = t.long().clamp(max=len(table.log_sigma) - 2)
        sigma = torch.lerp(table.log_sigma[low], table.log_sigma[low + 1], t - low).exp()
        return 1 / (1 + sigma**2).sqrt(), sigma / (1 + sigma**2).sqrt()
    return level


@pytest.mark.parametrize("adapter", LINES, ids=lambda f: f.__name__)
def test_continuous_times(adapter):
    says, level = LINES[adapter]
    energy, x = adapter(Exact(says, level)), 3 * normal(7, 3)
    assert isinstance(energy, Denoised)
    for sigma in (2e-3, 0.1, 1.0, 80.0, torch.tensor([[0.01], [0.3], [1.0], [2.0], [5.0], [20.0], [60.0]])):
        close(energy.score(x, sigma), DATA.score(x, sigma), 1e-6)
    close(energy.score(x, 1e-4), DATA.score(x, 2e-3), 1e-6)


@pytest.mark.parametrize("adapter", STEPPED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [100, 1000])
def test_discrete_times(adapter, kind, steps):
    table = adapt.Table(alpha_bar(kind, steps))
    energy, x = adapter(Exact(STEPPED[adapter], of_table(table)), table), 3 * normal(7, 3)
    sigmas = table.log_sigma.exp()
    for sigma in (*sigmas[[0, 1, steps // 2, -1]], (sigmas[3] * sigmas[4]).sqrt(), sigmas[5:12][:, None]):
        close(energy.score(x, sigma), DATA.score(x, sigma), 1e-6)
    close(energy.score(x, sigmas[0] / 10), DATA.score(x, sigmas[0]), 1e-6)


def test_times_of_a_table():
    table = adapt.Table(alpha_bar("linear", 10))
    sigma = table.log_sigma.exp()[:, None]
    close(table(sigma), torch.arange(10, dtype=D), 1e-12)
    assert table(torch.tensor([[1e-6], [1e6]], dtype=D)).tolist() == [0, 9]
    between = table((sigma[3:4] * sigma[4:5]).sqrt())
    close(between, torch.tensor([3.5], dtype=D), 1e-12)
    for wrong in (torch.tensor([0.5, 0.9]), torch.tensor([1.0, 0.5]), torch.ones(3, 2) / 2, torch.tensor([0.5])):
        with pytest.raises(ValueError, match="expected .T,., falling, between 0 and 1"):
            adapt.Table(wrong)


def test_a_copy_has_a_network_of_its_own_and_adds_to_ours():
    net = awake(MLP(3, 8, 1))
    foreign = adapt.rectified_flow(lambda x, t: net(x, t[:, None], torch.ones_like(x)))
    ours = Denoiser(awake(MLP(3, 8, 1)), DATA)
    x = normal(5, 3)
    close((foreign + 2.0 * ours).score(x, 0.7), foreign.score(x, 0.7) + 2 * ours.score(x, 0.7), 1e-12)
    wrapped = adapt.epsilon(Exact(NOISE, SAME), adapt.Table(alpha_bar("linear", 10)))
    other = copy.deepcopy(wrapped)
    assert {id(m) for m in other.modules()}.isdisjoint(id(m) for m in wrapped.modules())
    assert torch.equal(other.score(x, 0.7), wrapped.score(x, 0.7))


# --- likelihood ----------------------------------------------------------------------------------------------------

MODES = Mixture(torch.tensor([0.6, 0.3, 0.1]),
                torch.tensor([[1.5, 0.0], [-1.0, 1.0], [-0.5, -1.5]], dtype=D), 0.3)


def mixed(count):
    generator = torch.Generator().manual_seed(1)
    which = torch.multinomial(MODES.log_weights.exp(), count, True, generator=generator)
    return MODES.centers[which] + 0.3 * torch.randn(count, 2, generator=generator, dtype=D)


def test_the_likelihood_of_a_mixture_in_nats_and_its_order():
    x = mixed(300)
    wanted = -MODES(x, torch.tensor(2e-3, dtype=D))
    errors = [float((log_likelihood(MODES, x, steps) - wanted).square().mean().sqrt()) for steps in (32, 64, 128)]
    assert errors[1] <= 0.02, errors
    for coarse, fine in zip(errors, errors[1:]):
        assert 3 < coarse / fine < 6, errors


@pytest.mark.parametrize("energy", [DATA, Denoiser(MLP(3, 8, 1), DATA).double()], ids=["Gaussian", "Denoiser"])
def test_the_likelihood_of_a_gaussian(energy):
    x = DATA.center + normal(2, 4, 3) @ torch.linalg.cholesky(DATA.cov).mT
    found = log_likelihood(energy, x, 128)
    assert not found.requires_grad
    close(found, -DATA(x, torch.tensor(2e-3, dtype=D)), 0.01)


def test_of_a_large_state_the_divergence_is_estimated_without_bias():
    """Where the score's Jacobian is a multiple of one the estimate is exact; it is the same alone and in a batch."""
    wide = Gaussian(torch.zeros(300, dtype=D), 0.5)
    x, seeds = 0.7 * normal(4, 300), torch.arange(4)
    found = log_likelihood(wide, x, 64, seeds=seeds)
    close(found, -wide(x, torch.tensor(2e-3, dtype=D)), 0.01)
    close(log_likelihood(wide, x[2:3], 64, seeds=seeds[2:3]), found[2:3], 1e-10)
