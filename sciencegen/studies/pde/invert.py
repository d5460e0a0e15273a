"""An inverse problem of a known equation from a file of observations: what ``sciencegen invert NAME`` does.

The prior is over pairs ``(a, u)``; what the sensors read conditions it (:func:`sciencegen.tasks.invert`), whichever
part they read. Samples are judged by the equation they should obey: its residual is printed beside that of the truth
and that of ``u = 0``, which a sample has to be well below to mean anything. With ``law`` each sample's ``u`` is solved
anew for its ``a``, so that it obeys the equation to rounding, and the misfit says what that costs: nothing for a linear
equation, whose prior knows it already, and much where a sample's ``a`` is wrong in a place that the solution feels.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray
from matplotlib import pyplot
from rich.table import Table

from ...files import replacing
from ...io.write import save
from ...layout import Layout
from ...measure import Measurement
from ...model import Model, zoo
from ...observations import Observations, observe
from ...physics import Burgers, Darcy, Fourier, Heat, Helmholtz, NavierStokes, Poisson
from ...result import Result
from ...sample import Multistep, karras
from ...tasks import Problem, invert
from .prior import setup

__all__ = ["System", "check", "equation", "example", "model_of", "solve", "tables", "write"]

System = Poisson | Helmholtz | Darcy | Heat | Burgers | NavierStokes
NAMES = ("poisson", "helmholtz", "darcy", "channels", "heat", "burgers", "navier-stokes")
LEAST = 0.1  # permeability that a law keeps a sample above, in its natural size: a solver wants it positive


def equation(name: str, layout: Layout) -> System | None:
    """The system called ``name`` on the grid of ``layout``; None where the name or the parts are of no known one."""
    if name not in NAMES or set(layout.variables) != {"a", "u"}:
        return None
    n = layout.variables["a"].shape[-1]
    made = (Poisson(n), Helmholtz(n), Darcy(n), Darcy(n), Heat(Fourier(n)), Burgers(n, frame=1 / (n - 1), frames=n - 1),
            NavierStokes(n))
    return dict(zip(NAMES, made))[name]


def model_of(name: str, directory: str | os.PathLike | None = None) -> Model:
    """The prior in ``directory``, or the one of the zoo; KeyError where there is none."""
    if directory is not None:
        return Model.load(directory)
    if name not in NAMES:
        raise KeyError(f"no equation '{name}'; there are {', '.join(NAMES)}, and any other with --model DIRECTORY")
    try:
        return zoo(name)
    except KeyError as error:
        raise KeyError(f"{error.args[0]}; train one by `sciencegen train pde {name}` and name its directory with "
                       "--model") from error


def example(name: str, layout: Layout, case: int = 0, sensors: int = 60, noise: float = 0.01) -> Observations:
    """What ``sensors`` at random places would read of ``u``, of a case of the test split (seed 1), with its truth."""
    if equation(name, layout) is None:
        raise KeyError(f"no example of '{name}'; expected {', '.join(NAMES)}, with parts a and u: give --data")
    recipe = setup(name, layout.variables["a"].shape[-1])
    a = recipe.draw(1, 1, case)
    axes = sum(n > 1 for n in layout.variables["u"].shape)
    where = np.random.default_rng(case).uniform(0.02, 0.98, (sensors, axes))
    return observe(layout, {"a": a[0], "u": recipe.solve(a)[0]}, {"u": where}, noise, seed=case)


def solve(name: str, model: Model, observations: Observations, count: int = 64, seed: int = 0, steps: int = 20,
          law: bool = False, progress: bool = True) -> Result:
    """Sample the posterior of the pair given what was observed.

    Its ``data`` has the ``misfit`` of each sample in units of the noise and, where the equation is known, the
    ``residual`` of each (non-dimensional; see the physics), with those of the truth and of ``u = 0`` as attributes.
    Where the prior is far from a Gaussian (a rock of two materials) the measurement takes its network's own covariance,
    at a few times the cost.

    Arguments:
        steps: of the sampler.
        law: solve the equation for each sample's ``u``, its ``a`` kept positive where it is a permeability.
    """
    measure = check(name, model, observations, count, seed, steps, law)
    layout, system = model.layout, equation(name, model.layout)
    result = invert(Problem(layout, model.energy.requires_grad_(False)), measure, observations.data, observations.noise,
                    Multistep(karras(steps, 0.02, 40.0)), count, torch.arange(count) + seed * 2**20, progress,
                    observations.truth or None, 8 if len(model.training.get("ranks", ())) > 1 else None)
    asked = {"equation": name, "law": law, "seed": seed, "steps": steps}
    result = replace(result, config=result.config | asked)
    result = replace(result, samples=_obeying(result.samples, system)) if law else result
    return replace(result, data=_judged(result, system, measure))


def check(name: str, model: Model, observations: Observations, count: int, seed: int, steps: int,
          law: bool) -> Measurement:
    """What the sensors measure, once all that :func:`solve` is asked is known to be possible; else ValueError."""
    if count < 1 or steps < 2:
        raise ValueError(f"got {count} samples and {steps} steps; expected at least 1 and 2")
    if not 0 <= seed < 2**40:
        raise ValueError(f"got the seed {seed}; expected 0 to 2^40")
    if law and equation(name, model.layout) is None:
        raise ValueError(f"got a law of '{name}'; expected one of {', '.join(NAMES)}, with parts a and u: leave it out")
    return observations.measure(model.layout)


def tables(result: Result) -> list[Table]:
    """Misfit and residual over the samples; and, where the truth is known, error and coverage of each part."""
    shown = Table(title=f"{len(result)} samples of the posterior; {result.message}")
    for name in ("", "5 %", "median", "95 %", "truth", "u = 0"):
        shown.add_column(name, justify="right" if name else "left")
    for name, words in (("misfit", "misfit of the data, in units of their noise"), ("residual", "residual")):
        if name in result.data:
            value = result.data[name]
            spread = np.nanquantile(value, (0.05, 0.5, 0.95))
            beside = (value.attrs.get("truth", np.nan), value.attrs["zero"])
            shown.add_row(words, *(f"{v:.3g}" if np.isfinite(v) else "-" for v in (*spread, *beside)))
    if not len(result.truth) or len(result) < 2:
        return [shown]
    level = min(0.9, 1 - 2 / (len(result) + 1))  # the widest interval that so few samples have
    scores = result.scores(level=level)
    scored = Table(title="against the truth")
    for name in ("", "error of the mean", "error of a sample", "CRPS", f"coverage of {100 * level:.0f} % intervals"):
        scored.add_column(name, justify="right" if name else "left")
    for name, value in scores.data_vars.items():
        error, sample, crps, coverage = value.values
        scored.add_row(name, f"{100 * error:.2f} %", f"{100 * sample:.2f} %", f"{crps:.3g}", f"{100 * coverage:.1f} %")
    return [shown, scored]


def write(directory: Path, result: Result) -> list[Path]:
    """Write ``result.nc``, ``posterior.nc``, ``posterior.png`` and ``config.json``, each whole or not at all."""
    made = [result.save(directory / "result.nc"), save(result.posterior(), directory / "posterior.nc")]
    figure, _ = result.plot()
    with replacing(directory / "posterior.png") as new:
        figure.savefig(new, dpi=110, format="png")
    pyplot.close(figure)
    with replacing(directory / "config.json") as new:
        new.write_text(json.dumps(result.config, indent=2))
    return [*made, directory / "posterior.png", directory / "config.json"]


def _obeying(samples: xarray.Dataset, system: System) -> xarray.Dataset:
    """Samples whose ``u`` is the solution for their ``a``."""
    a = torch.as_tensor(samples["a"].values, dtype=torch.float64)
    a = a.clamp_min(LEAST * system.permeability) if isinstance(system, Darcy) else a
    return samples.assign({k: samples[k].copy(data=v.numpy()) for k, v in (("a", a), ("u", system.solve(a)))})


def _judged(result: Result, system: System | None, measure: Measurement) -> xarray.Dataset:
    """The result's data with the equation's residual, and both measures of the truth and of ``u = 0`` beside."""
    double = lambda values: torch.as_tensor(values, dtype=torch.float64)
    samples = {k: double(v.values) for k, v in result.samples.data_vars.items()}
    truth = {k: double(v.values)[None] for k, v in result.truth.data_vars.items()}
    nothing, given = {k: torch.zeros_like(v[:1]) for k, v in samples.items()}, truth or samples
    value, noise, seen = double(result.data.value.values), double(result.data.noise.values), measure(**samples)
    misfit = lambda parts: ((measure(**parts) - value) / noise).square().mean(-1).sqrt()
    residual = lambda parts: system.residual(**parts).norm(dim=-1)
    data = result.data.assign(predicted=(("sample", "measurement"), seen.numpy()))
    judges = {"misfit": (misfit, nothing)}
    if system is not None:
        judges["residual"] = residual, given | {"u": torch.zeros_like(given["u"])}
    for name, (of, zero) in judges.items():
        beside = {"zero": float(of(zero).median())} | ({"truth": float(of(truth))} if truth else {})
        data = data.assign({name: ("sample", of(samples).numpy(), beside)})
    return data
