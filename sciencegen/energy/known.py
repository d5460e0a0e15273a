"""Energies of a state of which a part is known clean: what conditioning leaves to be sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..calls import Plan
from ..view import View, gather
from .base import Energy, Walk, level
from .evaluation import Reading

__all__ = ["At"]


class At(Energy):
    """``E(x_f; x_g = value)``: an energy of the free coordinates alone, where the others are known clean.

    Arguments:
        energy: over the whole state; one that was :meth:`Energy.given` those coordinates, or has no noise of its own.
        view: the known coordinates, without copies, ``g`` of ``d``.
        value: ``(g,)`` for all rows, or ``(*B, g)``, in unit-scale numbers.
    """

    def __init__(self, energy: Energy, view: View, value: Tensor) -> None:
        super().__init__()
        rows, value = view.rows, torch.as_tensor(value)
        if view.copies or value.shape[-1:] != rows.shape:
            raise ValueError(f"got {tuple(value.shape)} for '{view}'; expected one part without copies, and "
                             f"(*batch, {rows.shape[-1]}) numbers for it")
        if not energy.takes(rows):
            raise TypeError(f"got {energy!r}, in which '{view}' is noised with the rest; expected it as given: "
                            "energy.given(view).at(view, value)")
        self.energy, self.view, self.lowest = energy, view, energy.lowest
        self.exact, self.exact_from = energy.exact, energy.exact_from
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("free", view.rest, persistent=False)
        self.register_buffer("value", value, persistent=False)

    def whole(self, x: Tensor) -> Tensor:
        """``(*B, d - g) -> (*B, d)``: the state with what is known in its place."""
        value = self.value.to(x).expand(*x.shape[:-1], -1)
        full = x.new_zeros(*x.shape[:-1], self.view.size)
        free, rows = self.free.to(x.device), self.rows.to(x.device)
        return full.index_copy(-1, free, x).index_copy(-1, rows, value)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.tell(x, sigma)[0]

    def tell(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self.energy.tell(self.whole(x), level(sigma, x))

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        return self.energy.plan(self.whole(x), sigma).then(lambda e: e._replace(score=gather(e.score, self.free)))

    def refreshed(self, x: Tensor, noise: Any, sampler: Walk) -> Tensor:
        return gather(self.energy.refreshed(self.whole(x), noise, sampler), self.free)

    def gaussian(self) -> Any | None:
        return self.energy.gaussian_at(self.view, self.value)

    def readings(self) -> tuple[list[Reading], Energy | None]:
        found, rest = self.energy.readings()
        read = [Reading(lambda x, r=r: r.function(self.whole(x)), r.noise) for r in found]
        return read, None if rest is None else rest.at(self.view, self.value)

    def __repr__(self) -> str:
        return f"{self.energy!r}.at({self.view})"
