"""Coupled physics: systems whose fields are each solved for by a component of their own.

Every system is a frozen dataclass with component solvers, a referee that solves all fields at once, and data of each
physics alone, with the other fields drawn from elsewhere (:class:`Coupled`). What ties such solvers together where
nothing else is known of them is in :mod:`sciencegen.fixed_points`.
"""

from .conduction import Conduction
from .elements import Elements
from .elsewhere import Elsewhere
from .iterate import Round
from .reaction_diffusion import ReactionDiffusion
from .reactor import Reactor
from .system import Component, Coupled

__all__ = ["Component", "Conduction", "Coupled", "Elements", "Elsewhere", "ReactionDiffusion", "Reactor", "Round"]
