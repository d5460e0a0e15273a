"""From states to a trained model with a card, by one function.

The base Gaussian is the one of the candidates that denoises held-out rows best; the network learns what is beyond it,
is chosen by its loss on validation rows, counts at each noise level as far as it helps there, and is only kept if it is
better than its own Gaussian on rows that nothing was chosen by.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..layout import Layout
from ..nets.gated import Gated
from ..nets.suited import suited
from ..nets.zero import Zero
from ..priors import EnergyNet
from ..priors.base import Prior
from ..priors.model import Model
from ..recipe import Recipe
from . import windows
from .bases import Choice, chosen
from .card import card
from .fit import Trained, fit
from .ranks import Ranks
from .recipe import Data, Training, together
from .scores import scores
from .verdict import gates, judged, judged_by_loss, knots

__all__ = ["train"]

MINUTES = 10.0  # of a training for which nothing else is said


def train(states: Data, how: Training | None = None, out: str | os.PathLike = "runs/prior",
          device: torch.device | str | None = None, progress: bool = True) -> Model:
    """Train a prior of states and write it, with its card, to ``out/model``.

    A training that was stopped goes on, and one that is finished goes on to more ``steps`` or ``minutes``. Where the
    network is not better than its Gaussian on held-out rows the model is the Gaussian, and says so.

    Arguments:
        states: what to train on, as :class:`sciencegen.states.States`.
        how: to train; ten minutes with what suits the layout unless given.
        out: directory of the checkpoint and the model.
        device: where to train; the CPU unless given.
        progress: show a bar on a terminal, else a line a minute.

    Raises:
        ValueError: a layout without a suited network; a checkpoint of another training in ``out``.
    """
    how, layout = how or Training(), states.layout
    ahead = windows.applies(states, how)
    how = windows.suit(states, how) if ahead else how
    choice = chosen(states, how.gaussian, how.views(layout)[1], how.levels)
    recipe = how.net or suited(layout, how.width, states.periodic)

    def made(gaussian: Choice) -> Prior:
        torch.manual_seed(how.seed)
        return _prior(how, layout, gaussian, recipe.build([recipe.path])).to(device or "cpu")

    prior = made(windows.base(states, how, choice, Path(out), made) if ahead else choice)
    trained = fit(prior, states.train, Path(out), how.steps, minutes=_minutes(how),
                  held_out=states.valid if len(states.valid) else None, batch=how.batch, rate=how.rate,
                  decay=how.decay, levels=how.levels, shares=how.shared(layout), precision=how.precision, seed=how.seed,
                  every=how.every, facts={"layout": _digest(layout)}, progress=progress)
    model, ranks = _model(states, how, choice, recipe, trained, ahead), Ranks.join(torch.device(device or "cpu"))
    if not ranks.rank:
        model.save(Path(out) / "model")
    ranks.wait()
    return model


def _prior(how: Training, layout: Layout, choice: Choice, net: nn.Module) -> Prior:
    marginals, given = how.views(layout)
    pairs = [(together(layout, part), together(layout, known)) for part, known in how.within]
    kind = partial(how.kind, within=pairs) if pairs else how.kind
    return kind(net, choice.gaussian, marginals, how.levels.low, given)


def _model(states: Data, how: Training, choice: Choice, recipe: Recipe, trained: Trained, ahead: bool = False
           ) -> Model:
    """The model of what was trained, as far as it is of use; of its Gaussian alone where it is not."""
    layout, prior, like = states.layout, trained.prior, next(trained.prior.parameters())
    base = _prior(how, layout, choice, Zero(how.kind is EnergyNet)).to(like).eval()
    told = how.views(layout)[1] if how.given is not None else []
    shares = gates(prior, base, states, how.levels, told) if how.gated and prior.denoises else []
    if shares:
        where = (knots(how.levels).log() / 4).tolist()
        inside = prior.net.net if how.kind is EnergyNet else prior.net
        prior = _prior(how, layout, choice, Gated(inside, where, shares)).to(like).eval()
        recipe = _recipe(Gated, net=recipe, knots=where, weights=shares)
    verdict = windows.judged(prior, base, states, how) if ahead else (
        judged(prior, base, states, how.levels, told) if prior.denoises else
        judged_by_loss(prior, base, states, trained.schedule))
    if not verdict.better:
        prior, recipe = base, _recipe(Zero, scalar=how.kind is EnergyNet)
    facts = {**dict(how.facts), **verdict.facts(), **_facts(states, how, choice, trained), "gates": shares,
             **scores(prior, base, states, how)}
    if ahead and verdict.better:
        facts["forecast"] = windows.sampled(prior, states, how)
    model = Model(layout, prior.cpu(), recipe, training=facts)
    return replace(model, card=card(model))


def _recipe(network: type[Zero] | type[Gated], **arguments: Any) -> Recipe:
    return Recipe(f"{network.__module__}.{network.__qualname__}", arguments)


def _facts(states: Data, how: Training, choice: Choice, trained: Trained) -> dict[str, Any]:
    history = trained.history
    return {"data": list(states.notes), "rows": [len(states.train), len(states.valid), len(states.test)],
            "gaussian": choice.name, "gaussians": dict(choice.errors), "steps": history.sizes["step"],
            "best": trained.best, "batch": how.batch, "rate": how.rate, "seed": how.seed,
            "loss": float(history.loss[-200:].mean()), "seconds": float(history.seconds[-1])}


def _minutes(how: Training) -> float | None:
    return MINUTES if how.steps is None and how.minutes is None else how.minutes


def _digest(layout: Layout) -> str:
    return hashlib.sha256(json.dumps(layout.config(), default=str).encode()).hexdigest()[:16]
