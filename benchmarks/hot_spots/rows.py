"""The rows: what forecasts the fields of a run from its start, and what says only how much burns."""

from __future__ import annotations

import abc
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray
from scipy import ndimage
from torch import Tensor

import sciencegen as sg
from sciencegen.exact import Gaussian
from sciencegen.nets.rates import March, Rates
from sciencegen.priors import Stepper
from sciencegen.priors.contexts import Context
from sciencegen.states import States
from sciencegen.tasks import Problem
from sciencegen.train.fit import fit
from sciencegen.train.recipe import together

from ..common import whole
from .data import FRAMES, PARTS, Question

__all__ = ["Learned", "Persistence", "Regression", "Row", "Told", "slug"]

BATCH, TIMED, NOISE = 4, 8, 0.02
Runs = Mapping[str, Tensor]


class Told(NamedTuple):
    """An answer: fields of 40 frames, or shares that have burnt alone; and the CPU seconds of all of it."""

    fields: dict[str, Tensor]
    burnt: Tensor | None
    seconds: float


class Row(abc.ABC):
    """A way to say what a load does to a microstructure; ``name`` in the table."""

    name: str

    @abc.abstractmethod
    def ready(self, question: Question, seconds: float, seed: int, out: Path) -> dict[str, Any]:
        """Learn what is to be learned in CPU seconds, and say what it took."""

    @abc.abstractmethod
    def tell(self, runs: Runs) -> Told:
        """The rest of runs of which the first frame, the microstructure and the load are looked at."""


class Persistence(Row):
    """Nothing happens after the start."""

    name = "persistence"

    def ready(self, question: Question, seconds: float, seed: int, out: Path) -> dict[str, Any]:
        return {}

    def tell(self, runs: Runs) -> Told:
        return Told({k: runs[k][:, :1].expand(-1, FRAMES, -1, -1) for k in ("temperature", "burnt")}, None, 0.0)


class Regression(Row):
    """The burnt share as a quadratic of load, porosity and the voids' mean radius, least squares."""

    name = "regression on load, porosity, radius"

    def ready(self, question: Question, seconds: float, seed: int, out: Path) -> dict[str, Any]:
        runs = question.train.all()
        burnt = question.train.system.judged(*(runs[k][:, 1:] for k in PARTS[:2]), runs["microstructure"])["burnt"]
        self.weights = np.linalg.lstsq(features(runs), burnt.double().numpy(), rcond=None)[0]
        return {"parameters": len(self.weights)}

    def tell(self, runs: Runs) -> Told:
        return Told({}, torch.from_numpy(features(runs) @ self.weights).float().clamp(0, 1), 0.0)


def features(runs: Runs) -> np.ndarray:
    """One, the three numbers, and their products, ``(N, 10)``."""
    voids = [ndimage.label(np.tile(image < 0.5, (2, 2)))[1] / 4 for image in runs["microstructure"].numpy()]
    porosity = 1 - runs["microstructure"].mean((1, 2)).double().numpy()
    area = porosity * runs["microstructure"][0].numel()
    three = [runs["load"].double().numpy(), porosity, np.sqrt(area / (math.pi * np.maximum(voids, 1)))]
    return np.stack([np.ones_like(porosity), *three, *(three[i] * three[j] for i in range(3) for j in range(i, 3))], 1)


@dataclass
class Learned(Row):
    """A step from frame to frame, trained on roll-outs of two, and rolled out by ``sg.forecast``.

    Arguments:
        name: in the table.
        step: makes its network from the numbers of fields, of fields that stay, and of numbers.
        parts: of the state that it is told.
        rate: of training.
    """

    name: str
    step: Any
    parts: tuple[str, ...] = PARTS
    rate: float = 2e-3
    problem: Problem | None = field(default=None, init=False)

    def ready(self, question: Question, seconds: float, seed: int, out: Path) -> dict[str, Any]:
        states, path = question.states(out, self.parts), out / f"{slug(self.name)}.{seed}"
        prior, facts = self.prior(states, seed), path / "facts.json"
        path.mkdir(parents=True, exist_ok=True)
        if not facts.is_file():
            each = timed(prior, states, self.rate)
            found = {"steps": max(int(seconds / each), 1), "training": seconds}
            whole(facts, lambda new: new.write_text(json.dumps(found)))
        known = json.loads(facts.read_text())
        trained = fit(prior, states.train, path, known["steps"], batch=BATCH, rate=self.rate,
                      steady=max(known["steps"] // 2, 1), shares=(0.0, 1.0), seed=seed)
        self.problem = Problem(states.layout, trained.prior.eval())
        return {**known, "parameters": sum(p.numel() for p in prior.parameters()),
                "diffusivity": diffusivity(trained.prior)}

    def prior(self, states: States, seed: int) -> Stepper:
        """An untrained one."""
        torch.manual_seed(seed)
        layout = states.layout
        shapes = [variable.shape for variable in layout.variables.values()]
        step = self.step(*(sum(len(shape) == axes for shape in shapes) for axes in (3, 2, 0)))
        flat = torch.zeros(layout.size)
        known = together(layout, tuple((k, 1) if k in PARTS[:2] else k for k in self.parts))
        return Stepper(March(shapes, step), Gaussian(flat, flat + 1), given=[known], context=Context(NOISE))

    def tell(self, runs: Runs) -> Told:
        since = time.process_time()
        some = [self.rolled({k: v[i : i + BATCH] for k, v in runs.items()}) for i in range(0, len(runs["load"]), BATCH)]
        fields = {k: torch.cat([part[k] for part in some]) for k in PARTS[:2]}
        return Told(fields, None, time.process_time() - since)

    def rolled(self, runs: Runs) -> dict[str, Tensor]:
        """The frames of a few runs, whose features then fit into a processor's cache."""
        dims = ("sample", "time", "y", "x")
        start = xarray.Dataset({k: (dims, runs[k][:, :1].numpy()) for k in PARTS[:2]})
        still = {k: runs[k].numpy() for k in self.parts[2:]}
        given = xarray.Dataset({k: (("sample", "y", "x")[: v.ndim], v) for k, v in still.items()})
        found = sg.forecast(self.problem, start, FRAMES, members=1, given=given, progress=False).frames
        return {k: torch.from_numpy(found[k].isel(member=0).transpose(*dims).values) for k in PARTS[:2]}


def diffusivity(prior: Stepper) -> list[float]:
    """What a learned rate takes for the diffusivities, in square pixels per frame; nothing of other steps."""
    step = prior.net.step
    return [round(v, 4) for v in step.diffusivity.tolist()] if isinstance(step, Rates) else []


def timed(prior: Stepper, states: States, rate: float) -> float:
    """CPU seconds of a step of training."""
    import tempfile

    more = {"batch": BATCH, "rate": rate, "shares": (0.0, 1.0), "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        fit(prior, states.train, folder, 2, **more)
        since = time.process_time()
        fit(prior, states.train, folder, 2 + TIMED, **more)
    return (time.process_time() - since) / TIMED


def rates(width: int = 24, modulated: bool = False) -> Any:
    """Makes our step: three a frame."""
    return lambda fields, still, numbers: Rates(fields, still, numbers, width, steps=3, modulated=modulated)


def slug(name: str) -> str:
    """A name as one of a file."""
    return "".join(c if c.isalnum() else "_" for c in name)
