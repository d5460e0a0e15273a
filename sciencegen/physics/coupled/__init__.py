"""Coupled physics: systems whose fields are each solved for by a component of their own, and classical iterations.

Every system is a frozen dataclass with component solvers, a referee that solves all fields at once, and data of each
physics alone, with the other fields drawn from elsewhere (:class:`Coupled`). The iterations (:func:`fixed_point`) are
what such solvers are tied together with where nothing else is known of them.
"""

from .conduction import Conduction
from .elements import Elements
from .elsewhere import Elsewhere
from .iterate import Aitken, FixedPoint, InterfaceQuasiNewton, Iteration, Relaxed, Round, fixed_point
from .reaction_diffusion import ReactionDiffusion
from .reactor import Reactor
from .system import Component, Coupled

__all__ = [
    "Aitken", "Component", "Conduction", "Coupled", "Elements", "Elsewhere", "FixedPoint", "InterfaceQuasiNewton",
    "Iteration", "ReactionDiffusion", "Reactor", "Relaxed", "Round", "fixed_point",
]  # fmt: skip
