r"""Training: denoising score matching that gives one result however often it is stopped and wherever it is run.

Minimises the mean of ``energy.loss(clean, sigma, noise)``, the denoising error of "A Connection Between Score Matching
and Denoising Autoencoders" (Vincent, 2011), https://doi.org/10.1162/NECO_a_00142, over rows, noise levels and, for an
energy with marginals, over the joint and its parts. What a step sees (:mod:`sciencegen.train.plan`) depends on the seed
and the step alone, so that a resumed run repeats an uninterrupted one bit by bit and ranks that share a batch add up to
the gradient of one process. What is returned are the weights averaged over a window that grows with the run:
"Analyzing and Improving the Training Dynamics of Diffusion Models" (Karras et al., 2024),
https://arxiv.org/abs/2312.02696, section 3.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
import xarray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ..priors import Prior
from .plan import Levels, Plan
from .run import Run

__all__ = ["Levels", "Trained", "fit"]

_USUAL = Levels()


@dataclass(frozen=True)
class Trained:
    """What :func:`fit` returns: the energy with averaged weights, and ``loss, rate, norm, seconds`` over ``step``."""

    energy: Prior
    history: xarray.Dataset


def fit(energy: Prior, data: Tensor | Dataset, directory: str | os.PathLike, steps: int, *, batch: int = 256,
        rate: float = 2e-3, warmup: int | None = None, ema: float = 0.999, clip: float = 1.0, decay: float = 0.0,
        levels: Levels = _USUAL, shares: Sequence[float] | None = None, precision: torch.dtype | None = None,
        seed: int = 0, every: int = 1000, workers: int = 0, progress: bool = True) -> Trained:
    """Train a copy of a Denoiser or an EnergyNet; ``energy`` itself is left as it was.

    Resumes by itself from ``directory/checkpoint.pt``. An interrupt (Ctrl-C, SIGTERM) lets the step end, writes the
    checkpoint, then acts. Under ``torchrun`` every rank takes its part of each batch (gloo, on CUDA nccl); the
    directory must be shared.

    Arguments:
        energy: on the device and in the dtype to train in.
        data: packed states ``(N, n)``, or a map-style dataset of rows ``(n,)``.
        directory: where the checkpoint is kept; made if missing.
        steps: of the optimiser (AdamW) in total, those before a resume included.
        batch: rows per step, over all ranks.
        rate: highest learning rate: linear over ``warmup`` steps (a 50th of all), then a cosine to zero.
        ema: averaging of the weights, by a factor that rises from 0.1 to this.
        clip: largest norm of a step's gradient; ``math.inf`` for none.
        decay: weight decay.
        levels: noise levels.
        shares: of rows for the joint and each of the energy's marginals; half for the joint unless given.
        precision: ``torch.bfloat16`` runs the network, and it alone, under autocast.
        seed: of everything drawn here (the network's weights are drawn where it is made).
        every: steps between checkpoints.
        workers: processes that read a dataset.
        progress: show a bar where there is a terminal.

    Raises:
        ValueError: unusable arguments; a checkpoint that is damaged or of another training (it is left alone).
        FloatingPointError: loss or gradient are not finite; the checkpoint is from before.
        KeyboardInterrupt: was interrupted; call again to go on.
    """
    plan = Plan(len(data), steps, batch, rate, max(steps // 50, 1) if warmup is None else warmup, ema, clip, decay,
                levels, _shares(energy, shares), None if precision is None else str(precision), seed)
    rank, world, device = _ranks(next(energy.parameters()).device)
    run = Run(copy.deepcopy(energy).to(device), plan, rank, world, Path(directory) / "checkpoint.pt")
    run.resume()
    with _interrupts() as came:
        stopped = _loop(run, _rows(run, data, workers), precision, every, progress and rank == 0, came)
    if stopped or came:  # the handlers of before are back
        signal.raise_signal(came[0] if came else signal.SIGINT)
        raise KeyboardInterrupt(f"stopped at step {run.step}; call fit again to go on")
    run.wait()
    return Trained(run.averaged(), xarray.Dataset({k: ("step", v) for k, v in run.history().items()}))


def _loop(run: Run, rows: Iterator[Tensor], precision: torch.dtype | None, every: int, show: bool,
          came: Sequence[int]) -> bool:
    """Advance to the end, or until an interrupt came on some rank: then True."""
    devices = [run.device] if run.device.type == "cuda" else []
    with tqdm(total=run.plan.steps, initial=run.step, desc="fit", disable=None if show else True) as bar, \
            torch.random.fork_rng(devices, device_type="cuda"):
        for batch in rows:
            stopped = run.advance(batch, precision, bool(came))
            bar.update()
            if run.step % 20 == 0 and not bar.disable:
                bar.set_postfix(run.recent(), refresh=False)
            if stopped or run.step % every == 0 or run.step == run.plan.steps:
                run.save()
            if stopped:
                return True
    return False


def _rows(run: Run, data: Tensor | Dataset, workers: int) -> Iterator[Tensor]:
    order = run.plan.order(run.places, run.step)
    if isinstance(data, Tensor):
        return (data[rows.to(data.device)] for rows in order)
    return iter(DataLoader(data, batch_sampler=(rows.tolist() for rows in order), num_workers=workers))


def _shares(energy: Prior, shares: Sequence[float] | None) -> tuple[float, ...]:
    parts = energy.parts - 1
    if shares is None:
        return (0.5, *[0.5 / parts] * parts) if parts else (1.0,)
    if len(shares) != 1 + parts or min(shares) < 0 or not sum(shares) > 0:
        raise ValueError(f"got shares {list(shares)}; expected {1 + parts} numbers >= 0, the joint's and one for "
                         f"each of the {parts} parts that the energy is to know")
    return tuple(float(s) for s in shares)


def _ranks(device: torch.device) -> tuple[int, int, torch.device]:
    """This process's rank, their number and its device; joins the others if torchrun started it and nobody has yet."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(_leave)  # not after each fit: joining a second time through the same store can hang
    if not distributed.is_initialized():
        return 0, 1, device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return distributed.get_rank(), distributed.get_world_size(), device


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Signals that came, kept until the block ends so that no step is cut in two; the second one acts at once."""
    came: list[int] = []

    def keep(number: int, frame: Any) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    previous = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    with contextlib.suppress(ValueError):  # raised outside the main thread, which gets the signals
        for number, handler in previous.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, keep)
    try:
        yield came
    finally:
        with contextlib.suppress(ValueError):
            for number, handler in previous.items():
                signal.signal(number, handler)
