"""Rows of trained networks, all by the package's loop and ``sg.forecast``, with one network and one budget.

The network is the package's residual one, of equal width; its state is a pair of frames. The rivals' Gaussian is a step
of persistence: the next frame is the last one and an increment of one variance, which is what the field trains. A
network is trained for as many steps as fit in its CPU seconds, which a few steps are timed for.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import sciencegen as sg
from sciencegen.exact import Gaussian
from sciencegen.priors import Denoiser, Model, Stepper
from sciencegen.priors.contexts import Context
from sciencegen.recipe import Recipe
from sciencegen.sample import Multistep, Sampler, karras
from sciencegen.states import States
from sciencegen.train import Levels, Training
from sciencegen.train.fit import fit

from ..common import whole
from .task import Drawn, Question, Row, Task

__all__ = ["Autoregressive", "Trained", "increments", "network", "slug", "step_of", "steps_for", "windows"]

TIMED = 12
BATCH = 64


@dataclass
class Trained(Row):
    """A next-frame network, a call a frame.

    Arguments:
        name: in the table.
        members: of a row in training: 1 for the squared error, 2 for the CRPS.
        vector: numbers of a global noise vector, 0 for noise as channels.
        blur: largest noise on the known frame in training, in deviations of the field.
        dropout: that stays on when frames are drawn.
        share: of the task's CPU seconds in which it is trained.
    """

    name: str
    members: int = 1
    vector: int = 0
    blur: float = 0.0
    dropout: float = 0.0
    share: float = 1.0
    starts: int = 64

    def training(self, task: Task, states: States, seed: int) -> Training:
        """How it is trained, but for how long."""
        net = network(states, task.width, patch=task.patch, vector=self.vector, dropout=self.dropout)
        kind = partial(Stepper, members=self.members, vector=self.vector, context=Context(self.blur))
        return Training(kind=kind, net=net, gaussian=increments(states), given=((("u", 1), *task.known),), batch=BATCH,
                        seed=seed, gated=False)

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        path = out / f"{slug(self.name)}.{seed}"
        path.mkdir(parents=True, exist_ok=True)
        states, facts = windows(task, seed, self.frames), path / "facts.json"
        how = self.training(task, states, seed)
        if not facts.is_file():
            steps, each = steps_for(states, how, self.share * task.seconds)
            whole(facts, lambda new: new.write_text(json.dumps({"steps": steps, "training": steps * each})))
        known = json.loads(facts.read_text())
        self.model = Model.load(path / "model") if (path / "model").is_dir() else fitted(
            states, replace(how, steps=known["steps"]), path)
        return {**known, "parameters": sum(p.numel() for p in self.model.energy.net.parameters())}

    @property
    def frames(self) -> int:
        """Frames of a window."""
        return 2

    def sampler(self) -> Sampler | None:
        """Of a frame; None where nothing is sampled."""
        return None

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        starts, horizon = min(len(question.truth), self.starts), min(question.horizon, self.horizon)
        self.model.energy.net.train(self.dropout > 0)
        torch.manual_seed(seed)
        since = time.process_time()
        found = sg.forecast(self.model, question.history[:starts].float(), horizon, question.members, task.known,
                            sampler=self.sampler(), progress=False,
                            seeds=torch.arange(question.members) + 2**20 * (seed + 1))
        frames = torch.as_tensor(found.frames["u"].values).transpose(0, 1)
        return Drawn(frames, found.nfev / horizon, time.process_time() - since)


@dataclass
class Autoregressive(Trained):
    """A diffusion model of the next frame, walked anew for each: EDM's preconditioning and noise levels.

    "Benchmarking Autoregressive Conditional Diffusion Models for Turbulent Flow Simulation" (Kohl et al., 2023),
    https://arxiv.org/abs/2309.01745; levels as "Elucidating the Design Space of Diffusion-Based Generative Models"
    (Karras et al., 2022), https://arxiv.org/abs/2206.00364, in units of the increment.
    """

    name: str = "EDM, autoregressive"
    starts: int = 16
    calls: int = 12

    def training(self, task: Task, states: States, seed: int) -> Training:
        self.unit = step_of(states)
        levels = Levels(0.004 * self.unit, 160 * self.unit, 0.6 * self.unit, 1.2)
        return replace(super().training(task, states, seed), kind=Denoiser, shares=(0.0, 1.0), levels=levels)

    def sampler(self) -> Sampler:
        return Multistep(karras(self.calls, 0.004 * self.unit, 80 * self.unit))


def windows(task: Task, seed: int, frames: int = 2) -> States:
    """Windows of the task's trajectories."""
    return States(task.dataset(), ["u", *task.known], length=frames, seed=seed)


def step_of(states: States) -> float:
    """The deviation of the increment from a frame to the next, in units of the layout."""
    rows = states.train.some(list(range(0, len(states.train), max(len(states.train) // 2000, 1))))
    before, after = rows[:, states.layout["u"].index.flatten(1)][:, :2].unbind(1)
    return float((after - before).square().mean().sqrt())


def increments(states: States) -> Gaussian:
    """A step of persistence: the second frame is the first and an increment of one variance, alike at all places."""
    (before, after), cov = states.layout["u"].index.flatten(1), torch.eye(states.layout.size)
    cov[before, after] = cov[after, before] = 1.0
    cov[after, after] += step_of(states) ** 2
    return Gaussian(torch.zeros(states.layout.size), cov)


def network(states: States, width: int, **more: Any) -> Recipe:
    """The residual network of a window whose axes in space are all periodic."""
    shapes = [list(variable.shape) for variable in states.layout.variables.values()]
    grid = shapes[0][1:]
    return Recipe("sciencegen.nets.residual.FieldResNet", {
        "shapes": shapes, "axes": [[-1] * (len(shape) - len(grid)) + [*range(len(grid))] for shape in shapes],
        "grid": grid, "periodic": [True] * len(grid), "width": width, "kernel": 5 if len(grid) == 1 else 3, **more})


def fitted(states: States, how: Training, path: Path) -> Model:
    """The network after its steps, whatever it is worth beside its Gaussian; goes on where it was stopped."""
    marginals, given = how.views(states.layout)
    torch.manual_seed(how.seed)
    prior = how.kind(how.net.build(), how.gaussian, marginals, how.levels.low, given)
    found = fit(prior, states.train, path, how.steps, held_out=states.valid, batch=how.batch, levels=how.levels,
                shares=how.shares, seed=how.seed)
    model = Model(states.layout, found.prior, how.net, training={"steps": how.steps})
    model.save(path / "model")
    return model


def steps_for(states: States, how: Training, seconds: float) -> tuple[int, float]:
    """How many steps of a training fit in CPU ``seconds``, and what one takes."""
    marginals, given = how.views(states.layout)
    prior = how.kind(how.net.build(), how.gaussian, marginals, how.levels.low, given)
    more = {"batch": how.batch, "levels": how.levels, "shares": how.shares, "progress": False}
    with tempfile.TemporaryDirectory() as directory:
        fit(prior, states.train, directory, 2, **more)
        since = time.process_time()
        fit(prior, states.train, directory, 2 + TIMED, **more)
        each = (time.process_time() - since) / TIMED
    return max(int(seconds / each), 1), each


def slug(name: str) -> str:
    """A name as one of a file."""
    return "".join(c if c.isalnum() else "_" for c in name)
