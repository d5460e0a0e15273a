"""Multi-start SLSQP, its evaluations in batches: what an AeroSandbox user would do, at its fastest."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Condition
from typing import ClassVar

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor

from sciencegen.studies.airfoil.study import AirfoilStudy

from .row import MANY, Collection, Spent, flow_shortfall, shape_shortfall

ANGLE = 2.0  # degrees, the unit of the variables that are angles
LIFT = 0.1  # the unit of the lift's equality constraint
LIMITS = (-8.0, 16.0)


def evaluations(study: AirfoilStudy) -> float:
    """Rows of aerodynamics that will have been spent with the next evaluation."""
    return study.evaluations + len(study.points)


@dataclass(frozen=True)
class MultiStart:
    """SLSQP over 18 shape numbers and K angles, from random training airfoils, several searches at a time.

    Lift is an equality constraint at each point, a requirement an inequality, log mean drag the objective (borne with
    the requirements' slack): one evaluation of K rows an iterate, its gradients by automatic derivatives; all searches
    share a batch. The end of a search is returned whatever it is, and where the budget cuts it off the last airfoil it
    came to. "A Software Package for Sequential Quadratic Programming" (Kraft, 1988), through SciPy.

    Arguments:
        slack: False does without the requirements' slack and minimises drag itself, the naive way.
        seeds: how many are worth running.
        margins: critical amplifications that starts are given in turn; 9 is the judge's.
        clock: what is compared with the budget.
        searches: how many at a time.
        iterations, precision: of SLSQP.
    """

    learned: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    name: str
    data: Collection
    slack: bool = True
    seeds: int = MANY
    margins: tuple[float, ...] = (9.0,)
    clock: Callable[[AirfoilStudy], float] = evaluations
    searches: int = 32
    iterations: int = 150
    precision: float = 1e-5

    def __call__(self, study: AirfoilStudy, budget: float, count: int, seed: int) -> Tensor:
        """End points of as many starts as the budget allows, in the order of their starts."""
        need = study.requirements
        study = replace(study, requirements=replace(need, slack=need.slack if self.slack else 0.0))
        start = self.data.at_points(study)
        scale = torch.cat([start.shape.std(0), torch.full((len(study.points),), ANGLE)]).double()
        bounds = self._bounds(start.shape, scale, len(study.points))
        order = torch.randperm(len(start.shape), generator=torch.Generator().manual_seed(seed)).tolist()
        ends: dict[int, Tensor] = {}
        together = Together(lambda rows: evaluated(study, scale, rows), self.searches)

        def search(first: int) -> None:
            with together:
                for number in range(first, len(order), self.searches):
                    if self.clock(study) > budget:
                        break
                    at = torch.cat([start.shape[order[number]], start.at.alpha[order[number]].clamp(*LIMITS)])
                    n_crit = self.margins[number % len(self.margins)]
                    flow = Flow(study, lambda: self.clock(study) > budget, lambda rows: together(first, rows), n_crit)
                    end = self._solve(flow, (at.double() / scale).numpy().clip(bounds.lb, bounds.ub), bounds)
                    ends[number] = (torch.as_tensor(end) * scale)[:18]

        with ThreadPoolExecutor(self.searches) as pool:
            list(pool.map(search, range(self.searches)))
        return torch.stack([ends[number] for number in sorted(ends)] or [start.shape[order[0]].double()]).float()

    def _solve(self, flow: Flow, first: np.ndarray, bounds: Bounds) -> np.ndarray:
        points = len(flow.study.points)
        parts = {"eq": slice(1, 1 + points), "ineq": slice(1 + points, None)}
        constraints = [{"type": kind, "fun": lambda x, at=at: flow.values(x)[at],
                        "jac": lambda x, at=at: flow.slopes(x)[at]} for kind, at in parts.items()]
        options = {"maxiter": self.iterations, "ftol": self.precision}
        with suppress(Spent):
            return minimize(lambda x: flow.values(x)[0], first, jac=lambda x: flow.slopes(x)[0], bounds=bounds,
                            constraints=constraints, method="SLSQP", options=options).x
        return flow.last if len(flow.last) else first

    def _bounds(self, shapes: Tensor, scale: Tensor, points: int) -> Bounds:
        low, high = (torch.cat([end, torch.full((points,), angle)]).double() / scale
                     for end, angle in zip((shapes.amin(0), shapes.amax(0)), LIMITS))
        return Bounds(low.numpy(), high.numpy())


class Together:
    """Evaluations that several searches wait for, made in one batch as soon as all that go on wait for one.

    Arguments:
        evaluate: ``(n, d) -> (n, m)``, a row a point.
        searches: how many there are; each is a thread, and enters and leaves this as a context.
    """

    def __init__(self, evaluate: Callable[[np.ndarray], np.ndarray], searches: int) -> None:
        self.evaluate, self.searches, self.turn = evaluate, searches, Condition()
        self.asked: dict[int, np.ndarray] = {}
        self.told: dict[int, np.ndarray] = {}

    def __call__(self, number: int, rows: np.ndarray) -> np.ndarray:
        """``(n, m)`` at ``rows (n, d)`` of the search ``number``."""
        with self.turn:
            self.asked[number] = rows
            self._answer()
            self.turn.wait_for(lambda: number in self.told)
            return self.told.pop(number)

    def __enter__(self) -> None:
        """Nothing: all are counted from the start."""

    def __exit__(self, *_: object) -> None:
        with self.turn:
            self.searches -= 1
            self._answer()

    def _answer(self) -> None:
        if self.asked and len(self.asked) == self.searches:
            asked = dict(sorted(self.asked.items()))
            ends = np.cumsum([len(rows) for rows in asked.values()])
            self.told = dict(zip(asked, np.split(self.evaluate(np.concatenate([*asked.values()])), ends[:-1])))
            self.asked = {}
            self.turn.notify_all()


@dataclass
class Flow:
    """Objective, lift gaps ``(K,)`` and margins ``(5 + 3 K,)`` of scaled variables in one vector, and its Jacobian.

    Arguments:
        spent: whether the budget is; then an evaluation raises :class:`Spent`.
        evaluate: ``(n, 19 + K) -> (n, 6 + 4 K, 19 + K)``, of variables with ``n_crit`` behind them (:func:`evaluated`).
        n_crit: critical amplification.
    """

    study: AirfoilStudy
    spent: Callable[[], bool]
    evaluate: Callable[[np.ndarray], np.ndarray]
    n_crit: float = 9.0
    last: np.ndarray = field(default_factory=lambda: np.zeros(0))
    found: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def values(self, x: np.ndarray) -> np.ndarray:
        """``(6 + 4 K,)`` at ``x (18 + K,)``; the same ``x`` is evaluated once."""
        return self._at(x)[:, 0]

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """``(6 + 4 K, 18 + K)`` at ``x``."""
        # SciPy 1.17 reads Jacobians row by row whatever their order in memory
        return np.ascontiguousarray(self._at(x)[:, 1:])

    def _at(self, x: np.ndarray) -> np.ndarray:
        if not np.array_equal(x, self.last):
            if self.spent():
                raise Spent
            self.last = x.copy()
            self.found = self.evaluate(np.append(x, self.n_crit)[None])[0]
            self.study.aero.rows += len(self.study.points)
        return self.found


def evaluated(study: AirfoilStudy, scale: Tensor, rows: np.ndarray) -> np.ndarray:
    """What :class:`Flow` holds and behind it its slopes, ``(n, 6 + 4 K, 19 + K)``, at ``rows (n, 19 + K)``; uncounted.

    A point's flow has six numbers, each differentiated once for all rows and points; what is made of them is cheap.
    """
    at, n_crit = torch.as_tensor(rows[:, :-1]) * scale, torch.as_tensor(rows[:, -1:])
    points = len(study.points)
    inner, own = _flow(study, at[:, :18], at[:, 18:], n_crit)

    def outer(flow: Tensor, shape: Tensor) -> Tensor:
        cl, log_cd, cm, sure, lift_slope, slope = flow.unbind(-1)
        cd = study.requirements.borne(log_cd, slope).exp()
        fun = torch.log(study.objective(shape=shape, cd=cd, cm=cm, confidence=sure))
        margins = [shape_shortfall(study, shape), flow_shortfall(study, cm, sure, lift_slope)]
        return torch.cat([fun[None], (cl - study.lifts) / LIFT, *margins])

    values = torch.vmap(outer)(inner, at[:, :18])
    by_flow, by_shape = torch.vmap(torch.func.jacrev(outer, (0, 1)))(inner, at[:, :18])
    slopes = torch.zeros(*values.shape, 18 + points, dtype=values.dtype)
    slopes[..., :18] = by_shape + torch.einsum("nmkf,nkfs->nms", by_flow, own[..., :18])
    slopes[..., 18:] = torch.einsum("nmkf,nkf->nmk", by_flow, own[..., 18])
    return torch.cat([values[..., None], slopes * scale], dim=-1).numpy()


def _flow(study: AirfoilStudy, shape: Tensor, alpha: Tensor, n_crit: Tensor) -> tuple[Tensor, Tensor]:
    """Lift, log drag, moment, confidence, slopes of lift and log drag ``(n, K, 6)``, and their slopes ``(.., 19)``."""
    body = shape[:, None].repeat(1, alpha.shape[1], 1).requires_grad_()
    angle = alpha.clone().requires_grad_()

    def flow(angle: Tensor) -> tuple[Tensor, ...]:
        out = study.aero.aero(body, angle, study.reynolds.double(), n_crit)
        return out.cl, out.log_cd, out.cm, out.confidence

    values, tangents = torch.func.jvp(flow, (angle,), (torch.ones_like(angle),))
    found = torch.stack([*values, *tangents[:2]], dim=-1)
    each = torch.eye(6, dtype=found.dtype)[:, None, None].expand(6, *found.shape)
    slopes = torch.autograd.grad(found, (body, angle), each, is_grads_batched=True)
    return found.detach(), torch.cat([slopes[0], slopes[1][..., None]], dim=-1).permute(1, 2, 0, 3)
