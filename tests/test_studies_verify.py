"""Law: what another program says of a run's designs is what it says at their lifts, once for each of them."""

import os
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sciencegen import cli
from sciencegen.airfoil import cst
from sciencegen.result import Result
from sciencegen.solvers import XFOIL, SolverResult, Status
from sciencegen.solvers.at_lift import ByAngle, EachAngle
from sciencegen.studies.airfoil import verify as job

LIFTS, REYNOLDS = np.float32([0.4, -0.3]), np.float32([3e6, 1e5])


def shapes(count: int, thick: float = 0.18) -> np.ndarray:
    upper, lower = np.linspace(thick, thick + 0.05, count), np.linspace(-0.12, -0.1, count)
    return np.array([[u] * 8 + [v] * 8 + [0.0, 0.002] for u, v in zip(upper, lower)], dtype=np.float32)


def result(count: int = 4, thick: float = 0.18) -> Result:
    cells = (count, len(LIFTS))
    alpha = (LIFTS - 0.2) / 0.11 * np.ones(cells, dtype=np.float32)
    samples = xarray.Dataset(
        {"shape": (("sample", "weight"), shapes(count, thick)), "alpha": (("sample", "point"), alpha),
         "cd": (("sample", "point"), np.full(cells, 0.008, dtype=np.float32))},
        {"target_cl": ("point", LIFTS), "reynolds": ("point", REYNOLDS)})
    zeros, empty = np.zeros(count), xarray.Dataset(coords={"sigma": ("step", [])})
    return Result(samples, zeros, zeros == 0, 0, "finished", 1, empty, np.arange(count), {"points": ["0.4@3e6"]})


@pytest.fixture
def run(tmp_path) -> Path:
    result().save(tmp_path / "result.nc")
    return tmp_path


@dataclass(frozen=True)
class Thin:
    """An engineer's own solver, one angle at a time: lift and drag are linear in the angle, drag in the thickness too.

    Notes in `seen` how thick a design it is asked about; fails where the outline is thicker than `limit`.
    """

    seen: Path
    limit: float = 1.0

    def __call__(self, coordinates, reynolds, alpha) -> SolverResult:
        thickness = np.ptp(np.asarray(coordinates)[:, 1])
        with self.seen.open("a") as file:
            file.write(f"{thickness:.6f}\n")
        if thickness > self.limit:
            return SolverResult(Status.UNCONVERGED, {"cl": 9.0}, log="too thick for thin-airfoil theory")
        values = {"cl": 0.1 + 0.1 * alpha, "cd": 0.01 * thickness + 1e-4 * alpha + 1e3 / reynolds, "cm": -0.05}
        return SolverResult(Status.CONVERGED, values)


def own(folder: Path, limit: float = 1.0) -> ByAngle:
    return ByAngle(EachAngle(Thin(folder / "seen", limit)), near=(0.0, 1.0), far=(-1.0, 2.0))


def thickness() -> np.ndarray:
    return np.ptp(cst.outline(torch.tensor(shapes(4)).double()).numpy()[..., 1], axis=-1)


def verify(run: Path, solver: ByAngle, name: str = "thin", count: int = 3) -> xarray.Dataset:
    return job.verify_run(run, solver, name, count, progress=False)


# --- what is said -------------------------------------------------------------------------------------------------

def test_a_solver_of_the_users_own_is_read_at_the_lift(run):
    found = verify(run, own(run))
    alpha = (LIFTS.astype(float).round(3) - 0.1) / 0.1
    np.testing.assert_allclose(found.alpha, np.broadcast_to(alpha, (3, 2)), atol=1e-6)
    np.testing.assert_allclose(found.cl, np.broadcast_to([0.4, -0.3], (3, 2)), rtol=1e-12)
    drag = 0.01 * thickness()[:3, None] + 1e-4 * alpha + 1e3 / np.array([3e6, 1e5])
    np.testing.assert_allclose(found.cd, drag, rtol=1e-9)
    np.testing.assert_allclose(found.mean_cd, drag.mean(-1), rtol=1e-9)
    assert found.attrs["message"] == "3 of 3 designs verified at every operating point"
    with xarray.open_dataset(run / "verify_thin.nc", engine="h5netcdf") as stored:
        assert stored.load().identical(found)
    np.testing.assert_array_equal(found["shape"], shapes(4)[:3])


def test_a_design_that_does_not_converge_has_no_number(run):
    thick = thickness()
    found = verify(run, own(run, limit=(thick[1] + thick[2]) / 2))
    assert np.isnan(found.cd.values).tolist() == [[False] * 2, [False] * 2, [True] * 2]
    assert found.status.values[2].tolist() == ["unconverged", "unconverged"]
    assert "not verified: design 2, point 0 (unconverged)" in found.attrs["message"]
    assert "too thick for thin-airfoil theory" in found.log.values[2, 0]


def test_each_angle_is_a_run_of_its_own():
    def solver(coordinates, reynolds, alpha):
        if alpha == 1:
            return SolverResult(Status.TIMEOUT, {"cl": 5.0}, wall_s=2.0, log="too slow")
        return SolverResult(Status.CONVERGED, {"cl": np.array([alpha]), "cd": 0.01, "cm": 0.0}, wall_s=1.0)

    found = EachAngle(solver)(np.zeros((10, 2)), 1e6, np.array([0.0, 1.0, 2.0]))
    assert (found.status, found.wall_s, found.log) == ("timeout", 4.0, "too slow")
    np.testing.assert_array_equal(found["cl"], [0, np.nan, 2])
    np.testing.assert_array_equal(found["cd"], [0.01, np.nan, 0.01])


@dataclass(frozen=True)
class Search:
    """A solver that finds lifts by itself, but none below 0."""

    def __call__(self, coordinates, reynolds, cl, start) -> SolverResult:
        lift, begin, re = map(np.asarray, (cl, start, reynolds))
        values = {"alpha": begin + 0.25, "cl": lift, "cd": 0.01 * lift + 1e3 / re, "cm": -0.05 * np.ones_like(lift)}
        if (lift >= 0).all():
            return SolverResult(Status.CONVERGED, values, {"history": np.zeros(3)})
        nothing = {name: np.full(lift.shape, np.nan) for name in values}
        return SolverResult(Status.UNCONVERGED, nothing, log="no such lift")


def test_a_solver_that_searches_for_lifts_is_told_where_to_begin(run):
    found = verify(run, job.ByLift(Search()), "search")
    np.testing.assert_allclose(found.alpha[:, 0], (LIFTS[0] - 0.2) / 0.11 + 0.25, atol=1e-4)
    np.testing.assert_allclose(found.cd[:, 0], 0.004 + 1e3 / 3e6, rtol=1e-6)
    np.testing.assert_array_equal(found.cm[:, 0], -0.05)
    assert np.isnan(found.cd[:, 1]).all()
    assert (found.status.values == [["converged", "unconverged"]]).all()
    assert found.log.values[0, 1] == "no such lift"


def kinked(coordinates, reynolds, alpha) -> SolverResult:
    """Lift that bends over at 4.3 degrees, and drag with a corner at 4, as a laminar bucket has."""
    alpha = np.asarray(alpha)
    lift = np.where(alpha < 4.3, 0.5 + 0.1 * (alpha - 0.3), 0.9 - 0.02 * (alpha - 4.3))
    drag = 0.005 + 0.02 * np.maximum(alpha - 4.0, 0.0)
    return SolverResult(Status.CONVERGED, {"cl": lift, "cd": drag, "cm": 0 * lift})


@given(st.floats(3.0, 4.7), st.sampled_from([0.8, 0.87, 0.88, 0.89, 0.895]))
def test_the_answer_is_read_off_between_two_angles_close_to_it(expected, cl):
    found = ByAngle(kinked)(np.zeros((10, 2)), [1e6], [cl], [expected])
    alpha = 0.3 + (cl - 0.5) / 0.1
    assert found.status == Status.CONVERGED
    np.testing.assert_allclose(found["alpha"], alpha, atol=0.05)
    np.testing.assert_allclose(found["cd"], 0.005 + 0.02 * max(alpha - 4.0, 0.0), atol=1.1e-3)
    exact = alpha < 3.95 or alpha > 4.05 and cl < 0.89  # away from both corners interpolation is exact
    assert not exact or abs(found["cd"][0] - kinked(None, 1e6, alpha)["cd"]) < 1e-9


def test_a_lift_above_the_largest_and_one_between_angles_that_fail_are_not_verified():
    assert ByAngle(kinked)(np.zeros((10, 2)), [1e6], [0.91], [4.3]).fields["status"] == ["unreached"]

    def gap(coordinates, reynolds, alpha):
        found = kinked(coordinates, reynolds, alpha)
        values = {k: np.where(np.abs(alpha - 3.3) > 0.2, v, np.nan) for k, v in found.values.items()}
        return SolverResult(Status.UNCONVERGED, values, log="gap")

    found = ByAngle(gap)(np.zeros((10, 2)), [1e6], [0.8], [3.05])
    assert found.status == Status.UNCONVERGED
    assert np.isnan(found["cd"]).all()


# a design for 0.9@1e6, where interpolation over half a degree makes 10 % of drag
KNEE = np.array([0.1092, 0.1801, 0.1774, 0.3416, 0.0932, 0.5204, 0.2413, 0.0734, -0.0763, -0.1485, 0.0354, -0.2117,
                 0.0654, -0.2164, -0.0355, -0.1619, 0.2015, 0.0008])


def swept(outline: np.ndarray, reynolds: float, cl: float, about: float) -> float:
    """Drag where lift climbs through `cl` on a drive at steps of 0.05 degrees."""
    found = XFOIL(timeout=120.0)(outline, reynolds, alpha=about + 0.05 * np.arange(-6, 7))
    at = int(np.flatnonzero((found["cl"][:-1] <= cl) & (cl < found["cl"][1:]))[0])
    return float(np.interp(cl, found["cl"][at : at + 2], found["cd"][at : at + 2]))


def test_xfoil_agrees_with_a_drive_at_small_steps_at_the_end_of_the_bucket():
    ready, why = XFOIL().available()
    if not ready:
        pytest.skip(why)
    outline = cst.outline(torch.tensor(KNEE)).numpy()
    found = ByAngle(XFOIL())(outline, [1e6], [0.9], [4.59])
    assert found.status == "converged"
    np.testing.assert_allclose(found["cd"], swept(outline, 1e6, 0.9, found["alpha"][0]), rtol=0.01)
    np.testing.assert_allclose(XFOIL()(outline, 1e6, cl=0.9)["cd"], found["cd"], rtol=0.01)


# --- once for each ------------------------------------------------------------------------------------------------

def test_a_second_verification_asks_for_new_designs_only(run):
    def asked() -> set[str]:
        words = (run / "seen").read_text().split()
        (run / "seen").write_text("")
        return set(words)

    first = verify(run, own(run), count=2)
    assert asked() == {f"{t:.6f}" for t in thickness()[:2]}
    more = verify(run, own(run), count=4)
    assert asked() == {f"{t:.6f}" for t in thickness()[2:]}
    assert more.cd[:2].identical(first.cd)
    verify(run, own(run), count=3)
    assert asked() == set()


def test_another_run_in_the_same_directory_starts_anew(run):
    verify(run, own(run))
    result(thick=0.2).save(run / "result.nc")
    assert job.words(run) == {}
    verify(run, own(run))
    assert list(job.words(run)) == ["thin"]


@pytest.mark.parametrize("broken", ["to_netcdf", "replace"])
def test_the_file_is_whole_or_as_it_was(run, monkeypatch, broken):
    verify(run, own(run), count=1)
    before = (run / "verify_thin.nc").read_bytes()
    names = sorted(os.listdir(run))

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(xarray.Dataset if broken == "to_netcdf" else job.os, broken, fail)
        with pytest.raises(OSError, match="no space"):
            verify(run, own(run), count=1)
    assert (run / "verify_thin.nc").read_bytes() == before
    assert sorted(os.listdir(run)) == names


# --- the table ----------------------------------------------------------------------------------------------------

def shown(run: Path, count: int) -> list[list[str]]:
    page = StringIO()
    Console(file=page, width=120).print(job.table(job.read(run), job.words(run), count))
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in page.getvalue().splitlines() if "│" in line]


def test_the_table_has_a_column_for_each_program(run):
    drag = xarray.Dataset({"cd": (("sample", "point"), [[0.009, 0.011], [np.nan, 0.01]])})
    drag.to_netcdf(run / "verified.nc", engine="h5netcdf")  # by the design job: XFOIL, two designs
    drag.assign(shape=(("sample", "weight"), shapes(4)[:2])).to_netcdf(run / "verify_openfoam.nc", engine="h5netcdf")
    drag.assign(shape=(("sample", "weight"), shapes(2, 0.3))).to_netcdf(run / "verify_old.nc", engine="h5netcdf")
    assert list(job.words(run)) == ["xfoil", "openfoam"]
    ours, theirs = "80.0  80 80", "100.0 (+25.0 %)  90 110"
    assert shown(run, 3) == [["1", ours, theirs, theirs], ["2", ours, "-  - 100", "-  - 100"],
                             ["3", ours, "-  - -", "-  - -"]]


# --- without the program, without a run ---------------------------------------------------------------------------

def test_a_missing_program_is_named_and_nothing_is_written(run):
    with pytest.raises(FileNotFoundError, match=r"nothing was verified.*no program 'no-such-xfoil'; install XFOIL"):
        verify(run, ByAngle(XFOIL(program="no-such-xfoil")), "xfoil")
    assert not (run / "verify_xfoil.nc").exists()
    assert job.words(run) == {}


def test_what_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match="got .*nowhere without a result.nc; expected a directory that"):
        job.read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="got 0 designs and 2 workers; expected at least 1 of each"):
        verify(run, own(run), count=0)
    other = result()
    Result(other.samples.drop_vars("alpha"), other.fun, other.success, 0, "", 1, other.history, other.seeds).save(
        run / "result.nc")
    with pytest.raises(ValueError, match=r"result.nc without \['alpha'\]"):
        verify(run, own(run))


# --- the command line, and the real programs ----------------------------------------------------------------------

def command(monkeypatch, capsys, *words) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sciencegen", "verify", *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    return (exit.value.code or 0, *capsys.readouterr())


def test_the_command_without_xfoil_says_how_to_get_it(run, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(run))
    code, out, err = command(monkeypatch, capsys, run)
    assert (code, out) == (2, "")
    assert "install XFOIL (`apt install xfoil`)" in err
    assert len([line for line in err.splitlines() if line]) == 1


def test_the_command_is_the_python_call_by_xfoil(run, monkeypatch, capsys):
    ready, why = XFOIL().available()
    if not ready:
        pytest.skip(why)
    code, out, err = command(monkeypatch, capsys, run, "--count", "1", "--workers", "1")
    assert code == 0, err
    assert "XFOIL" in out
    with xarray.open_dataset(run / "verify_xfoil.nc", engine="h5netcdf") as stored:
        found = stored.load()
    outlines = cst.outline(torch.tensor(shapes(4)[:1]).double()).numpy()
    for i, k in np.ndindex(1, 2):
        if np.isfinite(found.cd[i, k]):
            direct = XFOIL()(outlines[i], float(found.reynolds[k]), alpha=[float(found.alpha[i, k])])
            np.testing.assert_allclose(direct["cl"], found.target_cl[k], atol=2e-3)
            np.testing.assert_allclose(direct["cd"], found.cd[i, k], rtol=5e-3)  # interpolated over 0.05 degrees
    assert np.isfinite(found.cd).any()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("points", [("0.4@3e6", "0.8@1.5e6", "1.2@1e6"), ("0.3@4e6", "0.6@2e6", "0.9@1e6")])
def test_xfoil_s_figures_of_the_best_designs_agree_with_a_drive_at_small_steps(points, tmp_path, monkeypatch, capsys):
    pytest.importorskip("neuralfoil")
    ready, why = XFOIL().available()
    if not ready:
        pytest.skip(why)
    flags = [word for point in points for word in ("--point", point)]
    words = ["sciencegen", "design", "airfoil", "--count", "12", *flags, "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert not exit.value.code
    designs, found = job.read(tmp_path).samples, job.words(tmp_path)["xfoil"]
    good = np.isfinite(found.cd).all("point").values
    asked = job.read(tmp_path).success[: len(good)]
    assert good.sum() >= 8
    assert (np.diff((2 * asked + good).astype(int)) <= 0).all()
    for i in np.flatnonzero(good):
        outline = cst.outline(torch.tensor(designs["shape"].values[i]).double()).numpy()
        small = [swept(outline, float(re), float(f"{cl:.6g}"), float(found.alpha[i, k]))
                 for k, (cl, re) in enumerate(zip(found.target_cl.values, found.reynolds.values))]
        np.testing.assert_allclose(found.cd[i], small, rtol=0.01)


@pytest.mark.slow
def test_a_design_by_openfoam(run):
    try:
        solver = job.openfoam()
    except ImportError as error:
        pytest.skip(str(error))
    try:
        found = verify(run, solver, "openfoam", count=1)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert found.status.values[0, 0] == "converged"
    assert 0.005 < found.cd[0, 0] < 0.03
