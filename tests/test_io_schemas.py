"""Every schema's files, built in their published layout: told by their contents, read to equal values, and the same
again after each writer.
"""

import shutil

import h5py
import numpy as np
import pytest
import xarray

import io_files as files
from sciencegen import io

NEEDS = {"AirfRANS": "pyvista", "EngiBench": "pyarrow"}
WRITABLE = {
    "pdebench": ["PDEBench, tensor", "PDEBench, Darcy", "PDEBench, CFD 2D", "PDEBench, CFD 3D", "PDEBench, reaction",
                 "PDEBench, shallow", "PDEBench, sorption", "PDEArena, smoke", "PDEArena, KS"],
    "well": ["PDEBench, tensor", "PDEBench, Darcy", "PDEBench, CFD 3D", "PDEBench, ns_incom", "The Well",
             "PDEArena, Maxwell", "FNO, 7.3"],
}  # fmt: skip


@pytest.fixture(params=files.LAYOUTS)
def layout(request, tmp_path):
    """Path of a file of a layout, and what it holds."""
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    return built(request.param, tmp_path)


def built(name, folder):
    file, build = files.LAYOUTS[name]
    path = folder / file
    found = build(path)
    return (path / files.FOIL if name == "AirfRANS" else path), found


def equal(dataset, wanted):
    for name, values in wanted.items():
        np.testing.assert_array_equal(dataset[name].values, values, err_msg=name)


def test_values_and_dims_are_those_of_the_file(layout):
    path, wanted = layout
    dataset = io.open(path)
    equal(dataset, wanted)
    known = ["sample", "time", "x", "y", "z"]
    for name, variable in dataset.data_vars.items():
        order = [known.index(dim) for dim in variable.dims if dim in known]
        assert order == sorted(order), f"{name} {variable.dims}"
    assert dataset.attrs["Conventions"].startswith("CF-")
    assert all("long_name" in v.attrs or v.attrs.get("role") == "parameter" for v in dataset.data_vars.values())


def test_exactly_one_schema_claims_it_under_any_name(layout, tmp_path):
    path, _ = layout
    if path.is_file() and path.parent == tmp_path:
        path = path.rename(tmp_path / "file.txt")
    claims = [type(schema).__name__ for schema in io.SCHEMAS if schema.matches(path)]
    assert len(claims) == 1, claims


def test_our_own_file_holds_the_same(layout, tmp_path):
    dataset = io.open(layout[0])
    back = io.open(io.save(dataset, tmp_path / "own.nc"))
    xarray.testing.assert_equal(dataset.compute(), back.compute())
    for name, v in dataset.data_vars.items():
        assert v.attrs.items() <= back[name].attrs.items()
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("name", WRITABLE["pdebench"])
def test_a_file_in_pdebench_layout_holds_the_same(name, tmp_path):
    dataset = io.open(built(name, tmp_path)[0])
    back = io.open(io.save_pdebench(dataset, tmp_path / "out.h5"))
    only = {next(iter(dataset.data_vars)): "tensor"} if "tensor" in back and "tensor" not in dataset else {}
    for field, values in dataset.rename(only).data_vars.items():
        np.testing.assert_array_equal(back[field].values, values.values, err_msg=str(field))
    for dim in ("time", "x", "y", "z"):
        if dim in dataset.coords:
            np.testing.assert_array_equal(back[dim].values, dataset[dim].values)


@pytest.mark.parametrize("name", WRITABLE["well"])
def test_a_file_in_the_wells_layout_holds_the_same_in_float32(name, tmp_path):
    dataset = io.open(built(name, tmp_path)[0])
    back = io.open(io.save_well(dataset, tmp_path / "out.h5"))
    for field, values in dataset.data_vars.items():
        assert set(values.dims) <= set(back[field].dims)
        whole = values.variable.set_dims(dict(back[field].sizes)).transpose(*back[field].dims)
        np.testing.assert_array_equal(back[field].values.astype(np.float32), whole.values.astype(np.float32))


# --- what only one schema has -----------------------------------------------------------------------------------------

def test_times_with_an_edge_more_lose_it_and_others_keep_theirs(tmp_path):
    path, wanted = built("PDEBench, tensor", tmp_path)
    with h5py.File(path, "a") as file:
        del file["t-coordinate"]
        file["t-coordinate"] = wanted["time"]
    equal(io.open(path), wanted)


def test_an_axis_of_several_parameters_is_the_callers_to_name(tmp_path):
    path = tmp_path / "gen.h5"
    u = files.numbers(2, 3, 5, 8)
    with h5py.File(path, "w") as file:
        file["tensor"], file["x-coordinate"], file["t-coordinate"] = u, files.centres(8), np.arange(6.0)
    with pytest.raises(ValueError, match=r"dims=\{'tensor': \(\.\.\.\)\}"):
        io.open(path)
    dataset = io.open(path, dims={"tensor": ("parameter", "sample", "time", "x")})
    assert dataset.tensor.dims == ("sample", "time", "x", "parameter")
    np.testing.assert_array_equal(dataset.tensor.isel(parameter=1).values, u[1])


def test_a_missing_seed_is_an_error_that_can_be_waived(tmp_path):
    path, wanted = built("PDEBench, reaction", tmp_path)
    with h5py.File(path, "a") as file:
        del file["0001"]
    with pytest.raises(ValueError, match="2 seeds without 1"):
        io.open(path)
    dataset = io.open(path, trusted=True)
    assert dataset.sample.values.tolist() == [0, 2]
    np.testing.assert_array_equal(dataset.activator.values, wanted["activator"][[0, 2]])


def test_boundaries_and_components_of_the_well(tmp_path):
    dataset = io.open(built("The Well", tmp_path)[0])
    assert (dataset.attrs["boundary_x"], dataset.attrs["boundary_y"]) == ("periodic", "wall")
    assert dataset.obstacle.dims == ("x", "y")
    assert dataset.level.dims == ("sample", "time", "y")
    assert dataset.strain_yx.attrs["component_of"] == "strain"


def test_one_of_several_splits_is_the_callers_to_choose(tmp_path):
    path, wanted = built("PDEArena, smoke", tmp_path)
    with h5py.File(path, "a") as file:
        file.copy("train", "valid")
    with pytest.raises(ValueError, match="expected one of \\['train', 'valid'\\]; say group='train'"):
        io.open(path)
    equal(io.open(path, group="valid"), wanted)


def test_designs_stand_apart_in_the_tree(tmp_path):
    tree = io.open_tree(built("CinDM", tmp_path)[0])
    assert set(tree["design"].data_vars) == {"boundary_x", "boundary_y"}
    assert "velocity_x" in tree.data_vars
    assert "boundary_x" not in tree.data_vars


def test_axes_of_one_length_are_the_callers_to_name(tmp_path):
    path, u = tmp_path / "square.npz", files.numbers(6, 6)
    np.savez(path, usol=u, x=np.arange(6.0), t=np.arange(6.0))
    with pytest.raises(ValueError, match="dims=\\{'usol': \\('x', 'time'\\)\\}"):
        io.open(path)
    equal(io.open(path, dims={"usol": ("x", "time")}), {"usol": u.T})
    equal(io.open(path, dims={"usol": ("time", "x")}), {"usol": u})


def test_pickled_arrays_are_read_only_where_they_are_trusted(tmp_path):
    path, branch, trunk, y = tmp_path / "aligned.npz", files.numbers(5, 7), files.numbers(9, 2), files.numbers(5, 9)
    pair = np.empty(2, object)
    pair[:] = [branch, trunk]
    np.savez(path, X=pair, y=y)
    with pytest.raises(ValueError, match="unpickling runs whatever code.*trusted=True"):
        io.open(path)
    dataset = io.open(path, trusted=True)
    equal(dataset, {"X/0": branch, "X/1": trunk, "y": y})
    assert (dataset["X/0"].dims, dataset.y.dims) == (("sample", "sensor"), ("sample", "point"))


def test_a_bare_array_needs_names_for_its_axes(tmp_path):
    path, balls = tmp_path / "trajectory_balls_2_simu_3_steps_5.npy", files.numbers(3, 5, 2, 4)
    np.save(path, balls)
    with pytest.raises(ValueError, match="say what the axes are"):
        io.open(path)
    equal(io.open(path, dims={"data": ("sample", "time", "body", "state")}), {"data": balls})


def test_a_plain_file_is_read_by_its_owners_mapping(tmp_path):
    path, u, nu = tmp_path / "mine.h5", files.numbers(4, 3, 8), np.arange(4.0)
    with h5py.File(path, "w") as file:
        file["run/solution"], file["run/nu"], file["t"] = u.transpose(1, 0, 2), nu, np.arange(3) * 0.1
    with pytest.raises(ValueError, match=r"say what the axes are: dims="):
        io.open(path)
    plain = io.Plain({"run/solution": ("time", "sample", "x"), "run/nu": ("sample",)}, names={"run/solution": "u"},
                     units={"u": "m s-1"}, lines={"time": "t"})
    dataset = io.open(path, plain)
    equal(dataset, {"u": u, "nu": nu, "time": np.arange(3) * 0.1})
    assert (dataset.u.attrs["units"], dataset.nu.attrs["role"]) == ("m s-1", "parameter")
    equal(io.open(path, dims={"run/solution": ("time", "sample", "x")}), {"solution": u})


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_netcdf_of_others_keeps_its_names(engine, tmp_path):
    path = tmp_path / "other.dat"
    wanted = xarray.Dataset({"u": (("time", "lat"), files.numbers(3, 4), {"units": "K"})}, {"time": [0.0, 1.0, 2.0]})
    wanted.to_netcdf(path, engine=engine)
    xarray.testing.assert_equal(io.open(path).compute(), wanted)


def test_a_saved_result_is_its_samples(tmp_path):
    from sciencegen.result import Result

    rng = np.random.default_rng(0)
    samples = xarray.Dataset({"shape": (("sample", "weight"), rng.standard_normal((3, 4)))})
    energies = rng.standard_normal((2, 3))
    history = xarray.Dataset({"prior": (("step", "sample"), energies)}, {"sigma": ("step", [1.0, 0.1])})
    result = Result(samples, np.arange(3.0), np.ones(3, bool), 0, "done", 7, history, np.arange(3))
    dataset = io.open(result.save(tmp_path / "result.nc"))
    equal(dataset, {"shape": samples["shape"].values, "objective": np.arange(3.0)})


def test_a_simulation_of_a_set_is_chosen_and_brought_to_a_grid(tmp_path):
    pytest.importorskip("pyvista")
    _, wanted = built("AirfRANS", tmp_path)
    root = tmp_path / "airfrans"
    files.manifest(root)
    with pytest.raises(ValueError, match="on_grid brings several onto one grid"):
        io.open(root)
    simulation = io.open(root, group=files.FOIL)
    x, y = np.linspace(0, 1, 6), np.linspace(0, 1, 5)
    grid = io.on_grid(simulation, x, y)
    assert grid.p.dims == ("sample", "x", "y")
    np.testing.assert_allclose(grid.p.values[0].T.ravel(), wanted["p"][0], rtol=1e-5)  # the mesh's own points
    equal(io.open(root / files.FOIL / f"{files.FOIL}_internal.vtu"), {"p": wanted["p"]})


def test_the_older_table_of_engibench(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    outlines = files.numbers(3, 2, 10).astype(float)
    names = ("area_target", "alpha", "cd_val", "cl_val", "cl_con", "area_con")
    plain = {name: np.arange(3.0) + i for i, name in enumerate(names)}
    parquet.write_table(pyarrow.table({"initial": outlines.tolist(), "optimized": (outlines + 1).tolist(), **{
        k: v.tolist() for k, v in plain.items()}}), tmp_path / "old.parquet")
    equal(io.open(tmp_path / "old.parquet"), {"initial_y": outlines[:, 1], "optimal_x": outlines[:, 0] + 1, **plain})


def test_outlines_by_frame_are_read_as_such(tmp_path):
    path, _ = built("CinDM", tmp_path)
    outline = files.numbers(3, 4, 2, 5)
    for i in range(3):
        folder = path / "training_trajectories" / f"sim_{i:06d}"
        (folder / "boundary.npy").unlink()
        for j in range(4):
            np.save(folder / f"boundary_{j:06d}.npy", outline[i, j])
    equal(io.open(path), {"boundary_x": outline[:, :, 0]})
    shutil.copytree(path / "training_trajectories", path / "test_trajectories")
    with pytest.raises(ValueError, match="say group='training_trajectories'"):
        io.open(path)
    equal(io.open(path, group="test_trajectories"), {"boundary_y": outline[:, :, 1]})


def test_discs_are_as_many_as_their_file_is_named_for(tmp_path):
    path, wanted = built("CinDM, discs", tmp_path)
    file = path / "trajectory_balls_2_simu_3_steps_7.npy"
    dataset = io.open(file, io.Balls())
    assert dataset.position_x.dims == ("sample", "time", "body")
    equal(dataset, wanted)
    stopped = path / "trajectory_balls_2_simu_9_steps_7.npy"
    shutil.copy(file, stopped)
    with pytest.raises(ValueError, match="say group='trajectory_balls_2_simu_3_steps_7.npy'"):
        io.open(path)
    equal(io.open(path, group=file.name), wanted)
    with pytest.raises(ValueError, match=r"got shape \(3, 7, 2, 4\); expected \(9, 7, 2, 4\), as its name says"):
        io.open(path, group=stopped.name)
    equal(io.open(path, group=stopped.name, trusted=True), wanted)
    with pytest.raises(ValueError, match="trajectory_balls_BODIES_simu_COUNT_steps_STEPS"):
        io.open(file.rename(path / "discs.npy"), io.Balls())
