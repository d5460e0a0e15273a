r"""The three questions: design, inverse problem, forecast. Each is one more term in the sum.

``design`` runs straight: parts -> ``layout.pack`` -> prior -> ``Tweedie(prior, laws + weight * objective)`` -> sampler
-> ``layout.unpack`` -> judge -> sort. ``invert`` swaps in a measurement; ``forecast`` is ``invert`` on the first steps.
Functions that a user gives see named physical parts only, ``f(**parts)``; a task never touches sigma.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from .energy import Energy, Residual, level
from .guide import Moments, Tweedie
from .layout import Layout
from .linear import affine
from .measure import Measurement
from .moments import gaussian_of
from .result import Result
from .run import Run
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
    run = Run(Tweedie(problem.prior, terms), problem.layout, lambda: terms.last)
    x = run(sampler, count, seeds, start, progress, "design")
    with torch.no_grad():
        parts = problem.parts(x)
        fun = torch.as_tensor((judge or objective)(**parts)).to(x)
        if fun.shape != x.shape[:1]:
            raise ValueError(f"got {tuple(fun.shape)} from {judge or objective!r}; expected ({count},), one a sample")
        met = torch.stack([fun.isfinite(), *(c.met(parts) for c in constraints)]).all(0)
    return run.result(x, fun, met, torch.where(fun.isfinite(), fun, torch.inf).argsort(stable=True))


def invert(problem: Problem, measure: Parts, data: Tensor, noise: float | Tensor, sampler: Sampler, count: int,
           seeds: Tensor | None = None, progress: bool = True, truth: Mapping[str, Any] | None = None,
           iterations: int | None = None) -> Result:
    """Sample the posterior of a state given ``data (m,) = measure(**parts) + noise`` by moment matching.

    Right for a Gaussian prior; see :class:`sciencegen.guide.Moments` for any other. A law that is a ``Residual`` joins
    the measurements as ones that read zero, up to its noise; any other law acts at Tweedie's mean. Where the prior has
    a Gaussian, it preconditions, and the samples are drawn around the last Tweedie mean instead of being that mean.

    Arguments:
        measure: ``(**parts) -> (*B, m)``, as from :mod:`sciencegen.measure`. If not linear up to a constant, it is
            linearised at Tweedie's mean.
        noise: standard deviation in the data's unit, positive, a number or ``(m,)``.
        truth: the parts (or a dataset of them), where they are known, for :meth:`Result.scores` and pictures.
        iterations: of the conjugate gradients in :class:`sciencegen.guide.Moments`, at most. By default none where the
            prior's Gaussian and a linear measurement make them unnecessary (no backward pass, and steadier than a
            network's own Jacobian), else 20.
    """
    layout, data = problem.layout, torch.as_tensor(data)
    seen = _probe(problem, measure, (2,), sampler.sigmas)
    if data.ndim != 1 or seen.shape[1:] != data.shape:
        raise ValueError(f"got data of shape {tuple(data.shape)} and measurements of shape {tuple(seen.shape[1:])}; "
                         "expected (m,) for both")
    energy, linear = _posterior(problem, measure, data, noise, sampler, iterations)

    def record() -> dict[str, Tensor]:
        gaps = dict(zip(("misfit", "law"), energy.gap.split([len(data), energy.gap.shape[-1] - len(data)], -1)))
        return {name: gap.square().mean(-1).sqrt() for name, gap in gaps.items() if gap.shape[-1]}

    draw = None if energy.around is None else lambda x, sigma, noise: energy.draw(x, sigma, noise, 1 if linear else 4)
    run = Run(energy, layout, record, draw)
    x = run(sampler, count, seeds, None, progress, "invert")
    result = run.result(x, torch.full((len(x),), torch.nan), x.isfinite().all(-1), torch.arange(len(x)))
    truth = {} if truth is None else {k: torch.as_tensor(np.asarray(truth[k])) for k in layout.variables}
    return replace(result, data=_readings(problem, measure, data, noise, x),
                   truth=layout.to_xarray(layout.pack(**truth)) if truth else xarray.Dataset())


def _posterior(problem: Problem, measure: Parts, data: Tensor, noise: float | Tensor, sampler: Sampler,
               iterations: int | None) -> tuple[Moments, bool]:
    """The prior given the data, and whether they are linear in the state."""
    law = problem.laws if isinstance(problem.laws, Residual) else None
    prior = problem.prior if law is problem.laws else Tweedie(problem.prior, problem.laws)
    origin, around = sampler.sigmas.new_zeros(problem.layout.size), gaussian_of(problem.prior)

    def read(x: Tensor) -> Tensor:
        seen = measure(**problem.parts(x))
        return seen if law is None else torch.cat([seen, law.function(x)], -1)

    noise, data = torch.as_tensor(noise, dtype=torch.float64).expand(data.shape), data.to(origin)
    if law is not None:
        zeros = torch.zeros_like(law.function(origin[None])[0])
        data, noise = torch.cat([data, zeros]), torch.cat([noise, law.noise.expand(zeros.shape)])
    linear = None if around is None else affine(read, origin)
    if linear is None:
        return Moments(prior, read, data, noise, 20 if iterations is None else iterations, around=around), False
    return Moments(prior, linear[0], data - linear[1], noise, iterations or 0, around=around), True


def _readings(problem: Problem, measure: Parts, data: Tensor, noise: float | Tensor, x: Tensor) -> xarray.Dataset:
    """The data, what each sample would have read instead, and by how much it misses them and the laws."""
    with torch.no_grad():
        seen = measure(**problem.parts(x)).cpu()
        law = problem.laws.function(x).norm(dim=-1).cpu() if isinstance(problem.laws, Residual) else None
    value, noise = data.detach().cpu().to(seen), torch.as_tensor(noise).cpu().to(seen).expand(data.shape)
    labels = measure.labels(problem.layout) if isinstance(measure, Measurement) else xarray.Dataset()
    found = {"value": ("measurement", value.numpy()), "noise": ("measurement", noise.numpy().copy()),
             "predicted": (("sample", "measurement"), seen.numpy()),
             "misfit": ("sample", ((seen - value) / noise).square().mean(-1).sqrt().numpy())}
    return labels.assign(found if law is None else found | {"residual": ("sample", law.numpy())})


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


def _probe(problem: Problem, function: Parts, axes: tuple[int, ...], like: Tensor) -> Tensor:
    """What ``function(**parts)`` gives for two samples, once it is shown to be torch and of the right shape."""
    with torch.enable_grad():
        value = function(**problem.parts(like.new_zeros(2, problem.layout.size).requires_grad_()))
    if not isinstance(value, Tensor) or value.ndim not in axes or len(value) != 2:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"got {got} from {function!r} for 2 samples; expected a tensor of shape "
                         f"{' or '.join({1: '(2,)', 2: '(2, m)'}[n] for n in axes)}, a row for each sample")
    if not value.requires_grad:
        raise TypeError(f"got a value without a gradient from {function!r}; expected torch operations on the parts all "
                        "the way (no numpy, detach or no_grad inside)")
    return value
