"""A system of the physics behind one protocol, found by its name or as ``module:Class`` in one place.

A system is what an equation needs to be studied: named parts, a law that draws what is given, a solver for the rest, a
residual that judges any pair, and the parameters that a file may store. All that is done with an equation (data sets,
training, inversion, checking of files) goes through these six members, so that one file adds an equation and none has
to be edited. :data:`SYSTEMS` names the shipped ones; :func:`resolve` builds one of them, or anybody's.

Physics stands apart from the rest of the package and knows no ``sciencegen.layout``: a :class:`Part` says in plain
numbers what a ``Variable`` is made of, and :func:`sciencegen.studies.pde.pairs.pair_layout` makes a ``Layout`` of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..modules import attribute

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SYSTEMS", "Part", "Stored", "System", "resolve"]

SYSTEMS: Mapping[str, str] = {
    "poisson": "sciencegen.physics.poisson:Poisson",
    "helmholtz": "sciencegen.physics.helmholtz:Helmholtz",
    "darcy": "sciencegen.physics.darcy:Darcy",
    "channels": "sciencegen.physics.darcy:Channels",
    "wells": "sciencegen.physics.wells:LogWells",
    "heat": "sciencegen.physics.heat:Heat.periodic",
    "burgers": "sciencegen.physics.burgers:Burgers.square",
    "navier-stokes": "sciencegen.physics.navier_stokes:NavierStokes",
    "kolmogorov": "sciencegen.physics.kolmogorov:Kolmogorov",
    "advection-diffusion": "sciencegen.physics.advection_diffusion:AdvectionDiffusion",
    "kuramoto-sivashinsky": "sciencegen.physics.kuramoto_sivashinsky:KuramotoSivashinsky.resolved",
    "lorenz-96": "sciencegen.physics.lorenz:Lorenz96",
}
MEMBERS = ("parts", "symmetries", "draw", "solve", "residual", "read")


@dataclass(frozen=True)
class Part:
    """One array of a system's state, in physical units.

    Arguments:
        shape: of one sample.
        dims: a name for each axis: ``time``, ``x``, ``y``, or one's own.
        coords: coordinates of named axes, ``{dim: values}``, rising.
        units: as a text ("m/s"); empty where the equation is without dimension.
        low, high: admissible values, as 0 and more of a permeability.
        periodic: dims whose two ends touch.
    """

    shape: tuple[int, ...]
    dims: tuple[str, ...]
    coords: Mapping[str, Sequence[float]] = field(default_factory=dict)
    units: str = ""
    low: float = -math.inf
    high: float = math.inf
    periodic: tuple[str, ...] = ()

    @classmethod
    def cells(cls, n: int, space: Sequence[str] = ("x", "y"), times: Sequence[float] = (), low: float = -math.inf,
              periodic: bool = False, length: float = 1.0) -> Part:
        """Means over ``n`` cells along each side of an interval, square or cube of this length; a frame each time."""
        centres = [length * (i + 0.5) / n for i in range(n)]
        coords = ({"time": list(times)} if times else {}) | dict.fromkeys(space, centres)
        shape = tuple(len(values) for values in coords.values())
        return cls(shape, tuple(coords), coords, low=low, periodic=tuple(space) if periodic else ())


@dataclass(frozen=True)
class Stored:
    """What a file says of the system whose solutions it holds.

    Arguments:
        frame: time between frames; 0 where nothing moves.
        frames: how many follow the start.
        parameters: numbers by the names that they are stored under.
    """

    frame: float
    frames: int
    parameters: Mapping[str, float]

    def __call__(self, *names: str) -> float:
        """A parameter, under whichever of its names it is stored; ValueError where it is under none."""
        for name in names:
            if name in self.parameters:
                return self.parameters[name]
        raise ValueError(f"got the parameters {sorted(self.parameters)}; expected one of {list(names)}; say it "
                         f"yourself: --parameter {names[0]}=VALUE")


class System(Protocol):
    """A partial differential equation on one grid: its parts, the law of what is given, a solver and a residual.

    ``parts`` names what is given first and what is solved for last. Tensors are in physical units with any leading
    axes, float32 or float64, on the device of the inputs; :meth:`solve` and :meth:`residual` are differentiable. A
    frozen dataclass whose only needed argument is the number of cells along a side is a system that :func:`resolve`
    can build. Nothing here knows of noise levels, networks or layouts.
    """

    @property
    def parts(self) -> Mapping[str, Part]:
        """All parts in order, the solution last."""

    @property
    def symmetries(self) -> Sequence[Callable[[Mapping[str, Tensor]], dict[str, Tensor]]]:
        """What moves the numbers of all parts about so that solutions stay solutions, as likely as before; or ``()``.

        Each is a function from parts to parts ``{name: (*B, *shape)}``; the identity is not among them.
        """

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """What is given, ``{name: (count, *shape)}`` in float64.

        Sample ``first + i`` of a seed is the same whatever the count.
        """

    def solve(self, **given: Tensor) -> Tensor:
        """The last part, ``(*B, *shape)``, for the ones before it."""

    def residual(self, **parts: Tensor) -> Tensor:
        """What the discrete equation lacks, ``(*B, m)``.

        The 2-norm of a row is an rms over the domain without unit: rounding for what :meth:`solve` returns, about 1
        where the solution is replaced by zero.
        """

    def read(self, stored: Stored) -> Mapping[str, System]:
        """The system with the parameters of a file; several readings, each under words for it, where it may mean such.

        Raises:
            ValueError: where a parameter is not stored.
        """


def resolve(name: str, grid: int = 32) -> System:
    """One system on ``grid`` cells along a side; no other is built, nor its module imported.

    Arguments:
        name: one of :data:`SYSTEMS`, or anybody's as ``module:Class``, looked for in the current folder too; a function
            that takes the grid will do for a class. Whatever is named is run.

    Raises:
        KeyError: no system of that name.
        ImportError: the module is not there, or fails.
        TypeError: what is named is none of a system, or takes something else than the grid.
    """
    if name not in SYSTEMS and not all(name.rpartition(":")):
        raise KeyError(f"no system '{name}'; there are {', '.join(SYSTEMS)}, and your own as module:Class")
    make = attribute(SYSTEMS.get(name, name))
    if not callable(make):
        raise TypeError(f"got {name}, a {type(make).__name__}; expected a class or function that takes the grid")
    try:
        system = make(grid)
    except TypeError as error:
        raise TypeError(f"got {name}, which does not take a grid ({error}); expected a class or function of one "
                        f"number, as {name}({grid})") from error
    missing = [member for member in MEMBERS if not hasattr(system, member)]
    if missing:
        raise TypeError(f"got {name} without {', '.join(missing)}; expected a system: {', '.join(MEMBERS)}, as "
                        "sciencegen.physics.System says")
    parts = system.parts
    if not isinstance(parts, Mapping) or len(parts) < 2 or not all(isinstance(p, Part) for p in parts.values()):
        raise TypeError(f"got the parts {parts} of {name}; expected two or more by name, each a "
                        "sciencegen.physics.Part: what is given, and last what is solved for")
    return system
