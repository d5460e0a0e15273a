r"""Three fields of a reactor's fuel channel in two dimensions: neutron flux, fuel temperature and coolant temperature.

x runs across from the middle of the fuel to the coolant's far wall, y along the coolant's way; each field has a mesh of
its own, temperatures are above the inlet's, nothing has a unit.

.. math::
    -D \Delta\phi + \Sigma e^{\gamma T} \phi = s(y), \qquad
    -\nabla \cdot \big(k(T) \nabla T\big) = q\, \phi, \quad k = \frac{1}{1 + \kappa T}, \qquad
    w(x)\, \partial_y C = \chi\, \partial_x^2 C

The absorption of neutrons grows with temperature (Doppler), their flux is the fuel's heat, and through the wall between
fuel and coolant goes :math:`h (T - C)`; all other walls are insulated, but both ends of y absorb neutrons. The coolant
flows in a parabolic profile. Kirchhoff's transform :math:`\theta = \log(1 + \kappa T) / \kappa` makes conduction linear
but for the wall, where Newton's method solves for one number a cell.

Fields pass between meshes by overlap: a cell takes the mean over what it covers, so that the heat that neutrons release
is what the fuel conducts and the coolant carries off, to rounding on any three meshes. Cell centres, second order in
space; upwind, first order, along the coolant. A round has the extreme eigenvalue -.8 as it stands, and -1.1 at ``heat =
16, mixing = .3``.

References:
    M2PDE: Compositional Generative Multiphysics and Multi-component PDE Simulation (Zhang et al., 2025),
    https://arxiv.org/abs/2412.04134, for the three physics and the way they are tied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..system import Part
from .elsewhere import Elsewhere
from .system import GIVEN, Component, Coupled

__all__ = ["Reactor"]

NEWTON = 8  # steps at the wall: quadratic, from the coolant's temperature


@dataclass(frozen=True)
class Reactor(Coupled):
    """Fields: ``flux (*B, m, m)``, ``fuel (*B, n, n)``, ``coolant (*B, 4, l)``; given: ``source (*B, m)`` along y.

    Arguments:
        m, n, l: cells along y of flux, fuel and coolant; across x there are m, n and 4.
        width: of the fuel, across x; the length along y is 1.
        channel: width of the coolant.
        diffusion, absorption: D and Sigma.
        doppler: gamma.
        heat: q.
        softening: kappa.
        wall: h.
        speed, mixing: mean of w, and chi.
    """

    m: int = 12
    n: int = 16
    l: int = 24
    width: float = 0.5
    channel: float = 0.1
    diffusion: float = 0.02
    absorption: float = 1.0
    doppler: float = 1.5
    heat: float = 10.0
    softening: float = 0.2
    wall: float = 2.0
    speed: float = 40.0
    mixing: float = 0.2

    @property
    def fields(self) -> Mapping[str, Part]:
        """The three, each on its mesh."""
        return {"flux": _mesh(self.m, self.m, 0.0, self.width), "fuel": _mesh(self.n, self.n, 0.0, self.width),
                "coolant": _mesh(4, self.l, self.width, self.channel)}

    @property
    def given(self) -> Mapping[str, Part]:
        """The ``source`` of neutrons along y."""
        return {"source": Part((self.m,), ("y",), {"y": _centres(self.m)}, low=0.0)}

    @property
    def elsewhere(self) -> Mapping[str, Elsewhere]:
        """Ranges that cover those of coupled fields, whose shapes they do not have."""
        return {"flux": Elsewhere(0.08, 0.6, (0.3, 0.3), positive=True),
                "fuel": Elsewhere(0.3, 2.5, (0.3, 0.3), positive=True), "coolant": Elsewhere(0.0, 0.6, (0.1, 0.4))}

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Sources, Gaussian in the logarithm between .7 and 2."""
        law = Elsewhere(0.7, 2.0, (0.25,), positive=True)
        return {"source": law.sample(self.given["source"], count, seed, first, GIVEN)}

    def component(self, name: str) -> Component:
        """:meth:`neutrons`, :meth:`conduct` and :meth:`flow`."""
        return {"flux": self.neutrons, "fuel": self.conduct, "coolant": self.flow}[name]

    def neutrons(self, fuel: Tensor, source: Tensor, coolant: Tensor | None = None) -> Tensor:
        """``flux (*B, m, m)`` where the fuel has this temperature; the coolant is not asked for."""
        across = overlap(self.m, self.n).to(fuel)
        warm = across @ fuel @ across.mT
        absorbed = self.absorption * (self.doppler * warm).exp().flatten(-2)
        matrix = self.diffusion * self._laplacian(self.m, ends=2.0).to(fuel) + torch.diag_embed(absorbed)
        sources = source[..., None, :].expand(*source.shape[:-1], self.m, self.m).flatten(-2)
        return torch.linalg.solve(matrix, sources[..., None])[..., 0].unflatten(-1, (self.m, self.m))

    def conduct(self, flux: Tensor, coolant: Tensor, source: Tensor | None = None) -> Tensor:
        """``fuel (*B, n, n)``, heated by the flux and cooled at the wall; the source is not asked for."""
        power = self.power(flux).flatten(-2)
        beside = coolant[..., 0, :] @ overlap(self.n, self.l).to(flux).mT
        inverse = self._inverse().to(flux)
        at_wall, spread = inverse[-self.n:], self.wall * self.n / self.width
        # theta = inverse (power + spread (theta_wall - (T - C))) : n unknowns, the theta at the wall.
        base, reach, theta = power @ at_wall.mT, spread * at_wall[:, -self.n:], beside
        for _ in range(NEWTON):
            hot = self._temperature(theta)
            lack = theta - base - (theta - hot + beside) @ reach.mT
            slope = 1 - (1 + self.softening * hot)
            matrix = torch.eye(self.n).to(flux) - reach * slope[..., None, :]
            theta = theta - torch.linalg.solve(matrix, lack[..., None])[..., 0]
        push = spread * (theta - self._temperature(theta) + beside)
        full = power @ inverse.mT + push @ inverse[:, -self.n:].mT
        return self._temperature(full).unflatten(-1, (self.n, self.n))

    def flow(self, fuel: Tensor, flux: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """``coolant (*B, 4, l)`` along a wall of this temperature; flux and source are not asked for."""
        wall = fuel[..., -1, :] @ overlap(self.l, self.n).to(fuel).mT
        carry, step = (v.to(fuel) for v in self._channel())
        pull = self.wall * 4 / self.channel * step[:, 0]
        now, found = fuel.new_zeros(*wall.shape[:-1], 4), []
        for level in range(self.l):
            now = now @ carry.mT + wall[..., level, None] * pull
            found.append(now)
        return torch.stack(found, -1)

    def power(self, flux: Tensor) -> Tensor:
        """The heat of the flux in the fuel's cells, ``(*B, n, n)``."""
        across = overlap(self.n, self.m).to(flux)
        return self.heat * across @ flux @ across.mT

    def through_wall(self, fuel: Tensor, coolant: Tensor) -> Tensor:
        """The heat that passes from fuel to coolant, ``(*B)``."""
        return self.wall * (fuel[..., -1, :].mean(-1) - coolant[..., 0, :].mean(-1))

    def carried(self, coolant: Tensor) -> Tensor:
        """The heat that the coolant carries out, ``(*B)``."""
        return (self._speeds().to(coolant) * coolant[..., :, -1]).mean(-1) * self.channel

    def _temperature(self, theta: Tensor) -> Tensor:
        return torch.expm1(self.softening * theta) / self.softening

    def _laplacian(self, n: int, ends: float) -> Tensor:
        """Minus the Laplacian ``(n^2, n^2)`` on n x n cells of the fuel; ends of y insulated (0) or absorbing (2)."""
        x, y = (_chain(n) * (n / side) ** 2 for side in (self.width, 1.0))
        y[0, 0] = y[0, 0] + ends * n**2
        y[-1, -1] = y[-1, -1] + ends * n**2
        one = torch.eye(n, dtype=torch.float64)
        return torch.kron(x, one) + torch.kron(one, y)

    def _inverse(self) -> Tensor:
        """Of minus the Laplacian where the wall takes h times theta, ``(n^2, n^2)``."""
        at = torch.zeros(self.n**2, dtype=torch.float64)
        at[-self.n:] = self.wall * self.n / self.width
        return torch.linalg.inv(self._laplacian(self.n, 0.0) + torch.diag(at))

    def _speeds(self) -> Tensor:
        at = (torch.arange(4, dtype=torch.float64) + 0.5) / 4
        profile = at * (1 - at)
        return self.speed * profile / profile.mean()

    def _channel(self) -> tuple[Tensor, Tensor]:
        """One level of the coolant: what it takes from the level before, and the inverse of its matrix, ``(4, 4)``."""
        matrix = self.mixing * _chain(4) * (4 / self.channel) ** 2 + torch.diag(self._speeds()) * self.l
        matrix[0, 0] = matrix[0, 0] + self.wall * 4 / self.channel
        step = torch.linalg.inv(matrix)
        return step * (self._speeds() * self.l), step


def overlap(to: int, of: int) -> Tensor:
    """The means over ``to`` cells of what is constant in each of ``of`` cells of the same side, ``(to, of)``."""
    low = torch.maximum(torch.arange(to)[:, None] * of, torch.arange(of) * to)
    high = torch.minimum(torch.arange(1, to + 1)[:, None] * of, torch.arange(1, of + 1) * to)
    return (high - low).clamp_min(0).double() / of


def _centres(n: int, start: float = 0.0, side: float = 1.0) -> list[float]:
    return [start + side * (i + 0.5) / n for i in range(n)]


def _mesh(across: int, along: int, start: float, side: float) -> Part:
    return Part((across, along), ("x", "y"), {"x": _centres(across, start, side), "y": _centres(along)})


def _chain(n: int) -> Tensor:
    """Minus the second difference of n cells between insulated walls, without the spacing."""
    ones = torch.ones(n - 1, dtype=torch.float64)
    jumps = torch.diag(ones, 1)[:-1] - torch.eye(n, dtype=torch.float64)[:-1]
    return jumps.mT @ jumps
