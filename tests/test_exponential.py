"""The exponential integrator: no error for a Gaussian, second order in what is beyond it, exact draws from a level."""

import pytest
import torch
from torch import Tensor

from conformance import diagonal, gaussian, low_rank
from oracles import close, normal, order
from sciencegen.energy import Energy
from sciencegen.exact import Gaussian, Mixture
from sciencegen.exponential import Exponential
from sciencegen.random import Streams
from sciencegen.sample import Heun, karras

D = torch.float64
MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.0]], dtype=D)
WEIGHTS, WIDTH = torch.tensor([0.3, 0.5, 0.2], dtype=D), torch.tensor(0.3, dtype=D)
MEAN = WEIGHTS @ MEANS
COV = 0.09 * torch.eye(2, dtype=D) + (MEANS - MEAN).mT @ ((MEANS - MEAN) * WEIGHTS[:, None])


class Bumpy(Energy):
    """A mixture that knows the Gaussian of its mean and covariance."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.mixture = Gaussian(MEAN, COV), Mixture(WEIGHTS, MEANS, WIDTH)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.mixture(x, sigma)

    def gaussian(self) -> Gaussian:
        return self.inside


def grid(steps: int, low: float = 0.02, high: float = 8.0) -> Tensor:
    return karras(steps, low, high, dtype=D)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("made", [gaussian, diagonal, low_rank])
def test_a_gaussian_is_followed_exactly_in_any_number_of_steps(made, steps):
    data, x = made(6), normal(4, 6, seed=2)
    modes = data.modes(x - data.center) * ((data.variances + 0.02**2) / (data.variances + 64)).sqrt()
    close(Exponential(grid(steps))(data, x), data.center + data.back(modes), 1e-9)


def test_a_departure_from_the_gaussian_is_followed_to_second_order():
    x = MEAN + Bumpy().inside.coloured(normal(20, 2, seed=4), sigma=8.0)
    exact, steps = Heun(grid(500))(Bumpy(), x), [24, 48, 96]
    errors = [float((Exponential(grid(n))(Bumpy(), x) - exact).norm()) for n in steps]
    assert abs(order(errors, steps) - 2) < 0.35, errors


@pytest.mark.parametrize("made", [gaussian, diagonal, low_rank])
def test_a_gaussian_is_drawn_exactly_from_few_levels(made):
    """The start knows the Gaussian, the path follows it, and the end draws what the last level leaves open."""
    data, many = made(6), 20_000
    seeds = torch.arange(many)
    x = Exponential(grid(2, 0.7, 3.0)).draw(data, 6, Streams(seeds), torch.zeros(many, 6, dtype=D))
    cov = data.coloured(torch.eye(6, dtype=D), 1.0)
    wide = cov.diagonal()
    assert bool(((x.mean(0) - data.center).abs() < 4.5 * (wide / many).sqrt()).all())
    assert bool(((torch.cov(x.mT) - cov).abs() < 5 * ((wide[:, None] * wide + cov**2) / many).sqrt()).all())
