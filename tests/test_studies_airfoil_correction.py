"""Kriging of the ratio of two programs' drag: of a tried design without itself, of others with all that was tried."""

import numpy as np
import pytest

from sciencegen.studies.airfoil.correction import LENGTH, MEAN, NOISE, carried


def case(count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    places = LENGTH * rng.normal(size=(count, 2))
    return 0.02 * rng.normal(size=(count, 3)), np.linalg.norm(places[:, None] - places, axis=-1)


def test_a_tried_design_is_told_by_the_others_and_one_that_was_not_by_all():
    told, apart = case()
    told[[2, 5]] = np.nan
    found = carried(told, apart)
    for i in range(len(told)):
        without = told.copy()
        without[i] = np.nan
        np.testing.assert_allclose(found[i], carried(without, apart)[i], rtol=1e-9)


def test_what_is_told_is_the_mean_of_a_gaussian_given_the_tried():
    told, apart = case()
    told[4:] = np.nan
    cov = MEAN + np.exp(-((apart / LENGTH) ** 2) / 2)
    wanted = cov[4:, :4] @ np.linalg.solve(cov[:4, :4] + NOISE * np.eye(4), told[:4])
    np.testing.assert_allclose(carried(told, apart)[4:], wanted, rtol=1e-9)


@pytest.mark.parametrize("tried", [0, 1, 2])
def test_little_that_is_told_is_believed_as_far_as_it_goes(tried):
    """Nothing told moves nothing; one design says nothing of itself, and of others what it says; two agree."""
    told, apart = np.full((6, 1), np.nan), 100 * LENGTH * (1 - np.eye(6))
    told[:tried] = 0.05
    found = carried(told, apart)
    share = MEAN / (MEAN + 1 + NOISE)
    np.testing.assert_allclose(found[:tried], 0.05 * share * (tried - 1), atol=1e-12)
    far = tried * MEAN / (tried * MEAN + 1 + NOISE)
    np.testing.assert_allclose(found[tried:], 0.05 * far, atol=1e-12)
