"""Unknown parameters and rare events: the referees are exact, and rows that know the law agree with them."""

import math

import pytest
import torch

from benchmarks.forecast import joint, joint_rows, rare
from oracles import close, normal
from sciencegen.physics import AdvectionDiffusion
from sciencegen.random import Streams

D = torch.float64
NET = joint.Coefficients(width=8).double()
with torch.no_grad():
    for number, weight in enumerate(NET.parameters()):
        weight.copy_(0.1 * normal(*weight.shape, seed=number))
PRIOR = joint.Windows(NET).double()


# --- unknown parameters -------------------------------------------------------------------------------------------

def test_the_grid_holds_the_posterior_and_its_moments_are_exact():
    seen = joint.paths(1, 16, 5)[0][0]
    grid = joint.Grid.around(seen)
    found = joint.Posterior.of(grid, joint.exact(grid, seen))
    edge = found.shares.reshape(joint.SIDE, joint.SIDE)
    inside = grid.c[0] > joint.C[0], grid.c[-1] < joint.C[1]
    assert all(float(share.sum()) < 1e-4 for share, kept in zip((edge[0], edge[-1]), inside) if kept)
    fine = joint.Grid(torch.linspace(float(grid.c[0]), float(grid.c[-1]), 121, dtype=D),
                      torch.linspace(float(grid.nu[0]), float(grid.nu[-1]), 121, dtype=D))
    other = joint.Posterior.of(fine, joint.exact(fine, seen))
    assert float(((found.mean - other.mean) / other.deviation).abs().max()) < 0.01
    assert float((found.deviation / other.deviation - 1).abs().max()) < 0.02


def test_an_energy_of_windows_is_a_normal_density():
    theta = torch.tensor([0.3, -0.2], dtype=D)
    rows = torch.cat([normal(5, 256), theta.expand(5, -1)], -1)
    energy = PRIOR(rows, torch.zeros((), dtype=D))
    draw = PRIOR.ahead(joint.LAYOUT["u"][:1] & joint.LAYOUT["c"] & joint.LAYOUT["nu"], None)
    known = torch.cat([rows[:1, :64], theta[None]], -1)
    mean = draw(known, Still(torch.zeros(1, 192, dtype=D)))
    factor = torch.stack([draw(known, Still(e[None]))[0] for e in torch.eye(192, dtype=D)]) - mean
    law = torch.distributions.MultivariateNormal(mean[0], factor.mT @ factor)
    after = torch.cat([rows[:1, :64].expand(5, -1), rows[:, 64:256], theta.expand(5, -1)], -1)
    value = PRIOR(after, torch.zeros((), dtype=D))
    close(value - value[:1], law.log_prob(rows[:1, 64:256]) - law.log_prob(rows[:, 64:256]), 1e-8)
    assert energy.shape == (5,)


class Still(Streams):
    """Numbers that are given instead of drawn."""

    def __init__(self, numbers: torch.Tensor) -> None:
        self.numbers = numbers

    def normal(self, size: int, dtype: torch.dtype = D) -> torch.Tensor:
        return self.numbers


@pytest.mark.parametrize("overlap", [1, 2])
def test_windows_less_overlaps_are_a_product_of_conditionals(overlap):
    seen, grid = normal(16, 64), joint.Grid(torch.tensor([0.8, 1.1], dtype=D), torch.tensor([0.02, 0.03], dtype=D))
    got = joint.composed(PRIOR, overlap, grid, seen)
    theta = (grid.points - torch.tensor([1.0, 0.025], dtype=D)) / torch.tensor([1.0, 0.03], dtype=D) * 12**0.5
    zero, wanted = torch.zeros((), dtype=D), 0.0
    for first in range(0, 16 - 4 + 1, 4 - overlap):
        part = torch.cat([seen[first : first + 4].flatten().expand(4, -1), theta], -1)
        wanted = wanted - PRIOR(part, zero)
        if first:
            shared = torch.cat([seen[first : first + overlap].flatten().expand(4, -1), theta], -1)
            wanted = wanted + joint.Windows(NET, overlap).double()(shared, zero)
    close(got, wanted, 1e-9)


def test_the_exact_mixture_scores_itself(tmp_path):
    held = joint.paths(3, 32, 9)[0]
    seen = held[:, :16]
    right = [joint.Posterior.of(g, joint.exact(g, path)) for g, path in zip(map(joint.Grid.around, seen), seen)]
    judged = joint_rows.judged(right, right)
    assert judged["c off"] == judged["nu off rms"] == 0
    assert judged["c deviation"] == judged["nu deviation"] == pytest.approx(1)
    members = joint_rows.ahead(None, right, seen, 8, 0)
    assert members.shape == (8, 3, joint.AHEAD, 64)


# --- rare events ----------------------------------------------------------------------------------------------------

def test_the_chance_of_an_excursion_is_that_of_many_draws():
    system = AdvectionDiffusion(16)
    mean, covariance = system.forecast(system.draw(1)["a"][0], 8)
    draws = mean + normal(400_000, 16) @ torch.linalg.cholesky(covariance).mT
    for a in (1.0, 2.5):
        plain = (draws.amax(-1) > a).double()
        got = rare.exceeded(mean, covariance, a, 20_000)
        assert abs(got - float(plain.mean())) < 5 * math.sqrt(got / 400_000 + (got / 20_000) ** 2 * 100)


def test_the_chance_of_one_number_is_the_normal_tail():
    got = rare.exceeded(torch.tensor([0.3], dtype=D), torch.tensor([[4.0]], dtype=D), 9.0, 10)
    assert got == pytest.approx(float(torch.special.ndtr(torch.tensor(-4.35, dtype=D))), rel=1e-9)


def test_a_tilted_forecast_finds_the_chance_and_a_plain_one_nothing():
    start = rare.SYSTEM.draw(1, 3)["a"][0]
    a, right = rare.level(*rare.SYSTEM.forecast(start, rare.LEAD), 1e-4)
    assert right == pytest.approx(1e-4, rel=0.1)
    got, share = rare.row(rare.exact(), start, a, 128, 1, True)
    assert abs(got / right - 1) < 5 / math.sqrt(128 * share)
    assert share > 0.05
    assert rare.row(rare.exact(), start, a, 128, 1, False) == (0.0, 0.0)
