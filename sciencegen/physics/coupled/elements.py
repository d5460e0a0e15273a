r"""Fuel-element-like conduction: like square elements side by side, each solved for between its four walls.

.. math:: -\nabla \cdot (k \nabla u) + a u = q

An element has a round pellet that conducts badly in a frame that conducts well, 8 x 8 cells, and loses heat to what
stands above it. Its walls are the temperatures of the cells next to it, which are its neighbours' outermost; beyond the
last elements these are zero. So the fixed point of all elements is the solution of the whole grid to rounding, and a
round of them is Schwarz' method with an overlap of one cell (block Gauss-Seidel). How far an element is felt is
:math:`1 / \sqrt{a}` elements: rounds grow with the number of elements until that is exceeded.

References:
    Domain Decomposition Methods: Algorithms and Theory (Toselli & Widlund, 2005), https://doi.org/10.1007/b137868
    M2PDE (Zhang et al., 2025), https://arxiv.org/abs/2412.04134, for structures of 64 elements from one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu
from torch import Tensor

from ..system import Part
from .elsewhere import Elsewhere
from .system import GIVEN, Component, Coupled

__all__ = ["Elements"]

SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # the walls' order: lower and upper x, lower and upper y


@dataclass(frozen=True)
class Elements(Coupled):
    """Fields ``e0, e1, ... (*B, n, n)``, row by row; given: ``source (*B, rows n, columns n)`` of the whole.

    Arguments:
        rows, columns: of elements, side 1 each.
        n: cells along an element's side.
        pellet: conductivity within .35 of its middle; 1 elsewhere.
        loss: a.
        length: correlation length of sources and walls.
    """

    rows: int = 1
    columns: int = 1
    n: int = 8
    pellet: float = 0.3
    loss: float = 1.0
    length: float = 0.5

    @property
    def names(self) -> list[str]:
        """Of all elements."""
        return [f"e{i}" for i in range(self.rows * self.columns)]

    @property
    def fields(self) -> Mapping[str, Part]:
        """One of each element."""
        return {name: self._part(*divmod(i, self.columns)) for i, name in enumerate(self.names)}

    @property
    def given(self) -> Mapping[str, Part]:
        """The ``source`` in all cells."""
        shape = (self.rows * self.n, self.columns * self.n)
        coords = {dim: [(i + 0.5) / self.n for i in range(size)] for dim, size in zip("xy", shape)}
        return {"source": Part(shape, ("x", "y"), coords)}

    @property
    def elsewhere(self) -> Mapping[str, Elsewhere]:
        """Temperatures between -0.5 and 3."""
        return dict.fromkeys(self.names, Elsewhere(-0.5, 3.0, (self.length, self.length)))

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Sources, Gaussian between 0 and 4, of one level in every element beside."""
        return {"source": self._sources().sample(self.given["source"], count, seed, first, GIVEN)}

    def alone(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """One element between walls from elsewhere: ``source (b, n, n)``, ``walls (b, 4, n)``, ``u (b, n, n)``.

        The four walls are drawn apart from one another, which those of a structure are not.
        """
        part, law = self._part(0, 0), self.elsewhere["e0"]
        strip = Part((self.n,), ("x",), {"x": part.coords["x"]})
        flat = Elsewhere(law.low, law.high, (self.length,))
        walls = torch.stack([flat.sample(strip, count, seed, first, side) for side in range(4)], 1)
        source = self._sources().sample(part, count, seed, first, GIVEN)
        return {"source": source, "walls": walls, "u": self.solve(source, walls)}

    def component(self, name: str) -> Component:
        """The element's :meth:`solve`, with walls and source of its own."""
        def solved(source: Tensor, **others: Tensor) -> Tensor:
            return self.solve(self.source_of(name, source), self.walls(name, others, source))
        return solved

    def solve(self, source: Tensor, walls: Tensor) -> Tensor:
        """The temperature ``(*B, n, n)`` of any one element, source ``(*B, n, n)`` and walls ``(*B, 4, n)``."""
        heat = source.clone()
        for side, edge in enumerate(_EDGES):
            heat = heat + self.n**2 * _at_edge(walls[..., side, :], edge, self.n)
        return (heat.flatten(-2) @ self.inverse().to(heat).mT).unflatten(-1, (self.n, self.n))

    def neighbours(self, name: str) -> list[str | None]:
        """Who stands beyond the four walls, None where nobody does."""
        row, column = divmod(int(name[1:]), self.columns)
        beside = [(row + i, column + j) for i, j in SIDES]
        inside = [0 <= i < self.rows and 0 <= j < self.columns for i, j in beside]
        return [f"e{i * self.columns + j}" if ok else None for (i, j), ok in zip(beside, inside)]

    def walls(self, name: str, others: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The temperatures beyond the four walls of an element, ``(*B, 4, n)``."""
        outside = like.new_zeros(*like.shape[:-2], self.n)
        strips = [outside if other is None else _strip(others[other], side)
                  for side, other in enumerate(self.neighbours(name))]
        return torch.stack(torch.broadcast_tensors(*strips), -2)

    def source_of(self, name: str, source: Tensor) -> Tensor:
        """The source within an element, ``(*B, n, n)``."""
        row, column = (self.n * i for i in divmod(int(name[1:]), self.columns))
        return source[..., row: row + self.n, column: column + self.n]

    def referee(self, start: Mapping[str, Tensor] | None = None, **given: Tensor) -> dict[str, Tensor]:
        """The whole grid by one sparse factorisation; the solution is unique whatever the start."""
        source = given["source"]
        flat = source.flatten(-2).reshape(-1, self.rows * self.columns * self.n**2).double().numpy()
        solved = splu(self.matrix().tocsc()).solve(np.ascontiguousarray(flat.T)).T
        whole = torch.from_numpy(np.ascontiguousarray(solved)).reshape(source.shape).to(source)
        return {name: self.source_of(name, whole) for name in self.names}

    def matrix(self) -> coo_array:
        """The whole grid's matrix, sparse, cells row by row."""
        return _matrix(np.tile(self._conductivity(), (self.rows, self.columns)), self.n, self.loss)

    def inverse(self) -> Tensor:
        """Of one element's matrix, ``(n^2, n^2)`` in float64."""
        return torch.from_numpy(np.linalg.inv(_matrix(self._conductivity(), self.n, self.loss).toarray()))

    def _sources(self) -> Elsewhere:
        return Elsewhere(0.0, 4.0, (self.length, self.length))

    def _part(self, row: int, column: int) -> Part:
        coords = {dim: [at + (i + 0.5) / self.n for i in range(self.n)] for dim, at in (("x", row), ("y", column))}
        return Part((self.n, self.n), ("x", "y"), coords)

    def _conductivity(self) -> np.ndarray:
        at = (np.arange(self.n) + 0.5) / self.n - 0.5
        return np.where(np.hypot(at[:, None], at) < 0.35, self.pellet, 1.0)


_EDGES = ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1))  # of cells at the walls


def _strip(field: Tensor, side: int) -> Tensor:
    """The cells ``(*B, n)`` of a neighbour that lie at the wall between, seen from the other side."""
    return field[(..., *_EDGES[side ^ 1])]


def _at_edge(wall: Tensor, edge: tuple, n: int) -> Tensor:
    """What a wall's neighbours ``(*B, n)`` are in the cells ``(*B, n, n)``: there, and zero elsewhere."""
    along = 0 if isinstance(edge[0], int) else 1
    mark = torch.zeros(n, dtype=wall.dtype, device=wall.device)
    mark[edge[along]] = 1.0
    return mark[:, None] * wall[..., None, :] if along == 0 else wall[..., :, None] * mark


def _matrix(k: np.ndarray, n: int, loss: float) -> coo_array:
    """Minus div k grad plus the loss on square cells of side 1/n and conductivities k, among cells at zero."""
    index = np.arange(k.size).reshape(k.shape)
    near = [(index[1:], index[:-1], k[1:], k[:-1]), (index[:, 1:], index[:, :-1], k[:, 1:], k[:, :-1])]
    one, other = (np.concatenate([pair[i].ravel() for pair in near]) for i in (0, 1))
    a, b = (np.concatenate([pair[i].ravel() for pair in near]) for i in (2, 3))
    flow = 2 * a * b / (a + b) * n**2
    diagonal = np.full(k.size, loss) + np.bincount(one, flow, k.size) + np.bincount(other, flow, k.size)
    for edge in _EDGES:
        diagonal[index[edge]] += n**2
    here = index.ravel()
    places = np.concatenate([one, other, here]), np.concatenate([other, one, here])
    return coo_array((np.concatenate([-flow, -flow, diagonal]), places))
