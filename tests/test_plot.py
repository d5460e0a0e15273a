"""Pictures show what is in the data: the terms by name, every sample once, the feasible ones apart."""

import numpy as np
import pytest
import xarray
from matplotlib import pyplot
from matplotlib.colors import to_rgba

from sciencegen import plot

SIGMA = np.geomspace(80.0, 0.01, 5)


def history(**terms: np.ndarray) -> xarray.Dataset:
    return xarray.Dataset({name: (("step", "sample"), value) for name, value in terms.items()},
                          {"sigma": ("step", SIGMA)})


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def test_terms_are_drawn_by_their_median_over_falling_noise():
    drag = np.arange(20.0).reshape(5, 4)
    steps = history(drag=drag, law=-drag, acceptance=drag / 20)
    _, (left, _) = plot.result(steps, np.arange(4.0), np.ones(4, dtype=bool))
    lines = {line.get_label(): line for line in left.lines}
    assert lines.keys() == {"drag", "law"}  # acceptance is no energy
    np.testing.assert_allclose(lines["drag"].get_ydata(), np.median(drag, 1))
    np.testing.assert_allclose(lines["law"].get_xdata(), SIGMA)
    assert left.xaxis_inverted()
    assert left.get_xscale() == "log"


def test_samples_are_drawn_best_first_and_coloured_by_what_they_meet():
    fun = np.array([3.0, 1.0, np.nan, 2.0])
    success = np.array([True, False, False, True])
    _, (_, right) = plot.result(history(drag=np.ones((5, 4))), fun, success)
    (dots,) = right.collections
    np.testing.assert_allclose(dots.get_offsets().filled(np.nan)[:, 1], [1.0, 2.0, 3.0, np.nan])
    green, red = to_rgba("tab:green"), to_rgba("tab:red")
    np.testing.assert_allclose(dots.get_facecolors(), [red, green, green, red])
    assert right.get_title() == "2 of 4 feasible"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fun", [np.full(3, np.nan), np.full(3, np.inf), np.ones(3)])
def test_it_draws_what_has_no_terms_no_steps_or_no_judge(fun):
    for steps in (SIGMA, []):
        empty = xarray.Dataset({}, {"sigma": ("step", steps)})
        figure, _ = plot.result(empty, fun, np.isfinite(fun))
        figure.canvas.draw()
    gaps = np.ones((5, 3))
    gaps[3:] = np.nan  # a term of the first stage only
    figure, axes = plot.result(history(drag=gaps), fun, np.isfinite(fun))
    figure.canvas.draw()
    np.testing.assert_allclose(axes[0].lines[0].get_xdata(), SIGMA[:3])


def test_data_are_not_changed():
    data, fun, success = history(drag=np.ones((5, 4))), np.array([2.0, 1.0, 4.0, 3.0]), np.ones(4, dtype=bool)
    copies = data.copy(deep=True), fun.copy(), success.copy()
    plot.result(data, fun, success)
    xarray.testing.assert_identical(data, copies[0])
    np.testing.assert_array_equal(fun, copies[1])
    np.testing.assert_array_equal(success, copies[2])
