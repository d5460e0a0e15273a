"""Pictures show what is in the data: the terms by name, every sample once, the feasible ones apart."""

import numpy as np
import pytest
import xarray
from matplotlib import pyplot
from matplotlib.text import Text

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
    _, left = plot.terms(steps)
    lines = {line.get_label(): line for line in left.lines}
    assert lines.keys() == {"drag", "law"}  # acceptance is no energy
    np.testing.assert_allclose(lines["drag"].get_ydata(), np.median(drag, 1))
    np.testing.assert_allclose(lines["law"].get_xdata(), SIGMA)
    assert left.xaxis_inverted()
    assert left.get_xscale() == "log"


@pytest.mark.filterwarnings("error")
def test_it_draws_what_has_no_terms_or_no_steps():
    for steps in (SIGMA, []):
        plot.terms(xarray.Dataset({}, {"sigma": ("step", steps)}))[0].canvas.draw()
    gaps = np.ones((5, 3))
    gaps[3:] = np.nan  # a term of the first stage only
    figure, axis = plot.terms(history(drag=gaps))
    figure.canvas.draw()
    np.testing.assert_allclose(axis.lines[0].get_xdata(), SIGMA[:3])


# --- designs ----------------------------------------------------------------------------------------------------

def made(count: int = 4) -> xarray.Dataset:
    rng = np.random.default_rng(0)
    coords = {"time": xarray.Variable("time", np.linspace(0, 1, 6), {"units": "s"}), "x": np.linspace(1.0, 3.0, 5)}
    return xarray.Dataset({"q": (("sample", "time", "x", "y"), rng.random((count, 6, 5, 4)), {"units": "K"}),
                           "p": (("sample", "x", "y"), rng.random((count, 5, 4)), {"units": "Pa"}),
                           "load": (("sample", "x"), rng.random((count, 5)), {"units": "kN"}),
                           "mass": ("sample", rng.random(count), {"units": "kg"}),
                           "reason": ("sample", np.full(count, "none"))}, coords)


@pytest.mark.filterwarnings("error")
def test_of_designs_the_fields_themselves_are_drawn_the_best_ones_and_how_far_the_feasible_ones_differ():
    samples, fun, success = made(), np.array([1.0, 2.0, 0.5, np.nan]), np.array([True, True, False, False])
    figure, axes = plot.designs(samples, fun, success)
    figure.canvas.draw()
    assert axes[0, 0].get_title() == "q: best\ntime 0 s"
    assert axes[0, 3].get_title() == "q: best\ntime 1 s"
    shown = lambda axis: axis.collections[0].get_array().reshape(4, 5).T
    np.testing.assert_allclose(shown(axes[0, 3]), samples.q.values[0, -1])
    np.testing.assert_allclose(shown(axes[1, 1]), samples.p.values[1])
    np.testing.assert_allclose(shown(axes[1, 3]), samples.p.values[:2].std(0))
    np.testing.assert_allclose(axes[2, 0].lines[-1].get_ydata(), samples["load"].values[0])
    assert axes[2, 0].get_ylabel() == "load, kN"
    objective, mass = axes[3, :2]
    bad, good, best = (dots.get_offsets().filled(np.nan)[:, 1] for dots in objective.collections)
    assert bad.tolist()[0] == 0.5
    assert good.tolist() == [1.0, 2.0]
    assert best.tolist() == [1.0]
    assert mass.get_title() == "mass, kg"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fun", [np.full(3, np.nan), np.full(3, np.inf), np.ones(3)])
def test_designs_without_a_judge_or_alone_are_drawn(fun):
    plot.designs(made(3)[["p", "mass"]], fun, np.isfinite(fun))[0].canvas.draw()
    plot.designs(made(1), fun[:1], np.isfinite(fun[:1]))


def test_data_are_not_changed():
    data, fun, success = made(), np.array([2.0, 1.0, 4.0, 3.0]), np.ones(4, dtype=bool)
    copies = data.copy(deep=True), fun.copy(), success.copy()
    plot.designs(data, fun, success)
    xarray.testing.assert_identical(data, copies[0])
    np.testing.assert_array_equal(fun, copies[1])
    np.testing.assert_array_equal(success, copies[2])


def test_all_pictures_have_one_style_and_leave_the_caller_s_alone():
    before = dict(pyplot.rcParams)
    figures = [plot.designs(made(), np.ones(4), np.ones(4, bool))[0], plot.terms(history(drag=np.ones((5, 4))))[0],
               plot.posterior(statistics(5, 4), readings(x=np.ones(1), y=np.ones(1)), xarray.Dataset())[0]]
    assert dict(pyplot.rcParams) == before
    for figure in figures:
        assert figure.get_figwidth() <= plot.WIDTH
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= 9  # legible where a page shows it 830 pixels wide


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
    none = plot.posterior(found, readings(x=np.ones(0), y=np.ones(0)), truth)[1][0, 1]
    assert none.texts[0].get_text() == "not measured"


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
    for shape in ((5,), (5, 4)):
        figure, axes = plot.posterior(statistics(*shape), bare, xarray.Dataset())
        assert [a.get_title() for a in axes[0]] == [f"u: {column}" for column in ("data", "mean", "std")]
        figure.canvas.draw()
    figure, axes = plot.posterior(statistics(6, 5, 4), bare, xarray.Dataset())
    assert axes.shape == (2, 4)
    figure.canvas.draw()


def test_of_a_field_in_time_each_column_is_a_time_with_the_sensors_of_that_time():
    coords = {"time": [0.0, 0.5, 1.0], "x": np.arange(4.0), "y": np.arange(5.0)}
    values = np.random.default_rng(0).normal(size=(4, 3, 4, 5))
    statistics = xarray.Dataset({"u": (("statistic", "time", "x", "y"), values)},
                                coords | {"statistic": ["mean", "spread", "lower", "upper"]})
    read = {"variable": np.full(4, "u"), "time": [0.0, 0.5, 0.5, 1.0], "x": [0.0, 1, 2, 3], "y": [0.0, 1, 2, 3],
            "value": np.arange(4.0), "noise": np.ones(4)}
    data = xarray.Dataset({k: ("measurement", v) for k, v in read.items()})
    figure, axes = plot.posterior(statistics, data, xarray.Dataset())
    assert [axis.get_title() for axis in axes[0]] == ["u: mean\ntime 0", "time 0.5", "time 1"]
    for i, places in enumerate(([[0, 0]], [[1, 1], [2, 2]], [[3, 3]])):
        mean, sensors = axes[0, i].collections
        np.testing.assert_allclose(mean.get_array().reshape(5, 4), values[0, i].T)
        np.testing.assert_allclose(sensors.get_offsets(), places)
        np.testing.assert_allclose(axes[1, i].collections[0].get_array().reshape(5, 4), values[1, i].T)


def test_of_more_times_than_columns_those_are_shown_that_were_read():
    statistics = xarray.Dataset({"u": (("statistic", "time", "x", "y"), np.ones((4, 20, 3, 3)))},
                                {"statistic": ["mean", "spread", "lower", "upper"]})
    read = {"variable": np.full(3, "u"), "time": [7, 7, 12], "x": [0, 1, 2], "y": [0, 1, 2], "value": np.ones(3),
            "noise": np.ones(3)}
    _, axes = plot.posterior(statistics, xarray.Dataset({k: ("measurement", v) for k, v in read.items()}),
                             xarray.Dataset())
    assert [axis.get_title() for axis in axes[0]] == ["u: mean\ntime 0", "time 6", "time 7", "time 12"]


def test_the_misfit_is_drawn_where_it_is_known_beside_what_is_likely():
    data = readings(x=np.linspace(1, 3, 30)).assign(misfit=("sample", [1.1, 0.9, np.nan], {"truth": 1.0}))
    figure, _ = plot.posterior(statistics(5), data, xarray.Dataset())
    figure.canvas.draw()
    (axis,) = [a for a in figure.axes if "misfit" in a.get_xlabel()]
    dots, truth = axis.lines
    assert dots.get_xdata().tolist() == [0.9, 1.1]
    assert truth.get_xdata() == [1.0, 1.0]
    assert [w.get_text() for w in axis.get_legend().get_texts()] == ["likely of 30 readings", "samples", "truth"]
