"""A training under way on one rank: prior, averaged weights, optimisers and record; and one step of it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..priors.base import Prior
from .ranks import Ranks
from .schedule import Schedule

__all__ = ["TrainingState", "autocast"]


class TrainingState:
    """Everything of a training that changes with its steps.

    Arguments:
        prior: trained in place, on this rank's device.
        schedule: what each step sees.
        ranks: the processes that share a batch.

    Attributes:
        averages: the averaged weights, in the order of :attr:`parameters`.
        record: loss, norm of the gradient and seconds since the start of each step.
        looks: ``(step, held-out loss)`` of the averaged weights.
        best: the averaged weights of the lowest held-out loss so far.
    """

    def __init__(self, prior: Prior, schedule: Schedule, ranks: Ranks) -> None:
        self.prior, self.schedule, self.ranks = prior.train(), schedule, ranks
        self.places = ranks.places(schedule.batch)
        self.groups = [[p for p in group if p.requires_grad] for group in prior.groups()]
        self.parameters = [p for group in self.groups for p in group]
        ranks.first([*prior.state_dict().values()])
        self.averages = [p.detach().clone() for p in self.parameters]
        self.optimizers = [torch.optim.AdamW(group, betas=(0.9, 0.99), weight_decay=schedule.decay,
                                             fused=ranks.device.type in ("cpu", "cuda")) for group in self.groups]
        self.step = 0
        self.record: list[tuple[float, float, float]] = []
        self.looks: list[tuple[int, float]] = []
        self.best: list[Tensor] = []
        self.start = time.perf_counter()

    def advance(self, rows: Tensor, precision: torch.dtype | None = None, votes: Sequence[bool] = ()) -> list[bool]:
        """One step of the optimisers on this rank's ``rows (b, n)``; for each vote, whether any rank says yes."""
        if rows.shape != (len(self.places), self.prior.size):
            raise ValueError(f"got rows of shape {tuple(rows.shape)}; expected {(len(self.places), self.prior.size)}: "
                             f"{self.prior.size} numbers in a state")
        torch.manual_seed(hash((self.schedule.seed, self.step, self.ranks.rank)))  # for networks with dropout
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss = self.loss(rows.to(self.ranks.device, self.parameters[0].dtype), precision)
        loss.backward()
        loss, said = self._share(loss.detach(), votes)
        norm = math.hypot(*(float(nn.utils.clip_grad_norm_(group, self.schedule.clip)) for group in self.groups))
        if not math.isfinite(loss + norm):
            raise FloatingPointError(f"got a loss of {loss} and a gradient of norm {norm} at step {self.step}; lower "
                                     "the rate, raise levels.low, or look for data that are not finite")
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = float(self.schedule.rate_at(self.step))
            optimizer.step()
        average = get_ema_multi_avg_fn(self.schedule.keep_at(self.step))
        average(self.averages, [p.detach() for p in self.parameters], None)
        self.record.append((loss, norm, self.seconds))
        self.step += 1
        return said

    def loss(self, clean: Tensor, precision: torch.dtype | None = None) -> Tensor:
        """This rank's share ``()`` of the batch's mean loss, by one call of each network."""
        draw = self.schedule.draw(self.step, self.places.to(self.ranks.device))
        draw = draw._replace(sigma=draw.sigma.to(clean), noise=draw.noise.to(clean), uniform=draw.uniform.to(clean))
        with autocast(self.prior.networks(), precision):
            return self.prior.plan_loss(clean, draw).run().sum() / self.schedule.batch

    def _share(self, loss: Tensor, votes: Sequence[bool]) -> tuple[float, list[bool]]:
        """Gradients, loss and votes summed over all ranks."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        *grads, loss, said = self.ranks.total([*grads, loss, loss.new_tensor([float(vote) for vote in votes])])
        for p, grad in zip(self.parameters, grads):
            p.grad = grad
        return float(loss), [bool(count) for count in said]

    @property
    def seconds(self) -> float:
        """How long all steps took, those before a resume included."""
        return time.perf_counter() - self.start

    def look(self, held: Callable[[Prior], float]) -> None:
        """Score the averaged weights on held-out rows, and remember them if none were better."""
        if self.looks and self.looks[-1][0] == self.step:
            return
        with self.having(self.averages) as prior:
            score = held(prior)
        if all(score < other for _, other in self.looks):
            self.best = [p.clone() for p in self.averages]
        self.looks.append((self.step, score))

    @contextlib.contextmanager
    def having(self, weights: Sequence[Tensor]) -> Iterator[Prior]:
        """The prior with these weights, for evaluation; its own are back afterwards."""
        own = [p.detach().clone() for p in self.parameters]
        self._put(weights)
        try:
            yield self.prior.eval()
        finally:
            self._put(own)
            self.prior.train()

    def finished(self) -> Prior:
        """The prior with the best weights, or the averaged ones where nothing was held out; ends the training."""
        self._put(self.best or self.averages)
        return self.prior.eval()

    def _put(self, weights: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for p, value in zip(self.parameters, weights):
                p.copy_(value)

    def history(self) -> dict[str, Any]:
        """Arrays over the steps: loss, learning rate, norm of the gradient before clipping, seconds since the start."""
        loss, norm, seconds = torch.tensor(self.record, dtype=torch.float64).reshape(-1, 3).T.numpy()
        return {"loss": loss, "rate": self.schedule.rate_at(torch.arange(self.step)).numpy(), "norm": norm,
                "seconds": seconds}


@contextlib.contextmanager
def autocast(networks: Iterable[nn.Module], precision: torch.dtype | None) -> Iterator[None]:
    """A context in which networks, and they alone, run under autocast; their outputs have their input's dtype.

    Rounding the Gaussian part of an energy to 8 bits would drown small noise levels.
    """
    found = list(networks) if precision is not None else []
    for net in found:
        net.forward = _wrapped(net.forward, precision)
    try:
        yield
    finally:
        for net in found:
            net.__dict__.pop("forward", None)


def _wrapped(forward: Callable[..., Any], precision: torch.dtype) -> Callable[..., Any]:
    def call(*inputs: Tensor) -> Any:
        with torch.autocast(inputs[0].device.type, precision):
            out = forward(*inputs)
        return out.to(inputs[0]) if isinstance(out, Tensor) else tuple(v.to(inputs[0]) for v in out)
    return call
