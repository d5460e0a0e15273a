"""A training under way on one rank: its state, one step of it, and its checkpoint.

Gradients are summed over ranks here and not by DistributedDataParallel, whose hooks expect one backward pass per step:
the score of an EnergyNet is a gradient itself, so that its loss runs two.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..exact import Gaussian
from ..files import replacing
from ..priors import Prior
from .plan import Plan

__all__ = ["Run"]

_FORMAT = "sciencegen training checkpoint 1"


class Run:
    """Network, averaged network, optimiser, step and record (loss, norm, seconds) of one rank.

    Arguments:
        energy: trained in place, on this rank's device.
        plan: what each step sees.
        rank, world: this process and how many share a batch.
        path: the checkpoint.
    """

    def __init__(self, energy: Prior, plan: Plan, rank: int, world: int, path: Path) -> None:
        if plan.batch < world:
            raise ValueError(f"got a batch of {plan.batch} rows for {world} processes; expected one row each or more")
        self.energy, self.plan, self.rank, self.world, self.path = energy.train(), plan, rank, world, path
        self.device, self.size = next(energy.parameters()).device, energy.size
        self.places = torch.arange(plan.batch).tensor_split(world)[rank]
        self.parameters = [p for group in energy.groups() for p in group]
        if world > 1:
            for tensor in energy.state_dict().values():
                distributed.broadcast(tensor, 0)
        self.ema = AveragedModel(energy.net, multi_avg_fn=_averaging(plan.ema))
        self.optimizer = torch.optim.AdamW(self.parameters, betas=(0.9, 0.99), weight_decay=plan.decay,
                                           fused=self.device.type in ("cpu", "cuda"))
        self.step, self.record = 0, torch.full((plan.steps, 3), math.nan, dtype=torch.float64)
        self.start = time.perf_counter()

    def advance(self, rows: Tensor, precision: torch.dtype | None = None, stop: bool = False) -> bool:
        """One step of the optimiser on this rank's ``rows (b, n)``; True if any rank wants to ``stop``."""
        if rows.shape != (len(self.places), self.size):
            raise ValueError(f"got rows of shape {tuple(rows.shape)}; expected {(len(self.places), self.size)}: "
                             f"{self.size} numbers in a state")
        torch.manual_seed(hash((self.plan.seed, self.step, self.rank)))  # for networks with dropout
        self.optimizer.zero_grad()
        loss = self.loss(rows.to(self.device, self.parameters[0].dtype), precision)
        loss.backward()
        loss, stop = self._share(loss.detach(), stop)
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.plan.clip))
        if not math.isfinite(loss + norm):
            raise FloatingPointError(f"got a loss of {loss} and a gradient of norm {norm} at step {self.step}; lower "
                                     "the rate, raise levels.low, or look for data that are not finite")
        self.optimizer.param_groups[0]["lr"] = float(self.plan.rate_at(self.step))
        self.optimizer.step()
        self.ema.update_parameters(self.energy.net)
        self.record[self.step] = torch.tensor([loss, norm, time.perf_counter() - self.start])
        self.step += 1
        return stop

    def loss(self, clean: Tensor, precision: torch.dtype | None = None) -> Tensor:
        """This rank's share ``()`` of the batch's mean loss, over joint and marginals, by one call of the network."""
        draw = self.plan.draw(self.step, self.places.to(self.device), self.size)
        draw = draw._replace(sigma=draw.sigma.to(clean), noise=draw.noise.to(clean), uniform=draw.uniform.to(clean))
        with Autocast(self.energy.net, precision):
            return self.energy.plan_loss(clean, draw).run().sum() / self.plan.batch

    def _share(self, loss: Tensor, stop: bool) -> tuple[float, bool]:
        for p in self.parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        if self.world == 1:
            return float(loss), stop
        flat = torch.cat([*(p.grad.reshape(-1) for p in self.parameters), loss.reshape(1), loss.new_tensor([stop])])
        distributed.all_reduce(flat)
        for p, g in zip(self.parameters, flat[:-2].split([p.numel() for p in self.parameters])):
            p.grad.copy_(g.view_as(p))
        return float(flat[-2]), bool(flat[-1])

    def recent(self) -> dict[str, str]:
        """What the progress bar shows: the mean loss of the last 100 steps, and the rate."""
        loss = self.record[max(self.step - 100, 0): self.step, 0].mean()
        return {"loss": f"{float(loss):.4f}", "rate": f"{float(self.plan.rate_at(self.step)):.1e}"}

    def history(self) -> dict[str, Any]:
        """Arrays ``(steps,)``: loss, learning rate, norm of the gradient before clipping, seconds since the start."""
        loss, norm, seconds = self.record.T.numpy()
        rate = self.plan.rate_at(torch.arange(self.plan.steps)).numpy()
        return {"loss": loss, "rate": rate, "norm": norm, "seconds": seconds}

    def averaged(self) -> Prior:
        """The energy with its averaged weights; ends the training."""
        self.energy.net.load_state_dict(self.ema.module.state_dict())
        return self.energy.eval()

    def wait(self) -> None:
        """Return when every rank is here, so that nobody reads what rank 0 has not written yet."""
        if self.world > 1:
            distributed.all_reduce(torch.zeros((), device=self.device))

    def save(self) -> None:
        """Write the checkpoint under another name, then rename it, so that there is always a whole one; rank 0 only."""
        if self.rank:
            return
        state = {"format": _FORMAT, "facts": self.facts(), "step": self.step, "record": self.record,
                 "gaussian": _moments(self.energy.gaussian()), "net": self.energy.net.state_dict(),
                 "ema": self.ema.state_dict(), "optimizer": self.optimizer.state_dict()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as new:
            torch.save(state, new)

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one; ValueError if it is damaged or of another training."""
        if not self.path.exists():
            return
        state = _read(self.path)
        differ = self._differences(state)
        if differ:
            raise ValueError(f"got {', '.join(differ)} for the checkpoint {self.path}; expected what it was trained "
                             "with: train in another directory, or move the checkpoint away")
        self.energy.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.record = state["step"], state["record"]
        self.start = time.perf_counter() - float(self.record[self.step - 1, 2])

    def facts(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be continued, besides the Gaussian."""
        shapes = [[name, list(p.shape), str(p.dtype)] for name, p in self.energy.net.named_parameters()]
        return {**dataclasses.asdict(self.plan), "energy": type(self.energy).__name__, **self.energy.config(),
                "parameters": shapes}

    def _differences(self, state: dict[str, Any]) -> list[str]:
        ours, theirs = self.facts(), state["facts"]
        differ = [f"{k}={_short(ours.get(k))} (there {_short(theirs.get(k))})" for k in {**ours, **theirs}
                  if ours.get(k) != theirs.get(k)]
        for name, here, there in zip(("mean", "covariance"), _moments(self.energy.gaussian()), state["gaussian"]):
            if here.shape != there.shape or not torch.allclose(here, there, 1e-4, 1e-4 * float(there.abs().max())):
                differ.append(f"another {name} of the energy's Gaussian")
        return differ


class Autocast:
    """A context in which a network, and it alone, runs under autocast; its outputs have its input's dtype.

    Rounding the Gaussian part of an energy to 8 bits would drown small noise levels.
    """

    def __init__(self, net: nn.Module, precision: torch.dtype | None) -> None:
        self.net, self.precision = net, precision

    def __enter__(self) -> None:
        if self.precision is not None:
            self.net.forward = self._wrap(self.net.forward)

    def __exit__(self, *error: object) -> None:
        self.net.__dict__.pop("forward", None)

    def _wrap(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*inputs: Tensor) -> Any:
            with torch.autocast(inputs[0].device.type, self.precision):
                out = forward(*inputs)
            return out.to(inputs[0]) if isinstance(out, Tensor) else tuple(v.to(inputs[0]) for v in out)
        return call


def _averaging(limit: float) -> Callable[..., None]:
    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        get_ema_multi_avg_fn(min(limit, (1 + int(count)) / (10 + int(count))))(averaged, current, count)
    return average


def _moments(data: Gaussian | None) -> list[Tensor]:
    """Mean and covariance, if there are; a covariance that is not dense by what it makes of a vector of ones."""
    if data is None:
        return []
    cov = data.back(data.variances * data.modes(torch.ones_like(data.center))) if data.cov is None else data.cov
    return [data.center.cpu(), cov.cpu()]


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise ValueError(f"got a damaged checkpoint, {path} ({_short(error)}); expected one that fit wrote: move it "
                         "away to start again, or train in another directory") from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ValueError(f"got {path}, which is not a '{_FORMAT}'; move it away, or train in another directory")
    return state


def _short(value: object) -> str:
    return textwrap.shorten(value if isinstance(value, str) else repr(value), 60)
