"""How a prior is trained: all that a user or a study decides, beside the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..exact import Gaussian
from ..layout import Layout, View
from ..priors import Denoiser
from ..priors.base import Prior
from ..recipe import Recipe
from .schedule import Levels

__all__ = ["Data", "Packed", "Part", "Training", "contexts", "together"]

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
        kind: of prior: a class, as ``Denoiser``, ``EnergyNet`` or ``Stepper``, or one with settings,
            ``partial(Stepper, members=2)``.
        net: how its network is built; :func:`sciencegen.nets.suited` of the layout unless given.
        gaussian: that the network corrects; the best of :func:`sciencegen.states.candidates` unless given.
        marginals: groups of parts that are to be known alone.
        given: groups of parts that are to be known clean, where the others are asked for; the :func:`contexts` of a
            forecast unless given, none where no part has an axis of time.
        within: pairs of groups: the first is to be known alone where the second, of its parts, is known clean.
        steps, minutes: in total; 10 minutes where neither is said.
        width: of the network that is chosen.
        levels, batch, rate, decay, precision, seed, every: as in :func:`fit`.
        shares: of rows for the joint and each of the other parts; a half for the joint unless given, a third beside
            contexts, since a forecast draws from them alone.
        gated: let the network's correction count at each noise level as far as it helps there, on validation rows.
        facts: to be written into the model, JSON-ready.
    """

    kind: Callable[..., Prior] = Denoiser
    net: Recipe | None = None
    gaussian: Gaussian | None = None
    marginals: tuple[tuple[Part, ...], ...] = ()
    given: tuple[tuple[Part, ...], ...] | None = None
    within: tuple[tuple[tuple[Part, ...], tuple[Part, ...]], ...] = ()
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

    def told(self, layout: Layout) -> tuple[tuple[Part, ...], ...]:
        """The groups that are to be known clean, in a layout."""
        return contexts(layout) if self.given is None else self.given

    def views(self, layout: Layout) -> tuple[list[View], list[View]]:
        """The marginals and what is given, in a layout."""
        return tuple([together(layout, group) for group in groups] for groups in (self.marginals, self.told(layout)))

    def shared(self, layout: Layout) -> tuple[float, ...] | None:
        """The shares of rows, in a layout; None for the usual ones."""
        others = len(self.marginals) + len(self.told(layout))
        if self.shares is not None or self.given is not None or not others:
            return self.shares
        return (1 / 3, *[2 / 3 / others] * others)


def contexts(layout: Layout, histories: Sequence[int] | None = None) -> tuple[tuple[Part, ...], ...]:
    """What a forecast is told of a window: the first frames of all parts in time, without and with what has no time.

    Without the rest a forecast draws it once, and holds it from then on.

    Arguments:
        histories: how many frames; all numbers less than there are, some in longer windows, unless given.

    Raises:
        ValueError: as many frames as there are, or more.
    """
    moving = {k: v.shape[0] for k, v in layout.variables.items() if v.dims[:1] == ("time",)}
    frames = min(moving.values(), default=1)
    most = [*range(1, 9), *(2**k for k in range(4, 30)), frames // 2, frames - 1]
    chosen = sorted({h for h in most if 0 < h < frames}) if histories is None else histories
    if wrong := [h for h in chosen if not 0 < h < frames]:
        raise ValueError(f"got a history of {wrong[0]} frames; expected 1 to {frames - 1}, less than a window has")
    rest = tuple(k for k in layout.variables if k not in moving)
    groups = [tuple((k, h) for k in moving) for h in chosen]
    return (*groups, *([(*group, *rest) for group in groups] if rest else []))


def together(layout: Layout, group: Sequence[Part]) -> View:
    """The parts of a group as one view; ValueError if it is none of the layout."""
    found: View | None = None
    for part in group:
        view = part if isinstance(part, View) else layout[part] if isinstance(part, str) else layout[part[0]][: part[1]]
        found = view if found is None else found & view
    if found is None:
        raise ValueError(f"got an empty group of parts; expected some of {list(layout.variables)}")
    return found
