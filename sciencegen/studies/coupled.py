"""Coupled physics on the command line: a model or a solver of each field, what is given, and where they agree.

Trained priors of all fields make a joint prior, whose samples are drawn (:func:`sciencegen.coupling.couple`). As soon
as one field is a solver's, the fields are taken as functions of each other, and what is looked for is where they agree
(:func:`sciencegen.tasks.settle`); a trained prior then stands for its mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..coupling import couple, residuals
from ..coupling.joint import joined
from ..layout import Layout, Variable
from ..priors import Model, zoo
from ..random import Streams
from ..result import Result
from ..sample import Multistep, karras
from ..tasks import draw, settle
from .runs import Report, write_run
from .solvers_of import Solve, batched, solver_of
from .study import PICTURE, keep
from .tables import Table

__all__ = ["Fields", "agree", "read_fields", "report", "sample", "write"]

ABOVE, LOW = 10.0, 0.02  # the first noise level over the largest standard deviation; the last one
HIGH = 80.0  # where no Gaussian says how wide the fields are; at which a prior's mean knows nothing of its own field
LEAST, MOST, ROUGH = -1.0, 1.5, 0.1  # starts: powers of ten of a first answer, and what is random beside
SHOWN = 8


@dataclass(frozen=True)
class Fields:
    """What is coupled: of each field a trained prior or a solver, by name, and the layout of all parts.

    Arguments:
        models: trained priors.
        solvers: torch functions ``(**others) -> (*B, *shape)``.
        layout: of all parts.
    """

    models: Mapping[str, Model]
    solvers: Mapping[str, Solve]
    layout: Layout


def read_fields(words: Sequence[str], shapes: Mapping[str, tuple[int, ...]], given: Mapping[str, Any]) -> Fields:
    """The fields that ``u=MODEL v=module:Solver`` names.

    Arguments:
        shapes: of parts that no model and no solver says.
        given: what is known, for the shape of it.

    Raises:
        ValueError: a word that is no ``name=...``, a name twice, a part whose shape nobody says.
    """
    named = [word.partition("=") for word in words]
    if bad := [word for word, (name, _, path) in zip(words, named) if not name.isidentifier() or not path]:
        raise ValueError(f"got {bad[0]}; expected NAME=MODEL or NAME=module:solver for each field, as u=runs/u/model")
    if len({name for name, _, _ in named}) < len(named) or len(named) < 2:
        raise ValueError(f"got the fields {[name for name, _, _ in named]}; expected two or more, each once")
    models = {name: _model(path) for name, _, path in named if ":" not in path}
    raw = {name: solver_of(path) for name, _, path in named if ":" in path}
    there = joined({name: model.layout for name, model in models.items()}).variables if models else {}
    stated = {k: v for solver in raw.values() for k, v in {**getattr(solver, "inputs", {}),
                                                           **getattr(solver, "outputs", {})}.items()}
    found = dict(there)
    for name in [*(name for name, _, _ in named), *given, *stated, *shapes]:
        shape = shapes.get(name, stated.get(name, tuple(np.shape(given[name])) if name in given else None))
        if name not in found and shape is None:
            raise ValueError(f"got no shape of '{name}'; expected --shape {name}=32, numbers along its axes by commas")
        found.setdefault(name, Variable(shape or ()))
    solvers = {name: batched(name, solver, found[name].shape) for name, solver in raw.items()}
    layout = Layout(**found)
    return Fields(models, solvers, _sized(layout, solvers, there, given))


def sample(fields: Fields, given: Mapping[str, Any], count: int, seed: int, steps: int, sweeps: int,
           device: str) -> Result:
    """Samples of the joint prior of trained fields."""
    problem = couple(**fields.models, sweeps=sweeps)
    problem = problem.given(**given) if given else problem
    inside = problem.energy().gaussian()
    high = HIGH if inside is None else ABOVE * float(inside.variances.max()) ** 0.5
    levels = karras(steps, max(LOW, problem.prior.lowest), max(high, 10 * LOW))
    with torch.no_grad():
        return draw(problem, Multistep(levels), count, torch.arange(count) + seed * 2**20, device=device)


def agree(fields: Fields, given: Mapping[str, Any], starts: int, seed: int, noise: float) -> Result:
    """Where all fields agree, from many starts."""
    means = {name: _mean(name, model) for name, model in fields.models.items()}
    law = residuals(fields.layout, noise, **means, **fields.solvers)
    return settle(law, _starts(fields, starts, seed), fields.layout, known=given, seed=seed)


def report(fields: Fields, found: Result) -> Report:
    """All that is said of a result."""
    settled = found.config["task"] == "settle"
    names = [*fields.models, *fields.solvers]
    rows = [{"field": name, "unit": fields.layout.variables[name].units, **_range(found, name)} for name in names]
    tables = [Table(f"{len(found)} {'solutions' if settled else 'samples'} of {len(names)} coupled fields", rows)]
    judged = [f"{name}: {'the trained prior' if name in fields.models else 'the solver'}" for name in names]
    if settled:
        tables.append(Table("Where starts ended", [
            {"#": str(k + 1), "coupled": "yes" if found.success[k] else "no", "energy": f"{found.fun[k]:.3g}",
             "residual / noise": f"{float(found.data.remainder[k]):.3g}",
             "share of starts": f"{100 * float(found.data.starts[k]):.0f} %"} for k in range(min(SHOWN, len(found)))]))
        summary = [found.message, f"{found.nfev:,} evaluations of all fields a start, products with Jacobians counted"]
        warnings = [] if found.success.any() else [found.message[0].upper() + found.message[1:]]
    else:
        last = found.history.isel(step=slice(1, None))
        summary = [f"{float(found.history.sweeps.mean()):.1f} sweeps a noise level in the mean, at most "
                   f"{float(found.history.sweeps.max()):.0f}; a sweep shrinks what is left by "
                   f"{float(found.history.contraction.max()):.2f} at worst, as far as it was seen",
                   f"{found.nfev:,} network calls"]
        worst = float(last.mismatch.max()) if last.sizes["step"] else 0.0
        warnings = [] if worst < 0.1 else [f"The fields do not agree: sweeps ended {worst:.2f} of a noise level's "
                                           "spread apart; allow more by --sweeps."]
    return Report(f"Coupled: {', '.join(names)}", tables, summary,
                  [f"Each field by its own model, none has seen them coupled ({'; '.join(judged)})."], warnings,
                  {PICTURE: "The solutions." if settled else "Some of the samples."})


def write(directory: Path, fields: Fields, found: Result, asked: Mapping[str, Any], overwrite: bool = False
          ) -> list[str]:
    """Write result.nc, designs.png, config.json and report.html, as a whole; the names of the files."""

    def files(folder: Path) -> None:
        found.save(folder / "result.nc")
        keep(found.plot()[0], folder / PICTURE)

    return write_run(directory, report(fields, found), asked, files, found.config, found.message, False, overwrite)


def _range(found: Result, name: str) -> dict[str, str]:
    value = found.samples[name].values
    return {"mean": f"{np.nanmean(value):.5g}", "least": f"{np.nanmin(value):.5g}",
            "largest": f"{np.nanmax(value):.5g}",
            "spread of samples": f"{np.nanstd(value, 0).mean():.3g}" if len(value) > 1 else "-"}


def _model(path: str) -> Model:
    if Path(path, "config.json").is_file():
        found = Model.load(path)
    else:
        try:
            found = zoo(path)
        except KeyError as error:
            raise ValueError(f"got {path}, which is no trained prior ({error.args[0]}); expected the directory of one, "
                             "as sciencegen train --given writes it, or module:solver") from error
    found.energy.requires_grad_(False)
    return found


def _mean(name: str, model: Model) -> Solve:
    """A trained prior's mean of its field given the others, as a solver."""
    layout = model.layout
    others = [k for k in layout.variables if k != name]
    known = model.energy.given(layout.known(**{k: torch.zeros(layout.variables[k].shape) for k in others})[0])
    place = layout[name].rows

    def solve(**parts: Tensor) -> Tensor:
        given = {k: parts[k] for k in others}
        batch = next(iter(given.values())).shape[:1]
        x = layout.pack(**given, **{name: torch.zeros(*batch, *layout.variables[name].shape)}).to(torch.float32)
        x = x.index_fill(-1, place, 0.0)
        return layout.unpack(known.mean(x, HIGH).to(next(iter(given.values())).dtype))[name]

    return solve


def _starts(fields: Fields, count: int, seed: int) -> Tensor:
    """Where to start from, ``(count, d)``: trained fields as they are spread, others from small to large answers.

    A solver's field starts as its first answer times a number that is drawn anew for each start and field, so that
    branches far from it are seen too.
    """
    noise = Streams(torch.arange(count) + seed * 2**20)
    x = noise.normal(fields.layout.size)
    for number, name in enumerate(fields.solvers):
        variable, rows = fields.layout.variables[name], fields.layout[name].rows
        first = variable.flat(variable.loc) / variable.flat(variable.scale)  # zero is at -loc / scale
        power = LEAST + (MOST - LEAST) * noise.at(1, number).uniform(1)
        x[:, rows] = (10**power - 1) * first + ROUGH * x[:, rows]
    return x


def _sized(layout: Layout, solvers: Mapping[str, Solve], there: Mapping[str, Variable], given: Mapping[str, Any]
           ) -> Layout:
    """The layout with units of the fields that only solvers know, by what they answer first to one another."""
    parts = layout.unpack(torch.zeros(1, layout.size, dtype=torch.float64))
    parts |= {k: torch.as_tensor(np.asarray(v)).double()[None] for k, v in given.items()}
    found = dict(layout.variables)
    for name, solve in [*solvers.items()] * 2:  # the second time around all others have answered
        with torch.no_grad():
            parts[name] = solve(**{k: v for k, v in parts.items() if k != name}).double()
        size = float(parts[name].square().mean().sqrt())
        if name not in there and 0 < size < math.inf:
            found[name] = replace(found[name], loc=parts[name][0], scale=size)
    return Layout(**found)
