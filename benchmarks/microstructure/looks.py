"""What images of a family look like, as numbers, and how far two sets of images are apart in each."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from sciencegen.physics.microstructure import chords, connected, orientation, style_of
from sciencegen.studies.microstructure.images import opened, pieces

__all__ = ["apart", "looks", "worst"]

FINE, LONGEST = 3, 33  # pixels: discs that fit, and chords


def looks(phase: Tensor) -> dict[str, np.ndarray]:
    """Descriptors of images ``(B, ny, nx)`` by name, ``(B,)`` each."""
    phase = phase.double()
    style, (_, lean) = style_of(phase), orientation(phase)
    many = [pieces(image)[1] for image in phase.numpy()]
    fine = [(part - opened(part, FINE)).mean((-2, -1)) for part in (phase, 1 - phase)]
    found = {"fraction": style.fraction, "length": style.length, "stretch along": style.stretch[:, 0],
             "stretch diagonal": style.stretch[:, 1], "anisotropy": lean, "connected": connected(phase),
             "pieces": torch.tensor(many), "finer than 3 pixels": fine[0], "finer than 3 pixels, phase 0": fine[1],
             "mean chord along x": _chord(phase, -1), "mean chord along y": _chord(phase, -2)}
    return {name: value.double().numpy() for name, value in found.items()}


def worst(found: Tensor, reference: Tensor) -> tuple[float, str]:
    """The largest Kolmogorov-Smirnov distance of a descriptor of two sets of images, and which one it is."""
    ours, theirs = looks(found), looks(reference)
    each = {name: float(ks_2samp(ours[name], theirs[name]).statistic) for name in ours}
    name = max(each, key=lambda k: each[k])
    return each[name], name


def apart(phase: Tensor) -> float:
    """Mean share of pixels in which two of the images differ."""
    mean, n = phase.double().mean(0), len(phase)
    return float(2 * (mean * (1 - mean)).mean() * n / (n - 1))


def _chord(phase: Tensor, axis: int) -> Tensor:
    counts = chords(phase, axis, LONGEST)
    return (counts * torch.arange(1, counts.shape[-1] + 1)).sum(-1) / counts.sum(-1).clamp_min(1e-9)
