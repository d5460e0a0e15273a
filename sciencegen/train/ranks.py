"""Processes that share a training, and the signals that interrupt it.

Gradients are summed over ranks here and not by DistributedDataParallel, whose hooks expect one backward pass per step:
the score of an EnergyNet is a gradient itself, so that its loss runs two.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor

__all__ = ["Ranks", "interrupts"]


@dataclass(frozen=True)
class Ranks:
    """This process among those that share each batch: its ``rank``, their number ``world``, its ``device``."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def join(cls, device: torch.device) -> Ranks:
        """Join the others if torchrun started this process and nobody has joined yet."""
        if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not distributed.is_initialized():
            distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(_leave)  # not after each fit: joining a second time through the same store can hang
        if not distributed.is_initialized():
            return cls(0, 1, device)
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        return cls(distributed.get_rank(), distributed.get_world_size(), device)

    def places(self, batch: int) -> Tensor:
        """The places of a batch that are this rank's; ValueError if some rank has none."""
        if batch < self.world:
            raise ValueError(f"got a batch of {batch} rows for {self.world} processes; expected one row each or more")
        return torch.arange(batch).tensor_split(self.world)[self.rank]

    def first(self, tensors: Sequence[Tensor]) -> None:
        """Give all ranks the tensors of rank 0."""
        for tensor in tensors if self.world > 1 else ():
            distributed.broadcast(tensor, 0)

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums over all ranks, of the same shapes."""
        if self.world == 1:
            return list(tensors)
        flat = torch.cat([t.reshape(-1) for t in tensors])
        distributed.all_reduce(flat)
        return [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors)]

    def wait(self) -> None:
        """Return when every rank is here, so that nobody reads what rank 0 has not written yet."""
        self.total([torch.zeros(1, device=self.device)])


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
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
