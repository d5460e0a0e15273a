"""What is said of a file that is not as it should be: what was got, what was expected, what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Fault", "fault", "guarded"]

MENDED_BY_OTHERS = (FileNotFoundError, PermissionError, ImportError)  # their own words say what to do
LONGEST, MOST = 300, 600  # characters of a library's own words that are passed on, and of a part of a message


class Fault(ValueError):
    """A file that cannot be read as it is; its text says what was got, what was expected, and what to do."""


def fault(path: str | os.PathLike, got: str, expected: str, advice: str) -> Fault:
    """The error to raise, one line whatever a file put into it."""
    return Fault(f"{path}: got {_line(got)}; expected {_line(expected)}; {_line(advice)}")


@contextmanager
def guarded(path: str | os.PathLike, what: str = "a file", expected: str = "a whole one",
            advice: str = "it is damaged: fetch or make it again") -> Iterator[None]:
    """A door around a library: whatever it raises on a damaged file comes out as a :class:`Fault` about ``path``.

    HDF5, xarray, zipfile, SciPy and the rest raise some twenty kinds of exceptions, RuntimeError, KeyError, TypeError
    and tokenize's among them. What is missing, forbidden or not installed is passed on as it is.
    """
    try:
        yield
    except (Fault, *MENDED_BY_OTHERS):
        raise
    except MemoryError as error:
        raise fault(path, f"{what} that asks for more memory than there is", "one that fits",
                    "it may be damaged or made to exhaust memory; read a part of it") from error
    except Exception as error:
        raise _translated(path, what, expected, advice, error) from error


def _translated(path: str | os.PathLike, what: str, expected: str, advice: str, error: Exception) -> Fault:
    text = _words(error)
    if sizes := re.search(r"eof = (\d+).*stored_eof = (\d+)", text):
        return fault(path, f"the first {int(sizes[1]):,} bytes of an HDF5 file", f"all {int(sizes[2]):,} bytes",
                     "the copy or the download was cut short: fetch it again")
    if "unable to lock" in text.lower():
        return fault(path, "an HDF5 file that another program has open for writing", "a finished one",
                     "wait until it is closed, or copy it")
    return fault(path, f"{what} that cannot be read ({text})", expected, advice)


def _line(text: str) -> str:
    """A text on one line and of a length that one reads."""
    text = " ".join(text.split())
    return text if len(text) <= MOST else f"{text[: MOST - 3]}..."


def _words(error: Exception) -> str:
    """The library's own words on one line, with the kind of error where they do not speak for themselves."""
    text = " ".join(str(error).split())
    text = text if isinstance(error, OSError | ValueError) and text else f"{type(error).__name__}: {text}"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
