r"""Many like components from a prior of one: structures that were never seen whole.

A component is known given what its neighbours show it across a shared side. In a structure every component is a copy of
it, and what it is given are strips of its neighbours, or the structure's boundary. Components that are not neighbours
are found at the same time, so that a sweep is as many network calls as colours are needed to tell neighbours apart
(two on a grid of squares). It is the alternating method of Schwarz and, of clean draws, block Gibbs sampling; what
reaches far takes more sweeps, which the acceleration shortens.
"Uber einen Grenzubergang durch alternierendes Verfahren" (Schwarz, 1870).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..layout import Layout, Variable
from ..problem import Problem
from ..view import View
from .conditionals import TOLERANCE, Block, Conditionals
from .joint import Asked, prior_of

__all__ = ["components"]

BOUNDARY = -1


def components(model: Asked | Problem, graph: Mapping[str, Sequence[int]], shared: Mapping[str, View],
               sweeps: int = 60, gibbs: int = 0, tolerance: float = TOLERANCE) -> Problem:
    """A structure of like components as one problem, from a prior of one of them; score-only.

    ``components(element, {"west": [-1, 0, 1], "east": [1, 2, -1]}, shared={"west": t[:, -1], "east": t[:, 0]})`` is a
    row of three, with ``t = element.layout["temperature"]``.

    Parts of the problem are those of the model: its fields, and what else it is given, with a first axis ``node``; what
    it is given across a side only at the boundary, with a first axis of the nodes that have one there, in their order.

    Arguments:
        graph: of each side of a component, the number of its neighbour there, for each node; -1 at the boundary.
        shared: of each side, the part of the *neighbour's* own state that it shows there, a view of the model's layout.
        sweeps: over all nodes, at most, for one score.
        gibbs: clean sweeps that end a draw.
        tolerance: when sweeps are enough, as a share of what a noise level leaves open; what reaches far needs less.

    Raises:
        ValueError: a side that the model has not, neighbours that are no nodes, strips of another size or unit.
    """
    layout, energy = model.layout, prior_of(model)
    structure = _Structure.of(layout, graph, shared)
    blocks = [structure.block(energy, nodes) for nodes in _colours(structure.neighbours)]
    return Problem(structure.joint, Conditionals(blocks, structure.joint.size, sweeps, gibbs, tolerance))


class _Structure(NamedTuple):
    """Where in the joint state each node's own coordinates and its neighbours' strips are.

    Arguments:
        joint: the layout of all nodes.
        rows: ``(nodes, n)``, of each coordinate of the model its place in the joint state.
        scale, shift: ``(nodes, n)``, from the joint state's numbers to the model's.
        own: the coordinates that the model is of.
        neighbours: of each node.
    """

    joint: Layout
    rows: Tensor
    scale: Tensor
    shift: Tensor
    own: Tensor
    neighbours: list[set[int]]

    @classmethod
    def of(cls, layout: Layout, graph: Mapping[str, Sequence[int]], shared: Mapping[str, View]) -> _Structure:
        sides = {name: torch.as_tensor(nodes) for name, nodes in graph.items()}
        count = _checked(layout, sides, shared)
        joint = Layout(**{name: made for name, variable in layout.variables.items()
                          if (made := _copied(variable, count, sides.get(name))) is not None})
        rows = torch.zeros(count, layout.size, dtype=torch.long)
        scale, shift = torch.ones(count, layout.size, dtype=torch.float64), torch.zeros(count, layout.size).double()
        for name in layout.variables:
            here = layout[name].rows
            if name not in sides:
                rows[:, here] = joint[name].each().rows
                continue
            edge = sides[name] == BOUNDARY
            if bool(edge.any()):
                rows[edge[:, None] & _marks(here, layout.size)] = joint[name].rows
            source = shared[name].rows
            for node in (~edge).nonzero()[:, 0].tolist():
                rows[node, here] = rows_of(joint, layout, source, int(sides[name][node]))
                scale[node, here] = layout.scale[source] / layout.scale[here]
                shift[node, here] = (layout.loc[source] - layout.loc[here]) / layout.scale[here]
        fields = {name for name in layout.variables for view in shared.values()
                  if bool(torch.isin(view.rows, layout[name].rows).any())}
        own = torch.cat([layout[name].rows for name in layout.variables if name in fields])
        return cls(joint, rows, scale, shift, own,
                   [{int(s[node]) for s in sides.values()} - {BOUNDARY} for node in range(count)])

    def block(self, energy: object, nodes: Sequence[int]) -> Block:
        """The nodes of one colour, side by side."""
        at = torch.tensor(nodes)
        return Block(energy, self.rows[at], self.own, self.scale[at], self.shift[at])


def rows_of(joint: Layout, layout: Layout, coordinates: Tensor, node: int) -> Tensor:
    """Where a node's own ``coordinates`` are in the joint state."""
    found = torch.zeros_like(coordinates)
    for name in layout.variables:
        here = torch.isin(coordinates, layout[name].rows)
        if bool(here.any()):
            found[here] = joint[name].each().rows[node][coordinates[here] - layout.offsets[name]]
    return found


def _checked(layout: Layout, sides: Mapping[str, Tensor], shared: Mapping[str, View]) -> int:
    """How many nodes there are; ValueError where sides and strips do not fit the model."""
    if not sides or sides.keys() != shared.keys() or not sides.keys() <= layout.variables.keys():
        raise ValueError(f"got sides {sorted(sides)} and strips of {sorted(shared)}; expected one of each for the "
                         f"sides of the model, which are among its parts {list(layout.variables)}")
    counts = {len(nodes) for nodes in sides.values()}
    (count, *more) = counts
    if more or any(bool(((n < BOUNDARY) | (n >= count)).any()) for n in sides.values()):
        raise ValueError(f"got {sorted(counts)} nodes and neighbours from {min(int(n.min()) for n in sides.values())} "
                         f"to {max(int(n.max()) for n in sides.values())}; expected one for each node, a node's number "
                         "from 0, or -1")
    for name, view in shared.items():
        if view.copies or view.size != layout.size or view.rows.shape != layout[name].rows.shape:
            raise ValueError(f"got the strip '{view}' for '{name}'; expected a view of the model's layout with "
                             f"{len(layout[name].rows)} numbers")
    return count


def _copied(variable: Variable, count: int, side: Tensor | None) -> Variable | None:
    """A part of all nodes; of a side, of those that have a boundary there; None where no node has."""
    there = count if side is None else int((side == BOUNDARY).sum())
    return variable.copied(there, "node" if side is None else "edge") if there else None


def _colours(neighbours: Sequence[set[int]]) -> list[list[int]]:
    """Nodes by colour, no two of one colour neighbours."""
    colour: dict[int, int] = {}
    for node, near in enumerate(neighbours):
        near = near | {other for other, its in enumerate(neighbours) if node in its}
        taken = {colour[other] for other in near if other in colour}
        colour[node] = next(k for k in range(len(neighbours)) if k not in taken)
    return [[node for node in colour if colour[node] == k] for k in range(max(colour.values()) + 1)]


def _marks(rows: Tensor, size: int) -> Tensor:
    marks = torch.zeros(size, dtype=torch.bool)
    marks[rows] = True
    return marks
