"""Our row: the shipped prior of windows, drawn window after window, each given the clean end of the last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

import sciencegen as sg
from sciencegen.priors import Model, zoo
from sciencegen.sample import Sampler

from .task import Drawn, Question, Row, Task

__all__ = ["Ancestral"]


@dataclass
class Ancestral(Row):
    """``sg.forecast`` as it is, with what the model says of how it is drawn.

    Arguments:
        name: in the table.
        directory: of the model; the task's shipped one unless given.
        sampler: of a window; the model's own unless given.
    """

    name: str = "ours, ancestral"
    directory: str = ""
    sampler: Sampler | None = None
    starts: int = 10**6
    horizon: int = 10**6

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        self.model = Model.load(self.directory) if self.directory else zoo(task.zoo)
        facts = self.model.training
        return {"training": facts.get("cpu_seconds", facts.get("seconds")), "steps": facts.get("steps"),
                "parameters": sum(p.numel() for p in self.model.energy.net.parameters())}

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        starts, horizon = min(len(question.truth), self.starts), min(question.horizon, self.horizon)
        since = time.process_time()
        found = sg.forecast(self.model, question.history[:starts].float(), horizon, question.members,
                            sampler=self.sampler, seeds=torch.arange(question.members) + 2**20 * (seed + 1),
                            progress=False)
        frames = torch.as_tensor(found.frames["u"].values).transpose(0, 1)
        return Drawn(frames, found.nfev / horizon, time.process_time() - since)
