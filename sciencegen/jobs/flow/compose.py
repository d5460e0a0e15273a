r"""Several bodies in one stream from a prior of one: one line of algebra.

Given the flow, bodies know nothing of each other: what the flow does near one of them tells what that one is. So the
flow with all of them counts the flow itself once for each, ``n - 1`` times too often:

.. math:: \log p(u, b_1 \dots b_n) = \sum_k \log p(u, b_k) - (n - 1) \log p(u) .

"Compositional Generative Inverse Design" (Wu et al., 2024), https://arxiv.org/abs/2401.13171, averages the scores of
the flow instead, which takes each body's influence at one ``n``-th.
"""

from __future__ import annotations

from dataclasses import replace

from ...energy import Energy
from ...layout import Layout, View
from ...network import Preconditioned

__all__ = ["bodies_view", "compose", "enlarge"]


def compose(layout: Layout, energy: Preconditioned, bodies: int) -> tuple[Layout, Energy]:
    """Layout and prior of ``bodies`` in one stream, from those of one."""
    many = enlarge(layout, bodies)
    prior = energy.on(bodies_view(many))
    if bodies == 1:
        return many, prior
    alone = energy.marginal(layout["flow"] & layout["reynolds"])
    return many, prior - (bodies - 1) * alone.on(many["flow"] & many["reynolds"])


def bodies_view(many: Layout) -> View:
    """A copy for each body: with the one flow and the one Reynolds number, in the order of a state of one body."""
    return many["flow"] & many["body"].each() & many["force"].each() & many["reynolds"]


def enlarge(layout: Layout, bodies: int) -> Layout:
    """The same layout with ``body`` and ``force`` once for each; ValueError if it is not that of one body."""
    one = layout.variables
    if list(one) != ["flow", "body", "force", "reynolds"] or one["force"].shape != (2,) or bodies < 1:
        raise ValueError(f"got {bodies} bodies and a prior over { {k: v.shape for k, v in one.items()} }; expected at "
                         "least one, and one of flow, body (n, n), force (2,) and reynolds, as `sciencegen train flow` "
                         "makes it")
    grown = {k: replace(one[k], shape=(bodies, *one[k].shape), dims=one[k].dims and ("part", *one[k].dims))
             for k in ("body", "force")}
    return Layout(**{**one, **grown})
