"""The door: no file but the one that is named is read, nothing that was never written is read as zeros, nothing is read
before its size is known, and whatever goes wrong is one error in words.
"""

import os
import shutil

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray

import io_files as files
from sciencegen import io
from sciencegen.files import Fault, guarded
from sciencegen.files.child import ChildLimits, in_child
from sciencegen.files.hdf5 import entries
from sciencegen.observations import Observations, Readings
from sciencegen.result import Result

U = np.arange(40.0).reshape(2, 5, 4)
DIMS = {"u": ("sample", "time", "x")}


def hdf5(path, make):
    with h5py.File(path, "w") as file:
        make(file)
    return path


# --- other people's files -----------------------------------------------------------------------------------------

def external_link(folder, file):
    hdf5(folder / "raw.h5", lambda f: f.create_dataset("u", data=U))
    file["u"] = h5py.ExternalLink("raw.h5", "u")


def soft_through_external(folder, file):
    hdf5(folder / "raw.h5", lambda f: f.create_dataset("u", data=U))
    file["a"], file["u"] = h5py.ExternalLink("raw.h5", "/"), h5py.SoftLink("/a/u")


def external_storage(folder, file):
    (folder / "secret").write_bytes(U.tobytes())
    file.create_dataset("u", U.shape, U.dtype, external=[(str(folder / "secret"), 0, U.nbytes)])


def virtual(folder, file):
    hdf5(folder / "raw.h5", lambda f: f.create_dataset("u", data=U))
    layout = h5py.VirtualLayout(U.shape, U.dtype)
    layout[:] = h5py.VirtualSource("raw.h5", "u", U.shape)
    file.create_virtual_dataset("u", layout)


STRANGERS = {"a link": (external_link, "a link into raw.h5"), "external storage": (external_storage, "secret"),
             "a soft link through a link": (soft_through_external, "a link into raw.h5"),
             "a virtual data set": (virtual, "taken from raw.h5")}


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("how", ["field", "coordinate", "result", "observations", "netcdf"])
def test_other_files_are_read_only_where_their_namer_is_trusted(kind, how, tmp_path):
    make, word = STRANGERS[kind]
    inside = {"field": lambda f: make(tmp_path, f), "coordinate": lambda f: make(tmp_path, f),
              "observations": lambda f: make(tmp_path, f.create_group("u"))}.get(how, lambda f: make(tmp_path, f))
    path = hdf5(tmp_path / "x.h5", inside)
    if how == "coordinate":
        with h5py.File(path, "a") as file:
            file["v"] = U
    if how == "netcdf":
        with h5py.File(path, "a") as file:
            file.attrs["_NCProperties"] = "version=2"
    read = {"field": lambda **k: io.open(path, dims=DIMS, **k), "netcdf": lambda **k: io.open(path, **k),
            "coordinate": lambda **k: io.open(path, io.Plain({"v": DIMS["u"]}, lines={"time": "u"}), **k),
            "result": lambda: Result.load(path), "observations": lambda: Observations.load(path)}[how]
    with pytest.raises(ValueError, match=word):
        read()
    if how == "field":
        np.testing.assert_array_equal(io.open(path, dims=DIMS, trusted=True).u.values, U)


def test_a_virtual_data_set_names_its_missing_source(tmp_path):
    path = hdf5(tmp_path / "x.h5", lambda f: virtual(tmp_path, f))
    (tmp_path / "raw.h5").unlink()
    with pytest.raises(ValueError, match=r"raw.h5, which is missing"):
        io.open(path, dims=DIMS)


def test_soft_and_hard_links_inside_of_a_file_are_followed_and_cycles_end(tmp_path):
    def make(file):
        file["raw/u"], file["u"] = U, h5py.SoftLink("/raw/u")
        file["raw/self"], file["raw/up"] = file["raw"], h5py.SoftLink("/")
        file["lost"] = h5py.SoftLink("/nowhere")
    path = hdf5(tmp_path / "x.h5", make)
    np.testing.assert_array_equal(io.open(path, dims=DIMS).u.values, U)
    found = entries(path)
    assert found["lost"].odd == "a link that leads nowhere"
    assert set(found) == {"raw", "raw/u", "raw/self", "raw/up", "u", "lost"}


def test_groups_that_multiply_are_refused(tmp_path):
    def make(file):
        group = file
        for i in range(20):
            group["a"] = inner = file.create_group(f"g{i}")
            group["b"] = inner
            group = inner
    with pytest.raises(Fault, match="linked to in more than"):
        entries(hdf5(tmp_path / "x.h5", make))


@pytest.mark.parametrize("where", ["x.h5", "d/sim_000000/Density.npy"])
def test_a_pipe_is_refused(where, tmp_path):
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(ValueError, match="got a pipe; expected a file"):
        io.open(tmp_path / where.split("/")[0])


@pytest.mark.parametrize("read", [Result.load, Observations.load])
def test_a_pipe_and_a_folder_are_no_results(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, word in (("pipe", "a pipe"), (".", "a directory")):
        with pytest.raises(ValueError, match=word):
            read(tmp_path / name)


# --- what was never written ---------------------------------------------------------------------------------------

def chunks(path, **kind):
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("u", (4, 6, 8), "f8", chunks=(1, 1, 8), **kind)
        stored[...] = 1 + np.arange(192).reshape(4, 6, 8)
        assert stored.id.get_num_chunks() == 24
    return path


def test_every_bit_of_a_chunk_index_reads_the_same_or_is_refused(tmp_path):
    """Bits of the tree of chunks, one at a time: what is read is what was written, or a refusal.

    But for addresses: where an uncompressed chunk is said to lie between others, nothing in the file tells.
    """
    path = chunks(tmp_path / "x.h5")
    whole, wanted = path.read_bytes(), 1 + np.arange(192.0).reshape(4, 6, 8)
    start = whole.index(b"TREE\x01")
    refused = 0
    header, key, address = 24, 8 + 4 * 8, 8
    keys = [start + header + i * (key + address) + j for i in range(3) for j in range(key)]
    for place in [*range(start + 4, start + header), *keys]:
        for bit in (0, 3, 7):
            broken = bytearray(whole)
            broken[place] ^= 1 << bit
            (tmp_path / "y.h5").write_bytes(broken)
            try:
                np.testing.assert_array_equal(io.open(tmp_path / "y.h5", dims=DIMS).u.values, wanted)
            except ValueError:
                refused += 1
    assert refused > 100


def test_blocks_that_share_bytes_or_lie_beyond_the_end_are_refused(tmp_path):
    path = chunks(tmp_path / "x.h5")
    with h5py.File(path) as file:
        first, second = (file["u"].id.get_chunk_info(i).byte_offset for i in (0, 1))
    whole = path.read_bytes()
    for other, word in ((first, "another block"), (len(whole) - 8, "beyond the file's end")):
        path.write_bytes(whole.replace(second.to_bytes(8, "little"), other.to_bytes(8, "little"), 1))
        with pytest.raises(ValueError, match=word):
            io.open(path, dims=DIMS)


def netcdf(path, written, **kind):
    with h5py.File(path, "w") as file:
        file.attrs["_NCProperties"] = "version=2"
        for name, n in {"time": 4, "x": 3}.items():
            file[name] = np.arange(float(n))
            file[name].make_scale(name)
        stored = file.create_dataset("u", (4, 3), "f4", chunks=(1, 3), **kind)
        stored[:written] = 1.0
        for i, name in enumerate(("time", "x")):
            stored.dims[i].attach_scale(file[name])
    return path


def test_frames_of_netcdf_that_were_not_written_are_refused_or_missing(tmp_path):
    with pytest.raises(ValueError, match="got 3 of 4 chunks of 'u'"):
        io.open(netcdf(tmp_path / "zeros.nc", 3))
    found = io.open(netcdf(tmp_path / "said.nc", 3, fillvalue=np.nan)).u.values
    assert np.isnan(found).sum(1).tolist() == [0, 0, 0, 3]
    with pytest.raises(ValueError, match="got 0 of 4 chunks of 'u'"):
        io.open(netcdf(tmp_path / "none.nc", 0, fillvalue=np.nan))


def test_a_variable_shorter_than_its_dimension_is_refused(tmp_path):
    """Where one record was not written for all variables the library makes up the rest."""
    path = tmp_path / "x.nc"
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": None, "x": 3}
        short, long = (file.create_variable(name, ("time", "x"), "f8") for name in ("short", "long"))
        file.resize_dimension("time", 5)
        long[:5] = 1.0
        short[:3] = 2.0
    with h5py.File(path, "a") as file:
        file["short"].resize((3, 3))
    with pytest.raises(ValueError, match=r"got 'short' written up to \(3, 3\); expected \(5, 3\)"):
        io.open(path)


def test_a_list_of_dimensions_longer_than_the_axes_is_refused(tmp_path):
    path = netcdf(tmp_path / "x.nc", 4)
    with h5py.File(path, "a") as file:
        listed = file["u"].attrs["DIMENSION_LIST"]
        del file["u"]
        file["u"] = np.ones(4)
        file["u"].attrs.create("DIMENSION_LIST", listed, dtype=h5py.vlen_dtype(h5py.ref_dtype))
    with pytest.raises(ValueError, match="'u' of 1 axes with a list of"):
        io.open(path)


# --- sizes --------------------------------------------------------------------------------------------------------

def test_a_coordinate_larger_than_its_fields_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "x.h5"
    files.advection(path)
    with h5py.File(path, "a") as file:
        del file["t-coordinate"]
        file.create_dataset("t-coordinate", (10**10,), "f8", chunks=(10**6,))
    with pytest.raises(ValueError, match=r"'t-coordinate' of shape \(10000000000,\), 74.5 GiB; expected about"):
        io.open(path)


def test_observations_are_compared_before_they_are_read(tmp_path):
    path = Observations({"u": Readings([[0.1, 0.2]], [1.0], 0.1)}).save(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        del file["u/noise"]
        file.create_dataset("u/noise", (10**10,), "f8", chunks=(10**6,))
    with pytest.raises(ValueError, match=r"noise' of shape \(10000000000,\), 74.5 GiB"):
        Observations.load(path)


# --- what attributes mean -----------------------------------------------------------------------------------------

PACKED = np.array([[0, 1, 2, -9999, 7]], "i2")
MEANT = np.array([[300.0, 300.01, 300.02, np.nan, 300.07]])


def attributes(kind):
    packing = {"scale_factor": 0.01, "add_offset": 300.0}
    return {"_FillValue": {**packing, "_FillValue": np.int16(-9999)},
            "missing_value": {**packing, "missing_value": np.array([-9999, -9998], "i2")},
            "valid_range": {**packing, "valid_range": np.array([0, 100], "i2")},
            "valid_min": {**packing, "valid_min": np.int16(0)},
            "valid_range of results": {**packing, "valid_range": np.array([290.0, 310.0])}}[kind]


@pytest.mark.parametrize("kind", ["_FillValue", "missing_value", "valid_range", "valid_min", "valid_range of results"])
@pytest.mark.parametrize("way", ["plain", "netcdf", "well", "pdebench"])
def test_packed_numbers_are_what_they_stand_for(kind, way, tmp_path):
    path, name = tmp_path / "x.h5", {"plain": "u", "netcdf": "u", "well": "t0_fields/u", "pdebench": "tensor"}[way]
    data = xarray.Dataset({"u": (("sample", "time", "x"), np.ones((1, 1, 5)))}, {"time": [0.0], "x": np.arange(5.0)})
    {"plain": lambda: hdf5(path, lambda f: None), "netcdf": lambda: io.save(data, path),
     "well": lambda: io.save_well(data, path), "pdebench": lambda: io.save_pdebench(data, path)}[way]()
    with h5py.File(path, "a") as file:
        old = dict(file[name].attrs) if name in file else {}
        scales = [list(d.values()) for d in file[name].dims] if way == "netcdf" else []
        if name in file:
            del file[name]
        file[name] = PACKED[None]
        for key, value in old.items():
            if key not in ("DIMENSION_LIST", "_FillValue", "CLASS", "NAME"):
                file[name].attrs[key] = value
        for i, some in enumerate(scales):
            file[name].dims[i].attach_scale(some[0])
        file[name].attrs.update(attributes(kind))
    found = io.open(path, dims=DIMS if way == "plain" else None)["tensor" if way == "pdebench" else "u"]
    np.testing.assert_allclose(found.values[0], MEANT, rtol=1e-12)
    assert found.dtype == np.float64
    assert not set(found.attrs) & {"scale_factor", "add_offset", "_FillValue", "valid_range"}


def test_unsigned_numbers_of_old_netcdf(tmp_path):
    stored = xarray.Dataset({"u": ("x", np.array([-1, 1], "i1"), {"_Unsigned": "true", "scale_factor": 2.0})})
    stored.to_netcdf(tmp_path / "x.nc", engine="scipy")
    assert io.open(tmp_path / "x.nc").u.values.tolist() == [510.0, 2.0]


@pytest.mark.parametrize("name, value", [("scale_factor", 0.0), ("scale_factor", "two"), ("scale_factor", np.nan),
                                         ("valid_range", [1.0]), ("valid_range", [2, 1]), ("_FillValue", "none")])
def test_attributes_that_mean_nothing_are_refused(name, value, tmp_path):
    def make(file):
        file["u"] = U
        file["u"].attrs[name] = value
    with pytest.raises(ValueError, match="'u' (with|valid)"):
        io.open(hdf5(tmp_path / "x.h5", make), dims=DIMS)


# --- dates --------------------------------------------------------------------------------------------------------

TIMES = np.datetime64("2020-01-01T00:00:00", "ns") + np.arange(5) * np.timedelta64(90, "m")


@pytest.mark.parametrize("save", [io.save, io.save_pdebench, io.save_well])
def test_dates_are_dates_after_every_writer(save, tmp_path):
    data = xarray.Dataset({"u": (("sample", "time", "x"), U.astype("f4"))}, {"time": TIMES, "x": np.arange(4.0)})
    found = io.open(save(data, tmp_path / "x.h5"))
    np.testing.assert_array_equal(found.time.values.astype("M8[ns]"), TIMES)


def test_seconds_that_count_from_nothing_stay_numbers(tmp_path):
    data = xarray.Dataset({"u": (("time",), U[0, :, 0])}, {"time": ("time", np.arange(5.0), {"units": "seconds"})})
    assert io.open(io.save(data, tmp_path / "x.nc")).time.values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


# --- order, kinds, use --------------------------------------------------------------------------------------------

def test_dims_of_netcdf_come_in_order(tmp_path):
    turned = xarray.Dataset({"u": (("x", "time", "lev", "sample"), U.T[:, :, None])})
    turned.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    found = io.open(tmp_path / "x.nc").u
    assert found.dims == ("sample", "time", "x", "lev")
    np.testing.assert_array_equal(found.values[..., 0], U)


def test_windows_of_any_order_have_time_first_and_share_no_memory():
    data = xarray.Dataset({"u": (("x", "time", "sample"), U.T.copy()), "a": (("x", "sample"), U[:, 0].T.copy())})
    windows = io.Windows(data, ["u", "a"], 3)
    for batch in ([0, 1, 2], [1, 1, 4], [5]):
        for i, window in zip(batch, windows.__getitems__(batch)):
            sample, start = divmod(i, 3)
            np.testing.assert_array_equal(window["u"], U[sample, start:start + 3])
            np.testing.assert_array_equal(window["a"], U[sample, 0])
            window["u"].zero_()
            window["a"].zero_()
    np.testing.assert_array_equal(data.u.values, U.T)


def test_complex_numbers_are_kept_and_refused_where_real_ones_are_needed(tmp_path):
    data = io.open(hdf5(tmp_path / "x.h5", lambda f: f.create_dataset("u", data=U + 1j)), dims=DIMS)
    np.testing.assert_array_equal(data.u.values, U + 1j)
    for use in (lambda: io.statistics(data, ["u"]), lambda: io.Windows(data, ["u"]),
                *(lambda s=s: s(data, tmp_path / "out.h5") for s in (io.save, io.save_pdebench, io.save_well))):
        with pytest.raises(ValueError, match="complex"):
            use()
    assert [f.name for f in tmp_path.iterdir()] == ["x.h5"]


def test_what_is_not_read_is_named(tmp_path):
    path = tmp_path / "x.h5"
    files.advection(path)
    with h5py.File(path, "a") as file:
        file["remark"], file["z"], file["once"], file["flat"] = "by hand", U + 1j, 3.0, U[0]
    unused = io.open(path).encoding["unused"]
    assert unused == {"remark": "text or objects", "z": "complex numbers", "once": "one number",
                      "flat": "(5, 4), which the schema has no place for"}


def test_what_is_not_read_of_an_archive_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", input=U[:, 0], output=U, who=np.array(["me"]), z=U * 1j, spare=U[0])
    found = io.open(tmp_path / "x.npz")
    assert set(found.data_vars) == {"input", "output"}
    assert found.encoding["unused"] == {"who": "<U2, no numbers", "z": "complex numbers",
                                        "spare": "(5, 4), which the set has no place for"}


# --- writers ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("save, values, time, word", [
    (io.save_well, U + 1e40, None, "a number of 1e\\+40"), (io.save_well, (U * 1e-50), None, "at most 3.9e-49"),
    (io.save_well, U.astype("i8") + 2**24 + 1, None, "the integer 16777217"),
    (io.save_well, U, 1e9 + np.arange(5.0), "float32 tells apart"),
    *((save, U, time, "repeat, turn or are not finite") for save in (io.save, io.save_pdebench, io.save_well)
      for time in ([0, 1, 2, 3, np.nan], [0, 1, 1, 2, 3], [0, 1, 2, 3, np.inf])),
])  # fmt: skip
def test_what_a_layout_does_not_hold_is_refused_before_a_byte_is_written(save, values, time, word, tmp_path):
    data = xarray.Dataset({"u": (("sample", "time", "x"), values)})
    data = data if time is None else data.assign_coords(time=np.asarray(time, float))
    (tmp_path / "out.h5").write_text("precious")
    with pytest.raises(ValueError, match=word):
        save(data, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_infinite_numbers_are_counted_and_left_out():
    found = io.statistics(xarray.Dataset({"u": ("x", [1.0, np.inf, 3.0, np.nan, -np.inf])}), ["u"])["u"]
    assert (found.count, found.mean, found.most, found.missing, found.infinite) == (2, 2.0, 3.0, 1, 2)


# --- the child ----------------------------------------------------------------------------------------------------

def fail(beat):
    raise KeyError("lost")


@pytest.mark.parametrize("work, error, word", [
    (fail, KeyError, "lost"), (lambda beat: os.abort(), Fault, "SIGABRT"),
    (lambda beat: os._exit(3), Fault, "exit status 3"),
    (lambda beat: len(bytearray(10**9)), Fault, "more than 47.7 MiB"),
    (lambda beat: os.read(os.pipe()[0], 1), Fault, "nothing is read in 0.5 s"),
    (lambda beat: any(iter(int, 1)), Fault, "nothing is read in 0.5 s"),
])  # fmt: skip
def test_what_a_child_cannot_do_is_said(work, error, word):
    with pytest.raises(error, match=word):
        in_child("x.h5", work, ChildLimits(seconds=0.5, memory=5 * 10**7))


def test_a_child_that_makes_progress_lives():
    def work(beat):
        for _ in range(4):
            os.read(os.pipe()[0], 0)
            beat()
        return np.arange(3)
    assert in_child("x.h5", work, ChildLimits(0.5)).tolist() == [0, 1, 2]


def test_an_isolated_file_is_the_same_and_its_faults_too(tmp_path):
    files.advection(tmp_path / "x.h5")
    found, wanted = (io.open(tmp_path / "x.h5", isolated=isolated).compute() for isolated in (True, False))
    xarray.testing.assert_equal(found, wanted)
    with pytest.raises(FileNotFoundError):
        io.open(tmp_path / "no.h5", isolated=True)
    shutil.copy(tmp_path / "x.h5", tmp_path / "y.h5")
    os.truncate(tmp_path / "y.h5", 900)
    with pytest.raises(ValueError, match="cut short"):
        io.open(tmp_path / "y.h5", isolated=True)


@pytest.mark.parametrize("error", [RuntimeError("odd"), KeyError("k"), NotImplementedError(), TypeError("t"),
                                   RecursionError("deep"), MemoryError(), OSError("io")])
def test_whatever_a_library_raises_is_a_fault(error):
    with pytest.raises(Fault, match="x.h5: got .*; expected .*; "), guarded("x.h5"):
        raise error


# --- netCDF3 ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("unlimited", [(), ("time",)])
@pytest.mark.parametrize("names", [("u",), ("u", "v")])
def test_a_place_in_netcdf3_is_a_variables_own(unlimited, names, tmp_path):
    data = xarray.Dataset({name: (("time", "x"), files.numbers(3, 5).astype("f8" if name == "u" else "i2"))
                           for name in names}, {"time": np.arange(3.0), "x": np.arange(5.0)})
    path = tmp_path / "x.nc"
    data.to_netcdf(path, engine="scipy", unlimited_dims=unlimited)
    xarray.testing.assert_equal(io.open(path).compute(), data)
    whole = path.read_bytes()
    for broken, word in ((whole + bytes(8), "bytes were added"), (whole[:-8], "cut short")):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=word):
            io.open(path)


def test_variables_of_netcdf3_in_the_same_bytes_are_refused(tmp_path):
    data = xarray.Dataset({"u": ("x", np.arange(10.0, 15.0)), "v": ("x", np.arange(20.0, 25.0))})
    data.to_netcdf(tmp_path / "x.nc", engine="scipy")
    whole = (tmp_path / "x.nc").read_bytes()
    first, second = (whole.index(np.arange(n, n + 5).astype(">f8").tobytes()).to_bytes(4, "big") for n in (10.0, 20.0))
    assert whole.count(second) == 1
    (tmp_path / "x.nc").write_bytes(whole.replace(second, first))
    with pytest.raises(ValueError, match="in the same bytes"):
        io.open(tmp_path / "x.nc")


def test_a_message_is_one_line_whatever_a_file_says(tmp_path):
    def make(file):
        file["u"] = U
        file["u"].attrs["valid_range"] = np.zeros(1000)
    with pytest.raises(ValueError, match="'u' with valid_range") as raised:
        io.open(hdf5(tmp_path / "x.h5", make), dims=DIMS)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1500


def test_a_result_whose_samples_have_no_number_is_none(tmp_path):
    samples = xarray.Dataset({"u": (("sample", "x"), U[0])})
    result = Result(samples, np.arange(5.0), np.ones(5, bool), 0, "done", 1, xarray.Dataset(), np.arange(5))
    path = result.save(tmp_path / "result.nc")
    assert len(Result.load(path, isolated=True)) == 5
    with h5py.File(path, "a") as file:
        file.move("sample", "draw")
    with pytest.raises(ValueError, match="expected"):
        Result.load(path)
