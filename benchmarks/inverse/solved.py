r"""The equation itself in the loop: samples of `Ours`, walked on with the solver in place of the prior's pressure.

Moment matching takes what is open as Gaussian, which two-valued rock is not. The energy of what it found is

.. math:: E(x, \sigma) + |S(\hat a) - y|^2 / 2 (1 + g^2 \sigma^2)

with the solver :math:`S`, Tweedie's rock :math:`\hat a` and misfits in units of the noise; :math:`g` is how much the
pressure answers to a state off by one. From a middle level down, stochastic steps with Langevin's corrections.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciencegen.energy import Residual
from sciencegen.guide import Tweedie
from sciencegen.mcmc import HMC
from sciencegen.random import Streams
from sciencegen.sample import Ancestral, karras

from .diffusion import Counter, Ours, is_rock, network, unfolded
from .row import Answer
from .task import Question, Task


@dataclass(frozen=True)
class Solved:
    """Ours, then ``steps`` levels from ``high`` to ``low`` with ``repeats`` Langevin steps each.

    ``gain`` is that of the pressures; a rock's own reading answers in full. Rock is kept within ``limits``.
    """

    name: str
    start: Ours
    high: float = 2.0
    low: float = 0.02
    steps: int = 60
    repeats: int = 3
    gain: float = 5.0
    limits: tuple[float, float] = (2.0, 20.0)
    most: int = 0

    @property
    def samples(self) -> int:
        """A case."""
        return self.start.samples

    def suits(self, task: Task) -> bool:
        return is_rock(task)

    def __call__(self, question: Question) -> Answer:
        layout, prior = network(question.task)
        first = self.start(question)
        clean = layout.pack(**{k: v.flatten(0, 1).float() for k, v in first.samples.items()})
        data, noise = question.data.float().repeat_interleave(self.samples, 0), question.noise.float()
        measure, system = question.measure, question.task.system

        def misfit(x: Tensor) -> Tensor:
            rock = layout.unpack(x)["a"]
            return (measure(a=rock, u=system.solve(rock.clamp(*self.limits))) - data) / noise

        gains = torch.cat([torch.full((len(cells),), self.gain) if name == "u" else
                           layout[name](layout.scale)[cells] for name, cells in question.where.items()])
        own = torch.cat([torch.full((len(cells),), float(name != "u")) for name, cells in question.where.items()])
        energy = Tweedie(prior, Residual(misfit, 1.0, torch.where(own.bool(), gains / noise, gains)))
        walker = HMC(_stride, adjusted=False, repeats=self.repeats)
        sampler = Ancestral(karras(self.steps, self.low, self.high, dtype=torch.float32), walker)
        seeds = torch.arange(len(clean)) + question.first * self.samples
        with Counter(prior) as counter, torch.no_grad():
            x = clean + self.high * Streams(seeds, 10_000).normal(clean.shape[-1], clean.dtype)
            x = prior.mean(sampler(energy, x, seeds), sampler.sigmas[-1])
        return Answer(unfolded(layout, x, self.samples), calls=first.calls + counter.forward,
                      backward=first.backward + counter.backward, solves=counter.forward * self.samples)


def _stride(sigma: Tensor) -> Tensor:
    return 0.4 * sigma / (1 + sigma**2).sqrt()
