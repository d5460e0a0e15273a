"""The loop of a training: steps, looks at held-out rows, checkpoints, interrupts, and when to end."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray
from torch import Tensor
from torch.utils.data import Dataset

from ..priors.base import Prior
from .checkpoint import Checkpoint, digest
from .held_out import HeldOut
from .progress import Progress
from .ranks import Ranks, interrupts
from .rows import batches, some
from .schedule import Levels, Schedule
from .state import TrainingState

__all__ = ["Trained", "fit"]

_USUAL = Levels()
SAMPLE = 16  # rows by which data are known again


@dataclass(frozen=True)
class Trained:
    """What :func:`fit` returns.

    Attributes:
        prior: with its best weights, in evaluation mode.
        history: ``loss, rate, norm, seconds`` over ``step``, and ``held_out`` over ``look``, steps at which the
            averaged weights were scored.
        schedule: what each step saw.
    """

    prior: Prior
    history: xarray.Dataset
    schedule: Schedule

    @property
    def best(self) -> int:
        """The step of the weights that are returned."""
        if not self.history.sizes.get("look"):
            return self.history.sizes["step"]
        return int(self.history.look[int(self.history.held_out.values.argmin())])


def fit(prior: Prior, data: Tensor | Dataset, directory: str | os.PathLike, steps: int | None = None, *,
        minutes: float | None = None, held_out: Tensor | Dataset | None = None, batch: int = 256, rate: float = 2e-3,
        warmup: int = 50, steady: int = 200, window: float = 0.1, clip: float = 1.0, decay: float = 0.0,
        levels: Levels = _USUAL, shares: Sequence[float] | None = None, precision: torch.dtype | None = None,
        seed: int = 0, every: int = 250, workers: int = 0, facts: Mapping[str, Any] | None = None,
        progress: bool = True) -> Trained:
    """Train a copy of a prior by AdamW; ``prior`` itself is left as it was.

    Resumes by itself from ``directory/checkpoint``, and goes on from there where more steps or minutes are asked for
    than before: the result is, bit by bit, that of one long training. An interrupt (Ctrl-C, SIGTERM) lets the step end,
    writes the checkpoint, then acts. Under ``torchrun`` every rank takes its part of each batch (gloo, on CUDA nccl);
    the directory must be shared.

    Arguments:
        prior: on the device and in the dtype to train in.
        data: packed states ``(N, n)``, or a map-style dataset of rows ``(n,)``.
        directory: where the checkpoint is kept; made if missing.
        steps: in total, those before a resume included.
        minutes: in total, in the place of steps or as a limit beside them.
        held_out: rows by which the best averaged weights are chosen, those of the start among them.
        batch: rows per step, over all ranks.
        rate: highest learning rate: linear over ``warmup`` steps, constant for ``steady``, then as 1 / sqrt(step).
        window: share of the steps so far over which weights are averaged.
        clip: largest norm of a step's gradient; ``math.inf`` for none.
        decay: weight decay.
        levels: noise levels.
        shares: of rows for each of the prior's parts; half for the joint unless given.
        precision: ``torch.bfloat16`` runs the networks, and them alone, under autocast.
        seed: of everything drawn here (the network's weights are drawn where it is made).
        every: steps between checkpoints, and between looks at held-out rows.
        workers: processes that read a dataset.
        facts: further settings, JSON-ready, that must be the same for a checkpoint to be continued.
        progress: show a bar on a terminal, else a line a minute.

    Raises:
        ValueError, TypeError: unusable arguments; a checkpoint that is damaged or of another training (it is left
            alone).
        FloatingPointError: loss or gradient are not finite; the checkpoint is from before.
        KeyboardInterrupt: was interrupted; call again to go on.
    """
    steps, minutes = _ends(steps, minutes)
    schedule = Schedule(len(data), prior.size, batch, rate, warmup, steady, window, clip, decay, levels,
                        _shares(prior, shares), None if precision is None else str(precision), seed, every)
    ranks = Ranks.join(prior.groups()[0][0].device)
    held = None if held_out is None else HeldOut(held_out, schedule)
    known = {**_facts(prior, schedule, data, held), **(facts or {})}
    state = TrainingState(copy.deepcopy(prior).to(ranks.device), schedule, ranks)
    run = Run(state, Checkpoint(Path(directory) / "checkpoint", known), held, steps, minutes)
    run.resume()
    run.go(batches(data, schedule.order(state.places, state.step), workers), precision, progress)
    if held is not None:
        state.look(held)  # not in the checkpoint: a longer training would not have looked here
    ranks.wait()
    looks = {"held_out": ("look", [score for _, score in state.looks])}
    history = xarray.Dataset({**{k: ("step", v) for k, v in state.history().items()}, **looks},
                             {"look": [step for step, _ in state.looks]})
    return Trained(state.finished(), history, schedule)


@dataclass(frozen=True)
class Run:
    """A training from its checkpoint to its end."""

    state: TrainingState
    checkpoint: Checkpoint
    held: HeldOut | None
    steps: int | None
    minutes: float | None

    def resume(self) -> None:
        """Continue from the checkpoint; ValueError if it has more steps than are asked for."""
        self.checkpoint.resume(self.state)
        if self.steps is not None and self.state.step > self.steps:
            raise ValueError(f"got steps={self.steps} for {self.checkpoint.path}, which has {self.state.step}; "
                             "expected as many or more, to go on from there, or another directory")

    def go(self, rows: Any, precision: torch.dtype | None, progress: bool) -> None:
        """Advance to the end; KeyboardInterrupt, and the checkpoint written, if an interrupt came on some rank."""
        state, devices = self.state, [self.state.ranks.device] if self.state.ranks.device.type == "cuda" else []
        stopped, shown = False, Progress(state, self.steps, self.minutes, progress and state.ranks.rank == 0)
        with interrupts() as came, torch.random.fork_rng(devices, device_type="cuda"):
            late = bool(state.record) and self._late(state.record[-1][2])
            first = state.step
            while not (stopped or late or state.step == self.steps):
                if state.step % state.schedule.every == 0:
                    self._keep(first)
                stopped, late = state.advance(next(rows), precision, (bool(came), self._late(state.seconds)))
                shown()
            shown.close()
            if state.step > first:
                self.checkpoint.save(state)
        if stopped or came:  # the handlers of before are back
            signal.raise_signal(came[0] if came else signal.SIGINT)
            raise KeyboardInterrupt(f"stopped at step {state.step}; call fit again to go on")

    def _late(self, seconds: float) -> bool:
        return self.minutes is not None and seconds >= 60 * self.minutes

    def _keep(self, first: int) -> None:
        """Look at the held-out rows and write the checkpoint."""
        if self.held is not None:
            self.state.look(self.held)
        if self.state.step > first:
            self.checkpoint.save(self.state)


def _ends(steps: int | None, minutes: float | None) -> tuple[int | None, float | None]:
    if steps is None and minutes is None:
        raise ValueError("got neither steps nor minutes; expected one of them, or both: the first that is reached ends "
                         "the training")
    if (steps is not None and steps < 1) or (minutes is not None and not 0 < minutes < math.inf):
        raise ValueError(f"got steps={steps} and minutes={minutes}; expected at least one step, and more than 0 "
                         "minutes")
    return steps, minutes


def _shares(prior: Prior, shares: Sequence[float] | None) -> tuple[float, ...]:
    others = prior.parts - 1
    if shares is None:
        return (0.5, *[0.5 / others] * others) if others else (1.0,)
    if len(shares) != prior.parts or min(shares) < 0 or not sum(shares) > 0:
        raise ValueError(f"got shares {list(shares)}; expected {prior.parts} numbers >= 0, the joint's and one for "
                         f"each of the {others} other parts that the prior is to know")
    return tuple(float(s) for s in shares)


def _facts(prior: Prior, schedule: Schedule, data: Tensor | Dataset, held: HeldOut | None) -> dict[str, Any]:
    """What a training computes from, beside the Gaussian."""
    shapes = [[name, list(p.shape), str(p.dtype)] for name, p in prior.named_parameters()]
    return {**dataclasses.asdict(schedule), "prior": type(prior).__name__, **prior.config(), "parameters": shapes,
            "data": digest(some(data, min(SAMPLE, len(data)), prior.size)),
            "held_out": None if held is None else digest(held.rows)}
