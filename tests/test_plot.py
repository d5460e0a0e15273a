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


# --- a posterior ------------------------------------------------------------------------------------------------

def statistics(*shape: int) -> xarray.Dataset:
    dims = ("x", "y", "z")[: len(shape)]
    values = np.random.default_rng(0).random((4, *shape))
    return xarray.Dataset({"u": (("statistic", *dims), values, {"units": "m/s"})},
                          {"statistic": ["mean", "spread", "lower", "upper"], "x": np.linspace(1.0, 3.0, shape[0])})


def readings(**places: np.ndarray) -> xarray.Dataset:
    count = len(next(iter(places.values())))
    return xarray.Dataset({"variable": ("measurement", np.full(count, "u")), "value": ("measurement", np.ones(count)),
                           "noise": ("measurement", np.full(count, 0.1)),
                           **{k: ("measurement", v) for k, v in places.items()}})


@pytest.mark.filterwarnings("error")
def test_a_map_is_drawn_over_its_coordinates_with_the_data_where_they_are():
    found, truth = statistics(5, 4), xarray.Dataset({"u": (("x", "y"), np.arange(20.0).reshape(5, 4))})
    figure, axes = plot.posterior(found, readings(x=np.array([1.0, 2.5]), y=np.array([0.0, 3.0])), truth)
    real, data, mean, spread = axes[0]
    np.testing.assert_allclose(mean.collections[0].get_array().reshape(4, 5), found.u.values[0].T)
    np.testing.assert_allclose(spread.collections[0].get_array().reshape(4, 5), found.u.values[1].T)
    np.testing.assert_allclose(data.collections[0].get_offsets(), [[1.0, 0.0], [2.5, 3.0]])
    assert real.collections[0].get_clim() == mean.collections[0].get_clim() == data.collections[0].get_clim()
    assert spread.collections[0].get_clim()[0] == 0
    assert (real.get_xlabel(), real.get_ylabel()) == ("x", "y")
    figure.canvas.draw()
    assert any("m/s" in a.get_ylabel() for a in spread.child_axes)


@pytest.mark.filterwarnings("error")
def test_a_curve_is_drawn_with_its_band_its_data_and_its_unit():
    found, truth = statistics(5), xarray.Dataset({"u": ("x", np.arange(5.0))})
    figure, axes = plot.posterior(found, readings(x=np.array([1.0, 2.5])), truth)
    real, _, mean, spread = axes[0]
    lines = {line.get_label(): line.get_ydata() for line in mean.lines}
    np.testing.assert_allclose(lines["mean"], found.u.values[0])
    np.testing.assert_allclose(lines["truth"], truth.u)
    np.testing.assert_allclose(spread.lines[0].get_ydata(), found.u.values[1])
    assert real.get_ylabel() == "m/s"
    assert real.get_ylim() == mean.get_ylim()
    figure.canvas.draw()


def test_it_draws_data_without_places_and_fields_of_more_axes():
    bare = xarray.Dataset({"value": ("measurement", np.ones(2)), "noise": ("measurement", np.ones(2))})
    for shape in ((5,), (5, 4), (3, 5, 4)):
        figure, axes = plot.posterior(statistics(*shape), bare, xarray.Dataset())
        entry = "\nx 1" if len(shape) == 3 else ""
        assert [a.get_title() for a in axes[0]] == [f"u: {column}{entry}" for column in ("data", "mean", "spread")]
        figure.canvas.draw()


def test_of_a_field_in_time_the_frame_is_drawn_that_was_read_most():
    coords = {"time": [0.0, 0.5, 1.0], "x": np.arange(4.0), "y": np.arange(5.0)}
    values = np.random.default_rng(0).normal(size=(4, 3, 4, 5))
    statistics = xarray.Dataset({"u": (("statistic", "time", "x", "y"), values)},
                                coords | {"statistic": ["mean", "spread", "lower", "upper"]})
    read = {"variable": np.full(4, "u"), "time": [0.0, 0.5, 0.5, 1.0], "x": [0.0, 1, 2, 3], "y": [0.0, 1, 2, 3],
            "value": np.arange(4.0), "noise": np.ones(4)}
    data = xarray.Dataset({k: ("measurement", v) for k, v in read.items()})
    figure, axes = plot.posterior(statistics, data, xarray.Dataset())
    assert [axis.get_title() for axis in axes[0]] == [f"u: {c}\ntime 0.5" for c in ("data", "mean", "spread")]
    np.testing.assert_allclose(axes[0, 0].collections[0].get_offsets(), [[1, 1], [2, 2]])
    np.testing.assert_allclose(axes[0, 1].collections[0].get_array().reshape(5, 4), values[0, 1].T)
    pyplot.close(figure)
