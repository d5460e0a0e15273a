"""How well an energy's score is known, by the clean states that are held out: the error of Tweedie's mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..energy import Energy
from ..random import Streams

__all__ = ["tweedie_error", "tweedie_errors"]


def tweedie_error(energy: Energy, clean: Tensor, sigmas: Tensor | Sequence[float], seed: int = 0,
                  known: Tensor | None = None) -> Tensor:
    r"""``E |mean(x + sigma z) - x|^2 / (sigma^2 d)`` at each level, ``clean (N, d), sigmas (L,) -> (L,)``.

    The denoising error on held-out data, one for the identity. The exact energy has the lowest; what another one has
    above it is ``sigma^2 E |its score - the exact score|^2 / d``: "A Connection Between Score Matching and Denoising
    Autoencoders" (Vincent, 2011), https://doi.org/10.1162/NECO_a_00142. The noise is the same for every energy,
    and none on the coordinates ``known``, which an energy of the others is given.
    """
    return tweedie_errors(energy, clean, sigmas, seed, known).mean(-1)


def tweedie_errors(energy: Energy, clean: Tensor, sigmas: Tensor | Sequence[float], seed: int = 0,
                   known: Tensor | None = None) -> Tensor:
    """:func:`tweedie_error` of each coordinate, ``(L, d)``."""
    rows = Streams(torch.arange(len(clean)) + seed * 2**32).to(clean.device)
    errors = []
    with torch.no_grad():
        for k, sigma in enumerate(torch.as_tensor(sigmas).tolist()):
            noise = rows.at(k).normal(clean.shape[-1], clean.dtype)
            noise = noise if known is None else noise.index_fill(-1, known.to(noise.device), 0.0)
            error = (energy.mean(clean + sigma * noise, sigma) - clean) / sigma
            errors.append(error.square().mean(0))
    return torch.stack(errors)
