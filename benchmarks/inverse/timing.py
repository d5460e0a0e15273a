r"""Wall time of a posterior sample on a grid of 64: this package beside 2,000 Heun steps of scalar DPS.

Both guide one network, the shipped Darcy prior's on twice its grid with weights drawn at random (time does not depend
on what a network has learned, but for how many conjugate gradients are worth taking, which is counted), around a
Gaussian of 1,024 axes, with 500 points of one field. Ours runs whole; of DPS a few steps are timed, one after the
other with it on the same threads, and scaled by the number of steps.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from torch import Tensor

from sciencegen.exact import Gaussian
from sciencegen.guide import Moments, dps
from sciencegen.nets.unet import GridUNet
from sciencegen.priors import Denoiser
from sciencegen.random import Streams
from sciencegen.sample import Heun, Multistep, karras
from sciencegen.studies.pde.prior import setup

from ..common import whole
from .diffusion import Counter

GRID, SEEN, AXES, PUBLISHED_STEPS = 64, 500, 1024, 2000


def speed(file: Path, again: bool, count: int = 2, steps: int = 24) -> dict[str, float]:
    """Seconds a sample of both and what they called, from the file if it is there."""
    if file.is_file() and not again:
        return json.loads(file.read_text())
    prior, A, y = _question()
    start = 40 * Streams(torch.arange(count)).normal(A.shape[1], torch.float32)
    ours, shared = Moments(prior, A, y, 0.01, 8, around=prior.data), karras(20, 0.02, 40.0)
    found = {"count": count, "steps": len(shared) - 1, "dps_steps_timed": steps}
    with Counter(prior) as calls:
        clock = time.perf_counter()
        x = Multistep(shared)(ours, start)
        ours.draw(x, shared[-1], Streams(torch.arange(count), len(shared)))
        found["ours_seconds"] = (time.perf_counter() - clock) / count
    found |= {"ours_forward": calls.forward, "ours_backward": calls.backward}
    grid = karras(PUBLISHED_STEPS)
    with Counter(prior) as calls:
        clock = time.perf_counter()
        Heun(grid[: steps + 1])(dps(prior, A, y, 1e-3), start)
        found["dps_step_seconds"] = (time.perf_counter() - clock) / count / steps
    found |= {"dps_forward": calls.forward, "dps_backward": calls.backward}
    found["ratio"] = PUBLISHED_STEPS * found["dps_step_seconds"] / found["ours_seconds"]
    whole(file, lambda new: new.write_text(json.dumps(found, indent=1) + "\n"))
    return found


def _question() -> tuple[Denoiser, Tensor, Tensor]:
    generator, size = torch.Generator().manual_seed(0), 2 * GRID**2
    axes = torch.linalg.qr(torch.randn(size, AXES, generator=generator)).Q
    data = Gaussian(torch.zeros(size), torch.cat([100 / torch.arange(1.0, AXES + 1), torch.tensor([1e-3])]), axes)
    recipe = setup("darcy")
    torch.manual_seed(0)
    net = GridUNet((2, GRID, GRID), recipe.channels, recipe.blocks)
    last = net.body.ascent[-1][-1]
    torch.nn.init.normal_(last.weight, std=0.02)
    A = torch.eye(size)[GRID**2 + torch.randperm(GRID**2, generator=generator)[:SEEN]]
    return Denoiser(net.requires_grad_(False), data).eval(), A, torch.randn(SEEN, generator=generator)
