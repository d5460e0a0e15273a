"""Inverse problems from the command line: the file's layout, what is refused, the answer beside closed forms.

The prior of the runs is the zoo's for Poisson, which is Gaussian, so that its posterior is known; on few samples.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray

from oracles import close
from sciencegen import cli
from sciencegen.exact import Gaussian, Mixture
from sciencegen.layout import Layout, Variable
from sciencegen.measure import Points
from sciencegen.metrics.misfit import RARE, likely
from sciencegen.observations import Observations, Readings, observe
from sciencegen.physics import Darcy, Poisson
from sciencegen.physics.grids import centres
from sciencegen.priors import Model, zoo
from sciencegen.result import Result
from sciencegen.sample import Multistep, karras
from sciencegen.studies.pde import invert as job
from sciencegen.studies.pde import judge
from sciencegen.tasks import Problem, invert

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
D = torch.float64
DATA = Path(__file__).parents[1] / "datasets"
ZOO = Path(__file__).parents[1] / "sciencegen" / "zoo"
WHERE = np.random.default_rng(0).uniform(0, 1, (12, 2))
GRID = Layout(**{name: Variable((8, 8), dims=("x", "y"), coords=dict.fromkeys("xy", centres(8).tolist()))
                 for name in "au"})


@pytest.fixture(scope="module")
def poisson() -> Model:
    return zoo("poisson")


@pytest.fixture(scope="module")
def example(poisson) -> Observations:
    return job.example(Poisson(32), poisson.layout, case=3)


@pytest.fixture(scope="module")
def answer(poisson, example) -> Result:
    return job.solve(poisson, example, Poisson(32), count=19, seed=5, steps=8, progress=False)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """`run(*words)`: exit status, stdout and stderr of `sciencegen invert *words`, with --out."""

    def call(*words: object) -> tuple[int, str, str]:
        given = [] if "--out" in words else ["--out", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", ["sciencegen", "invert", *map(str, [*words, *given])])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capsys.readouterr()
        return exit.value.code or 0, out, err

    return call


def file_of(path: Path, **changes: object) -> Path:
    """Observations of ``u``, one of them changed, written without our own writer; None leaves it out."""
    fields = {"coordinates": WHERE, "values": np.ones(12), "noise": 0.1} | changes
    with h5py.File(path, "w") as file:
        for name, value in fields.items():
            if value is not None:
                file[f"u/{name}"] = value
    return path


# --- the file ---------------------------------------------------------------------------------------------------

def test_observations_come_back_as_they_were_written(tmp_path):
    rng = np.random.default_rng(1)
    made = Observations({"u": Readings(rng.random((5, 2)), rng.random(5), 0.1),
                         "a": Readings(rng.random((3, 2)), rng.random(3), [0.1, 0.2, 0.3])},
                        {"a": rng.random((8, 8)), "u": rng.random((8, 8))})
    again = Observations.load(made.save(tmp_path / "seen.h5"))
    for name, readings in made.readings.items():
        for part in ("coordinates", "values", "noise"):
            np.testing.assert_array_equal(getattr(again.readings[name], part), getattr(readings, part))
    for name, value in made.truth.items():
        np.testing.assert_array_equal(again.truth[name], value)
    assert [p.name for p in tmp_path.iterdir()] == ["seen.h5"]
    assert len(again) == 8


def test_a_netcdf_file_of_the_same_groups_is_read_too(tmp_path):
    seen = xarray.Dataset({"coordinates": (("n", "k"), WHERE), "values": ("n", np.arange(12.0)), "noise": 0.5})
    xarray.DataTree.from_dict({"/u": seen}).to_netcdf(tmp_path / "seen.nc", engine="h5netcdf")
    readings = Observations.load(tmp_path / "seen.nc").readings["u"]
    np.testing.assert_array_equal(readings.coordinates, WHERE)
    np.testing.assert_array_equal(readings.values, np.arange(12.0))
    assert readings.noise == 0.5


def test_sensors_read_a_bilinear_field_exactly_from_wall_to_wall():
    x, y = centres(8, torch.zeros((), dtype=D))[:, None], centres(8, torch.zeros((), dtype=D))
    plane = 1 + 2 * x - 3 * y + x * y
    seen = observe(GRID, {"a": plane, "u": 2 * plane}, {"u": WHERE, "a": [[0.0, 1.0]]}, noise=1e-9)
    u, a = WHERE.T
    np.testing.assert_allclose(seen.readings["u"].values, 2 * (1 + 2 * u - 3 * a + u * a), rtol=1e-7)
    np.testing.assert_allclose(seen.readings["a"].values, [-2.0], rtol=1e-7)
    close(seen.measure(GRID)(a=plane[None], u=2 * plane[None])[0], seen.data, 1e-7)


def test_an_axis_of_length_one_takes_no_coordinate():
    coords = dict.fromkeys("xy", centres(8).tolist())
    frames = Layout(a=Variable((8, 8), dims=("x", "y"), coords=coords),
                    u=Variable((1, 8, 8), dims=("frame", "x", "y"), coords=coords))
    plane = centres(8, torch.zeros((), dtype=D))[:, None].expand(8, 8)
    seen = observe(frames, {"a": plane, "u": plane[None]}, {"u": WHERE}, noise=1e-9)
    np.testing.assert_allclose(seen.readings["u"].values, WHERE[:, 0], atol=1e-7)


def test_the_errors_of_what_is_observed_have_the_stated_size():
    where = np.random.default_rng(2).uniform(0, 1, (4000, 2))
    field = torch.full((8, 8), 3.0, dtype=D)
    readings = observe(GRID, {"a": field, "u": field}, {"u": where}, noise=0.05).readings["u"]
    assert readings.noise == pytest.approx(0.15)
    assert readings.values.std() == pytest.approx(0.15, rel=5 / 8000**0.5)


@pytest.mark.parametrize("changes, word", [
    ({"noise": 0.0}, "above 0"), ({"noise": -1.0}, "above 0"), ({"noise": [0.1, 0.1]}, "expected one number or"),
    ({"values": np.r_[np.nan, np.ones(11)]}, "1 of 12 values that are not finite"),
    ({"coordinates": np.full((12, 2), np.inf)}, "not finite"),
    ({"values": np.ones(11)}, "a place and a value for each"),
    ({"coordinates": WHERE[:, 0]}, "expected (n, 2) and (n,)"), ({"values": None}, "no values"),
    ({"noise": None, "coordinates": None}, "no coordinates and no noise"),
    ({"values": [b"x"] * 12}, "expected numbers"),
])  # fmt: skip
def test_a_file_that_is_not_as_described_is_refused(tmp_path, run, changes, word):
    status, out, err = run("poisson", "--data", file_of(tmp_path / "bad.h5", **changes))
    assert (status, out) == (2, "")
    assert word in err
    assert "bad.h5" in err
    assert "expected" in err
    assert [p.name for p in tmp_path.iterdir()] == ["bad.h5"]


def test_what_is_asked_wrongly_is_refused_and_writes_nothing(tmp_path, run):
    good, outside = file_of(tmp_path / "good.h5"), file_of(tmp_path / "outside.h5", coordinates=WHERE * 2)
    text, empty = tmp_path / "text.h5", tmp_path / "empty.h5"
    text.write_text("u = 3")
    h5py.File(empty, "w").close()
    there = {p.name for p in tmp_path.iterdir()}
    for words, word in (
        (["poisson"], "expected one of the two"), (["poisson", "--data", good, "--example"], "expected one of the two"),
        (["poisson", "--data", tmp_path / "none.h5"], "no file"), (["poisson", "--data", text], "HDF5"),
        (["poisson", "--data", empty], "no readings"), (["poisson", "--data", outside], "outside of [0, 1] x [0, 1]"),
        (["poison", "--data", good], "no system 'poison'; there are poisson"),
        (["burgers", "--data", good], "sciencegen train burgers"),
        (["poisson", "--data", good, "--count", 0], "got --count 0; expected at least 1"),
        (["poisson", "--data", good, "--count", 10**9], "GB; ask for fewer"),
        (["poisson", "--data", good, "--seed", -1], "got --seed -1; expected 0 to 2^40"),
        (["poisson", "--data", good, "--steps", 1], "got --steps 1; expected at least 2"),
        (["poisson", "--data", good, "--device", "abacus"], "abacus; expected a device that is there: cpu"),
        (["my_wave:Wave", "--data", good], "sciencegen train my_wave:Wave"),
        (["heat", "--data", good, "--model", ZOO / "poisson"], "got a prior of Layout"),
        (["poisson", "--data", good, "--model", tmp_path / "no"], "config.json"),
        (["poisson", "--data", good, "--out", text], "can be written to"),
    ):
        status, out, err = run(*words)
        assert (status, out) == (2, ""), words
        assert word in " ".join(err.split()), (words, err)
    assert {p.name for p in tmp_path.iterdir()} == there


def test_other_parts_coordinates_and_truths_are_refused():
    readings = Readings(WHERE, np.ones(12), 0.1)
    with pytest.raises(KeyError, match="got observations of 'v'"):
        Observations({"v": readings}).measure(GRID)
    with pytest.raises(ValueError, match=r"expected \(n, 2\): x, y of each sensor"):
        Observations({"u": Readings(WHERE[:, :1], np.ones(12), 0.1)}).measure(GRID)
    with pytest.raises(ValueError, match="all parts on the prior's grid, or none"):
        Observations({"u": readings}, {"u": np.ones((8, 8))}).measure(GRID)
    with pytest.raises(ValueError, match="no readings"):
        Observations({})


# --- the answer -------------------------------------------------------------------------------------------------

def test_the_example_is_a_case_of_the_shipped_test_split(example):
    with h5py.File(DATA / "pde_poisson_32.h5") as file:
        np.testing.assert_allclose(example.truth["a"], file["nu"][3], atol=1e-3)
        np.testing.assert_allclose(example.truth["u"], file["tensor"][3, 0], atol=1e-5)


def test_the_posterior_of_a_gaussian_prior_is_the_closed_form(poisson, example, answer):
    """In physical units: the mean of 19 samples to 5 standard errors of the exact posterior's."""
    data, layout = poisson.energy.data, poisson.layout
    axes, variances = data.axes.double(), data.variances[: data.axes.shape[1]].double()
    origin = torch.zeros(1, layout.size, dtype=D)
    read = lambda x: example.measure(layout)(**layout.unpack(x))
    shift = read(origin + data.center)[0]
    seen = (read(axes.mT + data.center) - shift).mT  # of each axis, (m, k)
    gain = variances[:, None] * seen.mT @ torch.linalg.inv(seen * variances @ seen.mT + example.noise.square().diag())
    mean = data.center + axes @ (gain @ (example.data - shift))
    spread = axes @ torch.linalg.cholesky(variances.diag() - gain @ seen * variances + 1e-9 * torch.eye(len(variances)))
    for name, value in layout.unpack(mean).items():
        variable = layout.variables[name]
        error = (torch.tensor(answer.samples[name].values).double().mean(0) - value).flatten() / float(variable.scale)
        assert (error.abs() < 5 * spread[layout[name].rows].norm(dim=1) / 19**0.5 + 2e-3).all()
        assert answer.samples[name].dims == ("sample", "x", "y")


def test_misfit_and_residual_are_told_beside_the_truth_and_nothing(poisson, example, answer):
    values, noise = example.data.numpy(), example.noise.numpy()
    misfit = answer.data.misfit
    assert misfit.attrs["zero"] == pytest.approx(np.sqrt(np.mean((values / noise) ** 2)))
    assert abs(misfit.attrs["truth"] ** 2 - 1) < 5 * (2 / len(values)) ** 0.5
    np.testing.assert_allclose(misfit, np.sqrt((((answer.data.predicted - values) / noise) ** 2).mean("measurement")),
                               rtol=1e-5)
    residual = answer.data.residual
    assert residual.attrs["truth"] < 1e-11
    assert residual.attrs["zero"] == pytest.approx(1, rel=0.5)
    assert (residual < 0.1).all()
    np.testing.assert_allclose(answer.data.x, example.readings["u"].coordinates[:, 0])


def test_a_law_makes_samples_obey_to_rounding_and_costs_a_linear_equation_nothing(poisson, example, answer):
    lawful = job.solve(poisson, example, Poisson(32), count=19, seed=5, steps=8, law=True, progress=False)
    assert (lawful.data.residual < 1e-11).all()
    np.testing.assert_allclose(lawful.samples["a"], answer.samples["a"], rtol=1e-6)
    np.testing.assert_allclose(lawful.data.misfit, answer.data.misfit, rtol=0.1)


def test_the_same_seed_gives_the_same_samples(poisson, example, answer):
    again = job.solve(poisson, example, Poisson(32), count=19, seed=5, steps=8, progress=False)
    other = job.solve(poisson, example, Poisson(32), count=19, seed=6, steps=8, progress=False)
    np.testing.assert_array_equal(again.samples["a"], answer.samples["a"])
    assert (np.abs(other.samples["a"] - answer.samples["a"]).max(("x", "y")) > 1e-3).all()


def test_a_prior_without_a_system_has_no_residual_and_no_law(poisson, example):
    found = job.solve(poisson, example, count=2, steps=2, progress=False)
    assert "residual" not in found.data
    assert np.isfinite(found.data.misfit).all()
    with pytest.raises(ValueError, match="got a law of no system"):
        job.solve(poisson, example, count=2, law=True)


def test_a_name_has_its_system_on_the_layouts_grid_or_is_refused():
    assert job.system_of("darcy", GRID) == Darcy(8)
    with pytest.raises(ValueError, match="expected one of .*name the system that it was trained for"):
        job.system_of("heat", GRID)
    with pytest.raises(KeyError, match="no system 'airfoil'"):
        job.system_of("airfoil", GRID)


# --- the noise schedule -------------------------------------------------------------------------------------------

def test_levels_begin_at_ten_times_the_largest_deviation(poisson):
    variances = torch.tensor([4.0, 0.25, 0.0])
    assert float(job.levels(Gaussian(torch.zeros(3), variances), 5)[0]) == pytest.approx(20)
    largest = float(poisson.energy.data.variances.max()) ** 0.5
    assert float(job.levels(poisson.energy, 5)[0]) == pytest.approx(10 * largest)
    assert float(job.levels(Mixture(torch.ones(1), torch.zeros(1, 3), 1.0), 5)[0]) == pytest.approx(80)


def test_from_far_above_the_prior_a_posterior_is_the_closed_form_where_from_below_it_is_not():
    """One direction of deviation 20, read loosely: N(0, 400) and a reading 40 +- 20, so the mean is 20."""
    layout, prior = Layout(u=Variable((2,), dims=("x",), coords={"x": [0.0, 1.0]})), Gaussian(
        torch.zeros(2, dtype=D), torch.tensor([400.0, 1e-4], dtype=D))
    measure, data = Points("u", torch.tensor([[0.0]], dtype=D)), torch.tensor([40.0], dtype=D)
    problem = Problem(layout, prior)
    mean = lambda sigmas: float(invert(problem, measure, data, 20.0, Multistep(sigmas), 4000, torch.arange(4000),
                                       progress=False).samples["u"][:, 0].mean())
    error = 5 * 200**0.5 / 4000**0.5  # of a posterior whose variance is 200
    assert abs(mean(job.levels(prior, 20, dtype=D)) - 20) < error + 0.01 * 20
    assert abs(mean(karras(20, 0.02, 20.0, dtype=D)) - 20) > 2


# --- the verdict --------------------------------------------------------------------------------------------------

def test_the_likely_misfit_is_that_of_as_many_normal_numbers():
    low, high = likely(60)
    drawn = np.sqrt(np.mean(np.random.default_rng(0).standard_normal((20_000, 60)) ** 2, 1))
    rare = [(drawn < low).mean(), (drawn > high).mean()]
    assert all(abs(share - RARE) < 5 * (RARE / 20_000) ** 0.5 for share in rare)


def test_readings_in_another_order_are_no_success_and_said_so(poisson, example, answer):
    assert answer.success.all()
    assert "the samples explain the readings: misfit" in answer.message
    given = example.readings["u"]
    mixed = Observations({"u": Readings(given.coordinates, np.roll(given.values, 1), given.noise)})
    found = job.solve(poisson, mixed, Poisson(32), count=4, steps=8, progress=False)
    assert not found.success.any()
    assert "the data contradict the prior or the noise" in found.message
    loose = Observations({"u": Readings(given.coordinates, given.values, 20 * given.noise)})
    assert "is the noise overstated?" in job.solve(poisson, loose, count=4, steps=8, progress=False).message


def test_what_is_not_admissible_is_set_to_the_end_of_its_range_and_said(answer):
    odd = replace(answer, samples=answer.samples.assign(a=answer.samples.a.copy()))
    odd.samples["a"].values[:] = 6.0
    odd.samples["a"].values[3, 4, 5] = -2.0
    mended = judge.admitted(odd, Darcy(32))
    assert float(mended.samples["a"].min()) == pytest.approx(0.6)
    assert "'a' of 1 of 19 samples" in mended.message
    assert "outside of 0.6 to inf (-2 to 6)" in mended.message
    assert judge.admitted(answer, Poisson(32)).message == answer.message


def test_a_run_from_a_file_without_a_truth(tmp_path, run, example):
    Observations(example.readings).save(tmp_path / "mine.h5")
    status, out, _ = run("poisson", "--data", tmp_path / "mine.h5", "--count", 3, "--steps", 3)
    assert status == 0
    made = {p.name for p in (tmp_path / "out").iterdir()}
    assert made == {"result.nc", "posterior.nc", "posterior.png", "config.json", "report.html"}
    assert "misfit" in out
    assert "residual" in out
    assert "error of the mean" not in out
    result = Result.load(tmp_path / "out" / "result.nc")
    assert len(result) == 3
    assert not len(result.truth)
    posterior = xarray.load_dataset(tmp_path / "out" / "posterior.nc", engine="h5netcdf")
    np.testing.assert_allclose(posterior.a.sel(statistic="mean"), result.samples.a.mean("sample"), rtol=1e-5, atol=1e-7)


def test_an_example_can_be_run_again_and_from_its_own_file_but_is_not_replaced_unasked(tmp_path, run, monkeypatch):
    words, again = ("--count", 3, "--steps", 3, "--seed", 4, "--law"), ("--out", tmp_path / "again")
    status, out, _ = run("poisson", "--example", *words)
    assert status == 0
    assert "error of the mean" in " ".join(out.split())
    record = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (record["command"], record["arguments"]["law"], record["arguments"]["seed"]) == ("invert poisson", True, 4)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    status, _, err = run("poisson", "--example", *words)
    assert status == 2
    assert "which holds a finished run" in err
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    monkeypatch.setattr(sys, "argv", ["sciencegen", "rerun", str(tmp_path / "out"), *map(str, again)])
    with pytest.raises(SystemExit):
        cli.main()
    first, second = (Result.load(tmp_path / name / "result.nc") for name in ("out", "again"))
    xarray.testing.assert_identical(first.samples, second.samples)
    assert run("poisson", "--data", tmp_path / "out" / "observations.h5", *words, *again, "--overwrite")[0] == 0
    xarray.testing.assert_identical(first.samples, Result.load(tmp_path / "again" / "result.nc").samples)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "out"]
