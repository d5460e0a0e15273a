"""Pairs of a system: what is given and what it leads to, as the state that a prior is over.

A system of the physics speaks of parts in physical units (:class:`sciencegen.physics.System`); a prior is over flat
states of unit scale. The layout between the two is made here: axes, coordinates and units from the system's parts,
offset and scale from drawn pairs. Symmetries of the system become orders in which the numbers of a state may be put.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ...layout import Layout, Variable
from ...physics import Part, System

__all__ = ["fits", "orders", "pair_layout", "pairs", "parts_layout"]


@torch.no_grad()
def pairs(system: System, count: int, seed: int = 0, chunk: int = 500) -> dict[str, Tensor]:
    """All parts ``{name: (count, *shape)}`` in float64; the first ones of a seed are the same for any count."""
    made = list(_pairs(system, count, seed, chunk))
    return {name: torch.cat([some[name] for some in made]) for name in system.parts}


def _pairs(system: System, count: int, seed: int, chunk: int) -> Iterator[dict[str, Tensor]]:
    solution = list(system.parts)[-1]
    for first in range(0, count, chunk):
        given = system.draw(min(chunk, count - first), seed, first)
        some = given | {solution: system.solve(**given)}
        for name, part in system.parts.items():
            wanted, got = (len(some[solution]), *part.shape), name in some and tuple(some[name].shape)
            if got != wanted:
                raise ValueError(f"got the part '{name}' of {system} as {got or 'nothing'}; expected {wanted}: what "
                                 "`draw` and `solve` return has the shapes that `parts` says")
        yield some


def pair_layout(system: System, drawn: Mapping[str, Tensor]) -> Layout:
    """The state of a system's parts; means and standard deviations of drawn ones ``(N, *shape)`` are its units."""
    return parts_layout(system, {name: (float(drawn[name].mean()), float(drawn[name].std())) for name in system.parts})


def parts_layout(system: System, units: Mapping[str, tuple[float, float]] | None = None) -> Layout:
    """The state of a system's parts in ``units {name: (offset, scale)}``, in physical ones unless given."""
    variables = {}
    for name, part in system.parts.items():
        loc, scale = (0.0, 1.0) if units is None else units[name]
        coords = {dim: list(values) for dim, values in part.coords.items()}
        variables[name] = Variable(part.shape, loc, scale, part.dims, part.units, coords)
    return Layout(**variables)


def fits(system: System, layout: Layout) -> bool:
    """Whether a layout has the parts of a system, of the same shapes."""
    shapes = {name: part.shape for name, part in system.parts.items()}
    return shapes == {name: variable.shape for name, variable in layout.variables.items()}


def orders(parts: Mapping[str, Part], symmetries: tuple) -> Tensor:
    """The symmetries as orders ``(1 + m, d)`` of the numbers of a state; the first changes nothing.

    ValueError where one does more than move numbers about.
    """
    sizes = [math.prod(part.shape) for part in parts.values()]
    places = torch.arange(sum(sizes), dtype=torch.float64)
    named = {name: values.reshape(part.shape) for (name, part), values in zip(parts.items(), places.split(sizes))}
    moved = [places, *(torch.cat([f(named)[name].flatten() for name in parts]) for f in symmetries)]
    for order, symmetry in zip(moved[1:], symmetries):
        if not order.sort().values.equal(places):
            raise ValueError(f"got the symmetry {symmetry}, which changes numbers or their count; expected one that "
                             "puts the numbers of the parts in another order")
    return torch.stack(moved).long()
