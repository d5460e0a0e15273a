"""The committed set of airfoils is what its card and its script say."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.spatial.distance import cdist

from sciencegen.airfoil import NeuralFoil, cst, fit, uiuc

FOLDER = Path(__file__).parents[1] / "datasets"
CARD = (FOLDER / "README.md").read_text()


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return xr.load_dataset(FOLDER / "airfoils.nc", engine="h5netcdf")


def test_dims_units_and_provenance(data):
    count = data.sizes["airfoil"]
    assert dict(data.sizes) == {"airfoil": count, "weight": 18, "condition": 8, "alpha": 25, "dropped": 2174 - count}
    for name in ("cl", "log_cd", "cm", "confidence"):
        assert data[name].dims == ("airfoil", "condition", "alpha")
        assert data[name].dtype == np.float32
        assert np.isfinite(data[name]).all()
    assert data.alpha.values.tolist() == list(range(-6, 19))
    assert all({"long_name", "units"} <= data[name].attrs.keys() for name in [*data.data_vars, *data.coords])
    assert {"Conventions", "title", "source", "history", "references", "license"} <= data.attrs.keys()
    assert len(set(data.airfoil.values)) == count
    assert (FOLDER / "airfoils.nc").stat().st_size < 5e6


def test_the_card_counts_right(data):
    count = data.sizes["airfoil"]
    assert f"{count:,} airfoils, {count * 200:,} operating points" in CARD
    sizes = {name: int((data.split == name).sum()) for name in ("train", "valid", "test")}
    assert sum(sizes.values()) == count
    assert ", ".join(f"`{name}` {size:,}" for name, size in sizes.items()) in CARD
    assert f"dropped ({data.sizes['dropped']})" in CARD
    reasons = re.search(r"are left out:(.*?)\. Each", CARD, re.DOTALL)[1]
    kinds = [reason.split(":")[0] for reason in data.dropped_reason.values]
    assert sorted(map(int, re.findall(r"\((\d+)\)", reasons))) == sorted(kinds.count(kind) for kind in set(kinds))


def test_every_file_is_kept_or_dropped_with_a_reason(data):
    pytest.importorskip("aerosandbox")
    assert sorted([*data.airfoil.values, *data.dropped.values]) == uiuc.names()
    assert all(":" in reason for reason in data.dropped_reason.values)


def test_no_near_copy_is_in_another_split(data):
    shape = torch.from_numpy(data["shape"].values).double()
    heights = torch.cat(cst.surfaces(shape, cst.cosine(65, shape)), -1).numpy()
    train, valid, test = (heights[data.split.values == name] for name in ("train", "valid", "test"))
    for one, other in ((train, valid), (train, test), (valid, test)):
        assert cdist(one, other, "chebyshev").min() > 0.003
    assert data.split.to_series().groupby(data.cluster.values).nunique().max() == 1


def test_shapes_are_airfoils(data):
    shape = torch.from_numpy(data["shape"].values).double()
    assert (cst.least_thickness(shape) > 0).all()
    assert (cst.max_thickness(shape) > 0.03).all()
    assert (cst.max_thickness(shape) < 0.35).all()
    assert (shape[:, -1] >= 0).all()
    assert (data.fit_rms <= data.fit_largest).all()
    assert (data.fit_largest < 0.005).all()


def test_reynolds_numbers_cover_two_decades_without_gaps(data):
    logs = np.log10(data.reynolds.values)
    assert ((np.diff(logs, axis=1) - 0.25) ** 2).max() < 1e-10
    every = np.sort(logs.ravel())
    assert abs(every[0] - 5) < 1e-3
    assert abs(every[-1] - 7) < 1e-3
    assert np.diff(every).max() < 5e-4


def test_polars_are_neuralfoils_to_the_last_bit_stored(data):
    pytest.importorskip("neuralfoil")
    some = data.isel(airfoil=[0, 700, 1400, 2000])
    shape, reynolds, alpha = (torch.tensor(some[name].values) for name in ("shape", "reynolds", "alpha"))
    flow = NeuralFoil()(shape[:, None, None], alpha, reynolds[..., None])
    for name in ("cl", "log_cd", "cm", "confidence"):
        step = data[name].encoding["scale_factor"]
        assert np.abs(getattr(flow, name).numpy() - some[name].values).max() < 0.5 * step + 1e-5, name


def test_shapes_are_the_fits_of_the_files(data):
    pytest.importorskip("aerosandbox")
    for name in ("naca2412", "dae11", "e423"):
        found, stored = fit(uiuc.coordinates(name)), data.sel(airfoil=name)
        np.testing.assert_allclose(stored["shape"], found.shape, atol=1e-6)
        np.testing.assert_allclose(stored.fit_largest, found.largest, rtol=1e-5)
