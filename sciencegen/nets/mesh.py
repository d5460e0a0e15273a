r"""Messages between the nodes of a mesh, or of a cloud of points, that all states share; numbers beside them modulate.

On a mesh, nodes of one cell are neighbours; in a cloud, those that are nearest. Messages along a few edges do not cross
a domain, so the nodes are thinned out to about a sixth, again and again, until few are left, and these all talk to each
other: up and down the levels as in "Learning Mesh-Based Simulation with Graph Networks" (Pfaff et al., 2021),
https://arxiv.org/abs/2010.03409, on levels as in "MultiScale MeshGraphNets" (Fortunato et al., 2022),
https://arxiv.org/abs/2210.00612. Which nodes stay depends on where they are and not on how they are numbered.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn.functional import silu
from torch_geometric.nn import MessagePassing

from .fields import Numbers
from .mlp import normalised
from .places import Places

__all__ = ["MeshNet"]

FEW = 32  # nodes of the coarsest level, all of them neighbours
THINNED = 6  # nodes of a level for one of the next
NEAREST = 6  # neighbours of a node, where no cells say


class MeshNet(nn.Module):
    """Fields on nodes and numbers in, the same out, ``(u, c, keep) -> (N, n)``; zero when untrained.

    Arguments:
        shapes: of the parts, in the order of the state.
        axes: for each part 0 for its axis of nodes, -1 for channels. A part without nodes is of numbers.
        points: where the nodes are, ``(nodes, 1 to 3)``.
        cells: nodes of each cell ``(cells, corners)``; without them, the nearest nodes are neighbours.
        width: features of a node.
        blocks: of messages on each coarser level, on the way down and again on the way back; one on the finest.
        features: numbers that tell a block the noise level and the state's numbers.

    Raises:
        ValueError: a part that does not fit the nodes, cells of nodes that are not there.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], axes: Sequence[Sequence[int]],
                 points: Sequence[Sequence[float]], cells: Sequence[Sequence[int]] | None = None, width: int = 64,
                 blocks: int = 2, features: int = 64) -> None:
        super().__init__()
        where = np.asarray(points, dtype=np.float64)
        if where.ndim != 2 or not np.isfinite(where).all():
            raise ValueError(f"got points of shape {where.shape}; expected finite (nodes, 1 to 3)")
        where = (where - where.mean(0)) / max(float(where.std()), 1e-30)
        self.places = Places(shapes, axes, (len(where),))
        self.numbers = Numbers(self.places.numbers, width, features)
        self.enter = nn.Linear(2 * self.places.channels + where.shape[1], width)
        self.levels = nn.ModuleList()
        edges = _near(where) if cells is None else _joined(cells, len(where))
        while True:
            few = len(where) <= FEW
            here = blocks if self.levels else 1
            self.levels.append(MeshLevel(where, _all(len(where)) if few else edges, width, here, features))
            if few:
                break
            kept = _thinned(where, max(len(where) // THINNED, 2))
            self.levels[-1].lead(where, where[kept])
            where = where[kept]
            edges = _near(where)
        self.leave = nn.Linear(width, self.places.channels)
        self.register_buffer("where", torch.as_tensor(self.levels[0].points, dtype=torch.float32), persistent=False)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        (fields, numbers), (there, known) = self.places.apart(u), self.places.apart(keep)
        told = self.numbers.tell(c, numbers, known)
        where = self.where.to(u).expand(len(u), -1, -1)
        h, kept = self.enter(torch.cat([fields.mT, there.mT, where], -1)), []
        for level in self.levels:
            h = level.down(h, told)
            kept.append(h)
            h = level.coarser(h)
        h = kept.pop()
        for level, finer in zip(reversed(self.levels[:-1]), reversed(kept)):
            h = level.up(finer + level.finer(h), told)
        return self.places.together(self.leave(h).mT, self.numbers.say(h.mean(1), told))


class MeshLevel(nn.Module):
    """Nodes of one level: messages among them, and the ways to the next coarser one and back."""

    def __init__(self, points: np.ndarray, edges: np.ndarray, width: int, blocks: int, features: int) -> None:
        super().__init__()
        self.points = points
        apart = points[edges[0]] - points[edges[1]]
        apart = apart / np.sqrt(np.square(apart).sum(-1).mean()) if edges.shape[1] else apart
        length = np.sqrt(np.square(apart).sum(-1, keepdims=True))
        self._keep("edges", edges)
        self._keep("apart", np.concatenate([apart, length], -1).astype(np.float32))
        self.first, self.last = (nn.ModuleList(MeshBlock(width, apart.shape[1] + 1, features) for _ in range(blocks))
                                 for _ in range(2))
        self.fine = None

    def lead(self, points: np.ndarray, coarse: np.ndarray) -> None:
        """Join the nodes to those of the next level: each to the three nearest, nearer ones more."""
        width = self.first[0].body[0].in_features
        length, nearest = cKDTree(coarse).query(points, min(3, len(coarse)))
        weight = 1 / np.maximum(length, 1e-9)
        weight = weight / weight.sum(-1, keepdims=True)
        self._keep("nearest", nearest)
        self._keep("weight", weight.astype(np.float32))
        total = np.zeros(len(coarse))
        np.add.at(total, nearest, weight)
        self._keep("total", np.maximum(total, 1e-9).astype(np.float32))
        self.fine, self.back = nn.Linear(width, width), nn.Linear(width, width)

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.as_tensor(values), persistent=False)

    def down(self, h: Tensor, told: Tensor) -> Tensor:
        """``h (N, nodes, width)`` after the messages on the way to coarser levels."""
        return self._through(self.first, h, told)

    def up(self, h: Tensor, told: Tensor) -> Tensor:
        """``h (N, nodes, width)`` after the messages on the way back."""
        return self._through(self.last, h, told)

    def coarser(self, h: Tensor) -> Tensor:
        """Features of the next level's nodes: weighted means of what is near them."""
        if self.fine is None:
            return h
        parts = (self.fine(h)[:, :, None] * self.weight.to(h)[..., None]).flatten(1, 2)
        mean = h.new_zeros(len(h), len(self.total), h.shape[-1]).index_add(1, self.nearest.flatten(), parts)
        return mean / self.total.to(h)[:, None]

    def finer(self, h: Tensor) -> Tensor:
        """Features of this level's nodes, interpolated from the next level's."""
        return self.back((h[:, self.nearest] * self.weight.to(h)[..., None]).sum(2))

    def _through(self, blocks: nn.ModuleList, h: Tensor, told: Tensor) -> Tensor:
        for block in blocks:
            h = block(h, self.edges, self.apart.to(h), told)
        return h


class MeshBlock(nn.Module):
    """Messages and two linear maps, each normalised, modulated and added."""

    def __init__(self, width: int, edge: int, features: int) -> None:
        super().__init__()
        self.modulate, self.meet = nn.Linear(features, 4 * width), Messages(width, edge)
        self.body = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, edges: Tensor, apart: Tensor, told: Tensor) -> Tensor:
        """``h (N, nodes, width)`` to the same."""
        a, b, c, d = self.modulate(told)[:, None].chunk(4, -1)
        h = h + self.meet(normalised(h) * (1 + a) + b, edges, apart)
        return h + self.body(normalised(h) * (1 + c) + d)


class Messages(MessagePassing):
    """What neighbours tell a node: ``W mean_j silu(A h_i + B h_j + C e_ij)``."""

    def __init__(self, width: int, edge: int) -> None:
        super().__init__(aggr="mean", node_dim=1)
        told = max(width // 2, 1)  # what runs along all edges costs most
        self.ours, self.theirs = nn.Linear(width, told), nn.Linear(width, told, bias=False)
        self.edge, self.leave = nn.Linear(edge, told, bias=False), nn.Linear(told, width)

    def forward(self, h: Tensor, edges: Tensor, apart: Tensor) -> Tensor:
        """``h (N, nodes, width)``, ``edges (2, E)`` from source to target, ``apart (E, edge)``."""
        told = self.propagate(edges, ours=self.ours(h), theirs=self.theirs(h), apart=self.edge(apart)[None])
        return self.leave(told)

    def message(self, ours_i: Tensor, theirs_j: Tensor, apart: Tensor) -> Tensor:
        """What one node tells another, ``(N, E, width / 2)``."""
        return silu(ours_i + theirs_j + apart)


def _joined(cells: Sequence[Sequence[int]], count: int) -> np.ndarray:
    """Edges both ways ``(2, E)`` between nodes of one cell."""
    corners = np.asarray(cells, dtype=np.int64)
    if corners.ndim != 2 or corners.min() < 0 or corners.max() >= count:
        raise ValueError(f"got cells of shape {corners.shape}; expected (cells, corners) of nodes 0 to {count - 1}")
    pairs = [corners[:, [i, j]] for i, j in itertools.permutations(range(corners.shape[1]), 2)]
    edges = np.unique(np.concatenate(pairs), axis=0)
    return np.ascontiguousarray(edges[edges[:, 0] != edges[:, 1]].T)


def _near(points: np.ndarray) -> np.ndarray:
    """Edges both ways ``(2, E)`` between nodes of which one is among the other's nearest."""
    count = min(NEAREST, len(points) - 1)
    nearest = cKDTree(points).query(points, count + 1)[1][:, 1:]
    return _joined(np.stack([np.repeat(np.arange(len(points)), count), nearest.flatten()], -1), len(points))


def _all(count: int) -> np.ndarray:
    pairs = np.array(list(itertools.permutations(range(count), 2)), dtype=np.int64)
    return np.ascontiguousarray(pairs.reshape(-1, 2).T)


def _thinned(points: np.ndarray, count: int) -> np.ndarray:
    """``count`` nodes, each as far as can be from those before it, and the first from the middle."""
    kept = [int(np.square(points - points.mean(0)).sum(-1).argmax())]
    length = np.full(len(points), np.inf)
    for _ in range(count - 1):
        length = np.minimum(length, np.square(points - points[kept[-1]]).sum(-1))
        kept.append(int(length.argmax()))
    return np.array(kept)
