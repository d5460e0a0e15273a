"""A result on disk is the same result; what fails leaves nothing half-written; what is shown is what is there."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray
from matplotlib import pyplot

from oracles import normal
from sciencegen import metrics
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.mcmc import HMC
from sciencegen.measure import Points
from sciencegen.result import Result
from sciencegen.sample import Heun, karras
from sciencegen.tasks import Problem, design, invert

LAYOUT = Layout(u=Variable((3,), scale=2.0, dims=("x",), units="m", coords={"x": [0.0, 0.5, 1.0]}), v=Variable(()))
PROBLEM = Problem(LAYOUT, Gaussian(torch.zeros(4), torch.eye(4)))


def positive(u, v):
    return v


@pytest.fixture(scope="module")
def result() -> Result:
    sampler = Heun(karras(4), HMC(0.01))
    return design(PROBLEM, lambda u, v: u.sum(-1), 0.1, sampler, 6, constraints=[positive],
                  seeds=2**61 + torch.arange(6), progress=False)


def same(a: Result, b: Result) -> None:
    xarray.testing.assert_identical(a.samples, b.samples)
    xarray.testing.assert_identical(a.history, b.history)
    for name in ("fun", "success", "seeds"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert (a.status, a.message, a.nfev, a.config) == (b.status, b.message, b.nfev, b.config)


# --- on disk ----------------------------------------------------------------------------------------------------

def test_what_is_saved_is_what_is_loaded(result, tmp_path):
    path = tmp_path / "result.nc"
    assert result.save(path) == path
    loaded = Result.load(str(path))
    same(result, loaded)
    assert loaded.samples.u.attrs["units"] == "m"
    np.testing.assert_array_equal(loaded.samples.x, [0.0, 0.5, 1.0])
    assert loaded.config["versions"]["torch"]
    assert "Heun" in loaded.config["sampler"]
    assert os.listdir(tmp_path) == ["result.nc"]


def test_a_result_without_terms_and_without_a_judge_is_saved_too(tmp_path):
    posterior = invert(PROBLEM, lambda u, v: u, torch.zeros(3), 0.1, Heun(karras(3)), 4, progress=False)
    same(posterior, Result.load(posterior.save(tmp_path / "posterior.nc")))
    nothing = replace(posterior, history=xarray.Dataset({}, {"sigma": ("step", [])}))  # interrupted at once
    same(nothing, Result.load(nothing.save(tmp_path / "nothing.nc")))


def test_a_saved_result_reads_as_plain_netcdf(result, tmp_path):
    path = result.save(tmp_path / "result.nc")
    with xarray.open_dataset(path, engine="h5netcdf") as root:
        assert root.attrs["Conventions"].startswith("CF-")
        xarray.testing.assert_identical(root[["u", "v"]].drop_attrs(deep=False).load(), result.samples)
        for name, values in (("objective", result.fun), ("success", result.success), ("seed", result.seeds)):
            np.testing.assert_array_equal(root[name], values)
    with xarray.open_dataset(path, group="data", engine="h5netcdf") as data:
        np.testing.assert_array_equal(data.positive, result.samples.v)


def test_every_number_on_disk_has_a_unit_and_a_long_name(result, posterior, tmp_path):
    for each in (result, posterior):
        with xarray.open_datatree(each.save(tmp_path / "result.nc"), engine="h5netcdf") as tree:
            for node in tree.subtree:
                for name, value in node.variables.items():
                    assert value.attrs["long_name"], name
                    assert "units" in value.attrs or value.dtype.kind in "bOUT", name


def test_a_part_may_have_the_name_of_a_score(tmp_path):
    layout = Layout(objective=Variable((), units="days"), seed=Variable((2,), dims=("success",)))
    problem = Problem(layout, Gaussian(torch.zeros(3), torch.eye(3)))
    found = design(problem, lambda objective, seed: objective, 1.0, Heun(karras(3)), 4, progress=False)
    loaded = Result.load(found.save(tmp_path / "result.nc"))
    same(found, loaded)
    assert loaded.samples.objective.dtype.kind == "f"  # a number of days, and no span of time


def test_a_file_of_version_0_1_is_refused_in_words(result, tmp_path):
    old = xarray.Dataset({"fun": ("sample", result.fun)})
    tree = xarray.DataTree.from_dict({"/": old, "/samples": result.samples, "/history": result.history})
    tree.to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="old.nc: got .* as version 0.1 wrote; make it again"):
        Result.load(tmp_path / "old.nc")


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("step", ["to_netcdf", "replace"])
def test_a_save_that_fails_leaves_what_was_there(result, tmp_path, monkeypatch, there, step):
    path = tmp_path / "result.nc"
    before = result.save(path).read_bytes() if there else None
    write = xarray.Dataset.to_netcdf

    def full(data, target, *args, **kwargs):
        write(data, target, *args, **kwargs)
        raise OSError("no space left on device")

    if step == "replace":
        monkeypatch.setattr(os, "replace", lambda new, _: full(xarray.Dataset(), new))
    else:
        monkeypatch.setattr(xarray.Dataset, "to_netcdf", full)
    with pytest.raises(OSError, match="no space"):
        result.save(path)
    assert os.listdir(tmp_path) == (["result.nc"] if there else [])
    assert not there or path.read_bytes() == before


def test_what_cannot_be_saved_writes_nothing(result, tmp_path):
    with pytest.raises(TypeError):
        replace(result, config={"objective": print}).save(tmp_path / "result.nc")
    with pytest.raises(OSError):
        result.save(tmp_path / "nowhere" / "result.nc")
    assert os.listdir(tmp_path) == []


def test_a_foreign_file_is_refused(result, tmp_path):
    (tmp_path / "text.nc").write_text("not HDF5")
    (tmp_path / "empty.nc").touch()
    xarray.Dataset({"fun": ("sample", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    (tmp_path / "cut.nc").write_bytes(result.save(tmp_path / "whole.nc").read_bytes()[:3000])
    result.samples.to_netcdf(tmp_path / "scoreless.nc", engine="h5netcdf")
    for name in ("text", "empty", "other", "cut", "scoreless"):
        with pytest.raises(ValueError, match=rf"{name}.nc: got .*; expected .*; "):
            Result.load(tmp_path / f"{name}.nc")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.nc"):
        Result.load(tmp_path / "nothing.nc")


# --- an inverse problem ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def posterior() -> Result:
    field = Layout(u=Variable((5, 4), loc=1.0, scale=2.0, dims=("x", "y"), units="m"), w=Variable((6,)), v=())
    prior = Gaussian(torch.zeros(field.size, dtype=torch.float64), torch.ones(field.size, dtype=torch.float64))
    truth = field.unpack(normal(1, field.size, seed=4)[0])
    measure = Points("u", [[0, 0], [2.5, 1.0]]) & Points("w", [[3]])
    return invert(Problem(field, prior), measure, torch.ones(3), 0.1, Heun(karras(8, dtype=torch.float64)), 39,
                  torch.arange(39), progress=False, truth=truth)


def test_data_and_truth_are_saved_too(posterior, tmp_path):
    loaded = Result.load(posterior.save(tmp_path / "posterior.nc"))
    same(posterior, loaded)
    for name in ("data", "truth"):
        xarray.testing.assert_identical(getattr(loaded, name), getattr(posterior, name))
    assert loaded.data.variable.values.tolist() == ["u", "u", "w"]
    xarray.testing.assert_identical(loaded.posterior(), posterior.posterior())


def test_posterior_statistics_are_those_of_the_samples(posterior):
    found, samples = posterior.posterior(0.8), posterior.samples.u.values
    np.testing.assert_allclose(found.u.sel(statistic="mean"), samples.mean(0))
    np.testing.assert_allclose(found.u.sel(statistic="spread"), samples.std(0, ddof=1))
    ordered = np.sort(samples, 0)
    np.testing.assert_allclose(found.u.sel(statistic="lower"), ordered[3])  # the 4th of 39: 4 / 40 = 0.1
    np.testing.assert_allclose(found.u.sel(statistic="upper"), ordered[-4])
    assert found.u.attrs["units"] == "m"
    assert np.isnan(posterior.posterior(0.99).u.sel(statistic="lower")).all()  # 39 samples cannot say
    assert np.isfinite(posterior.posterior(0.99).u.sel(statistic="mean")).all()


def test_scores_are_those_of_the_metrics(posterior):
    scores, truth = posterior.scores(level=0.8), posterior.truth
    samples, wanted = (torch.tensor(v) for v in (posterior.samples.u.values.reshape(39, -1), truth.u.values.ravel()))
    assert float(scores.u.sel(score="error")) == pytest.approx(float((samples.mean(0) - wanted).norm() / wanted.norm()))
    each = (samples - wanted).norm(dim=-1) / wanted.norm()
    assert float(scores.u.sel(score="sample_error")) == pytest.approx(float(each.square().mean().sqrt()))
    assert float(scores.u.sel(score="crps")) == pytest.approx(float(metrics.crps(samples, wanted).mean()))
    assert float(scores.u.sel(score="coverage")) == pytest.approx(float(metrics.coverage(samples, wanted, 0.8)))
    xarray.testing.assert_identical(posterior.scores({k: v.values for k, v in truth.items()}, 0.8), scores)
    with pytest.raises(ValueError, match="got no truth; expected scores"):
        replace(posterior, truth=xarray.Dataset()).scores()


def test_the_plot_of_an_inverse_problem_shows_its_fields(posterior):
    figure, axes = posterior.plot()
    assert [[a.get_title() for a in row] for row in axes] == [[f"{k}: {c}" for c in ("truth", "data", "mean", "std")]
                                                              for k in "uw"]
    figure.canvas.draw()
    pyplot.close(figure)
    figure, axes = replace(posterior, truth=xarray.Dataset()).plot()
    assert axes.shape == (2, 3)
    pyplot.close(figure)


# --- shown ------------------------------------------------------------------------------------------------------

def test_repr_says_what_is_there(result):
    assert len(result) == 6
    text = repr(result)
    assert "samples: 6 of u (3,), v ()" in text
    assert f"feasible: {result.success.sum()} of 6" in text
    assert "message: finished" in text
    assert len(text.splitlines()) == 6


def test_the_best_that_is_shown_is_one_that_meets_the_constraints(result):
    fun = np.array([-9.0, np.nan, -np.inf, 1.25, 2.0, 3.0])
    ours = replace(result, fun=fun, success=np.array([False, True, True, True, True, False]))
    assert "best: 1.25" in repr(ours)
    assert "best: -\n" in repr(replace(ours, success=np.zeros(6, dtype=bool)))


def test_html_is_a_table_that_escapes_what_it_shows(result):
    page = replace(result, message="<script>alert()</script>")._repr_html_()
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page
    assert page.startswith("<table><caption>Result</caption>")
    assert "xarray.Dataset" in page


def test_plot_returns_figure_and_axes_and_shows_nothing(result, monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("shown"))
    figure, axes = result.plot()
    assert isinstance(figure, pyplot.Figure)
    assert axes[-1, 0].get_title() == "objective"
    figure.canvas.draw()
    pyplot.close(figure)


def test_isel_keeps_all_that_is_known_of_the_samples_in_the_order_asked_for(result):
    pick = np.array([2, 0])
    part = result.isel(pick)
    assert len(part) == 2
    for name in ("fun", "success", "seeds"):
        assert np.array_equal(getattr(part, name), getattr(result, name)[pick], equal_nan=name == "fun")
    for name, values in result.samples.data_vars.items():
        assert np.array_equal(part.samples[name], values.isel(sample=pick))
    assert part.history.sizes["sample"] == 2
    assert (part.status, part.nfev) == (result.status, result.nfev)


@pytest.mark.parametrize("name", ["seeds", "success"])
def test_scores_of_another_type_are_refused(result, tmp_path, name):
    odd = replace(result, **{name: getattr(result, name).astype(float)})
    with pytest.raises(ValueError, match=f"scores of types .*'{name}': 'float64'"):
        Result.load(odd.save(tmp_path / "odd.nc"))
