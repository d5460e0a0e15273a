"""Laws: what SU2 is given describes the asked flow; what it wrote is read by name; a failure is a status and NaN."""

import pickle
import stat
from pathlib import Path

import numpy as np
import pytest

from sciencegen.solvers import SU2, Laminar
from sciencegen.solvers.mesh import PlaneMesh, bodies, gmsh
from sciencegen.solvers.su2 import configuration, mesh_text, read_history

RECORDED = (Path(__file__).parent / "data" / "su2_history.csv").read_text()
SQUARE = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
MESH = Laminar().mesh(100.0).refined(0.2)


def test_a_recorded_history_is_read_by_name():
    history = read_history(RECORDED, 2)
    np.testing.assert_array_equal(history.time, np.arange(5))
    np.testing.assert_allclose(history.forces[-1], [0.1215, 0.2331, 0.0112, 0.1009, 0.1658, -0.0061])
    totals = read_history(RECORDED.replace("(body0)", "(wing)"), 1)
    np.testing.assert_allclose(totals.forces[-1], [0.2224, 0.3989, 0.0051])


def test_a_history_that_was_cut_off_keeps_its_whole_rows_and_other_files_have_none():
    assert len(read_history(RECORDED[:-40], 2).time) == 4
    for text in ("", "no table here", RECORDED.splitlines()[0].replace("CMz", "CMw")):
        assert read_history(text, 2).forces.shape == (0, 6)


def options(text: str) -> dict[str, str]:
    return dict(line.split("= ", 1) for line in text.splitlines())


def test_the_configuration_has_the_stream_and_the_bodies():
    found = bodies([SQUARE, SQUARE + 3])
    laminar = options(configuration(found, 500.0, 30.0, False, 100))
    x, y, z = (float(word) for word in laminar["INC_VELOCITY_INIT"].strip("() ").split(","))
    np.testing.assert_allclose([x, y, z], [np.sqrt(3) / 2, 0.5, 0], atol=1e-11)
    assert float(laminar["MU_CONSTANT"]) == pytest.approx(1 / 500)
    assert laminar["SOLVER"] == "INC_NAVIER_STOKES"
    assert laminar["MARKER_HEATFLUX"] == "( body0, 0.0, body1, 0.0 )"
    assert laminar["MARKER_MONITORING"] == "( body0, body1 )"
    turbulent = options(configuration(found, 1e6, 0.0, True, 100))
    assert (turbulent["SOLVER"], turbulent["KIND_TURB_MODEL"]) == ("INC_RANS", "SST")


def test_the_mesh_is_in_su2s_format():
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [2, 0.5]])
    boundary = {"far": np.array([[0, 1]]), "body0": np.array([[3, 0], [2, 3]])}
    text = mesh_text(PlaneMesh(points, np.array([[1, 4, 2]]), np.array([[0, 1, 2, 3]]), boundary))
    assert text.splitlines() == [
        "NDIME= 2", "NELEM= 2", "5 1 4 2 0", "9 0 1 2 3 1",
        "NPOIN= 5", "0.0 0.0 0", "1.0 0.0 1", "1.0 1.0 2", "0.0 1.0 3", "2.0 0.5 4",
        "NMARK= 2", "MARKER_TAG= far", "MARKER_ELEMS= 1", "3 0 1",
        "MARKER_TAG= body0", "MARKER_ELEMS= 2", "3 3 0", "3 2 3",
    ]  # fmt: skip


def test_a_missing_program_is_named_with_how_to_install_it():
    result = SU2(MESH, program="no-such-su2")(SQUARE, 100.0, alpha=[0.0, 2.0])
    assert result.status == "missing"
    assert "no-such-su2" in result.log
    assert np.isnan(result["cl"]).all()
    assert result["cl"].shape == (2,)


@pytest.mark.parametrize(
    "last, body, status",
    [
        (300, "", "converged"),
        (150, "", "unconverged"),  # shorter than the window
        (300, "exit 3", "crashed"),
        (300, "sleep 60", "timeout"),
        (0, "", "crashed"),
    ],
)
def test_a_run_is_judged_by_its_history(tmp_path, last, body, status):
    """A stand-in that checks that its input is there and writes a history of the documented form."""
    if gmsh.program() is None:
        pytest.skip(gmsh.INSTALL)
    program = tmp_path / "su2"
    rows = f"for i in $(seq 0 {last}); do echo $i, 0.25, 0.5, -0.125; done" if last else ":"
    head = """echo '"Inner_Iter","CD(body0)","CL(body0)","CMz(body0)"'"""
    script = f"grep -q NELEM mesh.su2 && grep -q MARKER_FAR $1 || exit 9\n{{ {head}; {rows}; }} > history.csv\n{body}\n"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    result = SU2(MESH, program=str(program), timeout=4.0)(SQUARE, 100.0, alpha=[1.0])
    assert result.status == status, result.log
    values = [result[name].item() for name in ("alpha", "cd", "cl", "cm")]
    np.testing.assert_array_equal(values, [1.0, 0.25, 0.5, 0.125] if status == "converged" else [np.nan] * 4)


def test_it_travels():
    assert pickle.loads(pickle.dumps(SU2(MESH))) == SU2(MESH)
