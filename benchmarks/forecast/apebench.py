r"""F3: four equations of APEBench in one dimension, its data, its test set, its metric and its own network.

"APEBench: A Benchmark for Autoregressive Neural Emulators of PDEs" (Koehler et al., 2024),
https://arxiv.org/abs/2411.00180. Its package makes the data and trains its network in a process of its own, by an
interpreter in which it is installed; where there is none the task is left out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sciencegen.metrics import nrmse_apebench

from ..common import whole
from .task import Drawn, Question, Row, Task

__all__ = ["EQUATIONS", "Peer", "Published", "missing"]

EQUATIONS = {"F3 KS": "diff_ks", "F3 Burgers": "diff_burgers", "F3 KdV": "diff_kdv", "F3 advection": "diff_adv"}
SECONDS = 300.0  # CPU seconds that the peer's network takes for its 10,000 steps, as far as was seen
STEPS, FEW = 10_000, 50


@dataclass(frozen=True)
class Peer:
    """The interpreter in which APEBench is installed.

    Arguments:
        python: the program.
        folder: where its files are kept.
    """

    python: str
    folder: Path

    def made(self, name: str, *words: str) -> Mapping[str, np.ndarray]:
        """What a command of the peer's script writes, from its file where it was made before."""
        file = self.folder / f"{'-'.join(words)}.npz"
        script = Path(__file__).with_name("apebench_peer.py")
        if not file.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            verb, *more = words
            whole(file, lambda new: subprocess.run([self.python, "-I", script, verb, name, new, *more], check=True,
                                                   stdout=sys.stderr))
        return np.load(file)

    def task(self, label: str, quick: bool, seconds: float = SECONDS) -> Task:
        """50 trajectories of 51 frames; 30 starts, of which 200 frames are to be said."""
        name = EQUATIONS[label]
        data = {k: torch.as_tensor(v) for k, v in self.made(name, "data").items()}
        train, test = (data["train"][:8], data["test"][:4, :51]) if quick else (data["train"], data["test"])
        judge = partial(_scored, truth=test[:, 1:])
        question = Question("roll-out", test[:, None, :1], test[:, 1:], (), 1, judge=judge)
        title = f"APEBench's {name}"
        return Task(label, title, train, 1.0, (question,), seconds, 32, window=2,
                    published=(Published(self, name, quick),))


class Published(Row):
    """APEBench's convolutional network by its own training, whatever the seconds are in which others are trained."""

    name = "APEBench's network"

    def __init__(self, peer: Peer, name: str, quick: bool) -> None:
        self.peer, self.equation, self.steps = peer, name, FEW if quick else STEPS

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        found = self.peer.made(self.equation, "train", str(self.steps))
        self.frames = torch.as_tensor(found["frames"])
        return {"training": float(found["seconds"]), "parameters": int(found["parameters"])}

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        since, (starts, horizon) = time.process_time(), question.truth.shape[:2]
        return Drawn(self.frames[None, :starts, :horizon], 1, time.process_time() - since)


def missing(python: str) -> str:
    """Why APEBench cannot be run by an interpreter, in words; empty where it can."""
    try:
        found = subprocess.run([python, "-c", "import importlib.util as u; print(bool(u.find_spec('apebench')))"],
                               capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{python} cannot be run ({error.strerror})"
    return "" if found.stdout.strip() == "True" else f"{python} has no package apebench"


def _scored(frames: Tensor, truth: Tensor) -> dict[str, float]:
    """APEBench's nRMSE, the geometric mean over the first hundred frames, and that of single frames."""
    return {"nrmse": float(nrmse_apebench(frames.double(), truth.double()))}

