"""Coordinate files: the same outline comes back from every way in which people write it, and bad files are named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciencegen.airfoil import read_dat, uiuc, write_dat

POINTS = 21


def outline(tail: float = 0.0) -> np.ndarray:
    """A cambered airfoil in Selig order, (41, 2), rounded as files are."""
    x = (1 - np.cos(np.linspace(0, np.pi, POINTS))) / 2
    half, line = 0.3 * np.sqrt(x) * (1 - x) + tail / 2 * x, 0.08 * x * (1 - x)
    upper, lower = np.stack([x, line + half], 1), np.stack([x, line - half], 1)
    return np.concatenate([upper[::-1], lower[1:]]).round(6)


def rows(points: np.ndarray, form: str = "{:.6f}  {:.6f}") -> list[str]:
    return [form.format(x, y) for x, y in points]


def lednicer(points: np.ndarray, counts: bool = True) -> list[str]:
    upper, lower = points[:POINTS][::-1], points[POINTS - 1 :]
    head = [f"  {len(upper)}.   {len(lower)}."] if counts else []
    return [*head, "", *rows(upper), "", *rows(lower)]


def read(folder: Path, lines: list[str], end: str = "\n") -> tuple[str, np.ndarray]:
    file = folder / "wing.dat"
    file.write_bytes((end.join(lines) + end).encode("latin-1"))
    return read_dat(file)


LAYOUTS = {
    "selig": ["My wing", *rows(outline())],
    "no name": rows(outline()),
    "two lines of name": ["My wing", "drawn on a Sunday", *rows(outline())],
    "lednicer": ["My wing", *lednicer(outline())],
    "lednicer without counts": ["My wing", *lednicer(outline(), counts=False)],
    "clockwise": ["My wing", *rows(outline()[::-1])],
    "commas": ["My wing", *rows(outline(), "{:.6f},{:.6f}")],
    "semicolons and tabs": ["My wing", *rows(outline(), "\t{:.6f};\t{:.6f} ")],
    "exponents": ["My wing", *rows(outline(), "{:.9e} {:+.9e}")],
    "blank lines": ["", "My wing", "", *[line for row in rows(outline()) for line in (row, "  ")]],
    "repeated points": ["My wing", *[row for row in rows(outline()) for _ in range(2)]],
    "remarks after it": ["My wing", *rows(outline()), "see http://example.org", "cm0: -0.05", "13/08/1999 by hand"],
    "not ascii": ["Höhenleitwerk é", *rows(outline())],
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_outline(tmp_path, layout, end):
    name, points = read(tmp_path, LAYOUTS[layout], end)
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, outline())
    assert name == {"no name": "wing", "not ascii": "Höhenleitwerk é"}.get(layout, "My wing")


@pytest.mark.parametrize("tail", [0.0, 0.01])
def test_open_and_closed_tails_stay_as_they_are(tmp_path, tail):
    points = outline(tail)
    np.testing.assert_array_equal(read(tmp_path, rows(points))[1], points)
    assert (points[0] == points[-1]).all() == (tail == 0)


@given(st.floats(1e-3, 99), st.floats(-10, 10), st.floats(-10, 10), st.from_regex(r"\A[a-zA-Z][ -~]*\Z"))
def test_write_then_read_is_exact(tmp_path_factory, scale, x, y, name):
    file = tmp_path_factory.mktemp("dat") / "wing.dat"
    points = scale * outline() + [x, y]
    write_dat(file, name, points)
    back = read_dat(file)
    assert back[0] == name.strip()
    np.testing.assert_array_equal(back[1], points)


def test_write_leaves_nothing_half_done(tmp_path):
    file = tmp_path / "wing.dat"
    write_dat(file, "wing", outline())
    before = file.read_text()
    with pytest.raises(ValueError):
        write_dat(file, "wing", np.full((20, 2), np.nan))
    assert file.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["wing.dat"]


@pytest.mark.parametrize("name", ["", "two\nlines", "0.5 0.1"])
def test_a_name_that_would_not_come_back_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="expected one line of text"):
        write_dat(tmp_path / "wing.dat", name, outline())


def spoilt(index: int, row: str) -> list[str]:
    lines = rows(outline())
    lines[index] = row
    return lines


def crossed() -> np.ndarray:
    """The sides change places near the tail: a figure of eight with a larger front."""
    points = outline()
    return np.where((points[:, :1] > 0.7) & [False, True], -points, points)


BAD = {
    "empty": ([], "no rows of two numbers"),
    "only text": (["My wing", "to be drawn"], "no rows of two numbers"),
    "three points": (rows(outline()[::20]), "3 distinct points; expected at least 10"),
    "nine points": (rows(outline()[:9]), "9 distinct points; expected at least 10"),
    "one point, many times": (["0.5 0.5"] * 30, "1 distinct points"),
    "not a number": (spoilt(7, "nan 0.1"), "1 numbers that are not finite"),
    "infinite": (spoilt(7, "inf -inf"), "2 numbers that are not finite"),
    "unreadable": (spoilt(7, "0.8O 0.1"), r"line 8: got '0.8O 0.1'; expected two numbers"),
    "a third number": (spoilt(7, "0.8 0.1 0.0"), "line 8"),
    "unreadable last row": (spoilt(-1, "1.0 O.O"), "line 41"),
    "self-crossing": (rows(crossed()), "crosses itself"),
    "a flat line": (rows(np.stack([np.linspace(0, 1, 20), np.zeros(20)], 1)), "encloses no area"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_refused_with_its_name_and_its_fault(tmp_path, fault):
    lines, message = BAD[fault]
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, lines)
    assert "wing.dat" in str(caught.value)


def test_uiuc_collection():
    pytest.importorskip("aerosandbox")
    names = uiuc.names()
    assert len(names) > 2000
    assert names == sorted(names)
    points = uiuc.coordinates("naca2412")
    thickness = np.ptp(points[:, 1])
    assert 0.11 < thickness < 0.13
    with pytest.raises(KeyError, match=r"no airfoil 'naca2421x'.*naca"):
        uiuc.coordinates("naca2421x")


def test_uiuc_reads_as_aerosandbox_does():
    families = pytest.importorskip("aerosandbox.geometry.airfoil.airfoil_families")
    for name in ("dae11", "e423", "s1223", "ag24", "goe300"):
        theirs = families.get_UIUC_coordinates(name)
        distinct = theirs[np.append(True, (np.diff(theirs, axis=0) != 0).any(1))]
        np.testing.assert_array_equal(uiuc.coordinates(name), distinct)
