"""Refine: Tweedie's mean level by level, its known bias on Gaussians, and the deterministic surrogate."""

import pytest
import torch

from conformance import gaussian
from oracles import close, covariance, normal
from sciencegen.exact import Gaussian
from sciencegen.random import Streams
from sciencegen.sample import Refine

D = torch.float64
LEVELS = torch.tensor([50.0, 1.0, 0.2], dtype=D)


def test_one_level_is_tweedies_mean_from_zero_whatever_the_seeds():
    energy = gaussian(4)
    drawn = Refine(LEVELS[:1]).draw(energy, 4, Streams(torch.arange(3)), normal(1))
    close(drawn, energy.mean(torch.zeros(3, 4, dtype=D), 50.0))


def test_numbers_and_tensors_are_the_same_levels_and_the_path_ends_at_zero():
    assert Refine.at(50.0, 0.5).levels == Refine(torch.tensor([50.0, 0.5, 0.0])).levels == [50.0, 0.5, 0.0]


def test_a_draw_is_the_path_from_its_start():
    energy, seeds, sampler = gaussian(4), torch.arange(5), Refine(LEVELS)
    close(sampler.draw(energy, 4, Streams(seeds), normal(1)), sampler(energy, sampler.start(5, 4, seeds), seeds))


def test_each_level_costs_one_score():
    seen = []

    class Counted(Gaussian):
        def evaluate(self, x, sigma):
            seen.append(float(sigma))
            return super().evaluate(x, sigma)

    Refine(LEVELS).draw(Counted(normal(4), covariance(4)), 4, Streams(torch.arange(2)), normal(1))
    assert seen == LEVELS.tolist()


def test_variances_are_too_small_by_what_the_recursion_says_and_nothing_where_nothing_varies():
    """Known bias: from level to level V <- (v / (v + s^2))^2 (V + s^2), from V = -s^2, which the start lacks."""
    variances, mean = torch.tensor([0.0, 1e-4, 0.04, 1.0, 9.0], dtype=D), normal(5)
    drawn = Refine(LEVELS).draw(Gaussian(mean, variances), 5, Streams(torch.arange(20000)), normal(1))
    wanted, center = -LEVELS[0] ** 2, torch.zeros(5, dtype=D)
    for level in LEVELS:
        gain = variances / (variances + level**2)
        center, wanted = mean + gain * (center - mean), gain**2 * (wanted + level**2)
    close(drawn[:, 0], mean[0].expand(20000), 1e-12)
    error = (drawn.mean(0) - center).abs() / (wanted / len(drawn)).sqrt().clamp_min(1e-12)
    assert bool((error < 4.5).all())
    assert bool(((drawn.var(0) - wanted).abs() <= 4.5 * wanted * (2 / len(drawn)) ** 0.5).all())
    assert bool((drawn.var(0)[1:] < variances[1:]).all())


@pytest.mark.parametrize("levels", [(), (0.0,), (1.0, 2.0), (-1.0,), (1.0, float("nan"))], ids=str)
def test_bad_levels_are_refused(levels):
    with pytest.raises(ValueError, match="expected two or more falling noise levels"):
        Refine.at(*levels)
