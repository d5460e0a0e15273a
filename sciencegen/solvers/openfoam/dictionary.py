"""
OpenFOAM's dictionary format: nested `keyword value;` pairs and `keyword { ... }` blocks.

Only what a case needs to be written: a mapping is a block, a tuple a parenthesised list, a bool a switch, anything else
its text. Reference: OpenFOAM User Guide, "Basic input/output file format",
https://www.openfoam.com/documentation/user-guide/2-openfoam-cases/2.2-basic-inputoutput-file-format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

__all__ = ["dictionary", "vector"]


def dictionary(path: str, content: Mapping[str, Any], kind: str = "dictionary") -> str:
    """The text of the file `path` of a case, its header included; `kind` is OpenFOAM's name of the class it holds."""
    place = PurePosixPath(path)
    header = {"version": "2.0", "format": "ascii", "class": kind, "location": f'"{place.parent}"', "object": place.name}
    return "\n".join([*_lines({"FoamFile": header} | dict(content), ""), ""])


def vector(x: float, y: float) -> tuple[float, float, float]:
    """A vector in the plane."""
    return (float(x), float(y), 0.0)


def _lines(content: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", f"{indent}{{", *_lines(value, indent + "    "), f"{indent}}}"]
        else:
            lines.append(f"{indent}{key} {_word(value)};")
    return lines


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return f"({' '.join(map(_word, value))})"
    return str(value)
