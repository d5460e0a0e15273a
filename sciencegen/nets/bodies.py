r"""Trajectories of equal discs in a square box: a network that smooths what it sees along straight flights.

A trajectory is ``x (N, T, bodies, 4)``, features x, y, vx, vy, centred and of unit scale. Its frames lie on straight
pieces that end where a disc meets a wall or another disc, so that nearly all there is to know is *which frames belong
together*. The network says that, and the arithmetic is done in full precision beside it:

- **Smoother.** Every frame s says where it would be at t, in free flight, and in free flight seen in the mirror of
  either wall of an axis. An attention over s and these three kinds averages what is said: a linear filter of the
  noisy state, chosen by the data.
- **Flights.** Every frame around says where it would be at t by all that is known of flight, impacts too
  (:mod:`sciencegen.nets.flights`), from the latest estimate; an average of that is the other half of what is said.
- **Features.** A trunk sees differences between neighbouring frames *in units of the noise*, and distances to walls
  and other discs (now, and a frame before and ahead in free flight), from the latest estimate. So contacts are visible
  at any noise level, however coarse the numbers are in which the trunk computes.
- **Stages.** The second stage sees the estimate of the first.

Weights are shared by bodies, and only differences of time enter: any number of bodies and of frames. After
"Kalman smoothing" in a switching linear system, the attention being the switch; attention itself is that of "Attention
Is All You Need" (Vaswani et al., 2017), https://arxiv.org/abs/1706.03762.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .flights import FRAMES, flown
from .mlp import LevelFeatures

__all__ = ["Bodies", "EDGES", "NODES", "pairs"]

NODES = 93  # features of a body at a frame
EDGES = 17  # features of an ordered pair of bodies at a frame
CACHED = 3072  # bodies at frames that go through together on a CPU, whose caches lose what layers write down for more
REACHES = (-3, -1, 1, 3)  # frames between which differences are taken


class Bodies(nn.Module):
    """Trajectories in, trajectories out, ``(u, c, keep) -> (N, n)`` with ``n = T * bodies * 4``; zero when untrained.

    Arguments:
        first, second: trunks, see :mod:`sciencegen.nets.trunks`; ``second`` with ``extra`` equal to the width of
            ``first``. Without a second one, there is one stage.
        bodies: how many a state has; the weights do not depend on it, see :meth:`among`.
        reach: coordinate at which a disc touches a wall; the walls are at ``+-reach``.
        contact: distance at which two discs touch.
        step: distance flown in a frame at unit speed.

    Raises:
        ValueError: a state that is not made of frames of that many bodies.
    """

    def __init__(self, first: nn.Module, second: nn.Module | None = None, bodies: int = 2, reach: float = 1.7,
                 contact: float = 0.87, step: float = 0.084) -> None:
        super().__init__()
        self.bodies, self.reach, self.contact, self.step = bodies, reach, contact, step
        self.level = nn.Sequential(LevelFeatures(64), nn.Linear(64, 64), nn.SiLU())
        self.trunks = nn.ModuleList([first] if second is None else [first, second])
        self.heads = nn.ModuleList(Smoother(t.width, reach, step, heads) for t, heads in zip(self.trunks, (1, 2)))

    def among(self, bodies: int) -> Bodies:
        """The network with the same weights (they are shared, not copied) for states of ``bodies`` bodies."""
        other = object.__new__(type(self))
        other.__dict__ = {**self.__dict__, "bodies": bodies}
        return other

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c = log(sigma) / 4 (N, 1)`` to ``(N, n)``."""
        if u.shape[-1] % (4 * self.bodies):
            raise ValueError(f"got states of {u.shape[-1]} numbers; expected frames of {self.bodies} bodies with 4 "
                             f"features each, a multiple of {4 * self.bodies}")
        rows = max(4 * CACHED // u.shape[-1], 1)
        if u.device.type == "cpu" and len(u) > rows:
            return torch.cat([self(*some) for some in zip(*(v.split(rows) for v in (u, c, keep)))])
        u, keep = (v.reshape(len(v), -1, self.bodies, 4).transpose(1, 2) for v in (u, keep))  # (N, bodies, T, 4)
        known, there = keep < 0, (keep != 0).all(-1, keepdim=True).to(keep)
        u, sigma, level = u * there, torch.exp(4 * c)[..., None, None], self.level(c)
        root = (1 + sigma**2).sqrt()
        x, out, h = torch.where(known, u, u * root), torch.zeros_like(u), None
        for trunk, head in zip(self.trunks, self.heads):
            guess = torch.where(known, u, u / root + sigma / root * out)
            with torch.autocast(u.device.type, enabled=False):
                said = flown(guess, there, self.step, self.reach, self.contact)
            nodes = torch.cat([self._nodes(x, guess, sigma, keep.mean(-1, keepdim=True), there),
                               _amiss(x, guess, sigma, there, said), self._walls(guess, sigma) * there], -1)
            h = trunk(nodes if h is None else torch.cat([nodes, h.to(nodes)], -1), self._edges(guess, sigma, there),
                      there, level)
            out = head(h, x, sigma, there, said) * there
        return out.transpose(1, 2).reshape(len(u), -1)

    def _nodes(self, x: Tensor, y: Tensor, sigma: Tensor, keep: Tensor, there: Tensor) -> Tensor:
        """Features ``(N, bodies, T, NODES)`` of the noisy state ``x`` and an estimate ``y (N, bodies, T, 4)``."""
        root, fine = (1 + sigma**2).sqrt(), _fine(sigma)
        place, flight = y[..., :2], self.step * y[..., 2:]
        parts = [x / root, y, torch.asinh((x - y) / sigma), keep]
        for k in REACHES:
            parts += [self._change(x, k, there) / sigma, self._change(y, k, there) / fine]
        parts = parts[:4] + [torch.asinh(v) for v in parts[4:]]
        for at in (place - flight, place, place + flight):
            parts += [torch.asinh((self.reach - at) / fine), torch.asinh((self.reach + at) / fine)]
        return torch.cat(parts, -1) * there

    def _walls(self, y: Tensor, sigma: Tensor) -> Tensor:
        """How far from touching each wall, ``(N, bodies, T, 4)``: on which side decides of a bounce, however little."""
        return torch.asinh(torch.cat([self.reach - y[..., :2], self.reach + y[..., :2]], -1) / _sharp(sigma))

    def _change(self, z: Tensor, k: int, keep: Tensor) -> Tensor:
        """What frame ``t + k`` has that free flight from t does not explain, ``(N, bodies, T, 4)``."""
        other, there = _shift(z, k), _shift(keep, k)
        place = other[..., :2] - z[..., :2] - k * self.step * (other[..., 2:] + z[..., 2:]) / 2
        return torch.cat([place, other[..., 2:] - z[..., 2:]], -1) * there

    def _edges(self, y: Tensor, sigma: Tensor, keep: Tensor) -> Tensor:
        """Features ``(N, bodies (bodies - 1), T, EDGES)`` of what each body sees of every other."""
        target, source = pairs(self.bodies, y.device)
        apart, fine = y[:, source] - y[:, target], _fine(sigma)
        place, speed = apart[..., :2], apart[..., 2:]
        normal = place * _inverse(place)
        along = torch.stack([(normal * speed).sum(-1), normal[..., 0] * speed[..., 1] - normal[..., 1] * speed[..., 0]],
                            -1)
        gaps = torch.cat([_length(place + k * self.step * speed) - self.contact for k in (-1, 0, 1)], -1)
        parts = [place, speed, normal, along, torch.asinh(along / fine), torch.asinh(gaps / fine), torch.tanh(2 * gaps),
                 torch.asinh(gaps[..., 1:2] / _sharp(sigma))]
        return torch.cat(parts, -1) * (keep[:, source] * keep[:, target])


class Smoother(nn.Module):
    """From features ``(N, bodies, T, width)`` and the noisy state to what the network says, ``(N, bodies, T, 4)``.

    Arguments:
        width: of the features.
        reach, step: as of :class:`Bodies`.
        heads: averages per axis.
        size: numbers of a query.
        span: frames, beyond which all differences of time are one.
    """

    def __init__(self, width: int, reach: float, step: float, heads: int = 2, size: int = 16, span: int = 24) -> None:
        super().__init__()
        self.reach, self.step, self.heads, self.size, self.span = reach, step, heads, size, span
        self.query, self.key = nn.Linear(width, 2 * heads * size), nn.Linear(width, 6 * heads * size)
        self.gate, self.rest = nn.Linear(width, 4 * heads), nn.Linear(width, 4)
        self.trust, self.lean = nn.Linear(width, heads * (2 * FRAMES + 1)), nn.Linear(width, 4 * heads)
        away = torch.arange(-span, span + 1).abs() / 4
        self.bias = nn.Parameter(-torch.stack([away, away + 4, away + 4]).repeat(2 * heads, 1, 1))
        for last in (self.gate, self.rest, self.trust, self.lean):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        with torch.no_grad():
            self.trust.bias.sub_(torch.arange(-FRAMES, FRAMES + 1).abs().repeat(heads) / 2)

    def forward(self, h: Tensor, x: Tensor, sigma: Tensor, keep: Tensor, said: Tensor) -> Tensor:
        """``root / sigma (smooth - x) + sigma x / root`` gated, ``root = sqrt(1 + sigma^2)``, and the rest of noise.

        One gate for every average and feature, which is zero when untrained.
        """
        frames, axes = h.shape[2], 2 * self.heads
        query = self.query(h).unflatten(-1, (axes, self.size)).transpose(2, 3) / self.size**0.5
        key = self.key(h).unflatten(-1, (3, axes, self.size)).permute(0, 1, 4, 5, 3, 2).flatten(-2)
        missing = (keep.mT[:, :, None].repeat(1, 1, 1, 1, 3) - 1) * 1e4  # (N, bodies, 1, 1, 3 T)
        logits = (query @ key).to(x) + self._bias(frames) + missing  # (N, bodies, axes, T, 3 T)
        free, low, high = logits.softmax(-1).split(frames, -1)
        place, speed = self._average(free - low - high, 2 * self.reach * (high - low).sum(-1), x)
        smooth = torch.stack([place, speed], -1)  # (N, bodies, T, 2 axes, heads, 2)
        pull = _pull(smooth, x.unflatten(-1, (2, 2)).mT[..., None, :], sigma[..., None, None])
        pull = (self.gate(h).unflatten(-1, (2, self.heads, 2)) * pull).sum(-2)
        heard = (self.lean(h).unflatten(-1, (self.heads, 4)) * _pull(self._heard(h, keep, said), x[..., None, :],
                                                                     sigma[..., None])).sum(-2)
        return pull.mT.flatten(-2) + heard + self.rest(h)

    def _heard(self, h: Tensor, keep: Tensor, said: Tensor) -> Tensor:
        """Averages ``(N, bodies, T, heads, 4)`` of what the frames around say, by those that are there."""
        logits = self.trust(h).unflatten(-1, (self.heads, -1)).to(said)
        weight = (logits + (_around(keep)[..., None, :] - 1) * 1e4).softmax(-1)
        with torch.autocast(said.device.type, enabled=False):
            return weight @ said

    def _average(self, weight: Tensor, offset: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Place and speed ``(N, bodies, T, 2, heads)`` by ``weight (N, bodies, axes, T, T)`` of what frames say."""
        time = torch.arange(x.shape[2]).to(x)
        place, speed = (v.mT[:, :, :, None] for v in x.split(2, -1))  # (N, bodies, 2, 1, T)
        weight = weight.unflatten(2, (2, self.heads))
        with torch.autocast(x.device.type, enabled=False):
            told = torch.stack([place, speed, speed * time], -1).to(weight)
            place, speed, late = (weight @ told).unbind(-1)  # (N, bodies, 2, heads, T)
        place = place + self.step * (time * speed - late) + offset.unflatten(2, (2, self.heads))
        return tuple(v.movedim(-1, 2) for v in (place, speed))

    def _bias(self, frames: int) -> Tensor:
        time = torch.arange(frames, device=self.bias.device)
        bias = self.bias[:, :, (time[:, None] - time).clamp(-self.span, self.span) + self.span]
        return bias.transpose(1, 2).flatten(2)  # (axes, T, 3 T)


def pairs(bodies: int, device: torch.device | None = None) -> Tensor:
    """Targets and sources ``(2, bodies (bodies - 1))`` of what every body sees of every other, sorted by target."""
    target, source = torch.cartesian_prod(*2 * [torch.arange(bodies, device=device)]).mT
    return torch.stack([target, source])[:, target != source]


def _pull(smooth: Tensor, now: Tensor, sigma: Tensor) -> Tensor:
    """What a network says that takes ``smooth`` for the mean of the noisy ``now``, faded out at high levels."""
    root = (1 + sigma**2).sqrt()
    return ((smooth - now) * root / sigma + now * sigma / root) / (1 + sigma**2 / 8)


def _amiss(x: Tensor, y: Tensor, sigma: Tensor, there: Tensor, said: Tensor) -> Tensor:
    """By how much frames around contradict the noisy state and the estimate, ``(N, bodies, T, 8 len(REACHES))``."""
    around, parts = _around(there), []
    for k in REACHES:
        at = FRAMES + k
        parts += [v * around[..., at, None] for v in ((said[..., at, :] - x) / sigma,
                                                      (said[..., at, :] - y) / _fine(sigma))]
    return torch.asinh(torch.cat(parts, -1)) * there


def _around(there: Tensor) -> Tensor:
    """Which of the frames around each one are there, ``(N, bodies, T, 2 FRAMES + 1)``, the earliest first."""
    return functional.pad(there[..., 0], (FRAMES, FRAMES)).unfold(-1, 2 * FRAMES + 1, 1)


def _fine(sigma: Tensor) -> Tensor:
    # About what an estimate is off by; contacts are resolved no finer than the engine's steps are.
    return 0.3 * sigma * (1 + sigma**2).rsqrt() + 0.005


def _sharp(sigma: Tensor) -> Tensor:
    # What touches and what does not is decided by rounding: a kink that is there must have its place beyond.
    return 0.3 * sigma * (1 + sigma**2).rsqrt() + 0.0003


def _shift(z: Tensor, k: int) -> Tensor:
    """``z (N, bodies, T, f)`` of frame ``t + k`` at t, zero where there is none."""
    missing = torch.zeros_like(z[:, :, : abs(k)])
    z = z[:, :, k:] if k > 0 else z[:, :, : max(z.shape[2] + k, 0)]
    return torch.cat([z, missing] if k > 0 else [missing, z], 2)


def _length(v: Tensor) -> Tensor:
    return (v.square().sum(-1, keepdim=True) + 1e-6).sqrt()


def _inverse(v: Tensor) -> Tensor:
    return (v.square().sum(-1, keepdim=True) + 1e-6).rsqrt()
