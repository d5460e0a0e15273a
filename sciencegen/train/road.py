"""From states to a trained model with a card, by one function.

The base Gaussian is the one of the candidates that denoises held-out rows best; the network learns what is beyond it,
is chosen by its loss on held-out rows, and is only kept if it is better than its own Gaussian on rows that nothing was
chosen by.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..layout import Layout
from ..nets.suited import suited
from ..nets.zero import Zero
from ..priors import EnergyNet
from ..priors.base import Prior
from ..priors.model import Model
from ..recipe import Recipe
from .bases import Choice, chosen
from .card import card
from .fit import Trained, fit
from .recipe import Data, Training
from .scores import scores
from .verdict import judged

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
    choice = chosen(states, how.gaussian, how.views(layout)[1], how.levels)
    recipe = how.net or suited(layout, how.width, states.periodic)
    torch.manual_seed(how.seed)
    prior = _prior(how, layout, choice, recipe).to(device or "cpu")
    trained = fit(prior, states.train, Path(out), how.steps, minutes=_minutes(how),
                  held_out=states.valid if len(states.valid) else None, batch=how.batch, rate=how.rate,
                  decay=how.decay, levels=how.levels, shares=how.shares, precision=how.precision, seed=how.seed,
                  every=how.every, facts={"layout": _digest(layout)}, progress=progress)
    model = _model(states, how, choice, recipe, trained)
    model.save(Path(out) / "model")
    return model


def _prior(how: Training, layout: Layout, choice: Choice, recipe: Recipe) -> Prior:
    marginals, given = how.views(layout)
    return how.kind(recipe.build([recipe.path]), choice.gaussian, marginals, how.levels.low, given)


def _model(states: Data, how: Training, choice: Choice, recipe: Recipe, trained: Trained) -> Model:
    """The model of what was trained, or of its Gaussian alone."""
    nothing = Recipe(f"{Zero.__module__}.{Zero.__qualname__}", {"scalar": how.kind is EnergyNet})
    base = _prior(how, states.layout, choice, nothing).to(next(trained.prior.parameters())).eval()
    verdict = judged(trained.prior, base, states, trained.schedule)
    prior, recipe = (trained.prior, recipe) if verdict.better else (base, nothing)
    found = scores(prior, base, states, how)
    facts = {**dict(how.facts), **verdict.facts(), **_facts(states, how, choice, trained), **found}
    model = Model(states.layout, prior.cpu(), recipe, training=facts)
    return replace(model, card=card(model))


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
