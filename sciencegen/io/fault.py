"""What is said of a file that is not as it should be: what was got, what was expected, what to do."""

from __future__ import annotations

import os
import re

__all__ = ["fault", "h5_fault"]


def fault(path: str | os.PathLike, got: str, expected: str, advice: str) -> ValueError:
    """The error to raise."""
    return ValueError(f"{path}: got {got}; expected {expected}; {advice}")


def h5_fault(path: str | os.PathLike, error: OSError) -> Exception:
    """The HDF5 library's refusal to open a file, in words."""
    text = str(error)
    if isinstance(error, FileNotFoundError | PermissionError):
        return error
    if sizes := re.search(r"eof = (\d+).*stored_eof = (\d+)", text):
        return fault(path, f"the first {int(sizes[1]):,} bytes of an HDF5 file", f"all {int(sizes[2]):,} bytes",
                     "the copy or the download was cut short: fetch it again")
    if "lock" in text:
        return fault(path, "an HDF5 file that another program has open for writing", "a finished one",
                     "wait until it is closed, or copy it")
    return fault(path, f"a damaged HDF5 file ({text})", "one whose header can be read", "fetch or make it again")
