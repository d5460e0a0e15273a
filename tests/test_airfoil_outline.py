"""Law: an outline that is written in any of the ways that people write it comes back as that outline, or is refused."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciencegen.airfoil import chord, cst, fit, read_dat, selig, uiuc
from sciencegen.airfoil.dat import parsed

SHARP, BLUNT = -0.1036, -0.1015


def naca(
    camber: float = 0.04, place: float = 0.4, thick: float = 0.12, last: float = BLUNT, count: int = 31
) -> np.ndarray:
    """A four-digit NACA section in Selig's order, (2 count - 1, 2)."""
    x = (1 - np.cos(np.linspace(0, np.pi, count))) / 2
    half = 5 * thick * (0.2969 * x**0.5 - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 + last * x**4)
    half[-1] = 0.0 if last == SHARP else half[-1]
    fore, aft = (2 * place - x) * x / place**2, (1 - 2 * place + 2 * place * x - x**2) / (1 - place) ** 2
    line = camber * np.where(x > place, aft, fore)
    return np.concatenate([np.stack([x, line + half], 1)[::-1], np.stack([x, line - half], 1)[1:]])


def text(points: np.ndarray, form: str = "{:.7f} {:.7f}", head: str = "NACA\n") -> bytes:
    return (head + "".join(form.format(x, y) + "\n" for x, y in points)).encode()


def polygon(points: np.ndarray) -> np.ndarray:
    """Each point once."""
    return points[:-1] if (points[0] == points[-1]).all() else points


# --- orders: from Selig's (n, 2) to rows ------------------------------------------------------------------------

def rolled(points: np.ndarray, by: int) -> np.ndarray:
    loop = np.roll(polygon(points), -by, axis=0)
    return np.concatenate([loop, loop[:1]])


def sides(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower, both from the nose."""
    middle = len(points) // 2
    return points[: middle + 1][::-1], points[middle:]


def around_base(points: np.ndarray) -> np.ndarray:
    middle = (points[:1] + points[-1:]) / 2
    return np.concatenate([middle, points, middle])


ORDERS = {
    "selig": lambda points, by: points,
    "clockwise": lambda points, by: points[::-1],
    "from any point": rolled,
    "from any point, clockwise": lambda points, by: rolled(points, by)[::-1],
    "from any point, end not repeated": lambda points, by: rolled(points, by)[:-1],
    "from the nose": lambda points, by: rolled(points, len(points) // 2),
    "closed": lambda points, by: np.concatenate([points, points[:1]]),
    "closed in the middle of the base": lambda points, by: around_base(points),
    "upper, lower": lambda points, by: np.concatenate(sides(points)),
    "lower, upper": lambda points, by: np.concatenate(sides(points)[::-1]),
    "both to the nose": lambda points, by: np.concatenate([side[::-1] for side in sides(points)]),
    "every point twice": lambda points, by: np.repeat(points, 2, axis=0),
}


def off(found: np.ndarray, right: np.ndarray) -> float:
    """How far points (n, 2) are from a closed polygon (m, 2), at most."""
    start, edge = right, np.roll(right, -1, axis=0) - right
    away = found[:, None] - start
    share = ((away * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-30)).clip(0, 1)
    return float(np.hypot(*(away - share[..., None] * edge).transpose(2, 0, 1)).min(1).max())


def is_selig(points: np.ndarray, right: np.ndarray, close: float) -> bool:
    """Whether `points` are the right outline, from its tail over the upper side to its tail."""
    ends = np.hypot(*(points[[0, -1]] - right[[0, -1]]).T).max()
    turned = chord(points).upper / len(points)
    return max(off(points, right), off(right, points)) < close and ends < close and 0.4 < turned < 0.6


@pytest.mark.parametrize("last", [SHARP, BLUNT])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_gives_selig_s(order, last):
    points = naca(last=last)
    for by in range(len(points) - 2):
        found = selig(ORDERS[order](points, by))
        assert is_selig(found, points, 1e-9), by
        if "not repeated" not in order:
            np.testing.assert_array_equal(found, points)


@given(st.sampled_from(sorted(ORDERS)), st.integers(0, 50), st.sampled_from([SHARP, BLUNT, -0.098]),
       st.floats(0, 0.06), st.floats(0.3, 0.6), st.floats(0.06, 0.3), st.integers(12, 60),
       st.floats(0.1, 10), st.floats(-0.5, 0.5), st.tuples(st.floats(-5, 5), st.floats(-5, 5)))
def test_any_airfoil_in_any_order_and_place(order, by, last, camber, place, thick, count, scale, turn, shift):
    points = naca(camber, place, thick, last, count)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    placed = scale * points @ turned + shift
    found = selig(ORDERS[order](placed, by % (2 * count - 3)))
    assert is_selig((found - shift) @ turned.T / scale, points, 1e-3 if "not repeated" in order else 1e-8)


def test_airfoils_of_the_collection_come_back_from_every_order():
    pytest.importorskip("aerosandbox")
    for number, name in enumerate(uiuc.names()[::40]):
        points = uiuc.coordinates(name)
        np.testing.assert_array_equal(selig(points[::-1]), points)
        nose = int(np.hypot(*(points - (points[0] + points[-1]) / 2).T).argmax())
        blocks = np.concatenate([points[: nose + 1][::-1], points[nose:]])
        np.testing.assert_array_equal(selig(blocks, nose + 1), points)
        found = selig(rolled(points, number % len(points)))
        assert max(off(found, points), off(points, found)) < 1e-4, name


# --- texts ------------------------------------------------------------------------------------------------------

FORMS = {"spaces": "{:.7f}  {:.7f}", "tabs": "\t{:.7f}\t{:.7f}", "commas": "{:.7f},{:.7f}",
         "semicolons": "{:.7f} ; {:.7f};",
         "fixed width": "{:13.7f}{:13.7f}", "exponents": "{:.9e} {:+.9e}", "quoted": '"{:.7f}","{:.7f}"',
         "remarks": "{:.7f} {:.7f} ! 0.5 0.5", "more": "{:.7f} {:.7f} # the 3rd"}
HEADS = {"name": "NACA\n", "none": "", "mark": "\ufeffNACA\n", "comment": "# NACA, 0.5 0.5\n", "numbers": "23 012\n",
         "two names": "NACA\nby hand, 13/08/1999\n", "title": 'TITLE = "NACA"\nVARIABLES = "X" "Y"\n', "csv": "x,y\n",
         "grid": "NACA\n -2000. 3000. -2500. 3500.\n"}
ENDS = {"none": "", "words": "see http://example.org\ncm0: -0.05\n", "comment": "# 0.5 0.5\n", "dos": "\x1a"}


@given(st.sampled_from(sorted(ORDERS)), st.integers(0, 50), st.sampled_from([SHARP, BLUNT]),
       st.sampled_from(sorted(FORMS)), st.sampled_from(sorted(HEADS)), st.sampled_from(sorted(ENDS)),
       st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["utf-8", "utf-16", "utf-32"]),
       st.sampled_from([1, 2.5, 100, 1000]), st.booleans(), st.booleans())
def test_any_text_gives_the_outline(order, by, last, form, head, foot, end, code, scale, fortran, blank):
    points = naca(last=last)
    rows = [FORMS[form].format(x, y) for x, y in scale * ORDERS[order](points, by)]
    rows = [row.replace("e", "D") for row in rows] if fortran and form == "exponents" else rows
    rows = [line for row in rows for line in (row, "  ")] if blank else rows
    content = (HEADS[head] + "\n".join(rows) + "\n" + ENDS[foot]).replace("\n", end).encode(code)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        name, found = parsed(content, "wing.dat")
    assert is_selig(found / (2.5 if scale == 2.5 else 1), points, 1e-3 if "not repeated" in order else 1e-6)
    unit = {100: ["per cent"], 1000: ["thousandths"]}.get(scale, [])
    assert [str(w.message).partition("read as ")[2].partition(" of")[0] for w in said] == unit
    assert (name == "23 012") == (head == "numbers")


@pytest.mark.parametrize("separator", [" ", ";", "\t"])
def test_decimal_commas(separator):
    content = text(naca(), separator.join(["{:.7f}", "{:.7f}"])).replace(b".", b",")
    assert is_selig(parsed(content, "")[1], naca(), 1e-6)


OPENFAST = " {} NumCoords ! rows, the reference too\n! reference\n 0.250000 0\n! outline\n! x/c y/c\n"


def test_counts_and_a_reference_point():
    points, (upper, lower) = naca(), sides(naca())
    both = np.concatenate([upper, lower])
    bare = OPENFAST.format(62).replace("! outline\n! x/c y/c\n", "")
    for head, rows in ((OPENFAST.format(62), points), (bare, points),
                       ("NACA\n61\n", points), ("61\n", points), ("NACA\n31. 31.\n\n", both), ("31 31\n", both),
                       ("NACA\n31,31\n", both), ("61 points\n", points)):
        np.testing.assert_allclose(parsed(text(rows, head=head), "")[1], points, atol=1e-7)
    for head, rows in ((OPENFAST.format(61), points), ("NACA\n60\n", points), ("NACA\n31 30\n", both), ("60\n", points),
                       ("30. 31.\n", both), ("NACA\n64 12\n", points), ("62 points\n", points), ("0.25 0.0\n", points),
                       ("NACA\n0.25 0.0\n", points)):
        with pytest.raises(ValueError, match="wing.dat"):
            parsed(text(rows, head=head), "wing.dat")


ROWS = text(naca(), head="").decode().splitlines()
WING = naca(last=SHARP)
FLAP = 0.3 * naca(last=SHARP) + [1.02, -0.05]

BAD = {
    "a third number": [*ROWS[:7], ROWS[7] + " 0.0", *ROWS[8:]],
    "a label": [*ROWS[:7], "P7 " + ROWS[7], *ROWS[8:]],
    "brackets": [f"({row})" for row in ROWS],
    "brackets, the last": [*ROWS[:-1], f"({ROWS[-1]})"],
    "a list, the first": ["[" + ROWS[0] + ",", *ROWS[1:]],
    "a label, the last": [*ROWS[:-1], "tail " + ROWS[-1]],
    "a remark without a mark": [*ROWS[:-1], ROWS[-1] + " tail"],
    "half a row, the last": [*ROWS[:-1], ROWS[-1].split()[0]],
    "half a row, the first": [ROWS[0].split()[0], *ROWS[1:]],
    "a width too small": [*ROWS[:30], "0.0000000 *********", *ROWS[31:]],
    "a width too small, the last": [*ROWS[:-1], "1.0000000 *********"],
    "no space, positive": [*ROWS[:5], ROWS[5].replace(" ", ""), *ROWS[6:]],
    "an empty column": [row.replace(" ", ",,") for row in ROWS],
    "three columns": [row + " 0.0" for row in ROWS],
    "upper half only": ROWS[:31],
    "cut short": ROWS[:45],
    "not from the tail": ROWS[6:],
    "twice": [*ROWS, *ROWS],
    "mirrored": text(naca() * [-1, 1] + [1, 0], head="").decode().splitlines(),
    "columns exchanged": [" ".join(row.split()[::-1]) for row in ROWS],
    "y in per cent": text(naca() * [1, 100], head="").decode().splitlines(),
    "a stray point": [*ROWS[:20], "0.9 0.03", *ROWS[20:]],
    "a lost point": [*ROWS[:20], "0.0 0.0", *ROWS[20:]],
    "flat": text(naca() * [1, 1e-4], head="").decode().splitlines(),
    "elements, 999": [*text(WING).decode().splitlines(), "999.0 999.0", *text(FLAP, head="").decode().splitlines()],
    "elements, empty line": [*text(WING).decode().splitlines(), "", *text(FLAP, head="").decode().splitlines()],
    "elements, names": [*text(WING).decode().splitlines(), *text(FLAP, head="FLAP\n").decode().splitlines()],
    "elements, nothing": [*text(WING).decode().splitlines(), *text(FLAP, head="").decode().splitlines()],
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_no_outline_is_refused_in_words(fault):
    with pytest.raises(ValueError, match=r"wing\.dat.*: got .*; expected ") as caught:
        parsed("\n".join(BAD[fault]).encode(), "wing.dat")
    assert ("element" in str(caught.value)) >= ("elements" in fault)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    for content in (b"", b"\x89HDF\r\n\x1a\n\0\0\0", np.random.default_rng(0).bytes(3000)):
        with pytest.raises(ValueError, match="wing.dat: got"):
            parsed(content, "wing.dat")
    with pytest.raises(ValueError, match="got a directory; expected a coordinate file"):
        read_dat(tmp_path)


@given(st.integers(0, 60), st.sampled_from(["drop", "swap", "double", "spoil"]), st.integers(0, 12))
def test_one_damaged_row_costs_a_row_or_the_file(row, damage, place):
    rows = text(naca(count=31), head="").decode().splitlines()
    if damage == "drop":
        del rows[row]
    elif damage == "swap" and row:
        rows[row - 1 : row + 1] = rows[row - 1 : row + 1][::-1]
    elif damage == "double":
        rows.insert(row, rows[row])
    elif damage == "spoil":
        rows[row] = rows[row][:place] + "x" + rows[row][place + 1 :]
    try:
        found = parsed("\n".join(rows).encode(), "wing.dat")[1]
    except ValueError:
        return
    assert damage != "spoil"
    assert off(found, naca(count=201)) < 3e-3
    assert abs(fit(found).shape - fit(naca()).shape)[-1] < 4e-3
    assert abs(cst.max_thickness(fit(found).shape) - 0.12) < 2e-3
