"""Windows and pairs in one call of the network, beside the original's loop over them: same epsilon, less time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sciencegen.energy import Energy
from sciencegen.priors import Denoiser
from sciencegen.view import View

from .original import Averaged

__all__ = ["batched", "compare", "looped", "timings"]


def timings(directory: str | None, seconds: float, batches: Sequence[int] = (1, 10, 50)) -> list[dict[str, Any]]:
    """2 and 4 bodies, 44 frames, by the trained prior or, without one, a network of its size with random weights."""
    from sciencegen.priors import Model
    from sciencegen.studies.nbody.prior import energy, network, prior_layout

    from .trained import view

    net = Model.load(directory).energy if directory else shaken(energy(network(), prior_layout()))
    found = []
    for bodies in (2, 4):
        copies = view(prior_layout(44, bodies)["trajectory"])
        found += [{"bodies": bodies, "trained": bool(directory)} | compare(net.float(), copies, batch, seconds)
                  for batch in batches]
    return found


@torch.no_grad()
def shaken(energy: Denoiser) -> Denoiser:
    """With random numbers added to its weights: an untrained network answers zero, which would hide differences."""
    generator = torch.Generator().manual_seed(0)
    for weight in energy.parameters():
        weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    return energy.eval()


def batched(energy: Energy, view: View, x: Tensor, sigma: float) -> Tensor:
    """Predicted noise ``(B, d)``, averaged, by one call."""
    return -sigma * Averaged(energy, view).score(x, sigma)


def looped(energy: Energy, view: View, x: Tensor, sigma: float) -> Tensor:
    """The same by a call for each window and pair, one after another."""
    rows, total = view.rows.reshape(-1, view.rows.shape[-1]), torch.zeros_like(x)
    count = x.new_zeros(x.shape[-1])
    for row in rows:
        total[:, row] += -sigma * energy.score(x[:, row], sigma)
        count[row] += 1
    return total / count


@torch.no_grad()
def compare(energy: Energy, view: View, batch: int, seconds: float, sigma: float = 0.5) -> dict[str, Any]:
    """CPU seconds of both, interleaved: the least of as many rounds (three or more) as ``seconds`` hold."""
    x = torch.randn(batch, view.size, generator=torch.Generator().manual_seed(0))
    ways: dict[str, Callable[[], Tensor]] = {
        "looped": lambda: looped(energy, view, x, sigma), "batched": lambda: batched(energy, view, x, sigma)}
    answers = {name: way() for name, way in ways.items()}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    end = time.process_time() + seconds
    for turn in itertools.count():
        if turn >= 3 and time.process_time() > end:
            break
        for name in sorted(ways, reverse=bool(turn % 2)):
            start = time.process_time()
            ways[name]()
            spent[name].append(time.process_time() - start)
    return {"batch": batch, "copies": view.rows[..., 0].numel(), "rounds": len(spent["looped"]),
            "looped_s": min(spent["looped"]), "batched_s": min(spent["batched"]),
            "ratio": min(spent["looped"]) / min(spent["batched"]),
            "epsilon_difference": float((answers["looped"] - answers["batched"]).abs().max())}
