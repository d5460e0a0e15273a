"""Inverse design with composed energy-based diffusion models: an energy for all you know, one sum, one sampler.

What stands in ``__all__`` is public and loaded when it is first asked for; the rest may move.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import compose as compose
    from . import coupling as coupling
    from . import io as io
    from .coupling import components as components
    from .coupling import couple as couple
    from .energy import Denoised as Denoised
    from .energy import Energy as Energy
    from .energy import Potential as Potential
    from .energy import Residual as Residual
    from .exact import Gaussian as Gaussian
    from .exact import Mixture as Mixture
    from .exponential import Exponential as Exponential
    from .forecasts import Forecast as Forecast
    from .guide import Projected as Projected
    from .guide import Tweedie as Tweedie
    from .io import open as open
    from .layout import Layout as Layout
    from .layout import Variable as Variable
    from .mcmc import HMC as HMC
    from .measure import Averages as Averages
    from .measure import Entries as Entries
    from .measure import Lines as Lines
    from .measure import Points as Points
    from .moments import Moments as Moments
    from .observations import Observations as Observations
    from .observations import Readings as Readings
    from .priors import Denoiser as Denoiser
    from .priors import EnergyNet as EnergyNet
    from .priors import Model as Model
    from .priors import Prior as Prior
    from .priors import Stepper as Stepper
    from .priors import zoo as zoo
    from .result import Result as Result
    from .sample import Ancestral as Ancestral
    from .sample import Euler as Euler
    from .sample import Heun as Heun
    from .sample import Multistep as Multistep
    from .sample import karras as karras
    from .states import States as States
    from .tasks import Constraint as Constraint
    from .tasks import Problem as Problem
    from .tasks import assimilate as assimilate
    from .tasks import design as design
    from .tasks import draw as draw
    from .tasks import forecast as forecast
    from .tasks import invert as invert
    from .tasks import settle as settle
    from .train import Training as Training
    from .train import train as train

_FROM = {
    "coupling": ("components", "couple"),
    "energy": ("Denoised", "Energy", "Potential", "Residual"),
    "exact": ("Gaussian", "Mixture"),
    "exponential": ("Exponential",),
    "forecasts": ("Forecast",),
    "guide": ("Projected", "Tweedie"),
    "io": ("open",),
    "layout": ("Layout", "Variable"),
    "mcmc": ("HMC",),
    "measure": ("Averages", "Entries", "Lines", "Points"),
    "moments": ("Moments",),
    "observations": ("Observations", "Readings"),
    "priors": ("Denoiser", "EnergyNet", "Model", "Prior", "Stepper", "zoo"),
    "result": ("Result",),
    "sample": ("Ancestral", "Euler", "Heun", "Multistep", "karras"),
    "states": ("States",),
    "tasks": ("Constraint", "Problem", "assimilate", "design", "draw", "forecast", "invert", "settle"),
    "train": ("Training", "train"),
}
_MODULES = ("compose", "coupling", "io")
_HOME = {name: module for module, names in _FROM.items() for name in names}

__all__ = [*sorted(_HOME), *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'sciencegen' has no attribute '{name}'; it has {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
