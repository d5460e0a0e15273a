r"""The fit of a wing to an image of a body: the wing whose own image is nearest.

An image has :math:`\tanh(d / w)` at the centres of its pixels, with the signed distance :math:`d` to the body and
:math:`w = 0.2` chords: zero on the surface, and flat where the distance says nothing of the shape. Its zero contour
alone is too short, because the last fifth of an airfoil is thinner than a pixel; but the distance around the tail is
there to see. So the 22 numbers :math:`\theta` of a wing (18 of its shape, chord, angle of attack, place) are fitted to
all pixels near the body:

.. math:: \min_\theta \; \sum_i \frac{(\tanh(d_\theta(x_i) / w) - y_i)^2}{\varepsilon^2}
          + \sum_k \frac{(\theta_k - m_k)^2}{s_k^2}.

The distance follows the nearest point :math:`X(\theta)` of the surface along the outward normal :math:`n`,
:math:`\partial d / \partial \theta = -n \cdot \partial X / \partial \theta`: all pixels' derivatives cost one pass.
The nose is the upstream end. A wing that is found is as thick as it has to be; then chord, angle and place are moved
into their limits, and the misfit says whether that is still what the image shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import least_squares
from torch import Tensor

from ..physics import Outline
from . import cst
from .wings import Limits, Wings

__all__ = ["CORNER", "REACH", "Fitted", "fit_wings", "pixels"]

REACH = 0.2  # w
SIDE, PITCH, CORNER = 64, 1 / 24, (-29 / 30, -4 / 3)  # of an image: pixels, their size and the lower left, chords
SKIN = 0.05  # a body and what is within so many chords of it is one piece, so that thin tails hang together
SPECKS = 8  # pieces of so many pixels and less are noise
NEAR = 0.3  # pixels farther from a body are left out of the fit, chords
SURFACE = 0.1  # those farther are left out of the error, chords
NOISE = 0.05  # epsilon
STIFF = 1e-4  # of limits of thickness, own chords
POINTS = 41  # a side of the outline in the fit
EFFORT, ENOUGH = 60, 1e-5  # evaluations at most; relative change at which a fit ends

# Half the difference and half the sum of upper and lower weights, leading-edge weight, trailing edge of the 895
# airfoils of datasets/airfoils.nc (split train) that are 0.1 thick or more: means (of sums 0: no side is the upper one)
# and standard deviations; of a trailing edge a hundredth, because wings are not only airfoils.
MEAN = np.array([0.175, 0.196, 0.161, 0.206, 0.150, 0.186, 0.127, 0.122, *[0.0] * 10])
SPREAD = np.array([0.052, 0.068, 0.093, 0.136, 0.146, 0.127, 0.085, 0.082,
                   0.022, 0.085, 0.168, 0.165, 0.194, 0.177, 0.129, 0.181, 0.344, 0.01])
LOOSE = 3.0  # times as widely is searched
SCALE = np.array([*SPREAD, 0.1, 6.0, 0.05, 0.05])
BOUNDS = np.array([*[-np.inf] * 17, 0.0, 0.2, *[-np.inf] * 3]), np.full(22, np.inf)  # an edge and a chord are positive
WEIGHTS = np.eye(18)  # upper and lower weights, of differences and sums
WEIGHTS[:16, :16] = np.kron([[1.0, 1.0], [-1.0, 1.0]], np.eye(8))
STATIONS = np.zeros((41, 22))  # thickness along the chord
STATIONS[:, :18] = cst.thickness(torch.from_numpy(WEIGHTS.T.copy()), torch.linspace(0.005, 0.995, 41).double()).T


class Fitted(NamedTuple):
    """What images ``(*B, 64, 64)`` show: ``wings``, each part ``(*B, ...)``, NaN where there is no single body;
    ``error (*B,)``, the root mean square misfit of distances near the surface, chords; ``reason (*B,)``, an array of
    texts: why a part cannot be built, empty where it can."""

    wings: Wings
    error: Tensor
    reason: np.ndarray

    def row(self, index: np.ndarray) -> Fitted:
        """Some of the rows."""
        return Fitted(self.wings.row(index), self.error[index], self.reason[index])


def pixels(like: Tensor) -> Tensor:
    """The centres ``(64, 64, 2)`` of an image's pixels in the stream's coordinates, chords."""
    steps = (torch.arange(SIDE, dtype=like.dtype, device=like.device) + 0.5) * PITCH
    return torch.stack(torch.meshgrid(steps + CORNER[0], steps + CORNER[1], indexing="ij"), -1)


def fit_wings(body: Tensor, limits: Limits | None = None, tolerance: float = 0.04) -> Fitted:
    """The nearest wings within ``limits`` to the images ``body (*B, 64, 64)``.

    An image is turned down, with the reason, where there is no body in it or more than one, where the body has a hole
    or touches the edge, and where the nearest wing's distances are off by more than ``tolerance`` chords.
    """
    images = body.detach().cpu().double().reshape(-1, SIDE, SIDE).numpy()
    rows = [_fitted(one, limits or Limits(), tolerance) for one in images]
    numbers = body.new_tensor(np.array([row[0] for row in rows]).reshape(*body.shape[:-2], 23))
    shape, chord, alpha, centre, error = numbers.split([18, 1, 1, 2, 1], -1)
    reason = np.array([row[1] for row in rows], dtype=object).reshape(body.shape[:-2])
    return Fitted(Wings(shape, chord[..., 0], alpha[..., 0], centre), error[..., 0], reason)


def _fitted(body: np.ndarray, limits: Limits, tolerance: float) -> tuple[np.ndarray, str]:
    """The wing's 22 numbers and the misfit ``(23,)`` of one image ``(64, 64)``, and the reason."""
    if reason := _fault(body):
        return np.full(23, np.nan), reason
    fit = _Fit.of(body, limits.thickness)
    found = least_squares(fit.misfits, fit.start, fit.jacobian, BOUNDS, x_scale=SCALE, max_nfev=EFFORT, ftol=ENOUGH,
                          xtol=ENOUGH, gtol=ENOUGH).x
    ends = np.array([limits.alpha, limits.x, limits.y])
    found[18:] = found[18:].clip([limits.chord[0], *-ends], [limits.chord[1], *ends])
    error = fit.error(found)
    reason = "" if error <= tolerance else f"no wing within limits is like it: {error:.3f} chords off"
    return np.concatenate([WEIGHTS @ found[:18], found[18:], [error]]), reason


def _fault(body: np.ndarray) -> str:
    """Why an image shows no single body; empty where it does."""
    if not np.isfinite(body).all():
        return "not finite"
    solids = _solids(body)
    if not solids:
        return "no body"
    whole = np.any(solids, 0)
    if whole[[0, -1]].any() or whole[:, [0, -1]].any():
        return "touches the edge of the image"
    if len(solids) > 1:
        return "several bodies"
    return "a hole in it" if len(_pieces(~whole, ndimage.generate_binary_structure(2, 1))) > 1 else ""


def _solids(body: np.ndarray) -> list[np.ndarray]:
    """The bodies of an image, each with its skin, as masks."""
    return _pieces(body < np.tanh(SKIN / REACH), np.ones((3, 3)))


def _pieces(mask: np.ndarray, joined: np.ndarray) -> list[np.ndarray]:
    """The connected parts of a mask that are more than specks; ``joined`` says which neighbours are connected."""
    labels, count = ndimage.label(mask, joined)
    return [part for k in range(1, count + 1) if (part := labels == k).sum() > SPECKS]


@dataclass(frozen=True)
class _Fit:
    """Least squares in ``theta (22,)``: differences, sums, leading and trailing edge, chord, angle, place."""

    pixels: Tensor
    image: np.ndarray
    start: np.ndarray
    thickness: float

    @classmethod
    def of(cls, body: np.ndarray, thickness: float) -> _Fit:
        """Of the pixels near the image's body; it begins with a mean airfoil along its longer axis."""
        solid, = _solids(body)
        near = ndimage.distance_transform_edt(~solid) * PITCH < NEAR
        centres = pixels(torch.zeros((), dtype=torch.float64))
        start = np.concatenate([MEAN, _lengthwise(centres.numpy()[solid])])
        return cls(centres[torch.from_numpy(near)], body[near], np.maximum(start, BOUNDS[0] + 1e-6), thickness)

    def misfits(self, theta: np.ndarray) -> np.ndarray:
        """Of the image in units of its noise, of the shape in units of its spread, of thicknesses that fall short."""
        image = (np.tanh(self._distance(theta)[0] / REACH) - self.image) / NOISE
        return np.concatenate([image, (theta[:18] - MEAN) / (LOOSE * SPREAD), self._short(theta) / STIFF])

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """The derivatives ``(m, 22)`` of :meth:`misfits`."""
        distance, normal = self._distance(theta)
        surface = self.pixels.numpy() - distance[:, None] * normal
        slope = (1 - np.tanh(distance / REACH) ** 2) / REACH / NOISE
        thin = (self._short(theta) > 0)[:, None]
        return np.concatenate([-slope[:, None] * _outward(theta, surface, normal),
                               np.eye(18, 22) / (LOOSE * SPREAD)[:, None], -STATIONS * thin / STIFF])

    def error(self, theta: np.ndarray) -> float:
        """The root mean square misfit of distances near the surface, chords."""
        distance = self._distance(theta)[0]
        seen = REACH * np.arctanh(self.image.clip(-0.999, 0.999))
        near = np.minimum(np.abs(distance), np.abs(seen)) < SURFACE
        return float(np.sqrt(np.mean((distance - seen)[near] ** 2)))

    def _distance(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the pixels from the wing ``(m,)``, and the outward normals ``(m, 2)`` where they are nearest."""
        x = self.pixels.clone().requires_grad_()
        with torch.enable_grad():
            distance = Outline(_wing(theta).outline(POINTS))(x)
            normal, = torch.autograd.grad(distance.sum(), x)
        return distance.detach().numpy(), normal.numpy()

    def _short(self, theta: np.ndarray) -> np.ndarray:
        """By how much the wing is too thin: anywhere for sides that do not cross, and where it is thickest."""
        thickness = STATIONS @ theta
        least = np.where(thickness == thickness.max(), self.thickness, 0.0)
        return (least - thickness).clip(0)


def _wing(theta: np.ndarray) -> Wings:
    shape, chord, alpha, centre = torch.from_numpy(theta).split([18, 1, 1, 2])
    return Wings(torch.from_numpy(WEIGHTS) @ shape, chord[0], alpha[0], centre)


def _outward(theta: np.ndarray, surface: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """How fast points ``surface (m, 2)`` of a wing move along the normal with each number of ``theta``: ``(m, 22)``."""
    chord, alpha, centre = theta[18], np.deg2rad(theta[19]), theta[20:]
    turn = np.array([[np.cos(alpha), np.sin(alpha)], [-np.sin(alpha), np.cos(alpha)]])
    across, place = normal @ turn, (surface - centre) @ turn / chord  # in the wing's own axes, about mid-chord
    x = torch.from_numpy(place[:, 0] + 0.5).clamp(0, 1)
    upper, lower = (side.numpy().T for side in cst.surfaces(torch.from_numpy(WEIGHTS.T.copy()), x))
    shape = chord * across[:, 1:] * np.where(across[:, 1:] > 0, upper, lower)
    turning = np.deg2rad(chord) * (across[:, 0] * place[:, 1] - across[:, 1] * place[:, 0])
    return np.concatenate([shape, (across * place).sum(1)[:, None], turning[:, None], normal], 1)


def _lengthwise(points: np.ndarray) -> np.ndarray:
    """Chord, angle and mid-chord of a body from its points ``(n, 2)``: ends along the longer axis, less the skin."""
    middle = points.mean(0)
    x, y = np.linalg.eigh(np.cov((points - middle).T))[1][:, -1]
    axis = np.array([x, y]) * (1 if x >= 0 else -1)
    low, high = np.quantile((points - middle) @ axis, [0, 1]) + np.array([SKIN, -SKIN])
    return np.array([high - low, -np.rad2deg(np.arctan2(axis[1], axis[0])), *(middle + (low + high) / 2 * axis)])
