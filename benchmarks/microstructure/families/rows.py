"""Rows of the rivals: trained where no file of theirs is kept, designed with and measured as ours are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from sciencegen.studies.microstructure.goals import Goals
from sciencegen.studies.microstructure.prior import Crops, prior_layout, read
from sciencegen.studies.microstructure.settle import misses, settle

from .decoder import Decoder
from .gan import gan
from .vae import vae

__all__ = ["RIVALS", "Structures", "designed", "rival"]

RIVALS: Mapping[str, Callable[[Crops, int], tuple[Decoder, dict[str, float]]]] = {
    "VAE": vae,
    "GAN": gan,
    "GAN, mixed batches": lambda rows, steps: gan(rows, steps, mixed=True),
}
NARROW = 0.12  # width of slopes, where images are cut
Structures = Any  # a family to design in: draw(seeds), phase(x, width)


def rival(name: str, file: Path, out: Path, steps: int) -> tuple[Decoder, dict[str, float]]:
    """A decoder and what its training told, from ``out`` if it is kept there, else trained on a set of 32 x 32."""
    kept = out / f"{name.replace(', ', '_').replace(' ', '_')}_{steps}.pt"
    if not kept.exists():
        images, numbers = read(file)
        decoder, told = RIVALS[name](Crops(prior_layout(), images, numbers), steps)
        torch.save({"weights": decoder.half().state_dict(), "told": told}, kept)
    state = torch.load(kept, weights_only=True)
    decoder = Decoder().requires_grad_(False)
    decoder.load_state_dict(state["weights"])
    return decoder.float().eval(), state["told"]


def designed(structures: Structures, goals: Goals, count: int, solves: int = 60) -> dict[str, float]:
    """Errors of sharp images of designs, solves of each, their diversity over that of the prior, and seconds."""
    start = time.process_time()
    free = structures.draw(torch.arange(count))
    moved = settle(free, structures.phase, goals, solves)
    images, prior = (structures.phase(x, NARROW).detach() for x in (moved.x, free))
    error = misses(goals.of(images.double()) / goals.target(images.double()))
    apart = lambda phase: torch.pdist(phase.flatten(1), 1).mean() / phase[0].numel()
    return {"median": float(error.median()), "best": float(error.min()), "worst": float(error.max()),
            "solves": float(moved.solves.double().mean()), "diversity": float(apart(images) / apart(prior)),
            "seconds": time.process_time() - start}
