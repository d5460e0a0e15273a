"""What is known before a question is asked: the parts of a state, a prior over them, laws, and what is given.

Functions that a user gives see named physical parts only, ``f(**parts)``; a task never touches sigma.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .energy import Energy
from .layout import Layout
from .view import View

__all__ = ["Constraint", "Parts", "Problem"]

Parts = Callable[..., Tensor]


@dataclass(frozen=True)
class Problem:
    """A prior over a state, with all else that is known before a question is asked.

    Arguments:
        layout: the parts of a state.
        prior: an energy over its states.
        laws: energies over the state that it obeys.
        derive: ``(**parts) -> {name: tensor (*B, ...)}``, further quantities (forces, losses) that objective and
            constraints see beside the parts; computed once an evaluation, whoever uses it.
        known: a view of the state and its values in unit-scale numbers, ``(g,)`` or one row a sample (:meth:`given`).
    """

    layout: Layout
    prior: Energy
    laws: Energy | None = None
    derive: Callable[..., dict[str, Tensor]] | None = None
    known: tuple[View, Tensor] | None = None

    def given(self, **parts: Any) -> Problem:
        """The same problem with these parts known clean, in physical units: of shape ``shape`` or ``(count, *shape)``.

        The prior has to be one that was trained with them given, or a Gaussian; TypeError otherwise.
        """
        view, value = self.layout.known(**parts)
        if self.known is not None:
            raise ValueError("got a problem in which something is given already; expected all that is given at once")
        self.prior.given(view)
        return replace(self, known=(view, value))

    def energy(self) -> Energy:
        """The prior of what is sampled: of the free coordinates, where others are given."""
        return self.prior if self.known is None else self.prior.given(self.known[0]).at(*self.known)

    def law(self) -> Energy | None:
        """The laws as energies of what is sampled."""
        return self.laws if self.laws is None or self.known is None else self.laws.at(*self.known)

    def some(self, rows: slice | Tensor) -> Problem:
        """The problem of some of the samples, where each has values of its own."""
        if self.known is None or self.known[1].ndim == 1:
            return self
        return replace(self, known=(self.known[0], self.known[1][rows]))

    @property
    def size(self) -> int:
        """How many numbers are sampled."""
        return self.layout.size - (0 if self.known is None else len(self.known[0].rows))

    @property
    def device(self) -> torch.device:
        """Where the prior is, and so where a task runs."""
        tensors = itertools.chain(self.prior.parameters(), self.prior.buffers())
        return next((t.device for t in tensors), torch.device("cpu"))

    def whole(self, x: Tensor) -> Tensor:
        """States ``(*B, d)`` from what is sampled, ``(*B, size)``."""
        if self.known is None:
            return x
        view, value = self.known
        full = x.new_zeros(*x.shape[:-1], view.size).index_copy(-1, view.rest.to(x.device), x)
        return full.index_copy(-1, view.rows.to(x.device), value.to(x).expand(*x.shape[:-1], -1))

    def parts(self, x: Tensor) -> dict[str, Tensor]:
        """Physical parts of what is sampled, ``x (*B, size)``, and what is derived from them."""
        parts = self.layout.unpack(self.whole(x))
        return parts if self.derive is None else parts | self.derive(**parts)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Problem:
        """A copy on another device or in another precision; this one is left as it is."""
        if device is None and dtype is None:
            return self
        moved = lambda energy: None if energy is None else copy.deepcopy(energy).to(device, dtype)
        known = None if self.known is None else (self.known[0], self.known[1].to(device, dtype))
        return replace(self, layout=self.layout.to(device), prior=moved(self.prior), laws=moved(self.laws), known=known)


@dataclass(frozen=True)
class Constraint:
    """``function(**parts) <= 0``, ``(*B,)`` or ``(*B, m)``.

    Kept as ``max(0, function)^2 / 2 (tolerance^2 + gain^2 sigma^2)``: ``tolerance`` is how far above zero still counts
    as met, in the function's unit, ``gain`` how much the function varies over the prior; numbers or ``(m,)``. A bare
    function is taken as ``Constraint(function)``. ``name`` is what a result calls it: that of the function, unless
    given.
    """

    function: Parts
    tolerance: float | Tensor = 1e-2
    gain: float | Tensor = 1e-1
    name: str = ""

    def __post_init__(self) -> None:
        own = getattr(self.function, "__name__", "")
        object.__setattr__(self, "name", (self.name or own.replace("<lambda>", "")).replace("/", "_"))

    def energy(self, parts: dict[str, Tensor], sigma: Tensor) -> Tensor:
        """``(*B,)``: zero where it is met."""
        axes = (value := self.function(**parts)).ndim - 1
        sigma = sigma if axes or not sigma.ndim else sigma.squeeze(-1)
        tolerance, gain = (torch.as_tensor(v, dtype=value.dtype, device=value.device)
                           for v in (self.tolerance, self.gain))
        energy = value.clamp_min(0) ** 2 / (2 * (tolerance**2 + gain**2 * sigma**2))
        return energy.sum(-1) if axes else energy

    def met(self, parts: dict[str, Tensor]) -> Tensor:
        """``(*B,)``: whether it holds, up to its tolerance."""
        return self.holds(self.function(**parts))

    def holds(self, value: Tensor) -> Tensor:
        """``(*B,)``: whether a value of its function is at most its tolerance."""
        met = value <= torch.as_tensor(self.tolerance, dtype=value.dtype, device=value.device)
        return met.all(-1) if met.ndim > 1 else met
