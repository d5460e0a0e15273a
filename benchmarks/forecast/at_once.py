r"""All frames at once: SDA's blanket, and windows less their overlaps.

*Blanket.* The score of a frame is read off a window of ``2 k + 1`` frames around it, of the first and last ``k`` off
the windows at the ends: "Score-based Data Assimilation" (Rozet & Louppe, 2023), https://arxiv.org/abs/2306.10574. What
is known enters as its guidance, ``|y - A mean|^2 / 2 (noise^2 + gamma sigma^2)``.

*Windows less overlaps.* The sum of :func:`sciencegen.compose.chain`, and what is known by moment matching. It is exact
of the clean chain; noised, no chain is one, and past one window such a forecast falls back to climatology.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sciencegen.calls import Plan
from sciencegen.compose import chain
from sciencegen.energy import Energy, Evaluation, Residual, score_only
from sciencegen.exact import Gaussian
from sciencegen.guide import Tweedie
from sciencegen.layout import View
from sciencegen.mcmc import HMC
from sciencegen.measure import Entries
from sciencegen.priors import Denoiser
from sciencegen.sample import Heun, Multistep, karras
from sciencegen.states import States
from sciencegen.tasks import Problem, invert
from sciencegen.train import Training

from .networks import Trained
from .ours import Ancestral
from .task import Drawn, Question, Task

__all__ = ["AllAtOnce", "Blanket", "Folded"]

KNOWN, GAMMA = 0.01, 0.03  # SDA's: noise of what is known, and how it grows with the level squared


class Folded(Energy):
    """The blanket's score of ``frames`` from a prior of windows; nothing it is the gradient of."""

    exact = False

    def __init__(self, window: Energy, layout_view: View, length: int) -> None:
        super().__init__()
        self.window, self.length, self.windows = window, length, layout_view.windows(length, 1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        level = sigma[..., None, :] if sigma.ndim else sigma

        def fold(found: Evaluation) -> Evaluation:
            each, side = found.score.unflatten(-1, (self.length, -1)), self.length // 2
            frames = torch.cat([each[..., 0, :side, :], each[..., side, :], each[..., -1, side + 1:, :]], -2)
            return Evaluation(None, frames.flatten(-2))

        return self.window.plan(self.windows(x), level).then(fold)


@dataclass
class Blanket(Trained):
    """SDA: windows of five frames, all frames at once, the history as a measurement."""

    name: str = "SDA's blanket, all at once"
    starts: int = 8
    horizon: int = 16
    calls: int = 48
    corrections: int = 1

    @property
    def frames(self) -> int:
        return 5

    def training(self, task: Task, states: States, seed: int) -> Training:
        unit = Gaussian(torch.zeros(states.layout.size), torch.ones(states.layout.size))
        return replace(super().training(task, states, seed), kind=Denoiser, gaussian=unit, given=())

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        since = time.process_time()
        starts, horizon = min(len(question.truth), self.starts), min(question.horizon, self.horizon)
        known = question.history[:starts].expand(starts, question.members, *question.history.shape[2:]).flatten(0, 1)
        layout = self.model.layout
        grown = layout.grown("u", length=max(known.shape[1] + horizon, self.frames))
        loc, scale = layout.loc[0].float(), layout.scale[0].float()
        told = (known.float().flatten(1) - loc) / scale
        energy = Tweedie(Folded(self.model.energy, grown["u"], self.frames),
                         Residual(lambda x: x[..., : told.shape[-1]] - told, KNOWN, GAMMA**0.5))
        walk = HMC(lambda s: 0.5 * s, 1, False, self.corrections) if self.corrections else None
        sampler, seeds = Multistep(karras(self.calls, 0.01, 80.0), walk), torch.arange(len(told)) + 2**20 * (seed + 1)
        x = sampler(energy, sampler.start(len(told), grown.size, seeds).float(), seeds)
        x = energy.mean(x, sampler.levels[-1]).detach()
        frames = grown.unpack(x)["u"][:, known.shape[1]: known.shape[1] + horizon]
        found = frames.unflatten(0, (starts, question.members)).transpose(0, 1)
        return Drawn(found, self.calls * (1 + 2 * self.corrections) / horizon, time.process_time() - since)


@dataclass
class AllAtOnce(Ancestral):
    """Windows less overlaps of the prior's exact Gaussian, all frames at once, the history by moment matching.

    A roll-out is drawn without its history, which is long forgotten.
    """

    name: str = "ours, all at once"
    starts: int = 4
    horizon: int = 16
    calls: int = 40

    def answers(self, question: Question) -> bool:
        return True

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        since, sampler = time.process_time(), Heun(karras(self.calls).float())
        starts, known = min(len(question.truth), self.starts), question.history.shape[2]
        seeds = torch.arange(question.members) + 2**20 * (seed + 1)
        if question.members == 1:
            problem, seeds = self._problem(question.horizon), torch.arange(len(question.truth)) + 2**20 * (seed + 1)
            x = sampler(problem.prior, sampler.start(len(seeds), problem.size, seeds), seeds)
            frames = problem.layout.unpack(x)["u"][:, : question.horizon]
            return Drawn(frames[None], 0, time.process_time() - since)
        horizon, frames = min(question.horizon, self.horizon), []
        problem = self._problem(known + horizon)
        noise = 1e-3 * float(self.model.layout.scale[0])
        for start in range(starts):
            told = question.history[start, 0].float().flatten()
            found = invert(problem, Entries("u", slice(known)), told, noise, sampler, question.members,
                           seeds + 1000 * start, progress=False)
            frames.append(torch.as_tensor(found.samples["u"].values)[:, known: known + horizon])
        return Drawn(torch.stack(frames, 1), 0, time.process_time() - since)

    def _problem(self, frames: int) -> Problem:
        """Of a state of so many frames, and as many more as windows end with."""
        layout = self.model.layout
        length = layout.variables["u"].shape[0]
        overlap = length // 2
        windows = max(-(-(frames - overlap) // (length - overlap)), 1)
        grown = layout.grown("u", length=overlap + windows * (length - overlap))
        return Problem(grown, chain(self.model.energy.data, grown, overlap))
