"""Laws: XFOIL's own numbers come back at the points asked for; a failure is a status and NaN, never a number."""

import os
import pickle
import stat
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from sciencegen.solvers import XFOIL, map_simulations, traps
from sciencegen.solvers.polar import read_polar
from sciencegen.solvers.xfoil import APPROACHES

NAMES = ["alpha", "cl", "cd", "cm", "top_transition", "bottom_transition"]


@cache
def missing() -> str:
    """Why XFOIL's numbers cannot be checked here, or ""."""
    able, reason = XFOIL().available()
    return "" if able else f"XFOIL gives no numbers here: {reason}"


@pytest.fixture
def xfoil():
    if missing():
        pytest.skip(missing())
    return XFOIL()


def naca(camber: float, place: float, thickness: float, last: float = -0.1015, count: int = 81) -> np.ndarray:
    """
    A four-digit NACA section in Selig's order, thickness added upright as XFOIL's own generator does.

    `last` -0.1036 closes the trailing edge, -0.1015 is NACA's own.
    """
    x = 0.5 * (1 + np.cos(np.linspace(0, np.pi, count)))
    half = thickness / 0.2 * (0.2969 * x**0.5 - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 + last * x**4)
    fore, aft = (2 * place - x) * x / place**2, (1 - 2 * place + 2 * place * x - x**2) / (1 - place) ** 2
    line = camber * np.where(x > place, aft, fore)
    return np.concatenate([np.stack([x, line + half], 1), np.stack([x, line - half], 1)[-2::-1]])


NACA_2412 = naca(0.02, 0.4, 0.12)


@pytest.fixture
def program(tmp_path):
    """Writes a shell script that stands in for a program which misbehaves."""

    def write(body: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return write


def nothing(result) -> bool:
    return sorted(result.values) == sorted(NAMES) and all(np.isnan(value).all() for value in result.values.values())


# --- the real program -----------------------------------------------------------------------------------------------


def test_naca_2412_has_its_known_polar(xfoil):
    result = xfoil(NACA_2412, 1e6, alpha=[0.0, 4.0, 8.0])
    assert result.status == "converged"
    np.testing.assert_allclose(result["cl"], [0.2371, 0.7146, 1.0875], rtol=2e-3)
    np.testing.assert_allclose(result["cd"], [0.00564, 0.00693, 0.01234], rtol=5e-3)
    assert (np.diff(result["top_transition"]) < 0).all()
    assert list(result.values) == NAMES


def test_a_lift_is_where_the_angles_say(xfoil):
    sweep = xfoil(NACA_2412, 1e6, alpha=np.linspace(3, 6, 7))
    wanted = np.array([0.65, 0.75, 0.85])
    result = xfoil(NACA_2412, 1e6, cl=wanted)
    assert np.abs(result["cl"] - wanted).max() <= 1e-3
    np.testing.assert_allclose(result["alpha"], np.interp(wanted, sweep["cl"], sweep["alpha"]), atol=0.02)
    np.testing.assert_allclose(result["cd"], np.interp(wanted, sweep["cl"], sweep["cd"]), rtol=0.02)


def test_a_lift_is_that_of_the_flow_at_its_angle(xfoil):
    uiuc = pytest.importorskip("sciencegen.airfoil.uiuc")
    try:
        outline = uiuc.coordinates("lwk80080")
    except ImportError as error:
        pytest.skip(str(error))
    result = xfoil(outline, 1e6, cl=0.5)  # by itself XFOIL's search ends on 26 counts, a quarter of the drag
    there = xfoil(outline, 1e6, alpha=result["alpha"])
    np.testing.assert_allclose(there["cl"], 0.5, atol=3e-3)
    np.testing.assert_allclose(there["cd"], result["cd"], rtol=0.02)


def test_a_point_does_not_depend_on_what_else_is_asked(xfoil):
    reynolds, lifts = np.array([3e6, 1.5e6, 1e6]), np.array([0.4, 0.8, 1.2])
    together, backwards = xfoil(NACA_2412, reynolds, cl=lifts), xfoil(NACA_2412, reynolds[::-1], cl=lifts[::-1])
    for name in NAMES:
        np.testing.assert_array_equal(together[name], backwards[name][::-1])
    alone = xfoil(NACA_2412, 1.5e6, cl=0.8)
    assert (alone["cd"] == together["cd"][1]).all()


def test_direction_and_trailing_edge_of_the_outline(xfoil):
    blunt = xfoil(naca(0.02, 0.4, 0.12, last=-0.0986), 1e6, alpha=4.0)
    sharp = xfoil(naca(0.02, 0.4, 0.12, last=-0.1036), 1e6, alpha=4.0)
    clockwise = xfoil(NACA_2412[::-1], 1e6, alpha=4.0)
    usual = xfoil(NACA_2412, 1e6, alpha=4.0)
    assert {blunt.status, sharp.status, clockwise.status} == {"converged"}
    np.testing.assert_allclose(clockwise["cd"], usual["cd"], rtol=2e-3)
    np.testing.assert_allclose([blunt["cl"], sharp["cl"]], [usual["cl"]] * 2, rtol=0.02)


def test_place_size_order_and_a_closed_base_change_nothing(xfoil):
    usual = xfoil(NACA_2412, 1e6, alpha=4.0)
    closed = np.concatenate([NACA_2412, NACA_2412[:1]])
    for same in (2 * NACA_2412, 250 * NACA_2412 + [30, -7], closed, np.roll(closed[:-1], 50, axis=0)):
        result = xfoil(same, 1e6, alpha=4.0)
        for name in NAMES:
            np.testing.assert_allclose(result[name], usual[name], atol=1e-4)


def test_a_turned_outline_is_not_run(program):
    tilt = np.deg2rad(10.0)
    turned = NACA_2412 @ [[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]
    result = XFOIL(program=program("exit 0"))(turned, 1e6, alpha=0.0)
    assert result.status == "unconverged"
    assert "10.0 degrees from the x axis" in result.log
    assert "airfoil.normalize" in result.log


def test_physical_parts_act_as_they_should(xfoil):
    usual = xfoil(NACA_2412, 1e6, alpha=4.0)
    tripped = XFOIL(n_crit=4.0)(NACA_2412, 1e6, alpha=4.0)
    fast = XFOIL(mach=0.4)(NACA_2412, 1e6, alpha=4.0)
    assert tripped["top_transition"] < usual["top_transition"]
    assert fast["cl"] / usual["cl"] == pytest.approx(1 / np.sqrt(1 - 0.4**2), rel=0.03)  # Prandtl and Glauert


def test_a_lift_beyond_the_maximum_is_unconverged_and_costs_no_other_point(xfoil):
    result = replace(xfoil, iterations=30)(NACA_2412, 1e6, cl=[0.5, 3.5])
    assert result.status == "unconverged"
    np.testing.assert_array_equal(np.isnan(result["cd"]), [False, True])
    assert "cl 3.5 at Re 1e+06: unconverged" in result.log


def test_hopeless_outlines_give_no_numbers(xfoil):
    plate = np.stack([np.abs(np.linspace(1, -1, 41)), np.zeros(41)], 1)
    noise = np.random.default_rng(0).normal(size=(60, 2))
    for outline in (plate, noise):
        result = replace(xfoil, timeout=1.5)(outline, 1e6, alpha=2.0)
        assert result.status != "converged"
        assert nothing(result)


def test_many_airfoils_in_processes(xfoil):
    cases = [{"coordinates": naca(0.02, 0.4, t), "reynolds": 1e6, "cl": 0.5} for t in (0.09, 0.12, 0.15)]
    cases.insert(1, {"coordinates": np.zeros((3, 7)), "reynolds": 1e6, "cl": 0.5})
    results = map_simulations(xfoil, cases)
    assert [result.status for result in results] == ["converged", "crashed", "converged", "converged"]
    assert "coordinates must be (n, 2)" in results[1].log
    for case, result in zip(cases, results):
        if result.status == "converged":
            assert (xfoil(**case)["cd"] == result["cd"]).all()


def test_no_files_are_left(xfoil, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert xfoil(NACA_2412, 1e6, alpha=0.0).status == "converged"
    assert list(tmp_path.iterdir()) == []


# --- outlines and requests that need no program ---------------------------------------------------------------------


def test_an_outline_that_crosses_itself_or_is_not_finite_is_not_run(program):
    fishtail = NACA_2412.copy()
    fishtail[:81, 1] -= 0.003
    fishtail[81:, 1] += 0.003
    broken = NACA_2412.copy()
    broken[5, 1] = np.nan
    solver = XFOIL(program=program("exit 0"))
    for outline, reason in ((fishtail, "crosses itself"), (broken, "not finite")):
        result = solver(outline, 1e6, alpha=[0.0, 2.0])
        assert result.status == "unconverged"
        assert reason in result.log
        assert nothing(result)


def test_requests_that_no_outline_could_satisfy_raise():
    for arguments in ({}, {"alpha": 1.0, "cl": 0.5}, {"alpha": [[1.0]]}, {"alpha": np.nan}):
        with pytest.raises(ValueError, match="alpha"):
            XFOIL()(NACA_2412, 1e6, **arguments)
    with pytest.raises(ValueError, match="reynolds > 0"):
        XFOIL()(NACA_2412, -1e6, alpha=0.0)
    with pytest.raises(ValueError, match=r"must be \(n, 2\) with 10 <= n <= 1000; got \(2, 161\)"):
        XFOIL()(NACA_2412.T, 1e6, alpha=0.0)
    with pytest.raises(ValueError, match="40 to 340 panels; got 500"):
        XFOIL(panels=500)
    with pytest.raises(ValueError, match="0 <= mach < 1"):
        XFOIL(mach=1.2)


def test_a_solver_travels():
    assert pickle.loads(pickle.dumps(XFOIL(n_crit=5.0))) == XFOIL(n_crit=5.0)


# --- programs that misbehave ----------------------------------------------------------------------------------------


def test_a_missing_program_says_what_to_install():
    result = XFOIL(program="no-such-xfoil")(NACA_2412, 1e6, cl=[0.4, 0.8])
    assert result.status == "missing"
    assert nothing(result)
    assert "install XFOIL" in result.log
    able, reason = XFOIL(program="no-such-xfoil").available()
    assert not able
    assert "install XFOIL" in reason


def test_a_hanging_program_is_ended_with_its_children(program, tmp_path):
    hanging = program(f"sleep 71 & echo $! >> {tmp_path}/children\nsleep 72")
    start = time.monotonic()
    result = XFOIL(program=hanging, timeout=1.5)(NACA_2412, 1e6, alpha=[0.0, 2.0])
    assert time.monotonic() - start < 4
    assert result.status == "timeout"
    assert nothing(result)
    children = [int(pid) for pid in (tmp_path / "children").read_text().split()]
    assert children
    assert all(map(ended, children))


def ended(pid: int, patience: float = 10.0) -> bool:
    """Gone, or a zombie that nobody has collected; the kernel may take a moment to carry out a kill."""
    for _ in range(int(patience / 0.05)):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_crash_is_tried_every_way_and_reported(program, tmp_path):
    result = XFOIL(program=program(f"echo x >> {tmp_path}/runs; echo ouch; kill -SEGV $$"))(NACA_2412, 1e6, alpha=0.0)
    assert result.status == "crashed"
    assert "return code -11" in result.log
    assert "ouch" in result.log
    assert nothing(result)
    assert len((tmp_path / "runs").read_text().split()) == len(APPROACHES)


@pytest.mark.parametrize(
    "body, status",
    [
        ("echo 42; echo nonsense > p", "unconverged"),
        ("head -c 5000 /dev/urandom > p; head -c 5000 /dev/urandom", "unconverged"),
        ("mkdir p", "unconverged"),
        ("echo ' alpha CL CD CM Top_Xtr Bot_Xtr' > p; echo '9.000 0.5 0.01 0.0 1.0 1.0' >> p", "unconverged"),
        ("echo ' alpha CL CD CM Top_Xtr Bot_Xtr' > p; echo '0.000 0.5 NaN 0.0 1.0 1.0' >> p", "unconverged"),
        ("echo ' alpha CL CD CM Top_Xtr Bot_Xtr' > p; echo '0.000 0.5 -0.01 0.0 1.0 1.0' >> p", "unconverged"),
        ("exit 2", "crashed"),
    ],
)
def test_output_that_is_no_answer(program, body, status):
    result = XFOIL(program=program(body))(NACA_2412, 1e6, alpha=0.0)
    assert result.status == status
    assert nothing(result)


def test_a_polar_is_read_by_the_names_in_its_header():
    header = "  CL alpha \n alpha  CL  CM  CD  Bot_Xtr Top_Xtr New\n ----- --\n"
    (row,) = read_polar(header + " 1.0 0.5 -0.05 0.006 0.9 0.4 7\n 2.0 0.6 ****** 0 0 0 0\n 3.0 0.7 0.0\n")
    assert row == {"alpha": 1, "cl": 0.5, "cd": 0.006, "cm": -0.05, "top_transition": 0.4, "bottom_transition": 0.9}
    assert read_polar("") == []


# --- floating-point traps -------------------------------------------------------------------------------------------


def test_without_a_compiler_a_trapping_program_says_what_to_do(program, tmp_path, monkeypatch):
    trapping = program("kill -FPE $$")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = XFOIL(program=trapping)(NACA_2412, 1e6, alpha=0.0)
    assert result.status == "crashed"
    assert "Install a C compiler" in result.log
    assert nothing(result)


def test_the_library_is_built_once_by_many_at_once(xfoil, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if traps.build():
        pytest.skip(traps.build())
    traps.library().unlink()
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: traps.build(), range(4))) == {""}
    assert os.listdir(tmp_path / "sciencegen") == [traps.library().name]
    assert str(traps.library()) in traps.environment()["LD_PRELOAD"]
    assert xfoil(NACA_2412, 1e6, alpha=0.0).status == "converged"
