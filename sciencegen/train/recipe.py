"""How a prior is trained: all that a user or a study decides, beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..exact import Gaussian
from ..layout import Layout, View
from ..priors import Denoiser, EnergyNet
from ..recipe import Recipe
from .schedule import Levels

__all__ = ["Data", "Packed", "Part", "Training", "together"]

Rows = Tensor | Dataset
Part = View | str | tuple[str, int]


class Data(Protocol):
    """What is trained on; :class:`sciencegen.states.States` is one.

    Attributes:
        layout: of a row.
        train, valid, test: rows ``(d,)``, no sample in two of them; the last two may be empty.
        periodic: axes whose ends meet.
        notes: what a user should know of the data.
    """

    layout: Layout
    train: Rows
    valid: Rows
    test: Rows
    periodic: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Packed:
    """Rows that somebody else packed, as :class:`Data`."""

    layout: Layout
    train: Rows
    valid: Rows
    test: Rows
    periodic: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """How a prior is made and trained.

    A part of a state is a :class:`View`, a name, or a name with how many of its first entries, as ``("u", 2)``.

    Arguments:
        kind: of prior.
        net: how its network is built; :func:`sciencegen.nets.suited` of the layout unless given.
        gaussian: that the network corrects; the best of :func:`sciencegen.states.candidates` unless given.
        marginals: groups of parts that are to be known alone.
        given: groups of parts that are to be known clean, where the others are asked for.
        steps, minutes: in total; 10 minutes where neither is said.
        width: of the network that is chosen.
        levels, batch, rate, decay, shares, precision, seed, every: as in :func:`fit`.
        gated: let the network's correction count at each noise level as far as it helps there, on validation rows.
        facts: to be written into the model, JSON-ready.
    """

    kind: type[Denoiser] | type[EnergyNet] = Denoiser
    net: Recipe | None = None
    gaussian: Gaussian | None = None
    marginals: tuple[tuple[Part, ...], ...] = ()
    given: tuple[tuple[Part, ...], ...] = ()
    steps: int | None = None
    minutes: float | None = None
    width: int | None = None
    levels: Levels = Levels()  # frozen
    batch: int = 32
    rate: float = 2e-3
    decay: float = 0.0
    shares: tuple[float, ...] | None = None
    precision: torch.dtype | None = None
    seed: int = 0
    every: int = 250
    gated: bool = True
    facts: tuple[tuple[str, Any], ...] = ()

    def views(self, layout: Layout) -> tuple[list[View], list[View]]:
        """The marginals and what is given, in a layout."""
        return [together(layout, group) for group in self.marginals], [together(layout, group) for group in self.given]


def together(layout: Layout, group: Sequence[Part]) -> View:
    """The parts of a group as one view; ValueError if it is none of the layout."""
    found: View | None = None
    for part in group:
        view = part if isinstance(part, View) else layout[part] if isinstance(part, str) else layout[part[0]][: part[1]]
        found = view if found is None else found & view
    if found is None:
        raise ValueError(f"got an empty group of parts; expected some of {list(layout.variables)}")
    return found
