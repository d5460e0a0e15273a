"""The study as it is asked for on the command line: options to goals, styles and limits, with errors in its words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .goals import CONDUCTIVITIES, MODULI, SHARE, Goals
from .images import Limits
from .level_set import LevelSets
from .study import MicrostructureStudy
from .styles import painted, shades, styles

__all__ = ["goals", "level_sets"]

SIZES = (8, 1024)


def goals(kx: float | None, ky: float | None, fraction: float | None, modulus: Sequence[str], contrast: float,
          void: float) -> Goals:
    """What is asked for; ValueError in the command's words."""
    wanted = {name: value for name, value in (("kx", kx), ("ky", ky), (SHARE, fraction)) if value is not None}
    for word in (part for text in modulus for part in text.split(",")):
        name, _, value = word.partition("=")
        try:
            number = float(value) if name in MODULI else None
        except ValueError:
            number = None
        if number is None:
            raise ValueError(f"got --modulus {word}; expected one of {', '.join(MODULI)} and a number, as C11=0.3")
        wanted[name] = number
    try:
        return Goals(wanted, contrast, void)
    except ValueError as error:
        said = re.sub(rf"\b({'|'.join([*CONDUCTIVITIES, SHARE])})=", r"--\1 ", str(error))
        raise ValueError(re.sub(r"got (C\d\d=)", r"got --modulus \1", said)) from error


def level_sets(asked: Goals, style: Sequence[str], paint: Path | None, size: int, connected: bool, feature: int,
               adam: bool = False) -> MicrostructureStudy:
    """The study of level sets: without a network, by Newton's method or by Adam.

    Raises:
        ValueError: in the command's words, for what cannot be meant.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"got --size {size}; expected {SIZES[0]} to {SIZES[1]:,} pixels a side")
    said = styles(style, asked.wanted.get(SHARE))
    if said.family != "level-set":
        raise ValueError(f"got the family {said.family} in --style for level sets; expected family=level-set, or "
                         "another --prior")
    if paint is None and len(said.style) > 1:
        raise ValueError(f"got {len(said.style)} times --style without --paint; expected one style, or a map of where "
                         "each of them is")
    grid = (size, size)
    style_of, weights = (said.style, None) if paint is None else painted(said, shades(paint, grid))
    kept = Limits(connected or asked.elastic, feature)
    loose = not (said.told or (paint is not None and len(said.style) == 1))
    return MicrostructureStudy(LevelSets(grid, style_of, weights, kept, loose), asked, adam)
