"""Anybody's data and trained priors on the command line: ``train DATA``, ``design MODEL``."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from .clock import watched
from .options import at_least
from .run import Asked, say

if TYPE_CHECKING:
    from ..priors import Model
    from ..states import States

__all__ = ["DESIGNED", "design_model", "is_model", "said", "states_of", "train_data"]

BLUR = 0.005  # of a stepper, in deviations: steadies its roll-outs
DESIGNED = "objective(**parts) -> (*B,), low is good, of the prior's parts in physical units"


def is_model(name: str) -> bool:
    """Whether this is the directory of a trained prior."""
    return Path(name, "config.json").is_file() and Path(name, "model.safetensors").is_file()


def states_of(data: Path, parts: str | None, window: int | None, stride: int, periodic: str, dims: tuple[str, ...],
              group: str | None, seed: int) -> States:
    """The states of a file, as the options say."""
    from .. import io
    from ..io.usual import usual
    from ..states import States
    from ..symmetries import Shift

    if wrong := [word for word in dims if not word.partition("=")[2]]:
        raise ValueError(f"got --dims {wrong[0]}; expected NAME=AXES, as in u=sample,time,x")
    named = {name: tuple(axes.split(",")) for name, _, axes in (word.partition("=") for word in dims)}
    found = usual(io.open(data, dims=named or None, group=group))
    frames = found.sizes.get("time", 1)
    if window is not None and not 1 <= window <= frames:
        raise ValueError(f"got --window {window}; expected 1 to {frames}, the frames of the data")
    around = tuple(axis for axis in periodic.split(",") if axis)
    return States(found, parts.split(",") if parts else None, window, stride,
                  symmetries=(Shift(around),) if around else (), seed=seed)


def given(text: str) -> tuple[str | tuple[str, int], ...]:
    """What ``nu`` or ``u:2,nu`` says is known: parts, and how many of the first entries of them."""
    found: list[str | tuple[str, int]] = []
    for part in text.split(","):
        name, colon, count = part.partition(":")
        if colon and not count.isdigit():
            raise ValueError(f"got --given {text}; expected parts, as nu, and how many frames of them, as u:2,nu")
        found.append((name, int(count)) if colon else name)
    return tuple(found)


def train_data(states: States, known: tuple[str, ...], histories: tuple[int, ...], stepper: bool, out: Path,
               steps: int | None, minutes: float | None, seed: int, device: str) -> None:
    """Train a prior of a file's states and say what came of it."""
    from ..priors import Denoiser, Stepper
    from ..priors.contexts import Context
    from ..studies.directory import writable
    from ..train import Training, contexts, train

    if steps is not None:
        at_least(1, steps=steps)
    writable(out)
    Console().print(states, markup=False, highlight=False, soft_wrap=True)
    asked = (*map(given, known), *(contexts(states.layout, histories) if histories else ()))
    if stepper and not (asked or contexts(states.layout)):
        raise ValueError("got --stepper for states without time; expected --window, and two frames or more")
    kind = partial(Stepper, members=2, context=Context(BLUR)) if stepper else Denoiser
    how = Training(kind=kind, given=asked or None, steps=steps, minutes=minutes, seed=seed)
    model = train(states, how, out, device)
    said(model, always=True)
    Console().print(f"the model is {out / 'model'}, its card {out / 'model' / 'README.md'}; use it with: sciencegen "
                    f"invert {out / 'model'} --data sensors.h5, or: sciencegen design {out / 'model'} --objective "
                    "mine.py", markup=False, highlight=False, soft_wrap=True)


def said(model: Model, always: bool = False) -> None:
    """Say what a trained prior's verdict is, loudly where its network is of no use."""
    words = model.training.get("verdict")
    good = model.training.get("better")
    if words and (always or not good):
        Console().print(words, style="green" if good else "bold red", markup=False, highlight=False, soft_wrap=True)


def design_model(directory: str, objective: Path | None, strength: float, count: int, seed: int, steps: int, out: Path,
                 device: str, overwrite: bool) -> None:
    """Design with a trained prior and an objective of the user's."""
    from ..priors import Model
    from ..studies import own
    from ..studies.directory import claim
    from ..studies.objective import load_constraints, load_objective

    start = time.perf_counter()
    if objective is None:
        raise ValueError(f"got the trained prior {directory} without --objective; expected a Python file with "
                         f"{DESIGNED}")
    at_least(2, steps=steps)
    if not strength > 0:
        raise ValueError(f"got --strength {strength:g}; expected a number above 0")
    asked = Asked(f"design {directory}", None,
                  {"objective": objective, "strength": strength, "count": count, "seed": seed, "steps": steps,
                   "device": device}, {"model": Path(directory)})
    at_least(1, count=count)
    model = Model.load(directory)
    said(model)
    goal = load_objective(objective, own.trial(model), DESIGNED)
    constraints = load_constraints(objective)
    own.spread(model, goal)
    out = claim(out, overwrite)
    with watched(f"design {directory}"):
        result = own.solve(model, goal, constraints, strength, count, seed, steps, device)
    if result.status:
        raise KeyboardInterrupt(f"{result.message}; nothing was written")
    made = own.write(out, model, result, asked.record(), overwrite)
    say(own.report(model, result), made, out, start)
