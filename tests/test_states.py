"""States of anybody's data: the rows of a file are the rows of its arrays, no trajectory is in two splits, and what
cannot be meant is refused before anything is made."""

import pickle

import h5py
import numpy as np
import pytest
import torch
import xarray
from torch.utils.data import DataLoader

from sciencegen import io
from sciencegen.layout import Layout
from sciencegen.states import States
from sciencegen.states import rows as rows_module
from sciencegen.symmetries import Mirror, Shift

COUNT, FRAMES, GRID = 12, 9, (6, 4)
RNG = np.random.default_rng(0)
ARRAYS = {
    "u": (300 + 2 * RNG.standard_normal((COUNT, FRAMES, *GRID))).astype(np.float32),
    "v": RNG.standard_normal((COUNT, FRAMES, *GRID)).astype(np.float32),
    "rock": RNG.random((COUNT, *GRID)),
    "nu": RNG.random(COUNT),
    "push": RNG.standard_normal((COUNT, FRAMES)),
}
DIMS = {"u": ("sample", "time", "x", "y"), "v": ("sample", "time", "x", "y"), "rock": ("sample", "x", "y"),
        "nu": ("sample",), "push": ("sample", "time")}
UNITS = {"u": "K", "v": "m s-1", "rock": "m2", "nu": "Pa s", "push": "N"}
LINES = {"time": np.arange(FRAMES) * 0.25, "x": np.linspace(0, 1, 6), "y": np.linspace(0, 2, 4)}
PARTS = {"state": ["u", "v"], "rock": "rock", "nu": "nu", "push": "push"}


def memory():
    return xarray.Dataset({k: (DIMS[k], v, {"units": UNITS[k]}) for k, v in ARRAYS.items()},
                          {k: (k, v, {"units": "s" if k == "time" else "m", "long_name": k}) for k, v in LINES.items()})


def hdf5(folder):
    with h5py.File(folder / "mine.h5", "w") as file:
        for name, values in ARRAYS.items():
            chunks = (1, 4, *values.shape[2:]) if values.ndim == 4 else None
            file.create_dataset(name, data=values, chunks=chunks, compression="gzip" if chunks else None)
            file[name].attrs["units"] = UNITS[name]
        for name, values in LINES.items():
            file[name] = values
            file[name].attrs["units"] = "s" if name == "time" else "m"
    return io.open(folder / "mine.h5", dims={**DIMS, **{k: (k,) for k in LINES}})


def netcdf(folder):
    memory().to_netcdf(folder / "mine.nc", engine="h5netcdf")
    return folder / "mine.nc"


SOURCES = {"memory": lambda folder: memory(), "hdf5": hdf5, "netcdf": netcdf}


def expected(states, windows):
    """Rows packed from the arrays: samples, then starts."""
    found = []
    for sample, start in windows:
        frames = slice(start, start + states.length)
        state = np.stack([ARRAYS["u"][sample, frames], ARRAYS["v"][sample, frames]], 1).astype(np.float64)
        found.append(states.layout.pack(
            state=torch.from_numpy(state), rock=torch.from_numpy(ARRAYS["rock"][sample]),
            nu=torch.tensor(ARRAYS["nu"][sample]), push=torch.from_numpy(ARRAYS["push"][sample, frames])))
    return torch.stack(found).float()


# --- the law ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kept", [0, 2**28], ids=["from the file", "from memory"])
def test_rows_of_a_file_are_the_rows_of_its_arrays(source, kept, tmp_path, monkeypatch):
    """Bitwise, in the same order, in each split."""
    monkeypatch.setattr(rows_module, "KEPT", kept)
    states = States(SOURCES[source](tmp_path), PARTS, length=4, stride=2)
    for rows in (states.train, states.valid, states.test):
        samples = rows.samples.unique().tolist()
        windows = [(sample, start) for sample in samples for start in (0, 2, 4)]
        assert torch.equal(rows.tensor(), expected(states, windows))
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
        assert torch.equal(torch.stack([rows[i] for i in order]), rows.tensor()[order])
        assert torch.equal(rows.some([0, 1, 0, -1]), rows.tensor()[[0, 1, 0, -1]])


@pytest.mark.parametrize("source", SOURCES)
def test_loaders_and_their_workers_give_the_same_rows(source, tmp_path):
    states = States(SOURCES[source](tmp_path), PARTS, length=4)
    again = pickle.loads(pickle.dumps(states.train))
    assert torch.equal(again.tensor(), states.train.tensor())
    loader = DataLoader(again, batch_size=7, num_workers=1 if source == "hdf5" else 0)
    assert torch.equal(torch.cat(list(loader)), states.train.tensor())


def test_the_same_file_gives_the_same_layout_however_it_is_read(tmp_path):
    config = [States(SOURCES[source](tmp_path), PARTS, length=4).layout.config() for source in SOURCES]
    assert config[0]["state"]["coords"]["time"]["attrs"] == {"units": "s", "long_name": "time"}
    assert config[0] == config[1] == config[2]


# --- the layout ---------------------------------------------------------------------------------------------------

def test_units_are_of_the_training_rows_alone():
    states = States(memory(), PARTS)
    samples = states.train.samples.numpy()
    for name, values in ARRAYS.items():
        assert states.moments[name].mean == pytest.approx(values[samples].astype(float).mean(), rel=1e-12)
        assert states.moments[name].std == pytest.approx(values[samples].astype(float).std(), rel=1e-12)
    layout = states.layout
    assert layout.variables["nu"].scale == pytest.approx(states.moments["nu"].std, rel=1e-5)
    rows = states.train.tensor().double()
    assert rows.mean() == pytest.approx(0, abs=1e-4)
    assert rows.square().mean() == pytest.approx(1, abs=1e-4)


def test_units_are_as_fine_as_a_state_needs():
    """An offset of a million standard deviations is not rounded away."""
    data = memory().assign(nu=("sample", 300 + 1e-4 * RNG.standard_normal(COUNT)))
    rows = States(data, ["nu"]).train.tensor().double()
    assert rows.mean() == pytest.approx(0, abs=1e-4)
    assert rows.square().mean() == pytest.approx(1, abs=1e-4)


def test_the_layout_says_what_the_file_says():
    layout = States(memory(), PARTS, length=4).layout
    shapes = {k: v.shape for k, v in layout.variables.items()}
    assert shapes == {"state": (4, 2, 6, 4), "rock": (6, 4), "nu": (), "push": (4,)}
    assert {k: v.units for k, v in layout.variables.items()} == {"state": "", "rock": "m2", "nu": "Pa s", "push": "N"}
    assert layout.variables["state"].dims == ("time", "state_component", "x", "y")
    back = Layout.from_config(layout.config()).to_xarray(torch.zeros(2, layout.size))
    assert back.identical(layout.to_xarray(torch.zeros(2, layout.size)))
    assert back["time"].values.tolist() == [0, 0.25, 0.5, 0.75]
    assert back["time"].attrs["units"] == "s"
    assert back["state_component"].values.tolist() == ["u", "v"]
    assert back["y"].values.tolist() == LINES["y"].tolist()


def test_whole_trajectories_keep_their_times_and_windows_start_at_zero():
    data = memory().assign_coords(time=10 + LINES["time"])
    assert States(data, ["u"]).layout.variables["u"].coords["time"].values.tolist() == (10 + LINES["time"]).tolist()
    assert States(data, ["u"], length=2).layout.variables["u"].coords["time"].values.tolist() == [0, 0.25]
    dates = data.assign_coords(time=np.datetime64("2020-01-01") + np.arange(FRAMES) * np.timedelta64(6, "h"))
    made = States(dates, ["u"], length=2).layout.variables["u"].coords["time"]
    assert (made.values.tolist(), made.attrs) == ([0, 21600], {"units": "s"})
    uneven = States(data.assign_coords(time=LINES["time"] ** 2), ["u"], length=2)
    assert "times are 0.0625 to 0.9375 apart" in repr(uneven)


def test_a_constant_part_has_a_unit_and_is_said():
    data = memory().assign(nu=("sample", np.full(COUNT, 0.3)), rock=memory().rock * 0)
    states = States(data, ["u", "nu", "rock"])
    assert states.layout.variables["nu"].scale == 0.3
    assert states.layout.variables["rock"].scale == 1
    assert "'nu' is 0.3 in all training rows" in repr(states)
    parts = states.layout.unpack(states.train[0])
    assert float(parts["nu"]) == pytest.approx(0.3)


def test_the_name_of_a_vector_stands_for_its_components():
    data = memory().rename(u="velocity_x", v="velocity_y")
    for axis in "xy":
        data[f"velocity_{axis}"].attrs |= {"component_of": "velocity", "units": "m s-1"}
    variable = States(data, ["velocity"]).layout.variables["velocity"]
    assert (variable.shape, variable.units) == ((FRAMES, 2, 6, 4), "m s-1")


def test_axes_in_another_order_are_put_in_order():
    turned = States(memory().transpose("y", "time", "x", "sample"), ["u"], length=3)
    assert turned.layout.variables["u"].dims == ("time", "y", "x")
    straight = States(memory(), ["u"], length=3)
    assert torch.equal(turned.train.physical([5])["u"].mT, straight.train.physical([5])["u"])


def test_whole_numbers_and_truths_are_numbers():
    data = memory().assign(count=("sample", np.arange(COUNT, dtype=np.uint16)), on=("sample", np.arange(COUNT) % 2 < 1))
    states = States(data, ["count", "on"])
    found = states.train.physical(range(len(states.train)))
    assert found["count"].tolist() == states.train.samples.tolist()
    assert found["on"].tolist() == (states.train.samples % 2 == 0).tolist()


def test_without_names_all_numbers_are_taken():
    data = memory().assign(name=("sample", [f"case {i}" for i in range(COUNT)]), grid=("x", np.arange(6)))
    states = States(data)
    assert list(states.layout.variables) == list(ARRAYS)
    assert "left out: grid (the same in all samples)" in repr(states)
    assert "left out: name (not made of real numbers)" in repr(states)
    assert "left out: u, v, rock, push (not asked for)" in repr(States(memory(), ["nu"]))


def test_chunks_that_make_reading_slow_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "KEPT", 0)
    hdf5(tmp_path)
    data = io.open(tmp_path / "mine.h5", dims={"u": DIMS["u"]})
    assert "'u' is stored in chunks of 4 frames" in repr(States(data, ["u"], length=1))
    assert "chunks" not in repr(States(data, ["u"], length=2))


# --- splits -------------------------------------------------------------------------------------------------------

def test_no_trajectory_is_in_two_splits():
    states = States(memory(), ["u"], length=3)
    parts = [set(rows.samples.tolist()) for rows in (states.train, states.valid, states.test)]
    assert set.union(*parts) == set(range(COUNT))
    assert sum(map(len, parts)) == COUNT
    assert [len(part) for part in parts] == [10, 1, 1]
    other = States(memory(), ["u"], length=3, seed=1)
    assert set(other.test.samples.tolist()) != parts[2] or set(other.valid.samples.tolist()) != parts[1]


def test_a_split_may_be_given():
    states = States(memory(), ["nu"], split=([3, 4, 5], [0], np.array([7, 8])))
    assert states.train.samples.tolist() == [3, 4, 5]
    assert states.test.samples.tolist() == [7, 8]


@pytest.mark.parametrize("axis", [True, False], ids=["one sample", "no axis of samples"])
def test_one_long_trajectory_is_cut_in_time_with_gaps(axis):
    series = np.arange(100.0)
    data = xarray.Dataset({"u": (("sample", "time"), series[None])} if axis else {"u": ("time", series)})
    states = States(data, ["u"], length=5)
    frames = [set(rows.physical(range(len(rows)))["u"].flatten().tolist())
              for rows in (states.train, states.valid, states.test)]
    assert min(frames[1]) - max(frames[0]) == min(frames[2]) - max(frames[1]) == 6
    assert max(frames[2]) == 99
    assert states.moments["u"].count == len(frames[0])
    assert "cut in time" in repr(states)
    with pytest.raises(ValueError, match="one trajectory of 100 frames for windows of 40 in 3 splits"):
        States(data, ["u"], length=40)
    assert len(States(data, ["u"], length=40, split=(1, 0, 0)).train) == 61


@pytest.mark.parametrize("split", [(0.8, 0.1), (0, 0.5, 0.5), (0.9, 0.2, -0.1), (1, 1, 1), ([0], [0], [1]),
                                   ([], [0], [1]), ([0], [12], [])])
def test_splits_that_are_none_are_refused(split):
    with pytest.raises(ValueError, match="got split"):
        States(memory(), ["u"], split=split)


# --- symmetries ---------------------------------------------------------------------------------------------------

def test_versions_of_a_row_depend_on_seed_and_index_alone():
    symmetries = (Shift(("x",)), Mirror("y", ("v",)))
    states = States(memory(), ["u", "v", "rock"], symmetries=symmetries)
    plain = States(memory(), ["u", "v", "rock"])
    count = len(plain.train)
    assert len(states.train) == 16 * count
    assert len(states.valid) == len(plain.valid)
    assert torch.equal(states.train.some(range(count)), plain.train.tensor())
    assert torch.equal(states.train[5 * count + 1], states.train.some([0, 5 * count + 1])[1])
    rows = states.train.some([k * count for k in range(16)])
    assert len(rows.unique(dim=0)) > 8
    again = States(memory(), ["u", "v", "rock"], symmetries=symmetries)
    assert torch.equal(again.train.some([count, 3 * count + 2]), states.train.some([count, 3 * count + 2]))
    assert states.periodic == ("x",)


def test_a_symmetry_that_does_not_fit_is_refused_at_the_door():
    with pytest.raises(ValueError, match="no sizes of the axis 'z'"):
        States(memory(), ["u"], symmetries=[Shift(("z",))])


# --- the door -----------------------------------------------------------------------------------------------------

def broken(name, change):
    data = memory()
    data[name] = change(data[name])
    return data


def poked(value):
    def change(array):
        array = array.copy()
        array.values.reshape(-1)[-1] = value
        return array
    return change


REFUSED = {
    "missing": (memory, ["w"], "got no variable 'w'"),
    "none": (memory, [], "expected at least one variable"),
    "empty": (memory, {"u": []}, "expected at least one variable"),
    "twice": (memory, {"a": "u", "b": "u"}, "'u' in two parts"),
    "an axis": (memory, {"x": "u"}, "which is an axis"),
    "NaN": (lambda: broken("u", poked(np.nan)), ["u"], "got 1 numbers of 'u' that are not finite, the first at .*11"),
    "infinite": (lambda: broken("nu", poked(np.inf)), ["nu"], "not finite, the first at {'sample': 11}"),
    "text": (lambda: memory().assign(k=("sample", list("abcdefghijkl"))), ["k"], "expected real numbers"),
    "complex": (lambda: memory().assign(k=memory().u * 1j), ["k"], "real and imaginary parts"),
    "dates": (lambda: memory().assign(k=("sample", np.arange(12).astype("M8[D]"))), ["k"], "expected real numbers"),
    "no sample": (lambda: memory().assign(k=(("x", "y"), np.ones(GRID))), ["u", "k"], "the same in all samples"),
    "a number": (lambda: memory().assign(k=3.0), ["k", "u"], "the same in all samples"),
    "other names": (lambda: memory().rename(sample="case", time="t"), ["u"], "rename yours"),
    "unequal axes": (memory, {"both": ["u", "rock"]}, "over the same axes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(case):
    data, parts, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        States(data(), parts)


def test_what_is_missing_may_be_filled():
    data = broken("u", lambda u: u.where(u > 299))
    states = States(data, ["u"], missing=299)
    rows = states.train.physical(range(len(states.train)))["u"]
    assert rows.min() == 299
    assert states.moments["u"].least == 299
    with pytest.raises(ValueError, match="not finite"):
        States(broken("u", poked(np.inf)), ["u"], missing=0)


@pytest.mark.parametrize("length, stride", [(0, 1), (10, 1), (4, 0), (-1, 1)])
def test_windows_that_do_not_fit_are_refused(length, stride):
    with pytest.raises(ValueError, match="got (length|stride)"):
        States(memory(), ["u"], length=length, stride=stride)


def test_one_trajectory_needs_a_length():
    with pytest.raises(ValueError, match="expected length="):
        States(xarray.Dataset({"u": ("time", np.arange(50.0))}), ["u"])


def test_arrays_are_no_data_set():
    with pytest.raises(TypeError, match="expected an xarray.Dataset"):
        States({"u": np.zeros((3, 4))}, ["u"])


def test_a_row_that_is_not_there_is_refused():
    with pytest.raises(IndexError, match="got rows"):
        States(memory(), ["u"]).test[1]


def test_it_says_what_it_is():
    states = States(memory(), PARTS, length=4)
    for text in (repr(states), states._repr_html_()):
        assert "state" in text
        assert "field over time, x, y" in text
        assert "a number a sample" in text
        assert "numbers over time" in text
        assert "10 / 1 / 1 samples" in text
        assert "(4, 2, 6, 4)" in text
        assert "Pa s" in text
