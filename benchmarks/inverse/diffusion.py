r"""This package, and what others guide by, with one prior for all of them.

`Ours` is what :func:`sciencegen.tasks.invert` does, for all cases of a question at once: they share sensors, hence the
factors of :class:`sciencegen.guide.Moments`; a test holds it to `invert`. `Scalar` is DPS in the form of DiffusionPDE,
`Replaced` puts the data in the place of what the prior thinks of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sciencegen.constrain import Pin
from sciencegen.energy import Energy, Residual
from sciencegen.exact import Gaussian
from sciencegen.guide import Moments, Projected, dps
from sciencegen.layout import Layout, View
from sciencegen.linear import affine
from sciencegen.mcmc import HMC
from sciencegen.physics import Darcy, Heat
from sciencegen.priors import Denoiser, zoo
from sciencegen.sample import Euler, Heun, Multistep, Sampler, karras
from sciencegen.tasks import Problem
from sciencegen.tasks.sampling import Sampling

from .exact import closed, fitted
from .row import Answer
from .task import Question, Task

Prior = Callable[[Task], tuple[Layout, Energy]]


def network(task: Task) -> tuple[Layout, Energy]:
    """The zoo's trained prior; KeyError where there is none."""
    model = zoo(task.setup)
    return model.layout, model.energy.requires_grad_(False)


def exact(task: Task) -> tuple[Layout, Energy]:
    """The closed form of a linear system."""
    return closed(task.system)


def linear(task: Task) -> tuple[Layout, Energy]:
    """A Gaussian fitted to training pairs: the best linear estimate, as kriging with a fitted joint covariance."""
    layout, gaussian = fitted(task.setup)
    return layout, gaussian.float()


def trained(task: Task) -> bool:
    """Whether the zoo has a network of the pair."""
    if not task.linear:
        return False
    try:
        zoo(task.setup)
    except KeyError:
        return False
    return True


def network_or_exact(task: Task) -> tuple[Layout, Energy]:
    """The trained prior, else the closed form."""
    return network(task) if trained(task) else exact(task)


def is_heat(task: Task) -> bool:
    """The stochastic heat equation."""
    return isinstance(task.system, Heat)


def is_rock(task: Task) -> bool:
    """Darcy's law in two-valued rock."""
    return isinstance(task.system, Darcy)


def is_static(task: Task) -> bool:
    """Linear, Gaussian and not in time."""
    return task.linear and not is_heat(task)


def is_linear(task: Task) -> bool:
    """Linear and Gaussian."""
    return task.linear


def trained_linear(task: Task) -> bool:
    """Whether the zoo has a prior of a linear system with a law that its pairs obey: of heat's, kicks stand between."""
    return trained(task) and not is_heat(task)


class Counter:
    """Forward and backward passes of whatever gives the score, counted once a call whatever the number of rows."""

    def __init__(self, energy: Energy) -> None:
        self.forward = self.backward = 0
        module = energy.net if hasattr(energy, "net") else energy
        self.handle = module.register_forward_hook(self._count) if module is not energy else None

    def _count(self, module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.forward += 1
        if output.requires_grad:
            output.register_hook(self._back)

    def _back(self, gradient: Tensor) -> None:
        self.backward += 1

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle is not None:
            self.handle.remove()


@dataclass(frozen=True)
class Law:
    """The equation as a measurement that reads zero: ``gap``, the residual as a relative error of the solution.

    It is met to ``noise`` (root mean square).
    """

    noise: float = 1e-5

    def __call__(self, task: Task, layout: Layout) -> Residual:
        return Residual(lambda x: task.system.gap(**layout.unpack(x)), self.noise / task.system.n)


@dataclass(frozen=True)
class Ours:
    """Moment matching with the prior's Gaussian as preconditioner; ``samples`` a case, seeds by case.

    ``most`` cases, 0 for all.
    """

    name: str
    prior: Prior = field(repr=False)
    where: Callable[[Task], bool] = field(repr=False)
    samples: int = 19
    steps: int = 30
    low: float = 0.02
    law: Law | None = None
    corrector: HMC | None = field(default=None, repr=False)  # its function has no stable repr
    most: int = 0

    def suits(self, task: Task) -> bool:
        return self.where(task)

    def sampler(self, task: Task, dtype: torch.dtype) -> Sampler:
        """Down to ``low``, where the clean state is drawn, from ten times the spread of the largest mode."""
        return Multistep(karras(self.steps, self.low, 300.0, dtype=dtype), self.corrector)

    def __call__(self, question: Question) -> Answer:
        layout, prior = self.prior(question.task)
        if self.law and question.task.linear:  # the law is finer than single precision can tell when squared
            prior = precise(prior)
        energy, linear = self.energy(question, layout, prior)
        seeds = torch.arange(len(energy.y)) + question.first * self.samples
        draw = lambda x, sigma, noise: energy.draw(x, sigma, noise, 1 if linear else 4)
        run = Sampling(energy, Problem(layout, prior), draw)
        with Counter(prior) as counter:
            x = run(self.sampler(question.task, prior_dtype(prior)), len(seeds), seeds, None, False, self.name)
        parts = unfolded(layout, x, self.samples)
        parts = {"a": parts["a"]} if is_heat(question.task) else parts  # its later state was all seen
        return Answer(parts, calls=counter.forward, backward=counter.backward)

    def energy(self, question: Question, layout: Layout, prior: Energy) -> tuple[Moments, bool]:
        """The posterior's energy over ``C S`` rows, and whether its measurement is linear."""
        origin = torch.zeros(layout.size, dtype=prior_dtype(prior))
        law = None if self.law is None else self.law(question.task, layout)
        measure = measured(question)

        def read(x: Tensor) -> Tensor:
            seen = measure(**layout.unpack(x))
            return seen if law is None else torch.cat([seen, law.function(x)], -1)

        data, noise = question.data.to(origin).repeat_interleave(self.samples, 0), question.noise
        if law is not None:
            count = law.function(origin[None] + 0.1).shape[-1]
            data = torch.cat([data, data.new_zeros(len(data), count)], -1)
            noise = torch.cat([noise, law.noise.expand(count)])
        known, around = affine(read, origin), prior.gaussian()
        if known is None:
            return Moments(prior, read, data, noise, 0, around=around), False
        return Moments(prior, known[0], data - known[1], noise, 0, around=around), True


class Single(torch.nn.Module):
    """A network that works in single precision whatever it is given."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(*(v.float() for v in inputs)).to(inputs[0])


def precise(prior: Denoiser) -> Denoiser:
    """The same prior with its Gaussian in double precision, and its network still in single."""
    data = Gaussian(*(None if v is None else v.double() for v in (prior.data.center, prior.data.variances,
                                                                  prior.data.axes)))
    return type(prior)(Single(prior.net), data).eval()


def measured(question: Question) -> Callable[..., Tensor]:
    """``(**parts) -> (*B, m)``; of heat the coefficients of the later state, each with its own noise."""
    system = question.task.system
    if isinstance(system, Heat):
        return lambda a, **_: system.basis.expand(system.advance(a)).flatten(-2)
    return question.measure


@dataclass(frozen=True)
class Scalar:
    """DPS with one weight, ``zeta |y - A x|`` a step, in DiffusionPDE's form; Euler's steps from 80 down to 2e-3."""

    prior: Prior = field(repr=False)
    where: Callable[[Task], bool] = field(repr=False)
    zeta: float = 10.0
    steps: int = 100
    samples: int = 2
    most: int = 0
    name: str = "DPS, scalar weight"

    def suits(self, task: Task) -> bool:
        return self.where(task)

    def __call__(self, question: Question) -> Answer:
        layout, prior = self.prior(question.task)
        rows = question.data.to(prior_dtype(prior)).repeat_interleave(self.samples, 0)
        unit = torch.cat([layout[name](layout.scale)[cells] for name, cells in question.where.items()])
        measure = measured(question)
        read = lambda x: measure(**layout.unpack(x)) / unit.to(x)
        sigmas = karras(self.steps, 2e-3, 80.0, dtype=rows.dtype)
        # A step from a to b moves by zeta a (a - b) times the gradient: as published, by zeta times the gradient.
        levels, widths = sigmas[:-1], sigmas[:-1] * (sigmas[:-1] - sigmas[1:])

        def weight(level: Tensor) -> Tensor:  # at Tweedie's level, sigma / sqrt(1 + sigma^2)
            sigma = level.double() / (1 - level.double() ** 2).sqrt()
            nearest = (levels.log() - sigma.log()).abs().argmin()
            return torch.full_like(level, self.zeta / float(widths[nearest]))

        energy = dps(prior, read, rows / unit.to(rows), weight)
        x, counter = walk(energy, prior, Euler(sigmas), layout, len(rows), question.first * self.samples)
        return Answer(unfolded(layout, x, self.samples), calls=counter.forward, backward=counter.backward)


@dataclass(frozen=True)
class Replaced:
    """Tweedie's mean with the data in their places at every step."""

    prior: Prior = field(repr=False)
    where: Callable[[Task], bool] = field(repr=False)
    steps: int = 20
    samples: int = 19
    name: str = "replacement"

    def suits(self, task: Task) -> bool:
        return self.where(task)

    def __call__(self, question: Question) -> Answer:
        layout, prior = self.prior(question.task)
        index = torch.cat([layout[name].rows[cells] for name, cells in question.where.items()])
        data = (question.data - layout.loc[index]) / layout.scale[index]
        rows = data.to(prior_dtype(prior)).repeat_interleave(self.samples, 0)
        energy = Projected(prior, Pin(View(index, 0, layout.size, "seen"), rows))
        sampler = Heun(karras(self.steps, 2e-3, 80.0, dtype=rows.dtype))
        x, counter = walk(energy, prior, sampler, layout, len(rows), question.first * self.samples)
        return Answer(unfolded(layout, x, self.samples), calls=counter.forward)


def walk(energy: Energy, prior: Energy, sampler: Sampler, layout: Layout, count: int, first: int
         ) -> tuple[Tensor, Counter]:
    """Clean states ``(count, d)``, the last Tweedie mean, and what they cost."""
    with Counter(prior) as counter:
        x = Sampling(energy, Problem(layout, prior))(sampler, count, torch.arange(count) + first, None, False, "walk")
    return x, counter


def unfolded(layout: Layout, x: Tensor, samples: int) -> dict[str, Tensor]:
    """``(C S, d) -> {part: (C, S, n, n)}``; permeability is kept positive."""
    parts = layout.unpack(x.double())
    return {k: v.unflatten(0, (-1, samples)) for k, v in parts.items()}


def prior_dtype(prior: Energy) -> torch.dtype:
    """The precision that a prior works in."""
    return prior.gaussian().center.dtype
