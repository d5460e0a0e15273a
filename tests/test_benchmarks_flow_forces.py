"""The table of forces beside OpenFOAM: what was fitted to is not counted, and what OpenFOAM has not solved neither."""

import numpy as np
import pytest
import xarray

from benchmarks import flow_forces
from benchmarks.common.record import plain


def cell(bodies: int, box: float, air: float, fitted: bool = False, drag: float | None = 0.4) -> dict:
    """Of bodies with equal forces; the judges' are above OpenFOAM's by shares."""
    part = lambda share: {"drag": [(1 + share) * 0.4] * bodies, "lift": [(1 + share) * 0.8] * bodies}
    return {"bodies": bodies, "fitted": fitted, "openfoam": {"drag": [drag] * bodies, "lift": [0.8] * bodies},
            "box": part(box), "air": part(air)}


def test_errors_are_of_all_bodies_together_and_only_of_designs_held_out():
    cells = {"a": cell(1, 0.1, 0.02), "b": cell(1, 0.2, -0.04), "c": cell(1, 9.0, 9.0, fitted=True),
             "d": cell(2, 9.0, 9.0, drag=None)}
    few, every = map(plain, flow_forces.tables(cells))
    assert few["rows"] == [["1", "2", "15.0 (20.0)", "15.0 (20.0)", "3.0 (4.0)", "3.0 (4.0)"]]
    assert [row[0] for row in every["rows"]] == ["a", "b", "c (fitted)", "d"]
    np.testing.assert_allclose(flow_forces.off(cells["b"], "air"), [-0.04, -0.04])


@pytest.mark.parametrize("rejected", [0, 1])
def test_designs_of_a_run_are_its_outlines_without_those_that_are_none(tmp_path, rejected):
    loops = np.random.default_rng(0).random((3, 2, 5, 2))
    loops[rejected] = np.nan
    xarray.Dataset({"outline": (("sample", "part", "point", "axis"), loops)}).to_netcdf(tmp_path / "result.nc",
                                                                                      engine="h5netcdf")
    found = dict(flow_forces.designs(tmp_path / "result.nc"))
    assert len(found) == 2
    np.testing.assert_allclose(found[f"{tmp_path.name}/result 2"], loops[2], atol=1e-6)


def test_drawn_designs_are_the_same_whatever_the_count():
    few, more = (dict(flow_forces.drawn(2, count, 3)) for count in (1, 3))
    assert len(more) == 3
    np.testing.assert_array_equal(few["drawn, 2 of seed 3, 0"], more["drawn, 2 of seed 3, 0"])
