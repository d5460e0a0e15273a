"""DREAM.3D's layout: what is written is read back, laid out as its filters expect it, and what does not fit is refused.
"""

import h5py
import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

import io_files as files
from sciencegen import io

PLACE = "DataContainers/SyntheticVolumeDataContainer"


def volume(sizes, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), seed=0):
    """Grains, phases and orientations on a grid of two or three axes."""
    rng, dims = np.random.default_rng(seed), ("x", "y", "z")[: len(sizes)]
    lines = {dim: o + (np.arange(n) + 0.5) * s for dim, n, s, o in zip(dims, sizes, spacing, origin)}
    angle = lambda name: (dims, rng.random(sizes, np.float32), {"component_of": "EulerAngles", "component": name})
    return xarray.Dataset({"FeatureIds": (dims, rng.integers(1, 99, sizes, np.int32)),
                           "Phases": (dims, rng.integers(1, 3, sizes, np.int32)),
                           **{f"EulerAngles_{name}": angle(name) for name in ("phi1", "Phi", "phi2")}}, lines)


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(2, 5), min_size=2, max_size=3), step=st.sampled_from([0.25, 1.0, 3.0]),
       start=st.sampled_from([-2.0, 0.0, 10.0]), seed=st.integers(0, 99))
def test_what_is_written_is_read_back(tmp_path_factory, sizes, step, start, seed):
    wanted = volume(tuple(sizes), (step, 2 * step, step), (start, 0.0, start), seed)
    back = io.open(io.save_dream3d(wanted, tmp_path_factory.mktemp("d") / "out.dream3d"))
    xarray.testing.assert_equal(back.compute(), wanted)
    assert all(back[name].dtype == v.dtype for name, v in wanted.items())


def test_axes_of_the_file_run_z_y_x_and_components_last(tmp_path):
    wanted = volume((4, 3, 2), (0.5, 1.0, 2.0), (1.0, 0.0, 0.0))
    with h5py.File(io.save_dream3d(wanted, tmp_path / "out.dream3d")) as file:
        cells, grid = file[f"{PLACE}/CellData"], file[f"{PLACE}/_SIMPL_GEOMETRY"]
        assert cells["FeatureIds"].shape == (2, 3, 4, 1)
        assert cells["EulerAngles"].shape == (2, 3, 4, 3)
        assert cells["FeatureIds"][1, 0, 3, 0] == wanted.FeatureIds.values[3, 0, 1]
        assert cells["EulerAngles"][1, 0, 3, 2] == wanted.EulerAngles_phi2.values[3, 0, 1]
        assert grid["DIMENSIONS"][()].tolist() == [4, 3, 2]
        assert grid["SPACING"][()].tolist() == [0.5, 1.0, 2.0]
        assert grid["ORIGIN"][()].tolist() == [1.0, 0.0, 0.0]


def test_what_is_not_read_is_told(tmp_path):
    files.grains(tmp_path / "x.dream3d")
    assert set(io.open(tmp_path / "x.dream3d").encoding["unused"]) == {
        f"{PLACE}/CellEnsembleData/CrystalStructures", "Pipeline/Pipeline"}


def test_one_of_several_containers_is_the_callers_to_choose(tmp_path):
    path, wanted = tmp_path / "x.dream3d", files.grains(tmp_path / "x.dream3d")
    with h5py.File(path, "a") as file:
        file.copy(PLACE, "DataContainers/Other")
    with pytest.raises(ValueError, match="got group=None; expected one of .'Other', .*say group='Other'"):
        io.open(path)
    np.testing.assert_array_equal(io.open(path, group="Other").Phases.values, wanted["Phases"])


@pytest.mark.parametrize("name, values, text", [
    ("CellData/Phases", np.ones((3, 2, 4, 1), np.int32), "expected \\(z, y, x, component\\) of \\(2, 3, 4\\)"),
    ("CellData/Phases", np.ones((2, 3, 4), np.int32), "expected \\(z, y, x, component\\)"),
    ("_SIMPL_GEOMETRY/SPACING", np.zeros(3), "of a size above zero"),
    ("_SIMPL_GEOMETRY/ORIGIN", np.zeros(2), "expected three numbers")])
def test_a_damaged_file_is_refused(name, values, text, tmp_path):
    files.grains(tmp_path / "x.dream3d")
    with h5py.File(tmp_path / "x.dream3d", "a") as file:
        del file[f"{PLACE}/{name}"]
        file[f"{PLACE}/{name}"] = values
    with pytest.raises(ValueError, match=text):
        io.open(tmp_path / "x.dream3d")


def uneven(data):
    return data.assign_coords(x=[0.0, 1.0, 3.0])


@pytest.mark.parametrize("change, text", [
    (lambda d: d.expand_dims(sample=2), "got 2 along sample; expected one image"),
    (uneven, "expected voxels of one size"),
    (lambda d: d.isel(y=0), "expected a field of \\(x, y"),
    (lambda d: d.assign(u=d.Phases.expand_dims(state=2)), "expected \\(x, y\\), as the others have"),
    (lambda d: d.assign(u=d.Phases + 1e40), "a number of 1e\\+40"),
    (lambda d: d.assign(u=d.Phases.astype("U1")), "got 'u' of <U1")])
def test_what_the_layout_has_no_place_for_is_refused(change, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        io.save_dream3d(change(volume((3, 4))), tmp_path / "out.dream3d")
    assert not list(tmp_path.iterdir())
