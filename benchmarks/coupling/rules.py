r"""The rules that learned rivals compose by, all in one ancestral sampler with one set of noise levels.

- M2PDE's: every level conditions each model on the *clean* running Tweedie means of the others, in place, once; a later
  pass starts anew and conditions on a blend with what the pass before ended with, whose share falls to none.
- GenCP's: all fields are noised alike, and each model's score of its own field is that of its decoupled joint data.
- clean Gibbs: each field is drawn anew, given the others as they are (:mod:`.gaussian`).

References:
    M2PDE: Compositional Generative Multiphysics and Multi-component PDE Simulation (Zhang et al., 2025),
    https://arxiv.org/abs/2412.04134, src/inference/compose.py of its repository, for the blend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .learned import Known, together

__all__ = ["alike", "ancestral", "m2pde"]

Fields = dict[str, Tensor]


class Draws:
    """Standard normal numbers of rows ``(rows, n)``, and ancestral steps made with them."""

    def __init__(self, rows: int, seed: int, dtype: torch.dtype) -> None:
        self.rows, self.dtype, self.generator = rows, dtype, torch.Generator().manual_seed(seed)

    def __call__(self, size: int) -> Tensor:
        return torch.randn(self.rows, size, generator=self.generator, dtype=self.dtype)

    def step(self, x: Tensor, mean: Tensor, a: float, b: float) -> Tensor:
        """From level ``a`` to ``b``, given the Tweedie mean."""
        down = b**2 / a
        return x + (1 - down / a) * (mean - x) + (b**2 - down**2) ** 0.5 * self(x.shape[-1])


def ancestral(mean: Callable[[Tensor, float], Tensor], rows: int, size: int, levels: Sequence[float], seed: int,
              dtype: torch.dtype = torch.float64) -> Tensor:
    """Samples ``(rows, size)`` of a law whose Tweedie mean this is."""
    draws = Draws(rows, seed, dtype)
    x = levels[0] * draws(size)
    for a, b in zip(levels, [*levels[1:], 0.0]):
        x = draws.step(x, mean(x, a), a, b)
    return x


def m2pde(models: Mapping[str, Known], given: Fields, rows: int, levels: Sequence[float], seed: int,
          passes: int = 2, dtype: torch.dtype = torch.float64) -> Fields:
    """Fields in physical units by M2PDE's rule; one call of each model a level and pass."""
    draws = Draws(rows, seed, dtype)
    fresh = lambda: {k: draws(model.size) for k, model in models.items()}
    physical = lambda x: {k: model.physical(x[k]) for k, model in models.items()}
    estimate, x = physical(fresh()), fresh()
    for turn in range(passes):
        before, estimate = estimate, physical(fresh())
        x = {k: levels[0] * v for k, v in fresh().items()}
        for i, (a, b) in enumerate(zip(levels, [*levels[1:], 0.0])):
            share = 1.0 if turn == 0 else i / max(1, len(levels) - 1)
            for name, model in models.items():
                told = {k: share * estimate[k] + (1 - share) * before[k] for k in models if k != name}
                mean = model.mean(x[name], a, given | told)
                x[name] = draws.step(x[name], mean, a, b)
                estimate = estimate | {name: model.physical(mean)}
    return physical(x)


def alike(models: Mapping[str, Known], given: Fields, rows: int, levels: Sequence[float], seed: int,
          dtype: torch.dtype = torch.float64) -> Fields:
    """Fields in physical units where all are noised alike; one call of each model a level.

    The unit of a field is that of its own model's data; another model sees its running mean in the unit of that model's
    data, with the same noise on it.
    """
    draws = Draws(rows, seed, dtype)
    energies = {name: model.problem.prior.given(together(model.problem.layout, known)) if known else model.problem.prior
                for name, model in models.items() for known in [[k for k in model.told if k in given]]}
    x = {k: levels[0] * draws(model.size) for k, model in models.items()}
    means = {k: torch.zeros_like(v) for k, v in x.items()}
    for a, b in zip(levels, [*levels[1:], 0.0]):
        found: Fields = {}
        for name, model in models.items():
            others = [k for k in model.told if k in models]
            state = model.pack(given | {k: models[k].physical(means[k]) for k in others}, x[name])
            for k in others:
                state = state.index_add(-1, model.problem.layout[k].rows, x[k] - means[k])
            found[name] = energies[name].mean(state, state.new_tensor(a))[:, model.rows]
        x = {k: draws.step(x[k], found[k], a, b) for k in models}
        means = found
    return {k: model.physical(x[k]) for k, model in models.items()}
