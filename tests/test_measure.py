"""Measurements read what they say: exact on what they are exact for, linear, and labelled with where they were."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from oracles import close, normal
from sciencegen.layout import Layout, Variable
from sciencegen.measure import Averages, Lines, Points

D = torch.float64
X, Y = torch.linspace(0, 1, 6, dtype=D), torch.tensor([0.0, 0.5, 2.0, 3.0], dtype=D)  # the second is not uniform
LAYOUT = Layout(a=Variable((6, 4), dims=("x", "y"), units="m", coords={"x": X, "y": Y}), u=Variable((5,)))


def plane(x, y):
    return 2.0 + 3.0 * x - 0.7 * y + 0.4 * x * y


FIELD = plane(X[:, None], Y)


def test_whole_numbers_are_grid_points():
    a = normal(3, 6, 4)
    close(Points("a", [[0, 0], [5, 3], [2, 1]])(a=a), a[:, [0, 5, 2], [0, 3, 1]])
    close(Points("u", [[0], [4]])(u=normal(2, 5), a=None), normal(2, 5)[:, [0, 4]])


@example([(1.1, 0.0)])  # the edge itself, which rounding puts beyond
@given(st.lists(st.tuples(st.floats(-0.1, 1.1), st.floats(-0.25, 3.5)), min_size=1, max_size=5))
def test_between_grid_points_and_half_a_cell_beyond_a_bilinear_field_is_read_exactly(places):
    where = torch.tensor(places, dtype=D)
    close(Points("a", where, (X, Y))(a=FIELD[None])[0], plane(*where.mT), 1e-12)


def test_a_line_is_the_mean_along_it():
    ends = torch.tensor([[[0.1, 0.2], [0.9, 0.4]], [[0.0, 0.0], [0.0, 3.0]]], dtype=D)
    along = (torch.arange(1000, dtype=D) + 0.5) / 1000
    wanted = [plane(*(e[0] + along[:, None] * (e[1] - e[0])).mT).mean() for e in ends]
    close(Lines("a", ends, (X, Y))(a=FIELD[None])[0], torch.stack(wanted), 1e-4)
    one = Lines("u", [[[0], [4]]], count=4)
    close(one(u=torch.arange(5.0, dtype=D)[None])[0], torch.tensor([2.0], dtype=D))


def test_an_average_is_the_mean_over_the_grid_points_in_its_box():
    a = normal(2, 6, 4)
    close(Averages("a", [[[1, 3], [0, 2]]])(a=a)[:, 0], a[:, 1:4, :3].mean((1, 2)))
    close(Averages("a", [[[0.2, 0.6], [0.5, 2.0]]], (X, Y))(a=a)[:, 0], a[:, 1:4, 1:3].mean((1, 2)))
    with pytest.raises(ValueError, match="a box of 'a' without a grid point"):
        Averages("a", [[[1.2, 1.8], [0, 2]]])(a=a)


def test_joined_measurements_stand_one_after_the_other_with_their_labels():
    both = Points("a", [[0.5, 2.5]], (X, Y)) & Averages("u", [[[1, 3]]]) & Lines("a", [[[0, 0], [2, 2]]])
    a, u = normal(3, 6, 4), normal(3, 5)
    assert both(a=a, u=u).shape == (3, 3)
    close(both(a=a, u=u)[:, 1], u[:, 1:4].mean(1))
    labels = both.labels(LAYOUT)
    assert list(labels.variable.values) == ["a", "u", "a"]
    np.testing.assert_allclose(labels.x, [0.5, np.nan, 0.2])
    np.testing.assert_allclose(labels.y, [2.5, np.nan, 0.5])  # index 1 is at 0.5
    np.testing.assert_allclose(labels.u_0, [np.nan, 2.0, np.nan])


@given(st.integers(0, 50))
def test_it_is_linear_keeps_the_precision_and_has_gradients(seed):
    measure = Points("a", [[1.5, 2.5]]) & Averages("a", [[[0, 5], [0, 3]]])
    a, b = normal(2, 6, 4, seed=seed), normal(2, 6, 4, seed=seed + 1)
    close(measure(a=2 * a - b), 2 * measure(a=a) - measure(a=b), 1e-12)
    assert measure(a=a.float()).dtype == torch.float32
    x = a.clone().requires_grad_()
    assert measure(a=x).requires_grad


@pytest.mark.parametrize("measure, error, message", [
    (Points("q", [[0, 0]]), KeyError, "no part 'q' to measure"),
    (Points("a", [0, 0]), ValueError, r"got places of shape \(2,\); expected \(n, k\)"),
    (Points("a", [[0, 3], [6, 0]]), ValueError, r"got 1 places outside the grid of 'a', .* \[6.0, 0.0\]"),
    (Points("a", [[1.3, 0.0]], (X, Y)), ValueError, "outside the grid of 'a'"),
    (Points("a", [[0.0, 0.0]], (X, X)), ValueError, r"got axes of \[6, 6\] coordinates for 'a' of shape \(6, 4\)"),
    (Points("a", [[0.0, 0.0]], (X, -Y)), ValueError, "expected two or more rising coordinates"),
])
def test_what_cannot_be_measured_is_refused(measure, error, message):
    with pytest.raises(error, match=message):
        measure(a=FIELD[None])
