"""Multi-start SLSQP through exact gradients: what an AeroSandbox user would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor

from sciencegen.studies.airfoil.constraints import FLOW_GAIN
from sciencegen.studies.airfoil.study import AirfoilStudy

from .row import MANY, Collection, Spent, flow_shortfall, shape_shortfall

ANGLE = 2.0  # degrees, the unit of the variables that are angles
LIFT = 0.1  # the unit of the lift's equality constraint
BOUND = ("cm", "confidence", "lift_slope")  # what flow_shortfall takes
LIMITS = (-8.0, 16.0)


@dataclass(frozen=True)
class MultiStart:
    """SLSQP over 18 shape numbers and K angles, from one random training airfoil after the other.

    Lift is an equality constraint at each point, a requirement an inequality, log mean drag the objective (borne with
    the requirements' slack): one evaluation of K rows an iterate, cached for values and gradients. An end point is
    returned whatever it is, the run that the budget cuts off is not (unless it is the only one). "A Software Package
    for Sequential Quadratic Programming" (Kraft, 1988), through SciPy.

    Arguments:
        slack: False does without the requirements' slack and minimises drag itself, the naive way.
        seeds: how many are worth running.
        iterations, precision: of SLSQP.
    """

    learned: ClassVar[bool] = False
    name: str
    data: Collection
    slack: bool = True
    seeds: int = MANY
    iterations: int = 150
    precision: float = 1e-5

    def __call__(self, study: AirfoilStudy, budget: int, count: int, seed: int) -> Tensor:
        """End points of as many starts as the budget allows."""
        need = study.requirements
        study = replace(study, requirements=replace(need, slack=need.slack if self.slack else 0.0))
        start = self.data.at_points(study)
        scale = torch.cat([start.shape.std(0), torch.full((len(study.points),), ANGLE)]).double()
        bounds = self._bounds(start.shape, scale, len(study.points))
        ends: list[Tensor] = []
        for number in torch.randperm(len(start.shape), generator=torch.Generator().manual_seed(seed)).tolist():
            first = torch.cat([start.shape[number], start.at.alpha[number].clamp(*LIMITS)]).double() / scale
            flow = Flow(study, scale, budget)
            try:
                end = self._solve(flow, first.numpy().clip(bounds.lb, bounds.ub), bounds)
            except Spent:
                return torch.stack(ends or [flow.shape]).float()
            ends.append((torch.as_tensor(end) * scale)[:18])
        return torch.stack(ends).float()

    def _solve(self, flow: Flow, first: np.ndarray, bounds: Bounds) -> np.ndarray:
        constraints = [{"type": kind, "fun": lambda x, i=i: flow(x)[0][i], "jac": lambda x, i=i: flow(x, True)[1][i]}
                       for i, kind in ((1, "eq"), (2, "ineq"))]
        fun, slope = (lambda x: flow(x)[0][0]), (lambda x: flow(x, True)[1][0])
        options = {"maxiter": self.iterations, "ftol": self.precision}
        return minimize(fun, first, jac=slope, bounds=bounds, constraints=constraints, method="SLSQP", options=options
                        ).x

    def _bounds(self, shapes: Tensor, scale: Tensor, points: int) -> Bounds:
        low, high = (torch.cat([end, torch.full((points,), angle)]).double() / scale
                     for end, angle in zip((shapes.amin(0), shapes.amax(0)), LIMITS))
        return Bounds(low.numpy(), high.numpy())


@dataclass
class Flow:
    """Objective ``()``, lift gaps ``(K,)`` and margins ``(5 + 3 K,)`` of scaled variables, and their Jacobians."""

    study: AirfoilStudy
    scale: Tensor
    budget: int
    last: bytes = b""
    shape: Tensor = field(default_factory=lambda: torch.zeros(18))
    values: Any = None
    jacobians: Any = None
    pull: Callable[[], Any] | None = None

    def __call__(self, x: np.ndarray, slopes: bool = False) -> tuple[Any, Any]:
        """Values and, once asked for, Jacobians at ``x (18 + K,)``; the same ``x`` is evaluated once."""
        if x.tobytes() != self.last:
            self._evaluate(x)
        if slopes and self.jacobians is None:
            self.jacobians = self.pull()
        return self.values, self.jacobians

    def _evaluate(self, x: np.ndarray) -> None:
        count, study = len(self.study.points), self.study
        if study.aero.rows + count > self.budget:
            raise Spent
        at = torch.as_tensor(x) * self.scale
        self.shape, self.last, self.jacobians = at[:18], x.tobytes(), None
        bodies, alpha = at[:18].expand(count, -1).clone().requires_grad_(), at[18:].clone().requires_grad_()
        flow = self._flow(bodies, alpha)
        seen = {k: v.detach()[None].requires_grad_() for k, v in flow.items()} | {
            "shape": at[None, :18].clone().requires_grad_()}
        fun = torch.log(study.objective(**{k: v for k, v in seen.items() if k not in ("cl", "lift_slope")}))
        margins = torch.cat([shape_shortfall(study, at[:18]), flow_shortfall(study, *(flow[k] for k in BOUND))])
        gaps = (flow["cl"] - study.lifts) / LIFT
        self.values = [float(fun.detach()), gaps.detach().numpy(), margins.detach().numpy()]
        self.pull = lambda: self._pull(fun.sum(), seen, dict(zip(flow, _slopes(flow.values(), bodies, alpha))))

    def _flow(self, bodies: Tensor, alpha: Tensor) -> dict[str, Tensor]:
        def flow(angle: Tensor) -> tuple[Tensor, ...]:
            out = self.study.aero(bodies, angle, self.study.reynolds.double())
            return out.cl, out.log_cd, out.cm, out.confidence

        (cl, log_cd, cm, confidence), slopes = torch.func.jvp(flow, (alpha,), (torch.ones_like(alpha),))
        borne = self.study.requirements.borne(log_cd, slopes[1])
        return {"cl": cl, "cd": borne.exp(), "cm": cm, "confidence": confidence, "lift_slope": slopes[0]}

    def _pull(self, fun: Tensor, seen: dict[str, Tensor], rows: dict[str, Tensor]) -> list[np.ndarray]:
        """Jacobians ``(n,), (K, n), (5 + 3 K, n)`` of the values, with those of the flow, ``rows[name] (K, n)``."""
        pulled = torch.autograd.grad(fun, list(seen.values()), allow_unused=True, materialize_grads=True)
        weights = dict(zip(seen, pulled))
        shape = lambda v: torch.nn.functional.pad(v, (0, len(self.study.points)))
        total = shape(weights["shape"][0]) + sum(weights[k][0] @ rows[k] for k in rows)
        margins = torch.cat([shape(self._shape_slopes()), *(rows[k] / gain for k, gain in zip(BOUND, FLOW_GAIN))])
        return [(j * self.scale).numpy() for j in (total, rows["cl"] / LIFT, margins)]

    def _shape_slopes(self) -> Tensor:
        body = self.shape.expand(5, -1).clone().requires_grad_()
        return torch.autograd.grad(shape_shortfall(self.study, body).diagonal().sum(), body)[0]


def _slopes(values: Iterable[Tensor], bodies: Tensor, alpha: Tensor) -> Tensor:
    """``(n, K, 18 + K)``: Jacobians of ``n`` values ``(K,)``; each number depends on its own body and angle alone."""
    totals = torch.stack([value.sum() for value in values])
    body, angle = torch.autograd.grad(totals, (bodies, alpha), torch.eye(len(totals)).to(totals), is_grads_batched=True)
    return torch.cat([body, torch.diag_embed(angle)], dim=-1)
