"""Options that several commands have: how their words are read, and what is refused before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = [
    "Count", "Device", "Dims", "Full", "Group", "Out", "Overwrite", "Partial", "Repeated", "Seed", "Steps", "Switch",
    "TrainingOut", "Trusted", "Whole", "at_least", "roomy",
]  # fmt: skip

SEEDS = 2**40


def whole(kind: Any, tokens: Sequence[Any]) -> int:
    """A whole number, and not 2 for 2.5."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"got {tokens[0].value}; expected a whole number") from None


def seed(kind: Any, tokens: Sequence[Any]) -> int:
    """A whole number from 0 to 2^40."""
    if not 0 <= (value := whole(kind, tokens)) < SEEDS:
        raise ValueError(f"got {value}; expected 0 to 2^40")
    return value


def device(kind: Any, tokens: Sequence[Any]) -> str:
    """A device that is there."""
    import torch

    try:
        torch.empty(1, device=(name := tokens[0].value))
    except (RuntimeError, AssertionError):
        there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        raise ValueError(f"got {name}; expected a device that is there: {', '.join(there)}") from None
    return name


Whole = Annotated[int, Parameter(converter=whole)]
Count = Annotated[int, Parameter(converter=whole, help="How many designs.")]
Seed = Annotated[int, Parameter(converter=seed, help="The same seed gives the same designs.")]
Switch = Annotated[bool, Parameter(negative="")]
Repeated = Annotated[tuple[str, ...], Parameter(negative="")]
Out = Annotated[Path, Parameter(help="Run directory, there when it is whole; config.json in it says how to run it "
                                     "again: sciencegen rerun OUT.")]
Overwrite = Annotated[bool, Parameter(negative="", help="Replace the finished run that is in OUT, as a whole.")]
Partial = Annotated[bool, Parameter(negative="", help="If you press Ctrl-C, have what is there judged as it is, and "
                                                      "write it to OUT.partial.")]
# of data
Dims = Annotated[tuple[str, ...], Parameter(negative="", help="Axes of a dataset that no schema names, in the order of "
                                            "the file: NAME=sample,time,x. Repeat it for several.")]
Group = Annotated[str | None, Parameter(help="The part to read where there are several: a split, a simulation, a "
                                             "netCDF group.")]
Trusted = Annotated[bool, Parameter(negative="", help="The file's maker is known: unpickle, follow links to other "
                                    "files, read what was never written, without limits.")]
# of the trainings of shipped priors
TrainingOut = Annotated[Path, Parameter(help="Directory of the checkpoint and, at the end, of the model (OUT/model).")]
Steps = Annotated[int | None, Parameter(converter=whole, help="Optimiser steps; the recipe's own unless given.")]
Full = Annotated[bool, Parameter(negative="", help="The network of the full size, for a GPU, instead of the "
                                                   "small one.")]
Device = Annotated[str, Parameter(converter=device, help="Where to compute, as cpu or cuda.")]


def at_least(least: float, **given: float) -> None:
    """ValueError where an option is less than ``least``."""
    for name, value in given.items():
        if not value >= least:
            raise ValueError(f"got --{name.replace('_', '-')} {value:g}; expected at least {least:g}")


def roomy(count: int, numbers: int) -> None:
    """ValueError where ``count`` designs of so many ``numbers`` each find no room in memory."""
    need, have = 16 * 4 * count * numbers, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > have:
        raise ValueError(f"got --count {count}; expected designs that find room in memory: they need about "
                         f"{need / 1e9:,.0f} GB, and there are {have / 1e9:,.0f}; ask for fewer")
