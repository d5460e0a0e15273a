r"""A study: one question of design, and the stages that answer it.

A prior of parts is composed to the whole (:class:`.stages.Compose`), so that a design is drawn from

.. math:: p(x) \propto \exp(-E(x) - w \, f(x)), \qquad f \text{ the objective}, \; w \text{ an inverse temperature};

then it is decoded, refined and judged by a solver. A study says what its stages are, how a design reads as a row of a
table and how the designs are drawn; running, spare designs, order, interrupts and the record are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xarray
from matplotlib import pyplot

from ..result import Result
from .ensemble import Ensemble
from .runs import plain
from .stages import Compose, Stage

__all__ = ["PICTURE", "Study", "keep", "run"]

PICTURE = "designs.png"


class Study(ABC):
    """A question of design and its :attr:`stages`; what else it says has a default."""

    @property
    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """What is done, in this order; the first draws designs, the last judges them."""

    @property
    def numbers(self) -> int:
        """How many are held in memory for each design that is asked for, spares included."""
        first = self.stages[0]
        return int(first.more * first.problem.layout.size) if isinstance(first, Compose) else 1

    def run(self, count: int, seeds: torch.Tensor | None = None, progress: bool = True) -> Result:
        """:func:`run`, and what is there after an interrupt is judged as it is."""
        return run(self, count, seeds, progress)

    def sample(self, count: int, seeds: torch.Tensor | None = None, progress: bool = True) -> Result:
        """``count`` samples as the composed prior has them, guided: the first stage alone, best first."""
        designs = replace(self.stages[0], more=1.0)(Ensemble.asked(count, seeds, progress))
        return designs.result(self.config(), self.labels)

    @property
    def labels(self) -> Mapping[str, tuple[str, str]]:
        """Long name and unit of what the study adds to a design, by the variable's name."""
        return {}

    def row(self, sample: xarray.Dataset) -> dict[str, str]:
        """Cells of one design in a table, by the column's name; ``sample`` has its ``fun`` too."""
        return {"objective": f"{float(sample['fun']):.5g}"}

    def draw(self, result: Result) -> tuple[Any, Any]:
        """Figure and axes of a result, never shown."""
        return result.plot()

    def files(self, directory: Path, result: Result) -> None:
        """Write what a run of this study has beside its result and its record: :data:`PICTURE`, at least."""
        keep(self.draw(result)[0], directory / PICTURE)

    def words(self, result: Result) -> str:
        """What to say under the table: what a run cost."""
        return ", ".join(f"{v:,.6g} {k.replace('_', ' ')}" for k, v in result.config["spent"].items())

    def judged(self, result: Result) -> Sequence[str]:
        """Who judged the designs, and who else confirmed them, in sentences."""
        return ["The study's own solver judged the designs; no other program confirmed them."]

    def warnings(self, result: Result) -> Sequence[str]:
        """What a reader has to know before a number of this result is used, in sentences."""
        return []

    def captions(self, result: Result) -> Mapping[str, str]:
        """What is to be seen in each picture that :meth:`files` writes, by its file's name, in their order."""
        return {PICTURE: "The best designs."}

    def seconds(self, count: int) -> float | None:
        """About how long a run takes on two cores; None if nobody knows."""
        return None

    def config(self) -> dict[str, object]:
        """What was asked, for the record: every field but the prior."""
        named = [f.name for f in fields(self)] if is_dataclass(self) else []
        return {"study": type(self).__name__} | {
            name: plain(getattr(self, name)) for name in named if name not in ("layout", "energy")}


def run(study: Study, count: int, seeds: torch.Tensor | None = None, progress: bool = True, partial: bool = True,
        told: Callable[[str], object] = str, device: str | None = None) -> Result:
    """``count`` designs of ``study``: those that are not rejected first, then by objective.

    Arguments:
        seeds: ``(count,)``, one random stream a design; fresh ones by default.
        progress: show bars where there is a terminal.
        partial: judge what is there after an interrupt from the keyboard, and mark it; else the interrupt goes on.
        told: hears which stage begins.
        device: where to sample; the prior's unless given.

    Raises:
        KeyboardInterrupt: from the keyboard, where it is not ``partial`` or nothing can be judged yet.
    """
    if count < 1:
        raise ValueError(f"got {count} designs; expected at least 1")
    designs, stages = Ensemble.asked(count, seeds, progress, device), study.stages
    for number, stage in enumerate(stages, 1):
        if designs.interrupted and stage.improves:
            continue
        told(f"stage {number} of {len(stages)}, {type(stage).__name__.lower()}")
        try:
            designs = stage(designs)
        except KeyboardInterrupt:
            if not (partial and stage.improves):
                raise
            designs = replace(designs, interrupted=f"interrupted in stage {number} of {len(stages)}")
        if designs.interrupted and not partial:
            raise KeyboardInterrupt
    return designs.isel(designs.best(count)).result(study.config(), study.labels)


def keep(figure: Any, file: Path) -> None:
    """Save a figure and forget it."""
    figure.savefig(file, dpi=150, format="png")
    pyplot.close(figure)
