"""Every published layout of files becomes states, a Gaussian and a network that suits it, without a word about it."""

import numpy as np
import pytest
import torch

import io_files as files
from sciencegen import io
from sciencegen.nets import suited
from sciencegen.states import States, by_part

NEEDS = {"AirfRANS": "pyvista", "EngiBench": "pyarrow"}


@pytest.mark.parametrize("name", files.LAYOUTS)
def test_any_published_file_becomes_states_with_a_network(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    file, build = files.LAYOUTS[name]
    wanted = build(tmp_path / file)
    data = io.open(tmp_path / file / files.FOIL if name == "AirfRANS" else tmp_path / file)
    data = data if {"sample", "time"} & set(data.dims) else data.expand_dims("sample")  # a file of one structure
    states = States(data, length=min(2, data.sizes.get("time", 1)), split=(1, 0, 0), missing=0)
    row = states.train.physical([0])
    for part, value in row.items():
        found = np.asarray(data[part].isel({"sample": 0} if "sample" in data[part].dims else {}).values, float)
        found = found[:2] if "time" in data[part].dims else found
        assert np.array_equal(value[0].double().numpy(), np.nan_to_num(found))
        assert part not in wanted or found.size <= np.asarray(wanted[part]).size
    rows = states.train.some([0])
    assert bool(rows.isfinite().all())
    net = suited(states.layout, 16).build()
    assert net(rows, rows[:, :1], torch.ones_like(rows)).shape == (1, states.layout.size)
    assert float(by_part(states)(rows, torch.tensor(1.0))) > 0
