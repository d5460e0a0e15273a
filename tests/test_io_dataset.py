"""Windows: the tensors of every index are slices of the arrays; a batch is the same windows, read once and in order."""

import h5py
import numpy as np
import pytest
import torch
import xarray
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import io_files as files
from sciencegen import io
from sciencegen.io.leaf import StoredLeaf


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """Three samples of eleven frames, a parameter that differs, and a field that does not move."""
    path = tmp_path_factory.mktemp("windows") / "x.nc"
    data = {"u": (("sample", "time", "x"), files.numbers(3, 11, 5)),
            "a": (("sample", "x"), files.numbers(3, 5, seed=1)),
            "nu": ("sample", np.array([0.1, 0.2, 0.3])), "clock": ("time", np.arange(11.0))}
    return io.save(xarray.Dataset(data), path), {name: values for name, (_, values) in data.items()}


@pytest.mark.parametrize("length, stride", [(1, 1), (4, 1), (4, 3), (11, 1), (3, 5)])
def test_every_window_is_a_slice(flow, length, stride):
    path, data = flow
    windows = io.Windows(path, ["u", "a", "nu", "clock"], length, stride)
    pairs = [(s, t) for s in range(3) for t in range(0, 11 - length + 1, stride)]
    assert len(windows) == len(pairs)
    for i, (s, t) in enumerate(pairs):
        found = windows[i]
        assert torch.equal(found["u"], torch.from_numpy(data["u"][s, t:t + length]))
        assert torch.equal(found["a"], torch.from_numpy(data["a"][s]))
        assert found["nu"] == data["nu"][s]
        assert torch.equal(found["clock"], torch.arange(t, t + length, dtype=torch.float64))


@given(indices=st.lists(st.integers(-24, 23), min_size=1, max_size=12))
def test_a_batch_is_its_windows(flow, indices):
    windows = io.Windows(flow[0], ["u", "nu"], 4)
    for found, i in zip(windows.__getitems__(indices), indices):
        alone = windows[i]
        assert all(torch.equal(found[name], alone[name]) for name in ("u", "nu"))


def test_a_batch_reads_each_stretch_once_and_in_order(tmp_path, monkeypatch):
    files.advection(tmp_path / "x.h5")
    windows, keys, read = io.Windows(tmp_path / "x.h5", ["tensor"], 2), [], StoredLeaf.read
    monkeypatch.setattr(StoredLeaf, "read", lambda self, key: keys.append(key[:2]) or read(self, key))
    windows.__getitems__([9, 0, 11, 1, 8, 3, 0])  # 4 windows a sample
    assert [(s, (t.start, t.stop)) for s, t in keys] == [(0, (0, 5)), (2, (0, 5))]


@pytest.mark.parametrize("start, own", [("fork", False), ("forkserver", True), ("spawn", False)])
def test_a_loader_with_workers_gives_the_same(start, own, tmp_path):
    wanted = files.flow(tmp_path / "x.h5")
    data = io.open(tmp_path / "x.h5")
    windows = io.Windows(io.open(io.save(data, tmp_path / "own.nc")) if own else data, ["Vx", "pressure"], 2)
    windows[0]  # the file is open here when the workers start
    loader = DataLoader(windows, batch_size=3, num_workers=2 if start == "fork" else 1, multiprocessing_context=start)
    found = torch.cat([batch["Vx"] for batch in loader])
    assert torch.equal(found, torch.from_numpy(np.stack([wanted["Vx"][s, t:t + 2] for s in (0, 1) for t in (0, 1)])))


def test_nan_stays_or_becomes_what_is_said(tmp_path):
    wanted = files.bodies(tmp_path)
    kept, filled = (io.Windows(tmp_path, ["velocity_x"], 4, missing=m)[2]["velocity_x"].numpy() for m in (None, -1.0))
    np.testing.assert_array_equal(kept, wanted["velocity_x"][2])
    np.testing.assert_array_equal(filled, np.nan_to_num(wanted["velocity_x"][2], nan=-1.0))


def test_numbers_of_the_other_byte_order_become_tensors(tmp_path):
    u = files.numbers(2, 3, 4)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["tensor"], file["x-coordinate"] = u.astype(">f4"), files.centres(4)
    assert torch.equal(io.Windows(tmp_path / "x.h5", ["tensor"], 3)[1]["tensor"], torch.from_numpy(u[1]))


def test_a_window_can_be_written_to_without_changing_the_next(flow):
    windows = io.Windows(flow[0], ["u"], 4)
    windows[0]["u"].zero_()
    assert windows[0]["u"].abs().sum() > 0


@pytest.mark.parametrize("names, length, stride, error, text", [
    (["v"], 2, 1, KeyError, "got the variable 'v'; expected some of"), (["u"], 12, 1, ValueError, "<= 11"),
    (["u"], 0, 1, ValueError, "got length=0"), (["u"], 2, 0, ValueError, "stride >= 1")])
def test_wrong_windows_are_refused(flow, names, length, stride, error, text):
    with pytest.raises(error, match=text):
        io.Windows(flow[0], names, length, stride)


def test_an_index_beyond_the_end_is_an_index_error(flow):
    windows = io.Windows(flow[0], ["u"], 4)
    with pytest.raises(IndexError, match="got the index 24; expected -24 to 23"):
        windows[24]
