"""The Well's own reader, run on what our writer wrote and on what the tests build in its layout."""

import h5py
import numpy as np
import pytest

import io_files as files
from sciencegen import io

data = pytest.importorskip("the_well.data", reason="the extra `well` is not installed (pip install the-well)")


def opened(path, name, build, steps):
    """Their dataset over a folder with one file."""
    (path / "train").mkdir()
    build(path / "train" / name)
    return data.WellDataset(path=str(path / "train"), n_steps_input=steps, n_steps_output=1, use_normalization=False)


def rewritten(name, make):
    def build(path):
        make(path.with_name(name))
        io.save_well(io.open(path.with_name(name)), path)
        path.with_name(name).unlink()
    return build


def without_invariant_axes(path):
    """Release 1.1 of their reader misreads a field that is stored without an axis."""
    files.well(path)
    with h5py.File(path, "a") as file:
        del file["t0_fields/level"]
        file["t0_fields"].attrs["field_names"] = ["obstacle", "buoyancy"]


@pytest.mark.parametrize("build", [without_invariant_axes, rewritten("x.dat", files.well)], ids=["built", "by us"])
def test_their_reader_gives_what_ours_gives(build, tmp_path):
    theirs = opened(tmp_path, "a.hdf5", build, 2)
    ours = io.open(tmp_path / "train" / "a.hdf5")
    assert len(theirs) == 2 * 2
    for i in range(len(theirs)):
        sample, start = divmod(i, 2)
        item = theirs[i]
        names = theirs.metadata.field_names
        for channel, name in enumerate(names[0] + names[1] + names[2]):
            field = ours[name].isel(sample=sample, time=slice(start, start + 3))
            both = np.concatenate([item["input_fields"][..., channel], item["output_fields"][..., channel]])
            np.testing.assert_array_equal(both, field.values, err_msg=name)
        np.testing.assert_array_equal(item["constant_fields"][..., 0], ours.obstacle.values)
        np.testing.assert_array_equal(item["input_scalars"][:, 0], ours.flux.values[sample, start:start + 2])
        assert dict(zip(theirs.metadata.constant_scalar_names, item["constant_scalars"].tolist())) == {
            "Rayleigh": 1e6, "Prandtl": 0.5}
        assert item["boundary_conditions"].tolist() == [[2, 2], [0, 0]]  # periodic along x, walls along y
        np.testing.assert_allclose(item["space_grid"][:, 0, 0], ours.x.values)


@pytest.mark.parametrize("name, make", [("x.h5", files.flow), ("x.h5", files.advection), ("x.h5", files.volume)])
def test_their_reader_opens_other_schemas_through_our_writer(name, make, tmp_path):
    theirs = opened(tmp_path, "a.hdf5", rewritten(name, make), 1)
    ours = io.open(tmp_path / "train" / "a.hdf5")
    first = theirs.metadata.field_names[0][0]
    wanted = ours[first].isel(sample=0, time=slice(1)).values
    np.testing.assert_array_equal(theirs[0]["input_fields"][..., 0], wanted)
