r"""
Forces over time or over iterations, and what they say: steady, shedding, or not settled yet.

Residuals do not tell: where the wake is unsteady a steady solver can meet its residual target at a wrong mean (for a
NACA 0012 at Re 1000 and 10 degrees, drag 9 % and lift 20 % too low), so that the history of the forces is the judge. A
history of several coefficients is

* *steady* when over the last `window` no coefficient has moved by more than `tolerance`, none by more in the second
  half than in the first, so that a disturbance that grows is not taken for rest, and none has as much still to go: the
  changes of the mean from third to third of the window, :math:`d_1` and :math:`d_2`, are continued as a geometric
  series, which sums to :math:`d_2^2 / (d_1 - d_2)`. A lift that creeps by a thousandth in the window for a thousand
  iterations more is not taken for rest either;
* *shedding* when the last `CYCLES` whole periods agree: their means within `tolerance`, their lengths and ranges within
  ten times that, as a share. Means are over these whole periods, between interpolated crossings of the mean, because
  any other window adds an error of range over length;
* *not settled* otherwise.

`tolerance` is a share of the drag for a drag and of the whole force for lifts and moments (and at least a hundredth of
the force for a drag, which can vanish in another body's wake).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["CYCLES", "History", "Steadiness"]

CYCLES = 4
FLOOR = 0.2  # of `tolerance`: motion below it is rest, whichever way it goes
STILL = 0.01  # of `tolerance`: a change of the mean below it is none


@dataclass(frozen=True)
class Steadiness:
    """
    `settled` or not, and in words why; `mean` and `spread` (half the range), both (k,), are over `window`, or over the
    last whole periods where the force oscillates with `frequency` (0: it does not).
    """

    settled: bool
    reason: str
    mean: np.ndarray
    spread: np.ndarray
    frequency: float = 0.0


@dataclass(frozen=True, eq=False)
class History:
    """`time` (n,), increasing, and `forces` (n, k): drag, lift and moment of each body in turn."""

    time: np.ndarray
    forces: np.ndarray

    def judge(self, window: float, tolerance: float, unsteady: bool = True) -> Steadiness:
        """What the end of the history says; without `unsteady` an oscillation is no answer (iterations of SIMPLE)."""
        if not len(self.time):
            nothing = np.full(self.forces.shape[1:], np.nan)
            return Steadiness(False, "there are no forces: the history is empty", nothing, nothing)
        recent = self._since(window)
        mean, spread = _mean(recent.time, recent.forces), np.ptp(recent.forces, axis=0) / 2
        if len(recent.time) < 8 or self.time[-1] - self.time[0] < window * (1 - 1e-6):
            return Steadiness(False, "the history is shorter than the window that is judged", mean, spread)
        if not np.isfinite(self.forces).all():
            return Steadiness(False, "the forces are not finite", mean, spread)
        size = _size(mean)
        moved = float((2 * spread / size).max())
        early, late = ((np.ptp(part, axis=0) / size).max() for part in np.array_split(recent.forces, 2))
        left = float((_to_come(recent.forces, STILL * tolerance * size) / size).max())
        words = f"the forces moved by {moved:.1e} of their size over the last {window:g}, with {left:.1e} to come"
        if max(moved, left) <= tolerance and (late <= early or moved <= FLOOR * tolerance):
            return Steadiness(True, f"steady: {words}", mean, spread)
        periods = self._periods(size * tolerance) if unsteady else None
        if periods is not None and self._agree(periods, size, tolerance):
            return self._shedding(periods)
        return Steadiness(False, f"not settled: {words}", mean, spread)

    def _since(self, window: float) -> History:
        kept = self.time >= self.time[-1] - window * (1 + 1e-9)
        return History(self.time[kept], self.forces[kept])

    def _periods(self, least: np.ndarray) -> np.ndarray | None:
        """The last CYCLES + 1 times at which the force that swings most rises through its mean, if as many."""
        later = self._since((self.time[-1] - self.time[0]) / 2)
        swing = np.ptp(later.forces, axis=0)
        if (swing < least).all():
            return None
        signal = later.forces[:, swing.argmax()]
        crossings = _rises(later.time, signal - _mean(later.time, signal), 0.1 * swing.max())
        return crossings[-CYCLES - 1 :] if len(crossings) > CYCLES else None

    def _agree(self, periods: np.ndarray, size: np.ndarray, tolerance: float) -> bool:
        cycles = [self._between(a, b) for a, b in zip(periods[:-1], periods[1:], strict=True)]
        means = np.array([_mean(cycle.time, cycle.forces) for cycle in cycles])
        swing = np.array([np.ptp(cycle.forces, axis=0) for cycle in cycles]).max(1)
        same_length = np.ptp(np.diff(periods)) <= 10 * tolerance * np.diff(periods).mean()
        same_swing = np.ptp(swing) <= 10 * tolerance * swing.mean()
        return bool(same_length and same_swing and (np.ptp(means, axis=0) <= tolerance * size).all())

    def _shedding(self, periods: np.ndarray) -> Steadiness:
        part, frequency = self._between(periods[0], periods[-1]), 1 / float(np.diff(periods).mean())
        reason = f"shedding: the last {CYCLES} periods agree, frequency {frequency:.4g}"
        return Steadiness(True, reason, _mean(part.time, part.forces), np.ptp(part.forces, axis=0) / 2, frequency)

    def _between(self, start: float, stop: float) -> History:
        inner = (self.time > start) & (self.time < stop)
        time = np.concatenate([[start], self.time[inner], [stop]])
        ends = np.stack([[np.interp(t, self.time, column) for column in self.forces.T] for t in (start, stop)])
        return History(time, np.concatenate([ends[:1], self.forces[inner], ends[1:]]))


def _size(mean: np.ndarray) -> np.ndarray:
    """What each coefficient's motion is compared with."""
    drag, lift = mean[0::3], mean[1::3]
    force = np.hypot(drag, lift).max()
    return np.stack([np.maximum(np.abs(drag), force / 100), *[np.full_like(drag, force)] * 2], 1).ravel()


def _to_come(forces: np.ndarray, still: np.ndarray) -> np.ndarray:
    """How far each force has still to go if its means over thirds go on as a geometric series."""
    third = len(forces) // 3
    first, second = np.diff(forces[-3 * third :].reshape(3, third, -1).mean(1), axis=0)
    ratio = np.minimum(second / np.where(first == 0, 1e-3 * second + (second == 0), first), 0.999)
    series = np.abs(second * ratio / (1 - ratio))
    return np.where(np.abs(second) > still, series, 0.0)


def _mean(time: np.ndarray, values: np.ndarray) -> np.ndarray:
    if len(time) < 2:
        return values.mean(0) if len(time) else np.full(values.shape[1:], np.nan)
    return np.trapezoid(values, time, axis=0) / (time[-1] - time[0])


def _rises(time: np.ndarray, signal: np.ndarray, band: float) -> np.ndarray:
    """Interpolated times of upward zero crossings that come after the signal was below -band and lead above +band."""
    found, below, candidate = [], False, None
    for i in range(1, len(signal)):
        below |= signal[i - 1] < -band
        if below and signal[i - 1] < 0 <= signal[i]:
            share = -signal[i - 1] / (signal[i] - signal[i - 1])
            candidate = time[i - 1] + share * (time[i] - time[i - 1])
        if candidate is not None and signal[i] > band:
            found, below, candidate = [*found, candidate], False, None
    return np.array(found)
