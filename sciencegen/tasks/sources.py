"""Where the members of an assimilation come from: a prior's joint law or a history, then window after window."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..energy import Energy
from ..exact import Gaussian
from ..problem import Problem
from ..random import Streams, spares
from ..sample import Sampler
from ..view import View
from .chains import Chain
from .histories import Known
from .kalman import Closed, covariance_of
from .sweeps import Draws

__all__ = ["draws_of", "start_of", "told"]

LARGEST = 4096  # numbers of a window of which a dense covariance is made
LOWER = (0.5, 0.15)  # of the conditional Gaussian's largest deviation: levels at which a mean is made better
ROWS = 2**22  # numbers in the states that are drawn at once


def told(prior: Energy, chain: Callable[[int], Chain], most: int, strict: bool) -> Chain:
    """The chain of the longest memory, up to ``most``, that the prior can be told; ValueError where there is none."""
    refused: Exception | None = None
    for memory in range(most, most - 1 if strict else 0, -1):
        try:
            made = chain(memory)
            prior.ahead(made.known, None)
            return made
        except (TypeError, ValueError) as error:
            refused = refused or error
    raise ValueError(f"got a prior that does not know how its windows go on after {most} frames: {refused}; expected "
                     "one trained with its first frames given, sciencegen train DATA --window 8") from refused


def start_of(chain: Chain, known: Known, members: int) -> Tensor:
    """What a history says of the first window: unit-scale numbers ``(M, g)``, in the order of ``chain.known``.

    ValueError where it has other parts, too few frames, or neither one nor ``members`` members.
    """
    layout, pieces = chain.layout, []
    if lost := [name for name in layout.variables if name not in known.parts]:
        raise ValueError(f"got a history without '{lost[0]}'; expected one of all parts, {list(layout.variables)}")
    for name in layout.variables:
        value, moves = known.parts[name], name in chain.moving
        if value.shape[0] != 1 or value.shape[1] not in (1, members):
            raise ValueError(f"got a history of {value.shape[0]} samples and {value.shape[1]} members; expected one "
                             f"sample, and one member or the {members} that are asked for")
        if moves and value.shape[2] < chain.memory:
            raise ValueError(f"got a history of {value.shape[2]} frames; expected {chain.memory} or more")
        value = value[0, :, -chain.memory:] if moves else value[0]
        pieces.append(value.double().flatten(1).expand(members, -1))
    rows = chain.known.rows
    return (torch.cat(pieces, -1) - layout.loc[rows].cpu()) / layout.scale[rows].cpu()


def draws_of(problem: Problem, chain: Chain, window: Chain, sampler: Sampler, whole: Sampler, seeds: Tensor,
             start: Tensor | None) -> Draws:
    """The draws for the windows of ``chain``, which are the first frames of the prior's, those of ``window``.

    ``sampler`` draws what comes next, ``whole`` a first window.
    """
    prior, keep = problem.prior, _kept(window, chain)
    exact = prior.closed() if chain is window else None
    inside = exact if exact is not None else prior.gaussian()
    structured = inside is not None and window is chain and chain.known.size <= LARGEST
    closed = Closed(inside.center.double().cpu(), covariance_of(inside), chain) if structured else None
    ahead = prior.ahead(window.known, sampler)
    like = _like(prior)
    places = _places(window, keep)

    def forward(shared: Tensor, index: int) -> Tensor:
        noise = Streams(spares(seeds, len(shared))).branch(index + 1)
        some = max(ROWS // window.known.size, 1)
        pieces = [ahead(v.to(like), Streams(s.to(like.device)))
                  for v, s in zip(shared.split(some), noise.seeds.split(some))]
        return torch.cat(pieces).double().cpu()[:, places]

    def first(count: int) -> Tensor:
        noise = Streams(spares(seeds, count)).branch(0)
        if start is not None:
            return _joined(chain, start, forward(start, -1))
        some, size = max(ROWS // window.known.size, 1), window.known.size
        pieces = [_drawn(prior, exact, whole, size, Streams(s), like) for s in noise.seeds.split(some)]
        return torch.cat(pieces).double().cpu()[:, keep]

    center, cov = (None, None) if closed is None else (closed.mean, closed.whole)
    if closed is not None and start is not None:
        apart = start - start.mean(0)
        center, cov = closed.center(start.mean(0)), closed.advanced(apart.mT @ apart / max(len(apart) - 1, 1))
    mean = _mean(prior, window.known, sampler, places, like)
    return Draws(seeds, first, forward, closed, center if exact is not None else None, cov, mean)


def _drawn(prior: Energy, exact: Gaussian | None, sampler: Sampler, size: int, noise: Streams, like: Tensor) -> Tensor:
    if exact is None:
        return sampler.draw(prior, size, noise.to(like.device), like)
    return exact.center + exact.coloured(noise.normal(size, like.dtype).to(like))


def _mean(prior: Energy, known: View, sampler: Sampler, places: Tensor, like: Tensor
          ) -> Callable[[Tensor], Tensor] | None:
    """The conditional mean, Tweedie's; None of a prior that is not trained by scores."""
    try:
        given = prior.given(known)
    except (TypeError, ValueError):
        return None

    def mean(shared: Tensor) -> Tensor:
        found = [_refined(given.at(known, value), value, len(known.rest), sampler.levels[0])
                 for value in shared.to(like).split(max(ROWS // known.size, 1))]
        return torch.cat(found).double().cpu()[:, places]

    return mean


def _refined(energy: Energy, value: Tensor, size: int, highest: float) -> Tensor:
    """Tweedie's mean at the highest level, then of that mean at lower ones, where a network's error is smaller."""
    around = energy.gaussian()
    x = value.new_zeros(len(value), size) if around is None else around.center
    wide = 1.0 if around is None else float(around.variances.max()) ** 0.5
    with torch.no_grad():
        for level in (highest, *(share * wide for share in LOWER if share * wide < highest)):
            x = energy.mean(x, level)
    return x


def _like(prior: Energy) -> Tensor:
    """A number of the prior's precision, on its device."""
    tensors = (*prior.parameters(), *prior.buffers())
    return next((t.detach().new_zeros(()) for t in tensors if t.is_floating_point()), torch.zeros(()))


def _kept(window: Chain, chain: Chain) -> Tensor:
    """Coordinates of the prior's window that are in the chain's, which may have fewer frames."""
    return torch.cat([(window.layout[name][: chain.length] if name in window.moving else window.layout[name]).rows
                      for name in window.layout.variables])


def _places(window: Chain, keep: Tensor) -> Tensor:
    """Which of what comes ahead in the prior's window does so in the chain's."""
    return torch.isin(window.known.rest, keep).nonzero()[:, 0]


def _joined(chain: Chain, shared: Tensor, rest: Tensor) -> Tensor:
    whole = shared.new_zeros(len(shared), chain.known.size)
    whole[:, chain.known.rows], whole[:, chain.known.rest] = shared, rest
    return whole
