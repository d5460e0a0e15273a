r"""Incompressible flow past bodies in a stream, on a grid that knows nothing of them:

.. math:: v_t + \nabla \cdot (v v) = -\nabla p + \tfrac{1}{Re} \Delta v, \qquad \nabla \cdot v = 0,

with v = 0 on the bodies and v = (1, 0) far away. Lengths are in chords, velocities in the free stream's, pressure in
:math:`\rho U^2`, times in chords over the free stream.

*Space*: square cells, velocities on faces, pressure in centres; momentum is convected by third-order upwind-biased
(QUICK) interpolation in conservation form, and diffused by central differences. *Bodies*: boundary data immersion. A
step of the fluid alone, with the last pressure, gives :math:`F`; near the bodies it is replaced by
:math:`\mu_0 F + \mu_1 \partial_n F` (:mod:`bodies`), which is second order on the fluid's side. *Pressure*: the
increment that makes the velocity free of divergence, by Fourier transform, so the box is periodic. *Far field*: in a
fringe along the sides the velocity relaxes to the free stream, and wakes end there. *Time*: the strong-stability
preserving Runge-Kutta scheme of second order, a projection a stage.

*Force*: what immersion takes from the fluid's momentum is the force on the bodies, from pressure and friction
together, exactly as the fluid feels it; it is shared out by a softmax of the distances.

References:
    Accurate Cartesian-grid simulations of near-body flows at intermediate Reynolds numbers (Maertens & Weymouth, 2015),
    https://doi.org/10.1016/j.cma.2014.09.007; A stable and accurate convective modelling procedure based on quadratic
    upstream interpolation (Leonard, 1979), https://doi.org/10.1016/0045-7825(79)90034-3; The fringe
    region technique and the Fourier method used in the direct numerical simulation of spatially evolving viscous flows
    (Nordström, Nordin & Henningson, 1999), https://doi.org/10.1137/S1064827596310251
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .bodies import Body
from .immersed import Setting, immersion, march, transport

__all__ = ["Flow"]

_COURANT, _DIFFUSION = 0.5, 0.2  # of a step: cells that the free stream passes; share of 1 / (Re cell^2)
_SEGMENT = 16  # steps between the states that are kept for a gradient
_DAMPING = 8.0  # a wake that crosses both fringes is weaker by the exponential of this
_BLOCK = 4  # cells along a side of the blocks that are searched for bodies


@dataclass(frozen=True)
class Flow:
    """A stream past bodies. A state is ``(*B, 3, nx, ny)``: u on left faces, v on lower faces, p in centres.

    Arguments:
        cells: cells a chord.
        size: of the box, chords along and across the stream.
        reynolds: of the unit chord, a number or ``(*B,)``.
        frame: time between frames.
        frames: how many.
        origin: where in the box the origin of the bodies' coordinates is, as shares of ``size``.
        fringe: width of the fringe along each side, as a share of ``size``; 0 for a periodic box.
        width: half-width of the immersion kernel, cells.
        compiled: whether ``torch.compile`` fuses convection and diffusion: about half the time on a CPU, after seconds.
    """

    cells: int = 48
    size: tuple[float, float] = (8.0, 6.0)
    reynolds: float | Tensor = 1000.0
    frame: float = 0.25
    frames: int = 6
    origin: tuple[float, float] = (0.35, 0.5)
    fringe: float = 0.1
    width: float = 0.7
    compiled: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along and across the stream."""
        return round(self.size[0] * self.cells), round(self.size[1] * self.cells)

    @property
    def steps(self) -> int:
        """Steps in a frame: as few as stability allows, for all Reynolds numbers alike."""
        least = float(torch.as_tensor(self.reynolds).detach().min())
        return math.ceil(self.frame * max(self.cells / _COURANT, self.cells**2 / (_DIFFUSION * least)) - 1e-9)

    def start(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Tensor:
        """The undisturbed stream ``(3, nx, ny)``: bodies appear in it all at once."""
        stream = torch.tensor([1.0, 0.0, 0.0], dtype=dtype, device=device)
        return stream[:, None, None].expand(3, *self.shape)

    def points(self, like: Tensor, x: float = 0.5, y: float = 0.5) -> Tensor:
        """Bodies' coordinates ``(nx, ny, 2)`` of the points at ``(x, y)`` cells from each cell's corner; its centre."""
        axes = [(torch.arange(n, dtype=like.dtype, device=like.device) + at) / self.cells - size * origin
                for n, at, size, origin in zip(self.shape, (x, y), self.size, self.origin, strict=True)]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)

    def distance(self, body: Body, like: Tensor) -> Tensor:
        """The signed distance ``(*B, nx, ny)`` of cell centres, chords."""
        return body(self.points(like)).to(like)

    def path(self, *bodies: Body, start: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Without end, the state a frame later ``(*B, 3, nx, ny)`` and the forces ``(*B, bodies, 2)`` in between.

        Arguments and errors as in :meth:`solve`; what bodies ask for is worked out once.
        """
        state = self.start() if start is None else start
        setting = self._setting(bodies, state)
        while True:
            state, force = self._march(state, setting, len(bodies))
            yield state, force

    def advance(self, state: Tensor, *bodies: Body) -> tuple[Tensor, Tensor]:
        """The state a frame later, and the forces ``(*B, bodies, 2)`` on the bodies in between: :meth:`path`, once."""
        return next(self.path(*bodies, start=state))

    def solve(self, *bodies: Body, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        r"""The frames after ``start``, and the forces on the bodies.

        Arguments:
            bodies: their signed distances (:mod:`bodies`); batches broadcast against each other and ``reynolds``.
            start: a state ``(*B, 3, nx, ny)``, whose dtype and device are used; :meth:`start` by default.

        Returns:
            ``(*B, frames, 3, nx, ny)``, and ``(*B, frames, bodies, 2)``: drag and lift as coefficients,
            :math:`F / (\frac12 \rho U^2)` a unit chord, each the mean over the time since the frame before.
            Differentiable with respect to the bodies, ``start`` and ``reynolds``.

        Raises:
            ValueError: where a body reaches into the fringe.
        """
        frames, forces = zip(*islice(self.path(*bodies, start=start), self.frames), strict=True)
        return torch.stack(frames, -4), torch.stack(forces, -3)

    def _march(self, state: Tensor, setting: Setting, bodies: int) -> tuple[Tensor, Tensor]:
        batch = torch.broadcast_shapes(state.shape[:-3], setting.batch)
        state = state.expand(*batch, *state.shape[-3:]).reshape(-1, *state.shape[-3:])
        left, total = self.steps, 0.0
        while left:
            count = min(_SEGMENT, left)
            if torch.is_grad_enabled():
                state, force = checkpoint(march, state, setting, count, use_reentrant=False, preserve_rng_state=False)
            else:
                state, force = march(state, setting, count)
            left, total = left - count, total + force
        total = total * (2 / (self.steps * self.cells**2))
        state = torch.cat([state[:, :2], state[:, 2:] - self._level(state)], 1)
        return state.reshape(*batch, *state.shape[-3:]), total.reshape(*batch, bodies, 2)

    def _level(self, state: Tensor) -> Tensor:
        """The pressure ``(B, 1, 1, 1)`` of the free stream: what is left of the total pressure behind the inflow."""
        if not self.fringe:
            return state[:, 2:].mean((-2, -1), keepdim=True)
        (inflow, low), high = (math.ceil(self.fringe * n) for n in self.shape), self.shape[1]
        u, v, p = state[:, :, inflow].unbind(1)
        total = p + (u * u + ((v + v.roll(-1, -1)) / 2) ** 2 - 1) / 2
        return total[:, low : high - low].mean(-1)[:, None, None, None]

    def _setting(self, bodies: tuple[Body, ...], like: Tensor) -> Setting:
        """All that a step needs besides the state, worked out once; batches are flattened."""
        if like.shape[-3:] != (3, *self.shape):
            raise ValueError(f"got a state of shape {tuple(like.shape)}; expected (*B, 3, {self.shape[0]}, "
                             f"{self.shape[1]}): u, v and p of this grid; Flow.start() makes one")
        reynolds, box = torch.as_tensor(self.reynolds).to(like), self._box(bodies, like)
        around = tuple(slice(s.start - 1, s.stop + 1) for s in box)
        points = torch.stack([self.points(like, *at)[around] for at in ((0.0, 0.5), (0.5, 0.0))])
        near = [body(points).to(like) * self.cells for body in bodies]
        batch = torch.broadcast_shapes(reynolds.shape, *(d.shape[:-3] for d in near))
        near = [d.expand(*batch, *d.shape[-3:]).reshape(-1, *d.shape[-3:]) for d in near]
        step = self.frame / self.steps
        waves = [2 * torch.cos(2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64)) - 2 for n in self.shape]
        eigenvalues = waves[0][:, None] + waves[1][: self.shape[1] // 2 + 1]
        eigenvalues[0, 0] = torch.inf
        viscosity = (self.cells / reynolds).expand(batch).reshape(-1, 1, 1)
        fused = torch.compile(transport) if self.compiled else transport
        return Setting(fused, batch, step, step * self.cells, viscosity, self._relaxation(like) * step,
                       (1 / eigenvalues).to(like), box, *immersion(near, self.width))

    def _relaxation(self, like: Tensor) -> Tensor:
        """How fast velocities on faces relax to the free stream, ``(2, nx, ny)``, per unit time."""
        if not self.fringe:
            return like.new_zeros(2, 1, 1)
        rates = []
        for at in ((0.0, 0.5), (0.5, 0.0)):
            depth = []
            for n, share in zip(self.shape, at, strict=True):
                x = (torch.arange(n, dtype=torch.float64) + share) / n
                depth.append((1 - torch.minimum(x, 1 - x) / self.fringe).clamp(min=0))
            deep = torch.maximum(depth[0][:, None], depth[1])
            rates.append(deep**2 * (3 - 2 * deep))
        return (torch.stack(rates) * _DAMPING / (self.fringe * self.size[0])).to(like)

    @torch.no_grad()
    def _box(self, bodies: tuple[Body, ...], like: Tensor) -> tuple[slice, slice]:
        """The cells that any body of the batch may touch, found on blocks: far from bodies nothing is immersed."""
        middles = self.points(like, _BLOCK / 2, _BLOCK / 2)[::_BLOCK, ::_BLOCK]
        reach, found = (self.width + 1) / self.cells, []
        close = [body(middles).reshape(-1, *middles.shape[:2]).amin(0) for body in bodies]
        nearest = torch.stack(close).amin(0).cpu() if bodies else middles.new_full(middles.shape[:2], torch.inf).cpu()
        for axis, n in enumerate(self.shape):
            along = nearest.amin(1 - axis)
            inner, margin = torch.arange(len(along)) * _BLOCK + _BLOCK / 2, max(_BLOCK / 2, self.fringe * n)
            if bool((along[(inner <= margin) | (inner >= n - margin)] < reach).any()):
                raise ValueError(f"got a body within {margin:.0f} cells of an end of axis {axis} ({n} cells); expected "
                                 "it outside the fringe; move it, or enlarge size")
            blocks = (along < reach + _BLOCK * math.sqrt(0.5) / self.cells).nonzero().flatten()
            low, high = (int(blocks[0]), int(blocks[-1]) + 1) if len(blocks) else (0, 0)
            found.append(slice(max(1, low * _BLOCK), max(1, min(n - 1, high * _BLOCK))))
        return found[0], found[1]
