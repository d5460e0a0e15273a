"""The study as it is asked for on the command line: options to goals, styles and limits, with errors in its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ...physics.microstructure import FAMILIES, Style
from ...priors import Model
from .goals import CONDUCTIVITIES, MODULI, SHARE, Goals
from .images import Limits
from .level_set import LevelSets
from .patches import Patches
from .prior import OVERLAP, SIDE
from .study import MicrostructureStudy
from .styles import by_patch, painted, shades, styles
from .swayed import Grown

__all__ = ["drawn_by", "goals", "study_of"]

SIZES = (8, 1024)
LEVEL_SET = "level-set"


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


def study_of(asked: Goals, style: Sequence[str], paint: Path | None, size: int, limits: Limits, prior: str | None,
             model: Callable[[], Model]) -> MicrostructureStudy:
    """The study of images that are drawn as :func:`drawn_by` says.

    Arguments:
        prior: ``level-set``, ``adam``, ``generator`` or ``patches``; None for what is best known of the family.
        model: gives the trained prior of patches, where it is needed.

    Raises:
        ValueError: in the command's words, for what cannot be meant.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"got --size {size}; expected {SIZES[0]} to {SIZES[1]:,} pixels a side")
    said, grid = styles(style, asked.wanted.get(SHARE)), (size, size)
    way = prior or drawn_by(said.family)
    if way in ("level-set", "adam") and said.family != LEVEL_SET:
        raise ValueError(f"got family={said.family} in --style with --prior {way}; expected family=level-set, or "
                         "--prior generator or patches")
    if paint is None and len(said.style) > 1:
        raise ValueError(f"got {len(said.style)} times --style without --paint; expected one style, or a map of where "
                         "each of them is")
    if paint is not None and way == "generator":
        raise ValueError(f"got --paint with --prior generator; expected --prior patches, which paints {said.family}")
    within(said.style, said.family)
    kept = Limits(limits.connected or asked.elastic, limits.feature)
    if way == "generator":
        return MicrostructureStudy(Grown(grid, said.style, said.family, kept), asked)
    here, weights = (said.style, None) if paint is None else painted(said, shades(paint, grid))
    if way == "patches":
        placed = here if weights is None else by_patch(here, weights, SIDE, OVERLAP)
        within(placed, said.family)
        return MicrostructureStudy(Patches(grid, placed, said.family, kept, model()), asked)
    loose = not (said.told or (paint is not None and len(said.style) == 1))
    return MicrostructureStudy(LevelSets(grid, here, weights, kept, loose), asked, way == "adam")


def drawn_by(family: str) -> str:
    """What is best known of a family: white noise in closed form, or its generator."""
    return "level-set" if family == LEVEL_SET else "generator"


def within(style: Style, family: str) -> None:
    """ValueError where a family has no such fraction."""
    low, high = FAMILIES[family].fractions if family != LEVEL_SET else (0.0, 1.0)
    if not low <= float(style.fraction.min()) <= float(style.fraction.max()) <= high:
        raise ValueError(f"got fractions from {float(style.fraction.min()):.3g} to {float(style.fraction.max()):.3g} "
                         f"of {family}; expected {low:g} to {high:g}: say --fraction, or fraction= in --style")
