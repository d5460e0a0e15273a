r"""The rows of a coordinate file: two numbers a line, among a name, counts, comments and remarks.

Fortran, spreadsheets and flow solvers write the same table in different ways: columns of fixed width in which a minus
sign takes the place of the space, exponents with D, commas, semicolons, tabs, decimal commas, byte order marks,
comments behind ``#``, ``!``, ``%`` or ``//``. One rule keeps a table whole: **what looks like a row and cannot be read
is an error**, wherever it stands. Only words are passed over.

References:
    XFOIL 6.9 User Primer (Drela & Youngren, 2001), https://web.mit.edu/drela/Public/web/xfoil/xfoil_doc.txt
    OpenFAST documentation, airfoil coordinates, https://openfast.readthedocs.io/en/main/source/user/aerodyn/input.html
"""

import re
from typing import NamedTuple

import numpy as np

__all__ = ["Listing", "decoded", "is_row", "table"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?|[-+]?(?i:nan|inf(?:inity)?)"
_ROW = re.compile(rf"({_NUMBER})(?:\s*[,;]\s*|\s+)({_NUMBER})\s*[,;]?")
_GLUED = re.compile(r"([-+]?\d*\.\d*(?:[eEdD][-+]?\d+)?)([-+]\d*\.\d*(?:[eEdD][-+]?\d+)?)")
_DECIMAL_COMMA = re.compile(r"([-+]?\d*,\d+|[-+]?\d+)(?:\s*;\s*|\s+)([-+]?\d*,\d+|[-+]?\d+)\s*;?")
_SEVERAL_DECIMALS = re.compile(r"(?:^|\s)[-+]?\d*\.\d+[\s,;]+[-+]?\d*\.\d+")
_THOUSANDS = re.compile(r"\b[1-9]\d{0,2}(?:,\d{3})+(?![.,\d])")
_BEGINS = re.compile(r"[-+]?\.?\d")
_WORD = re.compile(r"[A-Za-z]{3}")
_SECOND = re.compile(r"[-+(\[]*\.?[\dO*]")
_COMMENT = re.compile(r"#|!|(?:^|\s)(?:%|//)")
_BRACKETS = "()[]{}"
_HEADING = {"upper", "lower", "top", "bottom", "suction", "pressure", "surface", "side", "coordinates", "x", "y", "xc",
            "yc"}
_COUNT = re.compile(r"(\d+)(?:\s+(numcoords|num\w*|n?points?|coord\w*|pts|nodes)\b.*)?", re.IGNORECASE)
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
          (b"\xfe\xff", "utf-16"))
_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-", "\ufeff": " ", "\x1a": " "})
_QUOTES = str.maketrans({'"': " ", "'": " "})


class Listing(NamedTuple):
    """A coordinate file's content.

    ``name`` may be empty. ``points`` (n, 2) are the rows in the order of the file and ``lines`` (n,) the lines on which
    they stand. ``starts`` are the numbers of the rows that follow an empty line, a comment or a heading; ``count`` is
    the number of rows that the file itself gives, if it does, ``reference`` says that the first row may be the point
    about which moments are taken, and ``first`` is that row as it stands there.
    """

    name: str
    points: np.ndarray
    lines: tuple[int, ...]
    starts: tuple[int, ...]
    count: int | None
    reference: bool
    first: str


class _Line(NamedTuple):
    """One line: its ``number``, all of it, its ``text`` without comment, and its ``row`` if that is one."""

    number: int
    whole: str
    text: str
    row: tuple[float, float] | None


def decoded(content: bytes, what: str) -> str:
    """A file's text, by its byte order mark or as UTF-8 or Latin-1; ValueError for what is no text."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if not encoding and b"\0" in content:
        raise ValueError(f"{what}: got bytes of value 0; expected text; is it a coordinate file?")
    try:
        return content.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def is_row(line: str) -> bool:
    """Whether a line would be read as a row of two numbers, or be refused because it looks like one."""
    found = _split(0, line, commas=False)
    return found.row is not None or bool(found.text) and _like_a_row(found.text)


def table(text: str, what: str) -> Listing:
    """The name and the rows of a coordinate file's ``text``.

    Raises:
        ValueError: where a line looks like a row and is none, where the file holds several airfoils, or no rows.
    """
    lines = _lines(text)
    places = [i for i, line in enumerate(lines) if line.row is not None]
    if not places:
        like = next((f", but {line.text!r:.60}" for line in lines if re.search(r"\d", line.text)), "")
        raise ValueError(f"{what}: got no rows of two numbers{like}; expected the x and y of a point a line")
    first, last = places[0], places[-1]
    head, body = lines[:first], lines[first : last + 1]
    rows = [line for line in body if line.row is not None]
    points = np.array([line.row for line in rows])
    for line in head:
        if not _frames(line.text, points):
            _refuse_spoilt(line, what, before=True)
    for line in lines[last + 1 :]:
        _refuse_spoilt(line, what, before=False)
    _refuse_words(body, what)
    after = [line.row is not None and before.row is None for before, line in zip(body, body[1:])]
    starts = np.flatnonzero([False, *(new for new, line in zip(after, body[1:]) if line.row is not None)])
    notes = " ".join(line.whole for line in head).lower()
    return Listing(_name(head), points, tuple(line.number for line in rows),
                 tuple(starts.tolist()), _count(head, len(rows), what), "reference" in notes or "numcoords" in notes,
                 rows[0].text)


def _lines(text: str) -> list[_Line]:
    """All lines; commas are decimal where whole rows have them and no row has a decimal point."""
    raw = list(enumerate(text.translate(_SIGNS).splitlines(), start=1))
    plain = [_split(number, line, commas=False) for number, line in raw]
    commas = [_split(number, line, commas=True) for number, line in raw]
    pointed = any(line.row is not None and "." in line.text for line in plain)
    decimal = any(line.row is not None and "," in line.text for line in commas)
    return commas if decimal and not pointed else plain


def _split(number: int, line: str, commas: bool) -> _Line:
    mark = _COMMENT.search(line)
    text = (line[: mark.start()] if mark else line).strip()
    return _Line(number, line.strip(), text, _numbers(text.translate(_QUOTES).strip(), commas))


def _numbers(text: str, commas: bool) -> tuple[float, float] | None:
    """The two numbers of a row, or None where the text is anything else."""
    found = _DECIMAL_COMMA.fullmatch(text) if commas else _ROW.fullmatch(text) or _GLUED.fullmatch(text)
    if found is None or not all(any(c.isalnum() for c in item) for item in found.groups()):
        return None
    x, y = (float(re.sub("[dD]", "e", item) if item[-1:].isdigit() else item)
            for item in (part.replace(",", ".") for part in found.groups()))
    return x, y


def _like_a_row(text: str) -> bool:
    """Whether words hold what a row would: a number with another one behind it, or little but numbers."""
    text = _THOUSANDS.sub("1", text)
    items = [item.strip(_BRACKETS) for item in re.split(r"[\s,;]+", text.strip(_BRACKETS + " ,;"))]
    if _SEVERAL_DECIMALS.search(text):
        return True
    if len(items) > 1 and re.fullmatch(_NUMBER, items[0]):
        return len(items) == 2 or _SECOND.match(items[1]) is not None
    if _WORD.search(text):
        return False
    begun = _BEGINS.match(items[0]) or "." in items[0] and not re.search("[:=]", items[0])
    if len(items) == 2 and begun and "." in items[1] and re.fullmatch(_NUMBER, items[1]):
        return True
    return bool(_BEGINS.match(items[0]) and "." in items[0] and len(re.findall(r"\.\d", text)) > 1)


def _frames(text: str, points: np.ndarray) -> bool:
    """Whether a line is the limits of a grid around the points, as MSES has it: left, right, below, above."""
    try:
        left, right, below, above = map(float, text.split())
    except ValueError:
        return False
    (x, y), (x2, y2) = points.min(0), points.max(0)
    return left < x - 0.5 * (x2 - x) and right > x2 and below < y and above > y2


def _refuse_spoilt(line: _Line, what: str, before: bool) -> None:
    """Before the first row and after the last: words may stand there, but nothing that looks like a row."""
    alone = re.fullmatch(_NUMBER, line.text) and not (before and line.text.rstrip(".").isdigit())
    if line.text and (alone or _like_a_row(line.text)) and not _COUNT.fullmatch(line.text):
        raise ValueError(f"{what}, line {line.number}: got {line.text!r}; expected two numbers, the x and y of one "
                         "point; correct the line, or put # before it if it is a remark")


def _refuse_words(body: list[_Line], what: str) -> None:
    """Between rows: comments and headings of the two sides may stand there."""
    for line in body:
        words = set(re.findall(r"[a-z]+", line.text.lower().replace("/", "")))
        if line.row is not None or not line.text or words and words <= _HEADING and not re.search(r"\d", line.text):
            continue
        if _BEGINS.match(line.text.strip(_BRACKETS)) or _like_a_row(line.text):
            raise ValueError(f"{what}, line {line.number}: got {line.text!r}; expected two numbers, the x and y of one "
                             "point; correct the line")
        raise ValueError(f"{what}, line {line.number}: got {line.text!r} between the rows; expected one airfoil; give "
                         "each of several elements a file of its own, or put # before the line if it is a remark")


def _name(head: list[_Line]) -> str:
    """The first line of text that is no count; or else a number alone, or a comment in the first line."""
    said = [line.whole for line in head if line.text and not _COUNT.fullmatch(line.text)]
    said += [line.text for line in head if line.text.isdigit()]
    said += [line.whole.strip("#!%/ \t") for line in head[:1] if not line.text]
    return next(filter(None, said), "")


def _count(head: list[_Line], rows: int, what: str) -> int | None:
    """The number of rows that stands before them: behind it a word like "points", or alone.

    Alone in the first line it may be a name ("2412"), unless it is about the number of rows.
    """
    texts = [line for line in head if line.text]
    counts = [(line.number, int(found[1])) for line in texts if (found := _COUNT.fullmatch(line.text))
              and (found[2] or line is not texts[0] or 0.8 * rows < float(found[1]) < 1.25 * rows)]
    if len({count for _, count in counts}) > 1:
        raise ValueError(f"{what}, line {counts[1][0]}: got a second number of rows; expected one; correct the line")
    return counts[0][1] if counts else None
