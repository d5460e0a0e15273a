r"""G: two Gaussian fields of 32 numbers, of which every rule's answer is known.

The conditionals are those of one joint law, the k-th canonical correlation is :math:`\rho\, 0.98^k`; each model is the
Gaussian of *decoupled* data, whose other field is drawn from N(0, 4), so that its conditional is right and all else
about it is wrong. That the models are Gaussian is hidden from ours, which would else start at the answer. Rows of the
same sampler have the same random numbers, so that a ratio to the exact score's error is free of theirs; Gibbs sweeps
draw their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

import sciencegen as sg
from sciencegen.coupling import couple
from sciencegen.energy import Energy
from sciencegen.random import Streams
from sciencegen.sample import Ancestral, karras
from sciencegen.view import View

from .learned import Known
from .rules import alike, ancestral, m2pde

__all__ = ["Hidden", "gaussian", "joint"]

N, RHOS, LEVELS, ELSEWHERE = 32, (0.3, 0.7, 0.95, 0.99), 250, 4.0
LAYOUT = sg.Layout(u=(N,), v=(N,))


class Hidden(Energy):
    """A Gaussian that does not say that it is one."""

    exact = False

    def __init__(self, inner: Energy) -> None:
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise TypeError("score only")

    def plan(self, x: Tensor, sigma: Tensor) -> Any:
        self.calls += 1
        return self.inner.plan(x, sigma)

    def given(self, view: View) -> Hidden:
        return Hidden(self.inner.given(view))

    def takes(self, rows: Tensor) -> bool:
        return self.inner.takes(rows)

    def ahead(self, view: View, sampler: Any = None) -> Any:
        return self.inner.ahead(view, sampler)


def joint(rho: float, turned: bool = True) -> sg.Gaussian:
    """The law of both: of unit variance and an exponential covariance, correlated by ``rho`` at most.

    ``turned``: which of their patterns go together is chosen at random; else each with itself.
    """
    at = torch.arange(N, dtype=torch.float64) / N
    own = torch.exp(-(at[:, None] - at).abs() / 0.3)
    root = torch.linalg.cholesky(own)
    turn = torch.linalg.qr(torch.randn(N, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    turn = turn if turned else torch.eye(N, dtype=torch.float64)
    other = turn.mT.flip(0) if turned else turn
    across = root @ (turn * (rho * 0.98 ** torch.arange(N))) @ other @ root.mT
    mean = torch.cat([1 + at, 2 * at - 1])
    return sg.Gaussian(mean, torch.cat([torch.cat([own, across], 1), torch.cat([across.mT, own], 1)]))


def decoupled(law: sg.Gaussian, name: str) -> sg.Gaussian:
    """The law of data of one field given the other, which is drawn from N(0, 4)."""
    own, other = (slice(0, N), slice(N, None)) if name == "u" else (slice(N, None), slice(0, N))
    slope = torch.linalg.solve(law.cov[other, other], law.cov[other, own]).mT
    rest = law.cov[own, own] - slope @ law.cov[other, own]
    mean, cov = torch.zeros(2 * N, dtype=torch.float64), torch.zeros(2 * N, 2 * N, dtype=torch.float64)
    mean[own] = law.center[own] - slope @ law.center[other]
    cov[other, other] = ELSEWHERE * torch.eye(N, dtype=torch.float64)
    cov[own, other], cov[other, own] = ELSEWHERE * slope, ELSEWHERE * slope.mT
    cov[own, own] = rest + ELSEWHERE * slope @ slope.mT
    return sg.Gaussian(mean, (cov + cov.mT) / 2)


def rows(rho: float, count: int) -> Mapping[str, Callable[[], tuple[Tensor, dict[str, float]]]]:
    """Each row's samples ``(count, 64)`` and what it reports."""
    law = joint(rho)
    problems = {k: sg.Problem(LAYOUT, decoupled(law, k)) for k in ("u", "v")}
    models = {"u": Known(problems["u"], "u", ("v",)), "v": Known(problems["v"], "v", ("u",))}
    levels = karras(LEVELS - 1, 0.01, 80.0, dtype=torch.float64).tolist()
    whole = lambda fields: (torch.cat([fields["u"], fields["v"]], -1), {})
    made = {
        "exact joint score": lambda: (ancestral(lambda x, s: law.mean(x, torch.tensor(s).double()), count, 2 * N,
                                                levels, 1), {}),
        "M2PDE's rule, 1 pass": lambda: whole(m2pde(models, {}, count, levels, 1, 1)),
        "M2PDE's rule, 2 passes": lambda: whole(m2pde(models, {}, count, levels, 1, 2)),
        "noised alike, decoupled data (GenCP's)": lambda: whole(alike(models, {}, count, levels, 1)),
        "ours": lambda: ours(problems, count, levels)}
    return made | {f"clean Gibbs, {n} sweeps": lambda n=n: (gibbs(models, count, n), {}) for n in (5, 20, 100)}


def gibbs(models: Mapping[str, Known], count: int, sweeps: int) -> Tensor:
    """Each field anew given the other, from where the other is drawn elsewhere."""
    draw = torch.Generator().manual_seed(1)
    x = 2 * torch.randn(count, 2 * N, generator=draw, dtype=torch.float64)
    for _ in range(sweeps):
        for model in models.values():
            known = model.energy  # the conditional Gaussian
            white = torch.randn(count, N, generator=draw, dtype=torch.float64)
            x = x.index_copy(-1, known.free, known.center(x) + known.rest.coloured(white))
    return x


def ours(problems: Mapping[str, sg.Problem], count: int, levels: list[float]) -> tuple[Tensor, dict[str, Any]]:
    """The pair of means that agree, at every level; what clean Gibbs sweeps then make of it is told beside."""
    hidden = {k: sg.Problem(LAYOUT, Hidden(p.prior)) for k, p in problems.items()}
    prior = couple(gibbs=2, **hidden).prior
    told: list[dict[str, float]] = []

    def mean(x: Tensor, sigma: float) -> Tensor:
        found = prior.evaluate(x, torch.tensor(sigma).double())
        most = {"most": float(found.told["sweeps"].max())}
        told.append({k: float(v.mean()) for k, v in found.told.items()} | most)
        return x + sigma**2 * found.score

    x = ancestral(mean, count, 2 * N, levels, 1)
    after = prior.refreshed(x, Streams(torch.arange(count)), Ancestral(torch.tensor(levels)))
    over = lambda key: sum(t[key] for t in told) / len(told)
    return x, {"inner sweeps a level": over("sweeps"), "most sweeps": max(t["most"] for t in told),
               "contraction": max(t["contraction"] for t in told), "after": after}


def gaussian(quick: bool) -> Iterator[dict[str, Any]]:
    """A row for each correlation and rule."""
    count = 500 if quick else 1000
    for rho in RHOS[2:] if quick else RHOS:
        law, floor = joint(rho), None
        for name, made in rows(rho, count).items():
            began = time.perf_counter()
            with torch.no_grad():
                x, told = made()
            after = told.pop("after", None)
            found = scored(x, law) | told | {"seconds": time.perf_counter() - began, "n": count}
            floor = floor or found["covariance"]
            yield {"task": f"G: rho {rho}", "row": name, **found, "covariance/exact": found["covariance"] / floor}
            if after is not None:
                found = scored(after, law)
                yield {"task": f"G: rho {rho}", "row": "ours, then 2 clean Gibbs sweeps", **found, "n": count,
                       "covariance/exact": found["covariance"] / floor}


def scored(x: Tensor, law: sg.Gaussian) -> dict[str, float]:
    """Relative errors of mean and covariance, and the trace over the true one."""
    cov = x.mT.cov()
    return {"mean": float((x.mean(0) - law.center).norm() / law.center.norm()),
            "covariance": float((cov - law.cov).norm() / law.cov.norm()), "trace": float(cov.trace() / law.cov.trace())}
