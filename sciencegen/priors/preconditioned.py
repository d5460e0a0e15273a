r"""Preconditioned networks: what all diffusion priors share, the Gaussian that a network corrects, and the loss.

A network is trained by denoising score matching: "A Connection Between Score Matching and Denoising Autoencoders"
(Vincent, 2011), https://doi.org/10.1162/NECO_a_00142. Each row of a batch teaches the joint density, or one of the
marginals or conditionals that the network is to know; all of them share one call of it.
"""

from __future__ import annotations

import abc
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..calls import Plan, together
from ..energy import Evaluation, Information, level
from ..exact import Gaussian
from ..view import View
from .base import Draw, Prior
from .charts import Chart, Given, Marginal, Whole
from .contexts import Balance, Context

__all__ = ["Part", "Preconditioned"]

Part = View | Sequence[int]
_CLEAN = Context()


class Preconditioned(Prior):
    """A network that corrects a Gaussian: its preconditioning, what it is to know, and its denoising loss.

    Arguments:
        net: ``(u (N, n), c (N, 1), keep (N, n)) -> (N, n)`` or, for an EnergyNet, ``(N,)``.
        data: Gaussian over the ``n`` coordinates; ``Gaussian(zeros, ones)`` gives EDM's preconditioning.
        marginals: parts (views or lists of coordinates) that it is trained to know alone, beside the joint.
        lowest: smallest noise level; below it the energy is the one at ``lowest``.
        given: parts of which it is trained to know the others' energy, where the part is known clean.
        chart: which of them this energy is; set by :meth:`marginal` and :meth:`given`.
        context: how it meets what is given in training.
        within: pairs ``(part, known)``: parts that it is trained to know alone where ``known``, of theirs, is clean.

    Raises:
        ValueError: a part has coordinates that the state has not, or one twice; ``lowest`` is not above zero.
    """

    def __init__(self, net: nn.Module, data: Gaussian, marginals: Sequence[Part] = (), lowest: float = 2e-3,
                 given: Sequence[Part] = (), chart: Chart | None = None, context: Context = _CLEAN,
                 within: Sequence[tuple[Part, Part]] = ()) -> None:
        super().__init__()
        count = data.center.numel()
        if not 0 < lowest < 1e6:
            raise ValueError(f"got lowest={lowest}; expected a noise level above zero, as 2e-3")
        self.net, self.data, self.lowest, self.context = net, data, lowest, context
        self.marginals, self.conditions = ([_rows(part, count) for part in parts] for parts in (marginals, given))
        self.within = [(_rows(part, count), _rows(known, count)) for part, known in within]
        self.chart = Whole(data) if chart is None else chart
        self.size = self.chart.size
        self.parts = 1 + len(self.marginals) + len(self.conditions) + len(self.within)
        self.balance = Balance(self.parts) if context.balanced and not self.chart.name else None
        self._known: dict[int, Preconditioned] = {}

    def marginal(self, view: View) -> Preconditioned:
        """The energy of ``view``'s coordinates alone, by the same network; ValueError if it was not trained for it.

        Of an energy in which something is given, that where it is given still (the argument ``within``).
        """
        known = sorted(self.chart.exact.rows.tolist()) if isinstance(self.chart, Given) else []
        there = [part for part, own in self.within if sorted(own) == known] if known else self.marginals
        if view.copies or view.rows.tolist() not in there:
            raise ValueError(f"got the marginal on '{view}'; expected one of the {len(there)} parts that this network "
                             f"was trained to know (its argument {'within' if known else 'marginals'}): "
                             f"{_listed(there)}")
        return self._alone(view, known)

    @property
    def plain(self) -> bool:
        """Whether its network adds nothing, so that it is its Gaussian."""
        sizes = [p.numel() for p in self.net.parameters()]
        return bool(sizes) and not any(sizes)

    def closed(self) -> Gaussian | None:
        """The Gaussian that it is, where its network adds nothing."""
        return self.gaussian() if self.plain else None

    def given(self, view: View) -> Preconditioned:
        """The energy of the other coordinates where ``view``'s are known clean, over the same state.

        Its score is zero on what is given. ValueError if the network was not trained for it.
        """
        if self.chart.name and not view.copies and self.takes(view.rows):
            return self
        if view.copies or sorted(view.rows.tolist()) not in map(sorted, self.conditions):
            raise ValueError(f"got '{view}' given; expected one of the {len(self.conditions)} parts that this network "
                             f"was trained with (its argument given): {_listed(self.conditions)}")
        return self._charted(Given(self.data, view, self.lowest))

    def _alone(self, view: View, known: Sequence[int]) -> Preconditioned:
        """The marginal on a part, where the coordinates ``known`` of the whole state, of this part, are given."""
        data, center = self.data.marginal(view), self.data.center
        inside = View(torch.isin(view.rows, torch.tensor(known)).nonzero()[:, 0], 0, len(view.rows), "given")
        return self._charted(Marginal(Given(data, inside, self.lowest) if known else Whole(data), view, center))

    def _charted(self, chart: Chart) -> Preconditioned:
        return type(self)(self.net, self.data, self.marginals, self.lowest, self.conditions, chart, self.context,
                          self.within)

    def plan_loss(self, clean: Tensor, draw: Draw) -> Plan:
        """Denoising errors ``(b,)``: of the joint where ``draw.part`` is 0, of each marginal, given, within.

        Whatever is in a batch, it costs one call of the network. See :meth:`plan_error` and :class:`Context`.
        """
        heres = [(draw.part == k).nonzero()[:, 0] for k in range(self.parts)]
        errors = [self._plan_rows(k, clean[here], Draw(*(part[here] for part in draw)))
                  for k, here in enumerate(heres) if len(here)]
        place = torch.cat(heres).argsort()
        plan = together(errors).then(lambda found: torch.cat(found)[place])
        if self.balance is None:
            return plan
        return plan.then(lambda loss: self.balance(loss, draw, self._blank(draw)))

    def _blank(self, draw: Draw) -> Tensor:
        """Which rows ``(b, 1)`` start from nothing."""
        return self.context.blank(draw) & (draw.part[:, None] > len(self.marginals))

    def groups(self) -> list[list[nn.Parameter]]:
        return super().groups() + ([] if self.balance is None else [[*self.balance.parameters()]])

    def _plan_rows(self, index: int, clean: Tensor, draw: Draw) -> Plan:
        """:meth:`plan_error` of rows of one kind, those in which something is given as the context has them."""
        part = self._part(index)
        if index <= len(self.marginals):
            return part.plan_error(clean, draw.sigma, draw.noise)
        blank = self._blank(draw)
        sigma = torch.where(blank, self.context.high, draw.sigma)
        return part.plan_error(clean, sigma, draw.noise, self.context.size(draw), blank)

    def plan_error(self, whole: Tensor, sigma: Tensor, noise: Tensor, size: Tensor | float = 0.0,
                   blank: Tensor | None = None) -> Plan:
        """``|mean(clean + sigma noise) - clean|^2`` over the free coordinates, whitened by their Gaussian, ``(*B,)``.

        ``whole, noise (*B, n)`` are of the joint state, of which a marginal takes its part; what is given has noise of
        ``size (*B, 1)`` in its own standard deviations. Rows that are ``blank (*B, 1)`` start from zero.
        One means no better than the Gaussian. A direction in which the data hardly vary, by less than ``lowest / 10``,
        counts less, and one in which they do not, not at all.
        """
        sigma, chart, base = level(sigma, whole).clamp_min(self.lowest), self.chart, self.chart.base
        clean = chart.part(whole)
        start = clean if blank is None else torch.where(blank, clean - chart.back(chart.free(clean)), clean)
        level_noise = sigma if blank is None else torch.where(blank, 0.0, sigma)
        x = start + level_noise * chart.back(chart.free(chart.part(noise))) + size * chart.known(noise)

        def error(found: Evaluation) -> Tensor:
            off = base.modes(chart.free(x + sigma**2 * found.score - clean))
            spread = (base.variances / (base.variances + sigma**2)).sqrt() * sigma
            return (off / spread.clamp_min(self.lowest / 10)).square().sum(-1) / base.center.numel()

        return self.plan(x, sigma).then(error)

    def loss(self, whole: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """:meth:`plan_error`, paid for."""
        return self.plan_error(whole, sigma, noise).run()

    def _part(self, index: int) -> Preconditioned:
        """The energy of a kind of row; kept, since its Gaussian may cost a factorisation."""
        if index and index not in self._known:
            rows, known = [*((m, ()) for m in self.marginals), *((c, None) for c in self.conditions),
                           *self.within][index - 1]
            view = View(torch.tensor(rows), 0, self.data.center.numel(), "part")
            self._known[index] = (self._charted(Given(self.data, view, self.lowest)) if known is None else
                                  self._alone(view, known))
        return self._known[index] if index else self

    def _apply(self, function: Callable[..., Any], recurse: bool = True) -> Preconditioned:
        self._known.clear()  # of another device or precision
        return super()._apply(function, recurse)

    def config(self) -> dict[str, Any]:
        """Its settings, JSON-ready; ValueError for a part of what a network knows, which is saved with the whole."""
        if self.chart.name:
            raise ValueError(f"got {self!r}, a part of what its network knows; expected the energy of the whole state")
        context = {} if self.context == _CLEAN else {"context": self.context.config()}
        within = {"within": self.within} if self.within else {}
        return {"marginals": self.marginals, "lowest": self.lowest, "given": self.conditions, **context, **within}

    def tensors(self, half: bool = False) -> dict[str, Tensor]:
        """The Gaussian; axes of low rank may be in 16 bits, as loading makes them orthonormal again."""
        small = half and self.data.cov is None
        return {f"data.{k}": v.half() if small and k == "axes" else v for k, v in self.data.state_dict().items()}

    @classmethod
    def build(cls, config: Mapping[str, Any], net: nn.Module, tensors: Mapping[str, Tensor]) -> Preconditioned:
        """The prior of which these are :meth:`config` and :meth:`tensors`, with this network."""
        if unknown := config.keys() - {"marginals", "lowest", "given", "context", "within"}:
            raise TypeError(f"got the setting '{min(unknown)}'; expected marginals, lowest, given, context and within")
        data = Gaussian.from_state({k.removeprefix("data."): v for k, v in tensors.items()})
        context = Context(**config.get("context", {}))
        made = partial(cls, net, data, config["marginals"], config["lowest"], config.get("given", ()), context=context)
        return made(within=config["within"]) if "within" in config else made()

    def gaussian(self) -> Gaussian | None:
        """The one that the network corrects; None where something is given (:meth:`gaussian_at`)."""
        return self.chart.gaussian()

    def gaussian_at(self, view: View, value: Tensor) -> Gaussian | None:
        return self.chart.gaussian_at(view, value)

    def takes(self, rows: Tensor) -> bool:
        return self.chart.takes(rows)

    def information(self) -> Information | None:
        inside = self.gaussian()
        return None if inside is None else inside.information()

    def _inputs(self, white: Tensor, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = self.chart.enter(self.chart.base.back(white), x)
        c = (torch.log(sigma) / 4).expand(*x.shape[:-1], 1).reshape(-1, 1)
        return u, c, self.chart.keep.expand_as(u)

    def _outputs(self, out: Tensor, x: Tensor) -> Tensor:
        return self.chart.base.modes(self.chart.leave(out, x))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.chart.name}"

    @abc.abstractmethod
    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        """Value (None for a Denoiser) and score by one call of the network."""


def _rows(part: Part, size: int) -> list[int]:
    rows = [operator.index(row) for row in (part.rows.tolist() if isinstance(part, View) else part)]
    if not rows or len(set(rows)) < len(rows) or not 0 <= min(rows) <= max(rows) < size:
        raise ValueError(f"got the part {part if isinstance(part, View) else rows[:9]}; expected coordinates of a "
                         f"state of {size} numbers, each at most once")
    return rows


def _listed(parts: Sequence[Sequence[int]]) -> str:
    return "; ".join(f"[{', '.join(map(str, p[:6]))}{', ...' if len(p) > 6 else ''}] of {len(p)}" for p in parts)
