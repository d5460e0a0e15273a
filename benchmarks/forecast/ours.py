"""Our row: a prior of windows, drawn window after window, each given the clean end of the last."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

import sciencegen as sg
from sciencegen.priors import Denoiser, Model, zoo
from sciencegen.recipe import Recipe
from sciencegen.sample import Sampler
from sciencegen.states import States, local, markov
from sciencegen.symmetries import Shift
from sciencegen.train import Training, train
from sciencegen.train.windows import suit

from ..common import whole
from .networks import steps_for
from .task import Drawn, Question, Row, Task

__all__ = ["Ancestral"]

FEWEST = 5  # trajectories of which some may be held out


@dataclass
class Ancestral(Row):
    """``sg.forecast`` as it is, with what the model says of how it is drawn.

    The prior is the task's shipped one; where it has none, one of the task's windows is trained as a user does it, by
    ``sg.train`` with all it chooses by itself, for as many steps as fit in the task's seconds. From fewer trajectories
    than can be held out it is a Gaussian alone.

    Arguments:
        name: in the table.
        sampler: of a window; the model's own unless given.
    """

    name: str = "ours, ancestral"
    sampler: Sampler | None = None
    starts: int = 10**6
    horizon: int = 10**6

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        path = out / f"ours.{seed}"
        if task.zoo:
            self.model = zoo(task.zoo)
        elif (path / "model").is_dir():
            self.model = Model.load(path / "model")
        else:
            self.model = trained(task, seed, path)
        facts = self.model.training
        took = path / "facts.json"
        cost = json.loads(took.read_text())["training"] if took.is_file() else facts.get("seconds", 0.0)
        return {"training": cost, "steps": facts.get("steps"), "gaussian": facts.get("gaussian"),
                "parameters": sum(p.numel() for p in self.model.energy.net.parameters())}

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        starts, horizon = min(len(question.truth), self.starts), min(question.horizon, self.horizon)
        since = time.process_time()
        found = sg.forecast(self.model, question.history[:starts].float(), horizon, question.members,
                            task.known, sampler=self.sampler, seeds=torch.arange(question.members) + 2**20 * (seed + 1),
                            progress=False)
        frames = torch.as_tensor(found.frames["u"].values).transpose(0, 1)
        return Drawn(frames, found.nfev / horizon, time.process_time() - since)


def trained(task: Task, seed: int, path: Path) -> Model:
    """A prior of the task's own trajectories."""
    shifts, data, parts = (Shift(("x", "y")[: len(task.space)]),), task.dataset(), ["u", *task.known]
    if len(task.train) >= FEWEST:
        states = States(data, parts, length=task.window, symmetries=shifts, seed=seed)
        facts = path / "facts.json"
        if not facts.is_file():
            steps, each = steps_for(states, suit(states, Training(gaussian=markov(states))), task.seconds)
            path.mkdir(parents=True, exist_ok=True)
            whole(facts, lambda new: new.write_text(json.dumps({"steps": steps, "training": steps * each})))
        how = Training(steps=json.loads(facts.read_text())["steps"], seed=seed)
        return train(states, how, path, progress=False)
    states = States(data, parts, length=task.window, symmetries=shifts, split=(1.0, 0.0, 0.0))
    recipe = Recipe("sciencegen.nets.zero.Zero", {"scalar": False})
    return Model(states.layout, Denoiser(recipe.build(), local(states)), recipe,
                 training={"gaussian": "local operator", "steps": 0})
