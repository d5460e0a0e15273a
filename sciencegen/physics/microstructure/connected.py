"""Connectivity of two-phase images: the judge, by labels of components; not differentiable.

Pixels are neighbours across an edge, and across opposite sides of the image. A component is found by scipy in the
image as it is, then joined with those that it meets across a side.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

__all__ = ["connected", "percolates"]


def connected(phase: Tensor) -> Tensor:
    """Share of phase 1 that its largest component has, ``(*B,)`` in float64; one where there is no phase 1."""
    return _each(phase, _largest)


def percolates(phase: Tensor, axis: int) -> Tensor:
    """Whether phase 1 reaches from side to side along an axis (0 for y, 1 for x), and meets itself there: ``(*B,)``."""
    return _each(phase, lambda image: _spans(image if axis == 0 else image.T)).bool()


def _each(phase: Tensor, judge: object) -> Tensor:
    images = (phase.detach().cpu() > 0.5).reshape(-1, *phase.shape[-2:]).numpy()
    found = torch.tensor([float(judge(image)) for image in images], dtype=torch.float64)
    return found.reshape(phase.shape[:-2])


def _labels(image: np.ndarray, around: tuple[bool, bool]) -> np.ndarray:
    """Components ``(ny, nx)``, 0 for phase 0, joined across the sides along which the image goes on."""
    labels, count = ndimage.label(image)
    sides = [(labels[-1], labels[0]), (labels[:, -1], labels[:, 0])]
    pairs = np.concatenate([np.stack(s, -1)[(s[0] > 0) & (s[1] > 0)] for s, on in zip(sides, around) if on])
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), (count + 1, count + 1))
    _, joined = connected_components(graph, directed=False)
    return np.where(labels > 0, joined[labels] + 1, 0)


def _largest(image: np.ndarray) -> float:
    if not image.any():
        return 1.0
    return np.bincount(_labels(image, (True, True))[image]).max() / image.sum()


def _spans(image: np.ndarray) -> bool:
    """Whether a component of the image, open along its first axis, meets itself across that side."""
    labels = _labels(image, (False, True))
    return bool(((labels[0] > 0) & (labels[0] == labels[-1])).any())
