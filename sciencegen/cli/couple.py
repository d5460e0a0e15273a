"""``sciencegen couple``: a thin mirror of :mod:`sciencegen.studies.coupled`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .clock import watched
from .options import Device, Out, Overwrite, Repeated, Switch, Whole, at_least, seed
from .own import said
from .run import Asked, say

if TYPE_CHECKING:
    import numpy as np

__all__ = ["couple"]


def couple(*fields: Annotated[str, Parameter(help="A model of each field: NAME=DIRECTORY of a trained prior that was "
                                                  "given the others, or NAME=module:solver.")],
           given: Repeated = (), shape: Repeated = (), settle: Switch = False, count: Whole = 16, starts: Whole = 100,
           steps: Whole = 32, sweeps: Whole = 20, noise: float = 1e-3, out: Out = Path("runs/coupled"),
           seed: Annotated[int, Parameter(converter=seed, help="The same seed gives the same answers.")] = 0,
           device: Device = "cpu", overwrite: Overwrite = False) -> None:
    """Couple fields of which each has a model of its own: u=MODEL v=MODEL, or v=module:solver.

    Trained priors alone give samples of the fields together. With a solver among them, or with --settle, the fields are
    functions of each other, and the command finds where they agree: every solution, or that there is none.

    Parameters
    ----------
    given
        What no model is of and is known: NAME=NUMBER, or NAME=FILE.npy with an array. Repeat it for several.
    shape
        Of a part that only solvers know: NAME=32, or NAME=16,16. Repeat it for several.
    settle
        Take trained priors by their means, as functions of the other fields.
    count
        Samples, of trained priors.
    starts
        From which to look for solutions.
    steps
        Noise levels of the sampler.
    sweeps
        From field to field, at most, at each noise level.
    noise
        How well a solver is believed, a share of its field's scale: what a solution may leave.
    """
    from ..studies import coupled as job
    from ..studies.directory import claim

    begun = time.perf_counter()
    at_least(1, count=count, starts=starts, sweeps=sweeps)
    at_least(2, steps=steps)
    if not noise > 0:
        raise ValueError(f"got --noise {noise:g}; expected a number above 0")
    known = {name: _value(name, text) for name, text in _pairs("given", given)}
    shapes = {name: _shape(name, text) for name, text in _pairs("shape", shape)}
    found = job.read_fields(fields, shapes, known)
    out = claim(out, overwrite)
    for model in found.models.values():
        said(model)
    asked = Asked(f"couple {' '.join(fields)}", None, {
        "given": list(given), "shape": list(shape), "settle": settle, "count": count, "starts": starts, "steps": steps,
        "sweeps": sweeps, "noise": noise, "seed": seed, "device": device},
        {name: Path(path) for name, _, path in (word.partition("=") for word in fields) if Path(path).exists()})
    with watched("couple"):
        if settle or found.solvers:
            made = job.agree(found, known, starts, seed, noise)
        else:
            made = job.sample(found, known, count, seed, steps, sweeps, device)
    if made.status:
        raise KeyboardInterrupt(f"{made.message}; nothing was written")
    files = job.write(out, found, made, asked.record(), overwrite)
    say(job.report(found, made), files, out, begun)


def _pairs(flag: str, words: tuple[str, ...]) -> list[tuple[str, str]]:
    made = [(name, text) for name, _, text in (word.partition("=") for word in words)]
    if bad := [word for word, (name, text) in zip(words, made) if not name or not text]:
        raise ValueError(f"got --{flag} {bad[0]}; expected NAME=VALUE")
    return made


def _value(name: str, text: str) -> np.ndarray[Any, Any]:
    """A number, or the array of a file."""
    import numpy as np

    try:
        found = np.load(text, allow_pickle=False) if text.endswith(".npy") else np.asarray(float(text))
    except ValueError as error:
        raise ValueError(f"got --given {name}={text} ({error}); expected a number, or a .npy file of them") from error
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise ValueError(f"got --given {name}={text}; expected finite numbers")
    return found.astype(float)


def _shape(name: str, text: str) -> tuple[int, ...]:
    if not all(word.isdigit() and int(word) for word in text.split(",")):
        raise ValueError(f"got --shape {name}={text}; expected whole numbers along its axes, as 32 or 16,16")
    return tuple(int(word) for word in text.split(","))
