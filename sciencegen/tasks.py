r"""The three questions: design, inverse problem, forecast. Each is one more term in the sum.

``design`` runs straight: parts -> ``layout.pack`` -> prior -> ``Tweedie(prior, laws + weight * objective)`` -> sampler
-> ``layout.unpack`` -> judge -> sort. ``invert`` swaps in a measurement; ``forecast`` is ``invert`` on the first steps.
Functions that a user gives see named physical parts only, ``f(**parts)``; a task never touches sigma.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn
from tqdm.auto import tqdm

from .energy import Denoised, Energy, level
from .guide import Moments, Tweedie
from .layout import Layout
from .network import Preconditioned
from .result import Result
from .sample import Sampler

__all__ = ["Constraint", "Problem", "Result", "design", "forecast", "invert"]

Parts = Callable[..., Tensor]


@dataclass(frozen=True)
class Problem:
    """What is known before a question is asked.

    Arguments:
        layout: the parts of a state.
        prior: an energy over its states.
        laws: energies over the state that it obeys.
        derive: ``(**parts) -> {name: tensor (*B, ...)}``, further quantities (forces, losses) that objective and
            constraints see beside the parts; computed once an evaluation, whoever uses it.
    """

    layout: Layout
    prior: Energy
    laws: Energy | None = None
    derive: Callable[..., dict[str, Tensor]] | None = None

    def parts(self, x: Tensor) -> dict[str, Tensor]:
        """Physical parts of ``x (*B, d)``, and what is derived from them."""
        parts = self.layout.unpack(x)
        return parts if self.derive is None else parts | self.derive(**parts)


@dataclass(frozen=True)
class Constraint:
    """``function(**parts) <= 0``, ``(*B,)`` or ``(*B, m)``.

    Kept as ``max(0, function)^2 / 2 (tolerance^2 + gain^2 sigma^2)``: ``tolerance`` is how far above zero still counts
    as met, in the function's unit, ``gain`` how much the function varies over the prior; numbers or ``(m,)``. A bare
    function is taken as ``Constraint(function)``.
    """

    function: Parts
    tolerance: float | Tensor = 1e-2
    gain: float | Tensor = 1e-1

    def energy(self, parts: dict[str, Tensor], sigma: Tensor) -> Tensor:
        """``(*B,)``: zero where it is met."""
        axes = (value := self.function(**parts)).ndim - 1
        sigma = sigma if axes or not sigma.ndim else sigma.squeeze(-1)
        tolerance, gain = (torch.as_tensor(v, dtype=value.dtype, device=value.device)
                           for v in (self.tolerance, self.gain))
        energy = value.clamp_min(0) ** 2 / (2 * (tolerance**2 + gain**2 * sigma**2))
        return energy.sum(-1) if axes else energy

    def met(self, parts: dict[str, Tensor]) -> Tensor:
        """``(*B,)``: whether it holds, up to its tolerance."""
        value = self.function(**parts)
        met = value <= torch.as_tensor(self.tolerance, dtype=value.dtype, device=value.device)
        return met.all(-1) if met.ndim > 1 else met


def design(problem: Problem, objective: Parts, weight: float | Callable[[Tensor], Tensor], sampler: Sampler, count: int,
           judge: Parts | None = None, constraints: Sequence[Parts | Constraint] = (), seeds: Tensor | None = None,
           start: Tensor | None = None, progress: bool = True) -> Result:
    """Sample ``prior * exp(-weight * objective)`` under laws and constraints; best first, by the judge.

    Arguments:
        objective: ``(**parts) -> (*B,)``, low is good; its gradients guide.
        weight: of the objective, an inverse temperature: ``1 / weight`` is the excess that is tolerated. A number, or a
            function of sigma, which may return one a sample, ``(count, 1)``.
        sampler: noise grid, step and corrector.
        count: samples.
        judge: ``(**parts) -> (*B,)``, a true solver's word on the finished samples, not finite where it fails; the
            objective itself if there is none.
        constraints: ``(**parts) -> (*B,) or (*B, m) <= 0``, bare or as :class:`Constraint`.
        seeds: ``(count,)`` one random stream a sample; fresh ones by default.
        start: states ``(count, d)`` at level ``sampler.sigmas[0]`` instead of noise.
        progress: show a bar where there is a terminal.
    """
    constraints = [c if isinstance(c, Constraint) else Constraint(c) for c in constraints]
    for function, axes in (objective, (1,)), *((c.function, (1, 2)) for c in constraints):
        _probe(problem, function, axes, sampler.sigmas if start is None else start)
    terms = Terms(problem, objective, weight, constraints)
    run = Run(Tweedie(problem.prior, terms), problem.layout, terms.last)
    x = run(sampler, count, seeds, start, progress, "design")
    with torch.no_grad():
        parts = problem.parts(x)
        fun = torch.as_tensor((judge or objective)(**parts)).to(x)
        if fun.shape != x.shape[:1]:
            raise ValueError(f"got {tuple(fun.shape)} from {judge or objective!r}; expected ({count},), one a sample")
        met = torch.stack([fun.isfinite(), *(c.met(parts) for c in constraints)]).all(0)
    return run.result(x, fun, met, torch.where(fun.isfinite(), fun, torch.inf).argsort(stable=True))


def invert(problem: Problem, measure: Parts, data: Tensor, noise: float | Tensor, sampler: Sampler, count: int,
           seeds: Tensor | None = None, progress: bool = True) -> Result:
    """Sample the posterior of a state given ``data (m,) = measure(**parts) + noise`` by moment matching.

    ``measure (**parts) -> (*B, m)`` is linear up to a constant, as :class:`sciencegen.guide.Moments` needs; ``noise``
    is a standard deviation in the data's unit, a number or ``(m,)``.
    """
    layout, data = problem.layout, torch.as_tensor(data)
    seen = _probe(problem, measure, (2,), sampler.sigmas)
    if data.ndim != 1 or seen.shape[1:] != data.shape:
        raise ValueError(f"got data of shape {tuple(data.shape)} and measurements of shape {tuple(seen.shape[1:])}; "
                         "expected (m,) for both")
    prior = problem.prior if problem.laws is None else Tweedie(problem.prior, problem.laws)
    run = Run(Moments(prior, lambda x: measure(**problem.parts(x)), data, noise), layout, {})
    x = run(sampler, count, seeds, None, progress, "invert")
    return run.result(x, torch.full((len(x),), torch.nan), x.isfinite().all(-1), torch.arange(len(x)))


def forecast(problem: Problem, name: str, history: Tensor, sampler: Sampler, count: int, seeds: Tensor | None = None,
             progress: bool = True, noise: float = 1e-3) -> Result:
    """Sample how a variable goes on: ``history (n, *rest)`` are the first ``n`` steps of ``name``, in its unit.

    ``noise`` says how closely the history is met, in the variable's scale.
    """
    layout, history = problem.layout, torch.as_tensor(history)
    first = layout[name][: len(history)]
    variable = layout.variables[name]
    if history.shape != (len(history), *variable.shape[1:]) or len(history) > variable.shape[0]:
        raise ValueError(f"got a history of shape {tuple(history.shape)} of '{name}'; expected (n, "
                         f"{', '.join(map(str, variable.shape[1:]))}) with n <= {variable.shape[0]}")
    axis = -len(variable.shape)
    return invert(problem, lambda **parts: parts[name].narrow(axis, 0, len(history)).flatten(axis), history.flatten(),
                  noise * first(layout.scale), sampler, count, seeds, progress)


class Terms(Energy):
    """Objective, constraints and laws of a problem as one energy of the clean state; remembers what each last was."""

    def __init__(self, problem: Problem, objective: Parts, weight: float | Callable[[Tensor], Tensor],
                 constraints: Sequence[Constraint]) -> None:
        super().__init__()
        self.problem, self.objective, self.weight, self.constraints = problem, objective, weight, constraints
        self.laws, self.exact = problem.laws, problem.laws is None or problem.laws.exact
        self.last: dict[str, Tensor] = {}

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        parts, sigma = self.problem.parts(x), level(sigma, x)
        weight = self.weight(sigma) if callable(self.weight) else self.weight
        weight = weight.squeeze(-1) if isinstance(weight, Tensor) and weight.ndim else weight
        energies = {"objective": weight * self.objective(**parts)}
        energies |= {f"constraint_{i}": c.energy(parts, sigma) for i, c in enumerate(self.constraints)}
        energies |= {} if self.laws is None else {"laws": self.laws(x, sigma)}
        self.last.update({k: v.detach() for k, v in energies.items()})
        return sum(energies.values())


class Run:
    """One run of a sampler: what it records on the way, and the result it makes of it."""

    def __init__(self, energy: Energy, layout: Layout, last: dict[str, Tensor]) -> None:
        self.energy, self.layout, self.last = energy, layout, last
        self.rows: list[dict[str, Tensor]] = []
        self.sigmas: list[float] = []
        self.calls, self.stopped = 0, False

    def __call__(self, sampler: Sampler, count: int, seeds: Tensor | None, start: Tensor | None, progress: bool,
                 name: str) -> Tensor:
        """Clean states ``(count, d)``: the Tweedie means at the end of the path."""
        self.seeds = torch.randint(0, 2**62, (count,)) if seeds is None else torch.as_tensor(seeds)
        self.sampler, self.start = sampler, time.perf_counter()
        x = sampler.noise(count, self.layout.size, self.seeds) if start is None else start
        nets = {m.net for m in self.energy.modules()
                if isinstance(m, (Preconditioned, Denoised)) and isinstance(m.net, nn.Module)}
        hooks = [net.register_forward_hook(self._count) for net in nets]
        steps = sampler.path(self.energy, x, self.seeds)
        bar = tqdm(steps, desc=name, total=len(sampler.sigmas) - 1, disable=None if progress else True)
        try:
            for sigma, x, info in bar:
                self.sigmas.append(float(sigma))
                self.rows.append(dict(self.last) | ({} if info is None else {"acceptance": info.acceptance}))
            with torch.no_grad():
                x = self.energy.mean(x, sampler.sigmas[-1].to(x)) if sampler.sigmas[-1] > 0 else x
        except KeyboardInterrupt:
            self.stopped = True
        finally:
            for hook in hooks:
                hook.remove()
        return x

    def _count(self, *_: Any) -> None:
        self.calls += 1

    def result(self, x: Tensor, fun: Tensor, success: Tensor, order: Tensor) -> Result:
        """The result, its samples in ``order``."""
        order = order.cpu()
        taken, planned = len(self.sigmas), len(self.sampler.sigmas) - 1
        message = "finished" if not self.stopped else (
            f"interrupted after {taken} of {planned} steps; the samples are still noisy (sigma "
            f"{self.sigmas[-1] if self.sigmas else float(self.sampler.sigmas[0]):.3g})")
        names = list(self.rows[0]) if self.rows else []
        history = {k: (("step", "sample"), torch.stack([row[k] for row in self.rows]).cpu()[:, order].numpy())
                   for k in names}
        return Result(
            samples=self.layout.to_xarray(x.cpu()[order]), fun=_array(fun, order), success=_array(success, order),
            status=int(self.stopped), message=message, nfev=self.calls,
            history=xarray.Dataset(history, {"sigma": ("step", self.sigmas)}), seeds=_array(self.seeds, order),
            config={"sampler": repr(self.sampler), "energy": repr(self.energy),
                    "seconds": time.perf_counter() - self.start, "versions": _versions()})


def _array(values: Tensor, order: Tensor) -> np.ndarray:
    return values.detach().cpu()[order].numpy()


def _probe(problem: Problem, function: Parts, axes: tuple[int, ...], like: Tensor) -> Tensor:
    """What ``function(**parts)`` gives for two samples, once it is shown to be torch and of the right shape."""
    value = function(**problem.parts(like.new_zeros(2, problem.layout.size).requires_grad_()))
    if not isinstance(value, Tensor) or value.ndim not in axes or len(value) != 2:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"got {got} from {function!r} for 2 samples; expected a tensor of shape "
                         f"{' or '.join({1: '(2,)', 2: '(2, m)'}[n] for n in axes)}, a row for each sample")
    if not value.requires_grad:
        raise TypeError(f"got a value without a gradient from {function!r}; expected torch operations on the parts all "
                        "the way (no numpy, detach or no_grad inside)")
    return value


def _versions() -> dict[str, str]:
    names = ("sciencegen", "torch", "numpy", "xarray")
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"] in names}
    return {"python": platform.python_version(), **found}
