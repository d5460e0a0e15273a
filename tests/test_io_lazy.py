"""Leaves: whatever is asked of them is what NumPy gives of the whole array, nothing is read before, little is kept, and
they go to other processes by any way of starting one.
"""

import multiprocessing
import pickle
import resource

import h5py
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import io_files as files
from sciencegen import io
from sciencegen.io.leaf import Files, Handle, Leaf, Picked, Stacked, StoredLeaf, variable

SHAPE = (5, 7, 6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same numbers in chunks, as one block, and one file a frame."""
    path, values = tmp_path_factory.mktemp("leaves"), files.numbers(*SHAPE)
    with h5py.File(path / "x.h5", "w") as file:
        file.create_dataset("chunked", data=values, chunks=(2, 3, 6), compression="lzf")
        file["plain"] = values
        for i, part in enumerate(values):
            file[f"{i}/data"] = part
    for i, sample in enumerate(values):
        for j, frame in enumerate(sample):
            np.save(path / f"{i:03d}_{j:03d}.npy", frame)
    return path, values


def leaf(path, kind) -> Leaf:
    handle = Handle(path / "x.h5")
    with h5py.File(path / "x.h5") as file:
        stored = {name: StoredLeaf(handle, name, file[name]) for name in ("chunked", "plain")}
        seeds = Stacked([StoredLeaf(handle, f"{i}/data", file[f"{i}/data"]) for i in range(SHAPE[0])])
    frames = Files(path, "{sample:03d}_{time:03d}.npy", range(SHAPE[0]), range(SHAPE[1]), SHAPE[2:], np.dtype("f4"))
    every = (slice(None),) * 3
    return {**stored, "seeds": seeds, "frames": frames, "turned": Picked(stored["chunked"], every, (2, 0, 1)),
            "component": Picked(stored["plain"], (slice(None), 4, slice(0, 5)), (1, 0)),
            "turned twice": Picked(Picked(stored["plain"], every, (1, 2, 0)), every, (1, 2, 0))}[kind]


def expected(values, kind):
    return {"turned": values.transpose(2, 0, 1), "component": values[:, 4, :5].T,
            "turned twice": values.transpose(2, 0, 1)}.get(kind, values)


KINDS = ["chunked", "plain", "seeds", "frames", "turned", "component", "turned twice"]
KEY = st.one_of(st.integers(-4, 3), st.slices(5), st.lists(st.integers(-4, 3), max_size=6))


@pytest.mark.parametrize("kind", KINDS)
@given(keys=st.tuples(KEY, KEY, KEY))
@example(keys=([3, -1, -1], 0, 0))  # as many as from 3 to 5
def test_indexing_is_numpys_outer_indexing(folder, kind, keys):
    path, values = folder
    whole, lazy = expected(values, kind), variable(tuple("abc")[: expected(values, kind).ndim], leaf(path, kind), {})
    keys = keys[: whole.ndim]
    # xarray itself fails on slices that run backwards over nothing
    assume(all(len(range(n)[k]) or (k.step or 1) > 0 for n, k in zip(whole.shape, keys) if isinstance(k, slice)))
    for axis, key in reversed(list(enumerate(keys))):
        whole = whole[(slice(None),) * axis + (key,)]
    found = lazy[dict(zip("abc", keys))].values
    np.testing.assert_array_equal(found, whole)
    assert found.dtype == values.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickled_leaf_is_a_path(folder, kind):
    path, values = folder
    made = leaf(path, kind)
    made.read((slice(None),) * len(made.shape))  # open, with something in its cache
    copy = pickle.dumps(made)
    assert len(copy) < 2000
    np.testing.assert_array_equal(pickle.loads(copy).read((slice(None),) * len(made.shape)), expected(values, kind))


def _total(dataset, queue):
    queue.put(float(dataset.Vx.astype(float).sum()))


@pytest.mark.parametrize("own", [False, True])
def test_a_dataset_that_was_read_here_is_read_there(own, tmp_path):
    """By fork, which takes the open file along; other ways of starting a process are tested with a loader."""
    wanted = files.flow(tmp_path / "x.h5")["Vx"].astype(float).sum()
    dataset = io.open(tmp_path / "x.h5")
    if own:
        dataset = io.open(io.save(dataset, tmp_path / "own.nc"))
    assert float(dataset.Vx.astype(float).sum()) == wanted
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_total, args=(dataset, queue)) for _ in range(2)]
    for child in children:
        child.start()
    assert [queue.get(timeout=100) for _ in children] == [wanted] * len(children)
    for child in children:
        child.join()


# --- size -------------------------------------------------------------------------------------------------------------

def enormous(path):
    """50 GB on a sparse disk: allocated, so nothing says that it was not written, and no block of it is used."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((12500, 100, 10000))
        h5py.h5d.create(file.id, b"tensor", h5py.h5t.IEEE_F32LE, space, layout)
        file["x-coordinate"], file["t-coordinate"] = np.arange(1e4), np.arange(101.0)


def chunked(path):
    """50 GB in chunks, never written."""
    with h5py.File(path, "w") as file:
        file.create_dataset("tensor", (12500, 100, 10000), "f4", chunks=(1, 10, 10000), compression="gzip")
        file["x-coordinate"], file["t-coordinate"] = np.arange(1e4), np.arange(101.0)


@pytest.mark.parametrize("make, trusted", [(enormous, False), (chunked, True)])
def test_opening_and_reading_windows_of_50_gigabytes_costs_megabytes(make, trusted, tmp_path):
    make(tmp_path / "big.h5")
    io.open(tmp_path / "big.h5", trusted=trusted).tensor[0, 0, :9].compute()  # what the first use of anything costs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dataset = io.open(tmp_path / "big.h5", trusted=trusted)
    assert dataset.nbytes > 5e10
    windows = io.Windows(dataset, ["tensor"], length=10, stride=5)
    assert len(windows) == 12500 * 19
    assert windows[len(windows) - 1]["tensor"].shape == (10, 10000)
    assert dataset.tensor[::2, 3:5].isel(x=slice(4000, 4010), sample=[1, 7, 600]).values.shape == (3, 2, 10)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 150e3, f"{grown / 1e3:.0f} MB"  # kilobytes


def test_opening_reads_no_field(tmp_path, monkeypatch):
    seen, read = [], StoredLeaf.read
    monkeypatch.setattr(StoredLeaf, "read", lambda self, key: seen.append(self.shape) or read(self, key))
    for name in ("PDEBench, tensor", "PDEBench, CFD 2D", "PDEBench, reaction", "The Well", "BubbleML"):
        files.LAYOUTS[name][1](tmp_path / "x.h5")
        repr(io.open(tmp_path / "x.h5"))
    assert seen
    assert max(map(len, seen)) <= 3  # the grid of BubbleML, which is stored by frame
