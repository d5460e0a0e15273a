"""R and N: a reaction-diffusion pair over time, and three fields of a reactor, from networks of one physics each.

Every row that is learned has the same models of decoupled data, but the last ones, whose model has seen coupled
solutions. The components' own error is that of each model told the true other fields: what extrapolation off the
decoupled marginal costs is the difference between that on coupled and on decoupled data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sciencegen as sg
from sciencegen.coupling import couple, residuals
from sciencegen.fixed_points import InterfaceQuasiNewton, fixed_point
from sciencegen.physics.coupled import Coupled, ReactionDiffusion, Reactor, Round
from sciencegen.physics.system import Part
from sciencegen.recipe import Recipe
from sciencegen.sample import Ancestral, karras

from .deterministic import ITERATIONS, NOISE
from .learned import DRAWS, HIGH, Care, Known, Learned, coupled_model, decoupled_model
from .rules import alike, m2pde

__all__ = ["SETTINGS", "Setting", "compared"]

Fields = dict[str, Tensor]
Row = tuple[Fields, dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """A system, and how its components are learned.

    Arguments:
        told: what the component of each field is told.
        linear: fields whose components are linear.
        minutes: of training, for a component that is not, and for all fields together.
        net: of one or several parts; the one that suits them unless given.
        periodic: whether states may be shifted.
        care: that errors of the others stay small.
    """

    system: Coupled
    told: Mapping[str, tuple[str, ...]]
    linear: tuple[str, ...]
    minutes: float
    net: Callable[[Mapping[str, Part]], Recipe] | None = None
    periodic: bool = False
    care: Care = Care()  # frozen


def over_time(parts: Mapping[str, Part]) -> Recipe:
    """A residual network round the interval, frames as channels."""
    axes = [[-1, 0] if len(part.shape) == 2 else [0] for part in parts.values()]
    return Recipe("sciencegen.nets.residual.FieldResNet", {
        "shapes": [list(part.shape) for part in parts.values()], "axes": axes, "grid": [20], "periodic": [True],
        "width": 64, "blocks": 4, "kernel": 5, "patch": 1})


def perceptron(parts: Mapping[str, Part]) -> Recipe:
    """Residual perceptrons."""
    size = sum(torch.Size(part.shape).numel() for part in parts.values())
    return Recipe("sciencegen.nets.mlp.MLP", {"size": size, "width": 256, "depth": 3})


PLAIN = Care(1e-6, 0.0)
PAIR = {"u": ("v", "a", "b"), "v": ("u", "a", "b")}
THREE = {"flux": ("fuel", "source"), "fuel": ("flux", "coolant"), "coolant": ("fuel",)}
SETTINGS = {
    "R: reaction-diffusion, fresh fields": Setting(ReactionDiffusion(), PAIR, ("v",), 4.0, over_time, True, PLAIN),
    "R: reaction-diffusion, fields correlated in time":
        Setting(ReactionDiffusion(pace=0.6), PAIR, ("v",), 4.0, over_time, True, PLAIN),
    "N: three fields": Setting(Reactor(), THREE, ("coolant",), 1.5, perceptron),
    "N: three fields, strong": Setting(Reactor(heat=16.0, mixing=0.3), THREE, ("coolant",), 1.5, perceptron),
}


def learned(setting: Setting, out: Path, minutes: float) -> dict[str, Known]:
    """A model of each field."""
    steps = {name: 20 if name in setting.linear else None for name in setting.told}
    return {name: decoupled_model(setting.system, name, told, out / name, minutes, steps[name], setting.net,
                                  setting.periodic, setting.care) for name, told in setting.told.items()}


def solved(system: Coupled, given: Fields) -> Fields:
    """The coupled fields, by IQN-ILS to 1e-10."""
    both = Round(system, given)
    rows = len(next(iter(given.values())))
    middle = {k: torch.full((rows, *p.shape), system.elsewhere[k].middle).double() for k, p in system.fields.items()}
    found = fixed_point(both, both.flat(middle), InterfaceQuasiNewton(), 1e-10, 100)
    if not bool(found.converged.all()):
        raise ValueError(f"got {int((~found.converged).sum())} coupled cases unsolved; expected none")
    return both.fields(found.point)


def iterated(models: Mapping[str, Known], system: Coupled, given: Fields, how: Any) -> Row:
    """A classical iteration of the surrogates."""
    both = Round(Learned(system, models), given)
    rows = len(next(iter(given.values())))
    middle = {k: torch.full((rows, *p.shape), system.elsewhere[k].middle).double() for k, p in system.fields.items()}
    found = fixed_point(both, both.flat(middle), how, 1e-6, 100)
    rounds = float(found.iterations.double().mean())
    return both.fields(found.point), {"network calls": len(models) * rounds,
                                      "converged": float(found.converged.double().mean())}


def settled(models: Mapping[str, Known], system: Coupled, given: Fields, cases: int = 10,
            gradients: bool = True) -> Row:
    """Ours, of the surrogates: zeros of all residuals, of the first cases; by sweeps where no gradient is shown."""
    variables = {k: v for model in models.values() for k, v in model.problem.layout.variables.items()}
    own = {k: model.problem.layout.variables[k] for k, model in models.items()}
    state = sg.Layout(**own, **{k: variables[k] for k in given})
    network = Learned(system, models)
    shown = lambda solve: solve if gradients else lambda **parts: solve(**parts).detach()
    energy = residuals(state, NOISE, **{k: shown(network.component(k)) for k in models})
    start = {k: torch.full((1, *p.shape), system.elsewhere[k].middle).double() for k, p in system.fields.items()}
    found = []
    for case in range(min(cases, len(next(iter(given.values()))))):
        here = {k: v[case: case + 1] for k, v in given.items()}
        known = {k: v[0] for k, v in here.items()}
        with torch.enable_grad():
            found.append(sg.settle(energy, start | here, state, known, 15 if gradients else 60, 1e-5))
    fields = {k: torch.cat([torch.as_tensor(one.samples[k].values) for one in found]) for k in models}
    calls, good = ([float(v) for v in each] for each in zip(*((one.nfev, one.success[0]) for one in found)))
    return fields, {"network calls": len(models) * sum(calls) / len(calls), "converged": sum(good) / len(good),
                    "cases": len(found)}


def coupled(models: Mapping[str, Known], given: Fields, levels: list[float]) -> Row:
    """Ours, of the priors: one draw a case."""
    problem = couple(**{k: model.problem for k, model in models.items()}).given(**given)
    rows = len(next(iter(given.values())))
    sampler = Ancestral(torch.tensor(levels, dtype=torch.float64))
    found = sg.draw(problem, sampler, rows, torch.arange(rows), progress=False)
    told = found.history
    sweeps = float(told.sweeps.mean())
    return ({k: torch.as_tensor(found.samples[k].values) for k in models},
            {"network calls": len(models) * sweeps * len(levels), "inner sweeps a level": sweeps,
             "contraction": float(told.contraction.max())})


def at_once(model: sg.Model, given: Fields, fields: tuple[str, ...], levels: list[float] | None) -> Row:
    """The model of all fields: by one call, or a draw a case."""
    problem = model.problem().to(dtype=torch.float64).given(**given)
    rows, energy = len(next(iter(given.values()))), problem.energy()
    with torch.no_grad():
        if levels is None:
            x = energy.mean(torch.zeros(rows, problem.size).double(), torch.tensor(HIGH).double())
            parts = problem.layout.unpack(problem.whole(x))
            return {k: parts[k] for k in fields}, {"network calls": 1.0}
    sampler = Ancestral(torch.tensor(levels, dtype=torch.float64))
    found = sg.draw(problem, sampler, rows, torch.arange(rows), progress=False)
    return {k: torch.as_tensor(found.samples[k].values) for k in fields}, {"network calls": float(len(levels))}


def own(models: Mapping[str, Known], parts: Callable[[str], Fields]) -> Row:
    """Each model told the truth of the others."""
    return {k: model.surrogate(**{p: parts(k)[p] for p in model.told}) for k, model in models.items()}, {}


def compared(name: str, quick: bool, out: Path) -> Iterator[dict[str, Any]]:
    """A row for each rule."""
    setting, count, steps = SETTINGS[name], 10 if quick else 20, 25 if quick else 50
    system, folder = setting.system, out / "".join(c if c.isalnum() else "_" for c in name)
    minutes = 0.1 if quick else setting.minutes
    models = learned(setting, folder, minutes)
    given = system.draw(count, seed=5)
    truth = solved(system, given)
    draws = system.draw(DRAWS, seed=1)
    whole = coupled_model(system, {**draws, **solved(system, draws)}, folder / "coupled", minutes, setting.net,
                          setting.periodic, setting.care)
    levels = karras(steps - 1, 0.01, HIGH, dtype=torch.float64).tolist()
    rules: dict[str, Callable[[], Row]] = {
        f"{k}, surrogates": partial(iterated, models, system, given, how) for k, how in ITERATIONS.items()}
    calls = {"network calls": float(len(models) * steps)}
    rules |= {
        "M2PDE's rule, 1 pass": lambda: (m2pde(models, given, count, levels, 1, 1), calls),
        "M2PDE's rule, 2 passes": lambda: (m2pde(models, given, count, levels, 1, 2),
                                           {"network calls": 2 * calls["network calls"]}),
        "noised alike (GenCP's)": lambda: (alike(models, given, count, levels, 1), calls),
        "ours, settle": partial(settled, models, system, given, 3 if quick else 10),
        "ours, settle without gradients": partial(settled, models, system, given, count, False),
        "ours, couple": partial(coupled, models, given, levels),
        "trained on coupled data, one call": partial(at_once, whole, given, tuple(models), None),
        "trained on coupled data, draws": partial(at_once, whole, given, tuple(models), levels),
        "the components' own, coupled data": partial(own, models, lambda k: {**truth, **given})}
    for row, rule in rules.items():
        yield {"task": name, "row": row, "cases": count, **timed(rule, truth)}
    held = {k: system.decoupled(k, count, seed=9) for k in models}
    yield {"task": name, "row": "the components' own, decoupled data", "cases": count,
           **timed(partial(own, models, held.__getitem__), {k: held[k][k] for k in models})}


def timed(rule: Callable[[], Row], truth: Fields) -> dict[str, Any]:
    """A rule's relative error, in the mean over the cases it has done, of each field and of all; or its refusal."""
    began = time.perf_counter()
    try:
        with torch.no_grad():
            fields, told = rule()
    except ValueError as refused:
        return {"refused": str(refused), "seconds": time.perf_counter() - began}
    errors = {k: float(torch.stack([(a - b).norm() / b.norm() for a, b in zip(fields[k], true)]).mean())
              for k, true in truth.items()}
    return {"error": sum(errors.values()) / len(errors), **{f"error of {k}": e for k, e in errors.items()}, **told,
            "seconds": time.perf_counter() - began}
