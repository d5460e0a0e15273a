"""A run keeps what it is told to keep, and ends as it is told to end."""

import numpy as np
import torch

from oracles import close, normal
from sciencegen.energy import Energy
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.random import Streams
from sciencegen.sample import Heun, karras
from sciencegen.tasks import Problem
from sciencegen.tasks.sampling import Sampling

D = torch.float64
LAYOUT = Layout(u=(3,))
PRIOR = Gaussian(torch.zeros(3, dtype=D), torch.ones(3, dtype=D))
PROBLEM = Problem(LAYOUT, PRIOR)
SAMPLER = Heun(karras(5, dtype=D))


class Telling(Energy):
    """No energy at all, which tells where it was asked."""

    def forward(self, x, sigma):
        return self.tell(x, sigma)[0]

    def tell(self, x, sigma):
        return 0 * x.sum(-1), {"level": sigma.expand(len(x)), "first": x[:, 0]}


def test_it_ends_with_tweedies_mean_or_as_it_is_told():
    seeds, told = torch.arange(4), []

    def finish(x, sigma, noise):
        told.append((x, float(sigma), noise))
        return x + noise.normal(3)

    end = SAMPLER(PRIOR, SAMPLER.start(4, 3, seeds), seeds)
    plain = Sampling(PRIOR, PROBLEM)(SAMPLER, 4, seeds, None, False, "plain")
    close(plain, PRIOR.mean(end, SAMPLER.sigmas[-1]))
    finished = Sampling(PRIOR, PROBLEM, finish)(SAMPLER, 4, seeds, None, False, "finished")
    (x, sigma, noise), = told
    close(x, end)
    assert sigma == float(SAMPLER.sigmas[-1])
    close(finished, end + noise.normal(3))
    drawn = [Streams(seeds, step).normal(3) for step in range(-1, 5)]
    assert not any(torch.allclose(noise.normal(3), other) for other in drawn), "no number is used twice"


def test_it_keeps_what_is_recorded_after_each_step_in_the_order_of_the_result():
    run = Sampling(PRIOR + Telling(), PROBLEM)
    x = run(SAMPLER, 2, torch.arange(2), None, False, "run")
    result = run.result(x, normal(2), torch.ones(2).bool(), torch.tensor([1, 0]))
    np.testing.assert_allclose(result.history["level"], SAMPLER.sigmas[:-1, None].expand(5, 2))
    np.testing.assert_allclose(result.history.sigma, SAMPLER.sigmas[:-1])
    first = SAMPLER.start(2, 3, torch.arange(2))[:, 0].flip(0)
    np.testing.assert_allclose(result.history["first"][0], first)
    np.testing.assert_array_equal(result.seeds, [1, 0])
