"""`sciencegen data`: what it prints is what is in the file; what it writes is the same data; it tells a true solution
from a false one; an error is one line and status 2.
"""

import os
import sys

import h5py
import matplotlib.pyplot
import numpy as np
import pytest
import torch
import xarray

import io_files as files
from sciencegen import cli, io
from sciencegen.io import describe, picture
from sciencegen.physics import Burgers, Darcy, Fourier, Heat, Helmholtz, NavierStokes, Poisson, check

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


@pytest.fixture
def run(monkeypatch, capsys):
    """`run(*words)`: exit status, stdout and stderr of `sciencegen data *words`, on a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["sciencegen", "data", *map(str, words)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        return exit.value.code or 0, *capsys.readouterr()

    return call


def test_describe_says_schema_dims_units_ranges_holes_and_chunks(run, tmp_path):
    wanted = files.flow(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["Vx"][0, 0, 0, :2] = np.nan
    code, out, err = run("describe", tmp_path / "x.h5")
    assert code == 0, err
    lines = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert "PDEBench, fields, told by datasets" in " ".join(out.split())
    assert "sample 2, time 3, x 6, y 5" in out
    assert "1x3x6x5" in out
    assert "2 of 180" in lines["Vx"]
    low, most = wanted["density"].min(), wanted["density"].max()
    assert f"{low:.5g}" in lines["density"]
    assert f"{most:.5g}" in lines["density"]
    assert "0.05" in lines["time"]


@pytest.mark.parametrize("name", ["PDEBench, tensor", "PDEBench, shallow", "EngiBench"])
def test_a_picture_of_any_schema(name, run, tmp_path):
    if name == "EngiBench":
        pytest.importorskip("pyarrow")
    file, build = files.LAYOUTS[name]
    build(tmp_path / file)
    code, out, err = run("describe", tmp_path / file, "--plot", tmp_path / "out.png")
    assert code == 0, err
    assert matplotlib.pyplot.imread(tmp_path / "out.png").std() > 0.01
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("suffix, start", [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_picture_is_what_its_name_says(suffix, start, run, tmp_path):
    times = np.datetime64("2020-01-01", "ns") + np.arange(4) * np.timedelta64(1, "h")
    u = files.numbers(2, 4, 5)
    io.save(xarray.Dataset({"u": (("sample", "time", "x"), u)}, {"time": times}), tmp_path / "x.nc")
    code, out, err = run("describe", tmp_path / "x.nc", "--plot", tmp_path / f"out.{suffix}")
    assert code == 0, err
    assert (tmp_path / f"out.{suffix}").read_bytes().startswith(start)


def test_describe_names_what_it_does_not_read(run, tmp_path):
    files.advection(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["remark"], file["z"] = "by hand", np.ones((3, 5, 8)) * 1j
    code, out, err = run("describe", tmp_path / "x.h5")
    assert code == 0, err
    assert "not read: remark, text or objects" in out
    assert "not read: z, complex numbers" in out


def test_a_file_that_kills_or_hangs_costs_a_child(run, tmp_path, monkeypatch):
    files.advection(tmp_path / "x.h5")
    for fate, word in ((lambda *a: os.abort(), "SIGABRT"), (lambda *a: bytearray(10**10), "asks for more than")):
        monkeypatch.setattr(io.pdebench.Tensor, "read", fate)
        for words in (("describe", "{x}"), ("convert", "{x}", "{y}"), ("check", "{x}", "--physics", "burgers")):
            words = [w.format(x=tmp_path / "x.h5", y=tmp_path / "y.nc") for w in words]
            code, out, err = run(*words)
            assert (code, out) == (2, "")
            assert word in err
            assert len(err.splitlines()) == 1
    assert [f.name for f in tmp_path.iterdir()] == ["x.h5"]


def test_the_picture_shows_the_numbers():
    u = files.numbers(2, 4, 5, 6)
    dataset = xarray.Dataset({"u": (("sample", "time", "x", "y"), u)})
    figure, axes = picture.plot(dataset)
    shown = [ax.collections[0].get_array().reshape(6, 5) for ax in axes[0]]
    np.testing.assert_array_equal(shown, u[0].transpose(0, 2, 1))
    matplotlib.pyplot.close(figure)


@pytest.mark.parametrize("to", ["sciencegen", "pdebench", "well"])
def test_convert_keeps_the_data(to, run, tmp_path):
    wanted = files.flow(tmp_path / "x.h5")
    code, out, err = run("convert", tmp_path / "x.h5", tmp_path / "out.h5", "--to", to)
    assert code == 0, err
    assert io.open(tmp_path / "out.h5").attrs["source_schema"] == {
        "sciencegen": "PDEBench, fields", "pdebench": "PDEBench, fields", "well": "The Well"}[to]
    np.testing.assert_array_equal(io.open(tmp_path / "out.h5").Vx.values, wanted["Vx"])


def test_convert_with_named_axes(run, tmp_path):
    u = files.numbers(3, 4)
    np.savez(tmp_path / "x.npz", q=u)
    code, out, err = run("convert", tmp_path / "x.npz", tmp_path / "out.nc", "--dims", "q=sample,x")
    assert code == 0, err
    np.testing.assert_array_equal(io.open(tmp_path / "out.nc").q.values, u)


@pytest.mark.parametrize("words, text", [
    (("describe", "{x}/no.h5"), "no.h5"), (("describe", "{x}/text.h5"), "got text; expected HDF5"),
    (("convert", "{x}/x.h5", "{x}/x.h5"), "expected another name"),
    (("convert", "{x}/x.h5", "{x}"), "got a directory"),
    (("convert", "{x}/x.h5", "{x}/no/out.nc"), "no"),
    (("convert", "{x}/x.h5", "{x}/x.csv"), "expected a name that ends in one of .nc"),
    (("describe", "{x}/x.h5", "--plot", "{x}/pic.doc"), "expected a name that ends in one of .png"),
    (("describe", "{x}/plain.h5"), "say what the axes are: --dims NAME=sample,time,x"),
    (("describe", "{x}/holes.h5"), "or say --trusted to read what was never written"),
    (("describe", "{x}/x.h5", "--dims", "tensor"), "expected NAME=VALUE, as in u=sample,time,x"),
    (("check", "{x}/x.h5", "--physics", "magic"), "no system 'magic'; there are poisson"),
    (("check", "{x}/x.h5", "--physics", "darcy"), "expected one of the pairs"),
    (("check", "{x}/x.h5", "--physics", "burgers"), "--parameter nu=VALUE"),
    (("check", "{x}/x.h5", "--physics", "burgers", "--parameter", "nu=fast"), "expected a number, as in nu=0.01"),
])
def test_what_goes_wrong_is_one_line(words, text, run, tmp_path):
    files.advection(tmp_path / "x.h5")
    (tmp_path / "text.h5").write_text("hello")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["u"] = np.ones((2, 3))
    with h5py.File(tmp_path / "holes.h5", "w") as file:
        file.create_dataset("tensor", (2, 3, 4), chunks=(1, 3, 4), dtype="f4")[0] = 1
        file["x-coordinate"] = np.arange(4.0)
    before = {f: f.read_bytes() for f in tmp_path.iterdir()}
    code, out, err = run(*(word.replace("{x}", str(tmp_path)) for word in words))
    assert code == 2
    assert out == ""
    assert text in err
    assert len([line for line in err.splitlines() if line]) == 1, err
    assert {f: f.read_bytes() for f in tmp_path.iterdir()} == before


# --- check ------------------------------------------------------------------------------------------------------------

def stored(path, system, a, u, **attributes):
    """A solution in PDEBench's layout."""
    n = a.shape[-1]
    steady = u.shape == a.shape
    with h5py.File(path, "w") as file:
        if steady:
            file["tensor"], file["nu"] = u[:, None], a
        else:
            file["tensor" if a.ndim == 2 else "vorticity"] = torch.cat([a[:, None], u], 1)
            file["t-coordinate"] = np.arange(u.shape[1] + 2) * system.frame
        for axis in "xy"[: a.ndim - 1]:
            file[f"{axis}-coordinate"] = (np.arange(n) + 0.5) / n
        file.attrs.update(attributes)


SYSTEMS = {
    "poisson": (Poisson(8), {}), "helmholtz": (Helmholtz(8), {"k": 1.0}), "darcy": (Darcy(8), {"beta": 1.0}),
    "burgers": (Burgers(16, frame=0.05, frames=2), {"Nu": 0.01}),
    "heat": (Heat(Fourier(8)), {"Nu": Heat(Fourier(8)).nu}),
    "navier-stokes": (NavierStokes(8), {"Nu": 1e-3, "force": 0.1}),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_solution_passes_and_a_false_one_is_seen(name, tmp_path):
    system, attributes = SYSTEMS[name]
    draw = torch.Generator().manual_seed(0)
    shape = (20, 16) if name == "burgers" else (20, 8, 8)  # more than a batch
    a = torch.rand(shape, generator=draw, dtype=torch.float64) * 0.1 + (1 if name == "darcy" else 0)
    u = system.solve(a).detach()
    stored(tmp_path / "x.h5", system, a, u, **attributes)
    first, *others = check.check(io.open(tmp_path / "x.h5"), name)
    assert len(first.stored) == 20
    assert first.stored.max() < 1e-9 * first.zero.min()
    assert all(other.stored.min() > 1e-6 for other in others)  # PDEBench's reading of nu is not this one
    expected = system.residual(a, u * 1.1).norm(dim=-1)
    stored(tmp_path / "y.h5", system, a, u * 1.1, **attributes)
    np.testing.assert_allclose(check.check(io.open(tmp_path / "y.h5"), name)[0].stored, expected, rtol=1e-9)


def test_viscosity_as_pdebench_means_it(tmp_path):
    system = Burgers(16, nu=0.03 / np.pi, frame=0.05, frames=2)
    a = torch.rand(3, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stored(tmp_path / "x.h5", system, a, system.solve(a), Nu=0.03)
    plain, pi = check.check(io.open(tmp_path / "x.h5"), "burgers")
    assert pi.stored.max() < 1e-9 < 1e-3 < plain.stored.min()


def test_check_prints_truth_beside_zero(run, tmp_path):
    system = Poisson(8)
    a = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stored(tmp_path / "x.h5", system, a, system.solve(a))
    code, out, err = run("check", tmp_path / "x.h5", "--physics", "poisson")
    assert code == 0, err
    assert "of u = 0" in out
    assert f"{float(system.residual(a, 0 * a).norm(dim=-1).median()):.3g}" in out


def test_another_grid_is_refused(tmp_path):
    files.darcy(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["x-coordinate"][:] = np.linspace(0, 2, 6)
    with pytest.raises(ValueError, match="expected centres of 6 cells from 0.08333 to 0.9167"):
        check.check(io.open(tmp_path / "x.h5"), "darcy")


def test_described_moments_are_of_all_that_is_numeric(tmp_path):
    dataset = xarray.Dataset({"u": (("sample", "x"), files.numbers(3, 4)), "name": ("sample", ["a", "b", "c"])})
    assert set(describe.describe(dataset, "").moments) == {"u"}
