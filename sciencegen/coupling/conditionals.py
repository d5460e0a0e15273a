r"""Conditionals of several fields as a prior of all of them: the pair of means that agree with each other.

A model of each field, given the others clean, says its Tweedie mean :math:`E[u | u_\sigma, v]`. For Gaussians the
solution of

.. math:: \hat u = E[u | u_\sigma, \hat v], \qquad \hat v = E[v | v_\sigma, \hat u]

is the Tweedie mean of their joint density at every noise level, whatever the correlation (precision matrices have the
conditionals' blocks on their diagonals, and noise adds to the diagonal). So a field's model never sees a noisy
condition, and what it was trained with of the other fields does not matter. "M2PDE: Compositional Generative
Multiphysics and Multi-component PDE Simulation" (Zhang et al., 2025), https://arxiv.org/abs/2412.04134, stops after one
sweep; far from Gaussian the pair is a mean-field estimate, which clean Gibbs sweeps mend in the end: each field drawn
anew, given the others.

A sweep's slope is that of Gibbs sampling at the same level. Where it does not contract there is no joint density with
these conditionals, and none is made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..calls import Plan
from ..energy import Energy, Evaluation, Walk, level
from ..exact import Gaussian
from ..random import Streams
from ..view import View, gather
from .agreement import Agreed, agree, contraction
from .precision import precision_of

__all__ = ["TOLERANCE", "Block", "Conditionals"]

TOLERANCE = 1e-3  # of the spread that a noise level leaves, at which a sweep changes nothing more
DIFFERENCE = 1e-2  # of unit scale: the step by which a slope is measured


@dataclass(frozen=True)
class Block:
    """What one model says of a joint state ``(*B, d)``, of one place or of several at a time.

    Arguments:
        energy: over the model's own coordinates ``(*B, n)``.
        rows: which of the joint state these are, ``(*copies, n)``.
        own: which of them it is a model of, ``(m,)``, in its own order; the others are what it is given.
        scale, shift: of the model's coordinates, ``scale * x + shift``, ``(n,)`` or ``(*copies, n)``; one and zero
            where it is ``own``.
        known: the energy where all but ``free`` of them are given; made by :meth:`told`.
        free: what of ``own`` is still to be found.
    """

    energy: Energy
    rows: Tensor
    own: Tensor
    scale: Tensor
    shift: Tensor
    known: Energy | None = None
    free: Tensor | None = None

    def told(self, rows: Tensor) -> Block:
        """The same where the coordinates ``rows`` of the joint state are known clean as well."""
        mine = torch.isin(self.rows[..., self.own], rows).reshape(-1, len(self.own))
        if not bool((mine == mine[0]).all()):
            raise ValueError("got a part given for some of several like components; expected the same of each")
        made = replace(self, free=self.own[~mine[0]].sort().values)
        view = made.others
        return replace(made, known=self.energy.given(view) if len(view.rows) else self.energy)

    def seen(self, state: Tensor) -> Tensor:
        """The model's own coordinates ``(M, *copies, n)`` of a joint state ``(M, d)``."""
        return gather(state, self.rows) * self.scale.to(state) + self.shift.to(state)

    @property
    def places(self) -> Tensor:
        """Where in the joint state is what is free, ``(copies * m,)``."""
        return self.rows[..., self.free].reshape(-1)

    @property
    def others(self) -> View:
        """What the model is given, of its own coordinates."""
        given = torch.ones(self.rows.shape[-1], dtype=torch.bool)
        given[self.free] = False
        return View(given.nonzero()[:, 0], 0, len(given), "the other fields")

    def mean(self, state: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """Tweedie's mean ``(M, *copies, m)`` of what is free, of noisy ``x (M, d)`` where the others are ``state``."""
        seen = self.seen(state)
        noisy = gather(x, self.rows[..., self.free])
        seen = seen.index_copy(-1, self.free.to(x.device), noisy)
        sigma = sigma.reshape(-1, *[1] * self.rows.ndim)
        score = self.known.evaluate(seen, sigma).score
        return noisy + sigma**2 * gather(score, self.free)


class Conditionals(Energy):
    """A joint prior of fields of which only the conditionals are known; score-only.

    It tells, for each row, the ``sweeps`` that a score took, the ``contraction`` of a sweep (largest eigenvalue seen of
    its slope), and the ``mismatch`` that is left, in units of the spread at that level.

    Arguments:
        blocks: in the order of a sweep; each number of the state belongs to one block, or is given.
        size: numbers of a state.
        sweeps: at most, for one score.
        gibbs: clean sweeps that end a draw.
        tolerance: when sweeps are enough, as a share of ``sigma / sqrt(1 + sigma^2)``.
        known: coordinates that are known clean; :meth:`given` says them.

    Raises:
        ValueError: when a score is asked for: a sweep does not contract, so that no joint density has these
            conditionals.
    """

    exact = False

    def __init__(self, blocks: Sequence[Block], size: int, sweeps: int = 20, gibbs: int = 2,
                 tolerance: float = TOLERANCE, known: Tensor | None = None) -> None:
        super().__init__()
        known = torch.zeros(0, dtype=torch.long) if known is None else known
        self.size, self.sweeps, self.gibbs, self.tolerance = size, sweeps, gibbs, tolerance
        self.blocks = [block.told(known) for block in blocks]
        self.energies = nn.ModuleList(e for block in self.blocks for e in (block.energy, block.known))
        self.lowest = max(e.lowest for e in self.energies)
        self.linear = precision_of(self.blocks, known.sort().values, size)
        self.register_buffer("known", known, persistent=False)
        owned = [block.rows[..., block.own].reshape(-1) for block in self.blocks]
        self.register_buffer("missing", _missing(torch.cat(owned), known, size), persistent=False)
        ours = [block.places for block in self.blocks]
        self.register_buffer("free", torch.cat(ours), persistent=False)
        first = len(ours[0]) if len(ours) > 1 else 0  # a sweep begins by finding it: no sweep starts from it
        self.register_buffer("carried", torch.cat(ours)[first:], persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise TypeError(f"only the score of {self!r} is known: conditionals say no joint energy; use an unadjusted "
                        "kernel (HMC(..., adjusted=False)), or a prior that was trained on the fields together")

    def takes(self, rows: Tensor) -> bool:
        return bool(torch.isin(rows, self.known.to(rows.device)).all())

    def given(self, view: View) -> Energy:
        if view.copies:
            return super().given(view)
        return self if len(view.rows) == len(self.known) and self.takes(view.rows) else self._with(view.rows)

    def gaussian(self) -> Gaussian | None:
        """The joint Gaussian of the conditionals' Gaussians, where all have one and nothing is given."""
        nothing = self.known.new_zeros(0, dtype=torch.float64)
        return None if self.linear is None or len(self.known) else self.linear.at(nothing)

    def gaussian_at(self, view: View, value: Tensor) -> Gaussian | None:
        if self.linear is None or not torch.equal(view.rows.sort().values, self.linear.known):
            return None
        return self.linear.at(value[..., view.rows.argsort()])

    def _with(self, known: Tensor) -> Conditionals:
        return Conditionals(self.blocks, self.size, self.sweeps, self.gibbs, self.tolerance, known)

    def refreshed(self, x: Tensor, noise: Streams, sampler: Walk) -> Tensor:
        """Clean states after the Gibbs sweeps: each field drawn anew, given the others as they are."""
        for turn in range(self.gibbs):
            for number, block in enumerate(self.blocks):
                draws, view = block.energy.ahead(block.others, sampler), block.others
                told = gather(block.seen(x), view.rows)
                streams = noise.branch(turn * len(self.blocks) + number).spread(told.shape[1:-1])
                fresh = draws(told.reshape(-1, len(view.rows)), streams)
                x = x.index_copy(-1, block.places.to(x.device), fresh.reshape(len(x), -1))
        return x

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        return Plan((), lambda _: self._evaluated(x, level(sigma, x)))

    def _evaluated(self, x: Tensor, sigma: Tensor) -> Evaluation:
        if len(self.missing):
            raise ValueError(f"got {len(self.missing)} numbers of the state that no model is of and that are not "
                             "given; expected problem.given(...) of each part that no model is of")
        rows, levels = x.reshape(-1, self.size), sigma.expand(*x.shape[:-1], 1).reshape(-1, 1)
        with torch.no_grad():
            found, mean = self._agreed(rows.detach(), levels)
        if torch.is_grad_enabled() and rows.requires_grad:
            mean = self._attached(rows, levels, mean)
        free = self.free.to(x.device)
        score = torch.zeros_like(rows).index_copy(-1, free, (gather(mean, free) - gather(rows, free)) / levels**2)
        told = {"sweeps": found.sweeps, "contraction": found.ritz, "mismatch": found.residual / _spread(levels)}
        return Evaluation(None, score.reshape(x.shape), {k: v.reshape(x.shape[:-1]) for k, v in told.items()})

    def _agreed(self, x: Tensor, sigma: Tensor) -> tuple[Agreed, Tensor]:
        """The fields' means ``(M, d)`` that agree with each other, and how they were found."""
        start = self._start(x, sigma)
        whole = lambda z: self._sweep(start.index_copy(-1, self.carried, z), x, sigma)
        sweep = lambda z: gather(whole(z), self.carried)
        found = agree(sweep, gather(start, self.carried), self.tolerance * _spread(sigma), self.sweeps)
        if float(found.ritz.median()) >= 1:
            self._check(sweep, found, sigma)
        return found, whole(found.value)

    def _start(self, x: Tensor, sigma: Tensor) -> Tensor:
        """A first guess of the means: right where all is Gaussian."""
        if self.linear is None:
            return x.index_copy(-1, self.free, gather(x, self.free) / (1 + sigma**2))
        return x.index_copy(-1, self.linear.free.to(x.device), self.linear.mean(x, sigma))

    def _check(self, sweep: Any, found: Agreed, sigma: Tensor) -> None:
        radius = float(contraction(sweep, found.value, DIFFERENCE * _spread(sigma)).median())
        if radius >= 1:
            raise ValueError(f"got conditionals whose sweeps grow by {radius:.3g} each at the noise level "
                             f"{float(sigma.max()):.3g}; expected less than 1: no joint density has them. If the "
                             "fields are deterministic functions of each other, settle() finds where they agree")

    def _sweep(self, state: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """One sweep over all blocks, in place: each is given what the ones before it have found."""
        for block in self.blocks:
            mean = block.mean(state, x, sigma)
            state = state.index_copy(-1, block.places.to(x.device), mean.reshape(len(x), -1))
        return state

    def _attached(self, x: Tensor, sigma: Tensor, mean: Tensor) -> Tensor:
        """``mean`` as a function of ``x`` that can be differentiated once: by the implicit function theorem."""
        with torch.enable_grad():
            inner = gather(mean, self.carried).detach().requires_grad_()
            base = torch.zeros_like(mean).index_copy(-1, self.known, gather(x, self.known))
            image = gather(self._sweep(base.index_copy(-1, self.carried, inner), x, sigma), self.carried)

        def solved(pull: Tensor) -> Tensor:
            back = lambda w: pull + torch.autograd.grad(image, inner, w, retain_graph=True)[0]
            size = self.tolerance * pull.square().mean(-1).sqrt()
            return agree(back, pull, size, self.sweeps).value

        agreed = gather(self._sweep(base.index_copy(-1, self.carried, inner.detach()), x, sigma), self.carried)
        agreed.register_hook(solved)
        return self._sweep(base.index_copy(-1, self.carried, agreed), x, sigma)

    def __repr__(self) -> str:
        return f"Conditionals({', '.join(repr(block.known) for block in self.blocks)})"


def _spread(sigma: Tensor) -> Tensor:
    """What a level leaves open of a unit field, ``(M,)``."""
    return (sigma / (1 + sigma**2).sqrt())[:, 0]


def _missing(owned: Tensor, known: Tensor, size: int) -> Tensor:
    if len(owned) > len(owned.unique()):
        raise ValueError("got two models of the same numbers; expected each field to be one model's")
    there = torch.zeros(size, dtype=torch.bool)
    there[owned], there[known] = True, True
    return (~there).nonzero()[:, 0]
