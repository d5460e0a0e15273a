"""Damaged, misnamed and incomplete files: each is refused in words (got, expected, what to do), or there is a decision
that is stated here. Nothing is filled with zeros, and nothing half-written is left behind.
"""

import pickle
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
import xarray

import io_files as files
from sciencegen import io
from sciencegen.files import blocks
from sciencegen.io import members


def edited(layout, change):
    """A layout's file after `change(file)` in place."""
    def build(folder):
        name, make = files.LAYOUTS[layout]
        make(folder / name)
        with h5py.File(folder / name, "a") as file:
            change(file)
        return folder / name
    return build


def replaced(layout, name, value):
    """With a dataset replaced."""
    def change(file):
        values = value(file[name][()]) if callable(value) else value
        del file[name]
        file[name] = values
    return edited(layout, change)


def without(layout, *names):
    return edited(layout, lambda file: [file.__delitem__(name) for name in names])


def attribute(layout, name, key, value=None):
    return edited(layout, lambda file: file[name].attrs.__delitem__(key) if value is None
                  else file[name].attrs.__setitem__(key, value))


def written(name, text):
    def build(folder):
        (folder / name).write_bytes(text)
        return folder / name
    return build


def cut(layout, share=0.6):
    """The first part of a layout's file."""
    def build(folder):
        name, make = files.LAYOUTS[layout]
        make(folder / name)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(len(whole) * share)])
        return folder / name
    return build


def hdf5(make):
    def build(folder):
        with h5py.File(folder / "x.h5", "w") as file:
            make(file)
        return folder / "x.h5"
    return build


def sparse(file, **kind):
    """A `tensor` that was declared and never written, but for a chunk."""
    file.create_dataset("tensor", (4, 5, 8), "f4", **kind)
    file["x-coordinate"] = files.centres(8)
    if kind:
        file["tensor"][0] = 1


def saved(name, save, **arrays):
    def build(folder):
        save(folder / name, arrays)
        return folder / name
    return build


def scraps(make):
    """A folder after `make(folder)`."""
    def build(folder):
        (folder / "d").mkdir()
        make(folder / "d")
        return folder / "d"
    return build


def bodies(change):
    def build(folder):
        files.bodies(folder / "d")
        change(folder / "d" / "training_trajectories")
        return folder / "d"
    return build


def foil(change):
    def build(folder):
        pytest.importorskip("pyvista")
        files.airfrans(folder / "d")
        change(folder / "d", files.FOIL)
        return folder / "d"
    return build


def relisted(root, name):
    files.manifest(root)
    (root / name).rename(root / "elsewhere")


def table(column):
    def build(folder):
        pytest.importorskip("pyarrow")
        files.table(folder / "t.parquet", without=column)
        return folder / "t.parquet"
    return build


def sales(folder):
    """A table of something else."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"price": [1.0]}), folder / "t.parquet")
    return folder / "t.parquet"


def lying(folder):
    """An archive whose array is shorter than its header says."""
    np.save(folder / "a.npy", np.zeros(1000))
    whole = (folder / "a.npy").read_bytes()
    with zipfile.ZipFile(folder / "x.npz", "w") as archive:
        archive.writestr("u.npy", whole[:-4000])
    return folder / "x.npz"


def short(folder):
    """A .npy of which the last part is missing."""
    np.save(folder / "x.npy", np.zeros(1000))
    (folder / "x.npy").write_bytes((folder / "x.npy").read_bytes()[:-4000])
    return folder / "x.npy"


def archive(folder):
    with zipfile.ZipFile(folder / "x.npz", "w") as file:
        file.writestr("readme.txt", "hello")
    return folder / "x.npz"


mat, npz = lambda p, a: scipy.io.savemat(p, a), lambda p, a: np.savez(p, **a)
tensor, flow = "PDEBench, tensor", "PDEBench, CFD 2D"
DAMAGED = {
    # what it is at all
    "an empty file": (written("x.h5", b""), "got an empty file"),
    "text named .h5": (written("x.h5", b"0.1 0.2\n0.3 0.4\n"), "got text; expected HDF5"),
    "an error page named .hdf5": (written("x.hdf5", b"<!DOCTYPE html><html>404</html>"), "download's error page"),
    "random bytes": (written("x.h5", bytes(range(256)) * 20), "got a file of unknown kind"),
    "a pickle named .npz": (written("x.npz", pickle.dumps({"u": 1})), "got a Python pickle"),
    "an empty directory": (scraps(lambda d: None), "got a directory with []"),
    "a directory of files": (scraps(lambda d: (d / "a.h5").touch()), "got a directory with ['a.h5']"),
    # HDF5
    "cut short": (cut(tensor), "the copy or the download was cut short"),
    "only a header": (cut(tensor, 0.02), "the copy or the download was cut short"),
    "without data": (hdf5(lambda f: None), "it holds no data"),
    "a group without data": (hdf5(lambda f: f.create_group("train")), "it holds no data"),
    "of no schema": (hdf5(lambda f: f.create_dataset("v", data=np.zeros((3, 4)))), "got an HDF5 file with v (3, 4)"),
    "never written": (hdf5(lambda f: sparse(f)), "got 0 of 640 bytes of 'tensor'"),
    "written in part": (hdf5(lambda f: sparse(f, chunks=(1, 5, 8))), "got 1 of 4 chunks of 'tensor'"),
    "of text": (replaced(tensor, "tensor", np.full((3, 5, 8), b"x")),
                "got 'tensor' of dtype |S1, text; expected numbers"),
    "of records": (replaced(tensor, "tensor", np.zeros((3, 5, 8), "f4,i4")), "got 'tensor' of dtype"),
    "of no samples": (replaced(tensor, "tensor", lambda u: u[:0]), "got 'tensor' with nothing along sample"),
    # PDEBench
    "two time edges too many": (replaced(tensor, "t-coordinate", np.arange(7.0)), "got (7,) coordinates of time"),
    "times that stop": (replaced(tensor, "t-coordinate", np.full(6, 0.5)), "got coordinates of time that repeat"),
    "coordinates that are NaN": (replaced(tensor, "x-coordinate", np.full(8, np.nan)), "not finite"),
    "another's grid": (replaced(tensor, "x-coordinate", files.centres(9)), "got (9,) coordinates of x"),
    "fields of mixed resolution": (replaced(flow, "pressure", lambda u: u[..., :4]), "fields of mixed resolution"),
    "a field too flat": (replaced(flow, "pressure", lambda u: u[..., 0]), "got 'pressure' of shape (2, 3, 6)"),
    "a plane without y": (without(flow, "y-coordinate"), "a coordinate is missing"),
    "five axes in tensor": (replaced("PDEBench, Darcy", "tensor", lambda u: u[..., None]),
                            "say dims={'tensor': (...)}"),
    "a missing seed": (without("PDEBench, reaction", "0001"), "got 2 seeds without 1"),
    "a seed without data": (without("PDEBench, reaction", "0001/data"), "got group '0001' without 'data'"),
    "a seed twice": (edited("PDEBench, reaction", lambda f: f.copy("0001", "1")), "got seed 1 twice"),
    "seeds of mixed resolution": (replaced("PDEBench, reaction", "0002/data", lambda u: u[:, :4]),
                                  "got '0002/data' of shape (4, 4, 6, 2)"),
    "three components": (replaced("PDEBench, sorption", "0000/data", np.zeros((4, 9, 3))), "got '0000/data' of shape"),
    "no frame written": (attribute("PDEBench, ns_incom", "/", "latestIndex", -1), "got latestIndex -1"),
    # The Well, PDEArena, BubbleML
    "a field not there": (without("The Well", "t0_fields/buoyancy"), "got no 't0_fields/buoyancy'"),
    "a field that says nothing": (attribute("The Well", "t0_fields/buoyancy", "time_varying"),
                                  "without the attribute 'time_varying'"),
    "a field that says wrong": (attribute("The Well", "t0_fields/buoyancy", "time_varying", False),
                                "must say how it is stored"),
    "other trajectories": (attribute("The Well", "/", "n_trajectories", 5), "expected n_trajectories = 5"),
    "no times": (without("The Well", "dimensions/time"), "got no 'dimensions/time'"),
    "fields of mixed times": (replaced("PDEArena, smoke", "train/vx", lambda u: u[:, :2]),
                              "fields of mixed resolution"),
    "a grid by sample": (replaced("PDEArena, smoke", "train/x", np.arange(10.0).reshape(2, 5)),
                         "with a 'x' of their own"),
    "two splits": (edited("PDEArena, smoke", lambda f: f.copy("train", "test")), "say group='train'"),
    "bubbles in a volume": (replaced("BubbleML", "velx", lambda u: u[..., None]), "expected (time, y, x)"),
    "parameters without names": (replaced("BubbleML", "real-runtime-params", np.zeros(3)), "expected pairs"),
    # arrays
    "pickled objects": (saved("x.npz", npz, X=np.array([{}, {}]), y=np.zeros(2)), "an array of pickled Python objects"),
    "an archive cut short": (cut("DeepONet"), "got a zip archive that cannot be read"),
    "an archive of text": (archive, "got a zip archive without arrays"),
    "an array shorter than it says": (lying, "as its header says"),
    "an array cut short": (short, "got 4,000 bytes of data; expected 8,000"),
    "unnamed axes": (saved("x.npz", npz, q=np.zeros((3, 4))), "say what the axes are"),
    "a .mat cut short": (cut("FNO, level 5"), "got 'u' that cannot be read"),
    "a .mat of structures": (saved("x.mat", mat, s={"a": 1.0}), "structures and cells are not read"),
    "axes of one length": (saved("x.mat", mat, u=np.zeros((5, 5)), x=np.arange(5.0), t=np.arange(5.0)),
                           "expected axes that their coordinates tell apart"),
    "axes of no length": (saved("x.mat", mat, u=np.zeros((5, 4)), x=np.arange(6.0), t=np.arange(5.0)),
                          "expected as many as there are coordinates"),
    # folders, tables, meshes
    "a missing simulation": (bodies(lambda d: (d / "sim_000001").rename(d / "lost")), "got 2 simulations without 1"),
    "a simulation twice": (bodies(lambda d: (d / "sim_01").mkdir()), "expected every number once"),
    "a simulation cut short": (bodies(lambda d: (d / "sim_000002/velocity_000003.npy").unlink()),
                               "got nothing; expected 4 frames"),
    "a missing frame": (bodies(lambda d: (d / "sim_000000/velocity_000001.npy").unlink()), "got 3 frames without 1"),
    "a frame of text": (bodies(lambda d: (d / "sim_000000/velocity_000000.npy").write_text("x")), "cannot be read"),
    "a table without lift": (table("cl"), "expected 'cl' too"),
    "a table without designs": (table("optimal_design"), "expected 'optimal_design' too"),
    "another's table": (sales, "its columns are none of EngiBench's"),
    "a table cut short": (lambda folder: (pytest.importorskip("pyarrow"), cut("EngiBench")(folder))[1],
                          "got a Parquet table that cannot be read"),
    "a mesh without pressure": (foil(lambda d, name: (d / name / f"{name}_internal.vtu").write_text(
        (d / name / f"{name}_internal.vtu").read_text(errors="surrogateescape").replace('"p"', '"q"'),
        errors="surrogateescape")), "expected 'p' too"),
    "a set with fewer than it lists": (foil(relisted), "got a manifest with 1 simulations that are not there"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_said_in_words(kind, tmp_path):
    build, text = DAMAGED[kind]
    path = build(tmp_path)
    if kind == "a mesh without pressure":
        path = path / files.FOIL
    with pytest.raises(ValueError) as raised:
        io.open(path).compute()
    message = str(raised.value)
    assert text in message, message
    assert all(word in message for word in (str(path), ": got ", "; expected ", "; ")), message
    assert len(message) < 1000, message


def test_there_are_thirty_and_more():
    assert len(DAMAGED) >= 30


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.h5"):
        io.open(tmp_path / "x.h5")


# --- found only when it is read ---------------------------------------------------------------------------------------

def test_a_damaged_chunk_is_an_error_where_it_is_read(tmp_path):
    path = tmp_path / "x.h5"
    files.flow(path)
    with h5py.File(path) as file:
        place = file["Vx"].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)
    dataset = io.open(path)
    dataset.Vx[0].compute()
    with pytest.raises(ValueError, match="got a part of 'Vx' that cannot be read"):
        dataset.Vx[1].compute()


def test_a_frame_of_another_size_is_an_error_where_it_is_read(tmp_path):
    files.bodies(tmp_path)
    np.save(tmp_path / "training_trajectories/sim_000001/pressure_000002.npy", np.zeros((7, 7)))
    dataset = io.open(tmp_path)
    dataset.pressure[0].compute()
    with pytest.raises(ValueError, match=r"got float64 of shape \(7, 7\); expected float32 of \(6, 6\)"):
        dataset.pressure[1].compute()


def test_complex_numbers_in_a_mat_file(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"coeff": np.ones((2, 3, 3)) * 1j, "sol": np.ones((2, 3, 3))})
    with pytest.raises(ValueError, match="got 'coeff' of complex numbers"):
        io.open(tmp_path / "x.mat").compute()


def test_a_file_that_was_written_to_meanwhile(tmp_path):
    path = tmp_path / "x.h5"
    files.advection(path)
    dataset = io.open(path)
    with h5py.File(path, "a") as file:
        del file["tensor"]
        file["tensor"] = np.zeros((2, 5, 8))
    with pytest.raises(ValueError, match="open it again"):
        dataset.tensor.compute()


# --- bombs ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def small_limits(monkeypatch):
    """The limits a thousandth of what they are, so that the bombs are small."""
    monkeypatch.setattr(members, "BOMB", (2**20, 100))
    monkeypatch.setattr(blocks, "LARGEST_CHUNK", 2**20)


def bomb(path, kind):
    zeros = np.zeros((2, 5, 2**17), np.float32)
    if kind == "npz":
        np.savez_compressed(path, input=zeros[:, 0], output=zeros)
    elif kind == "mat":
        scipy.io.savemat(path, {"input": zeros[:, 0], "output": zeros}, do_compression=True)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("tensor", data=zeros, chunks=zeros.shape, compression="gzip")
            file.create_dataset("x-coordinate", data=np.arange(2**17), compression="gzip", shuffle=True)


@pytest.mark.parametrize("kind", ["npz", "mat", "h5"])
def test_a_bomb_is_refused_before_it_is_unpacked(kind, tmp_path, small_limits):
    path = tmp_path / f"x.{kind}"
    bomb(path, kind)
    assert path.stat().st_size < 2**18
    with pytest.raises(ValueError, match="unpack.*say trusted=True"):
        io.open(path)
    assert not np.asarray(io.open(path, trusted=True).to_dataarray()[0, 0, 0, :9] if kind != "h5"
                          else io.open(path, trusted=True).tensor[0, 0, :9]).any()


# --- decisions --------------------------------------------------------------------------------------------------------

def test_a_mat_file_named_h5_and_the_reverse_are_what_they_are(tmp_path):
    wanted = files.vorticity5(tmp_path / "ns.mat")
    np.testing.assert_array_equal(io.open((tmp_path / "ns.mat").rename(tmp_path / "ns.h5")).u.values, wanted["u"])
    wanted = files.vorticity(tmp_path / "ns73.mat")
    np.testing.assert_array_equal(io.open((tmp_path / "ns73.mat").rename(tmp_path / "ns73.h5")).u.values, wanted["u"])
    wanted = files.advection(tmp_path / "a.mat")
    np.testing.assert_array_equal(io.open(tmp_path / "a.mat").tensor.values, wanted["tensor"])


def test_walls_stay_nan_and_are_counted(tmp_path):
    wanted = files.bodies(tmp_path)
    dataset = io.open(tmp_path)
    assert np.isnan(dataset.velocity_x.values).sum() == np.isnan(wanted["velocity_x"]).sum() > 0
    moments = io.statistics(dataset, ["velocity_x"])["velocity_x"]
    assert moments.missing == np.isnan(wanted["velocity_x"]).sum()
    assert moments.mean == pytest.approx(np.nanmean(wanted["velocity_x"].astype(float)), rel=1e-12)


def test_what_was_never_written_is_read_only_where_it_is_asked_for(tmp_path):
    path = hdf5(lambda f: sparse(f, chunks=(1, 5, 8)))(tmp_path)
    assert io.open(path, trusted=True).tensor.values.sum() == 40


def test_frames_after_the_last_one_written_are_not_there(tmp_path):
    files.incompressible(tmp_path / "x.h5")
    assert io.open(tmp_path / "x.h5").sizes["time"] == 3


@pytest.mark.parametrize("choice", [{"dims": {"u": ("x",)}}, {"group": "train"}])
def test_a_choice_that_a_schema_does_not_leave_is_refused(choice, tmp_path):
    files.well(tmp_path / "x.h5")
    with pytest.raises(ValueError, match=f"got {next(iter(choice))}= for Well"):
        io.open(tmp_path / "x.h5", **choice)


@pytest.mark.parametrize("dims, text", [
    ({"w": ("x",)}, "got a mapping for \\['w'\\]"), ({"u": ("x",)}, "expected 2 different names"),
    ({"u": ("x", "x")}, "expected 2 different names")])
def test_a_wrong_mapping_is_refused(dims, text, tmp_path):
    path = hdf5(lambda f: f.create_dataset("u", data=np.zeros((3, 4))))(tmp_path)
    with pytest.raises(ValueError, match=text):
        io.open(path, dims=dims)


# --- writing ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("save", [io.save, io.save_pdebench, io.save_well])
def test_a_writer_that_fails_leaves_what_was_there(save, tmp_path):
    big = xarray.Dataset({"u": (("sample", "time", "x"), np.zeros((2, 3, 2**18)))})
    (tmp_path / "out.h5").write_text("precious")

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(big, tmp_path / "out.h5", stop)
    assert (tmp_path / "out.h5").read_text() == "precious"
    assert [f.name for f in tmp_path.iterdir()] == ["out.h5"]


@pytest.mark.parametrize("save, dataset, text", [
    (io.save_pdebench, {"cl": ("sample", [1.0])}, "expected a field of"),
    (io.save_well, {"cl": ("sample", [1.0])}, "expected a field of"),
    (io.save_pdebench, {"u": (("sample", "x", "state"), np.zeros((1, 2, 3)))}, "does not vary with time"),
    (io.save_pdebench, {"u": (("sample", "time", "x", "state"), np.zeros((1, 2, 3, 4)))}, "with the axis 'state'"),
    (io.save_well, {"u": (("sample", "time", "x", "state"), np.zeros((1, 2, 3, 4)))}, "choose one entry"),
    (io.save_well, {"u_x": (("sample", "x", "y"), np.zeros((1, 2, 3)), {"component_of": "u", "component": "x"})},
     "got 'u' with components \\['x'\\]"),
    (io.save_well, {"u": (("sample", "x"), np.zeros((1, 2))), "s": ("sample", ["a"])}, "got 's' of <U1"),
])
def test_what_a_layout_has_no_place_for_is_refused(save, dataset, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        save(xarray.Dataset(dataset), tmp_path / "out.h5")
    assert not list(tmp_path.iterdir())


def test_a_directory_is_not_overwritten(tmp_path):
    with pytest.raises(ValueError, match="got a directory; expected the name of the file to write"):
        io.save(xarray.Dataset({"u": ("x", [1.0])}), tmp_path)
