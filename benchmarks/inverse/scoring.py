r"""Scores of saved reconstructions: everything follows from a row's file and its question's.

A case's error is that of the posterior mean, its sample error the root mean square over its samples, both relative to
the truth in the 2-norm; CRPS is the fair estimate, relative to the truth's rms. Coverage counts an ensemble of ``S``
for what it is: the k-th of S ordered samples stands for the quantile ``k / (S + 1)``, so that a perfect ensemble of
19 has 90 % between its least and its largest; fewer have no such interval. For two-valued rock the error is the share
of pixels on the wrong side of the geometric mean, the estimate being the mean of the logarithm over the samples (of
samples of two values: the majority), and the coverage is that of the pressure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import xarray
from torch import Tensor

from sciencegen import metrics
from sciencegen.physics import Darcy, Heat, NavierStokes

from .row import Answer
from .task import Question, Task

MIDDLE = math.log(6.0)  # the geometric mean of 3 and 12
LEVEL = 0.9


def saved(question: Question, answer: Answer) -> xarray.Dataset:
    """A row's answer as a dataset over case, sample, x, y: in single precision, but for its residual."""
    names = [name for name in ("a", "u") if name in answer.samples]
    data = {k: (("case", "sample", "x", "y"), answer.samples[k].float().numpy()) for k in names}
    data |= {f"{k}_mean": (("case", "x", "y"), v.float().numpy()) for k, v in answer.mean.items()}
    if len(names) == 2:
        found = residual(question.task, answer.samples["a"], answer.samples["u"])
        data["residual"] = ("case", "sample"), found.numpy()
    return xarray.Dataset(data, attrs={k: getattr(answer, k) for k in ("calls", "backward", "solves")})


def asked(question: Question) -> xarray.Dataset:
    """A question as a dataset: truths, sensors' cells, data, noise, residuals of the truth and of ``u = 0``."""
    where = torch.cat(list(question.where.values())).numpy()
    part = [name for name, cells in question.where.items() for _ in cells]
    data = {k: (("case", "x", "y"), v.numpy()) for k, v in question.truth.items()}
    data |= {"value": (("case", "measurement"), question.data.numpy()),
             "noise": ("measurement", question.noise.numpy()),
             "cell": ("measurement", where), "part": ("measurement", part)}
    if not isinstance(question.task.system, Heat):
        a, u = question.truth["a"], question.truth["u"]
        data["residual_truth"] = "case", residual(question.task, a, u).numpy()
        data["residual_zero"] = "case", residual(question.task, a, 0 * u).numpy()
    return xarray.Dataset(data)


def residual(task: Task, a: Tensor, u: Tensor) -> Tensor:
    """Root mean square of the solver's own residual, ``(*B,)``; rock that is not positive is lifted to a tenth."""
    a = a.clamp_min(0.1) if isinstance(task.system, Darcy) else a
    u = u.unsqueeze(-3) if isinstance(task.system, NavierStokes) else u  # its one frame
    return task.system.residual(a, u).norm(dim=-1)


def scores(task: Task, truths: Mapping[str, Tensor], cell: xarray.Dataset) -> dict[str, list[float]]:
    """Each score of each case; NaN where a row has no samples to score."""
    tensor = lambda name: torch.as_tensor(cell[name].values).double()
    samples, truth = tensor(task.wanted), truths[task.wanted]
    mean = tensor(f"{task.wanted}_mean") if f"{task.wanted}_mean" in cell else _mean(task, samples)
    spread = "u" if task.binary else task.wanted
    found = {"error": _error(task, mean, truth), "sample_error": _error(task, samples, truth[:, None]),
             "crps": _crps(samples, truth), "coverage": _coverage(tensor(spread), truths[spread])}
    found["sample_error"] = found["sample_error"].square().mean(1).sqrt()
    other = "u" if task.wanted == "a" else "a"
    if other in cell:
        found["other_error"] = metrics.relative_error(tensor(other).mean(1), truths[other], 2)
        found["residual"] = tensor("residual").median(1).values
    if samples.shape[1] == 1:
        found |= {k: torch.full_like(found["error"], math.nan) for k in ("sample_error", "crps")}
    return {k: v.tolist() for k, v in found.items()}


def _mean(task: Task, samples: Tensor) -> Tensor:
    return samples.clamp_min(1e-2).log().mean(1).exp() if task.binary else samples.mean(1)


def _error(task: Task, value: Tensor, truth: Tensor) -> Tensor:
    if not task.binary:
        return metrics.relative_error(value, truth.expand_as(value), 2)
    side = lambda v: v.clamp_min(1e-2).log() > MIDDLE
    return (side(value) != side(truth)).double().mean((-2, -1))


def _crps(samples: Tensor, truth: Tensor) -> Tensor:
    if samples.shape[1] < 2:
        return torch.full((len(samples),), math.nan, dtype=torch.float64)
    return torch.stack([metrics.crps(s, t).mean() / t.square().mean().sqrt() for s, t in zip(samples, truth)])


def _coverage(samples: Tensor, truth: Tensor) -> Tensor:
    if (samples.shape[1] + 1) * (1 - LEVEL) / 2 < 1 - 1e-9:
        return torch.full((len(samples),), math.nan, dtype=torch.float64)
    return torch.stack([metrics.coverage(s, t, LEVEL) for s, t in zip(samples, truth)])


def heat_scores(system: Heat, truths: Mapping[str, Tensor], cell: xarray.Dataset) -> dict[str, list[float]]:
    """SMDP's referees of each case: spectrum, re-simulated error, and the posterior's variance by shells of modes.

    The spectrum error is the mean over ``|k| = 1 .. 10`` of how far the logarithm of a sample's power is from the
    truth's. Re-simulated: the start's state a frame later, without kicks, against the data, over the data's norm. The
    variance is the samples' about their mean, over the exact one, for each shell (a list a case).
    """
    samples = torch.as_tensor(cell["a"].values).double()
    shells = _shells(system)
    power = lambda field: system.basis.expand(field).square().flatten(-2) @ shells
    spectrum = (power(samples) / power(truths["a"])[:, None]).log().abs().mean((-2, -1))
    again = metrics.relative_error(system.advance(samples), truths["u"][:, None].expand_as(samples), 2).mean(1)
    if samples.shape[1] < 2:
        return {"spectrum": spectrum.tolist(), "again": again.tolist()}
    _, exact = system.posterior(system.starts().variances(), truths["u"])
    about = system.basis.expand(samples - samples.mean(1, keepdim=True)).square().sum(1) / (samples.shape[1] - 1)
    variance = (about.flatten(-2) @ shells) / (exact.flatten() @ shells)
    return {"spectrum": spectrum.tolist(), "again": again.tolist(), "variance": variance.tolist()}


def _shells(system: Heat) -> Tensor:
    """``(n^2, 10)``: which modes have a rounded wavenumber of 1 to 10."""
    number = (system.basis.laplacian().sqrt() / (2 * math.pi)).round().flatten()
    return torch.stack([(number == k).double() for k in range(1, 11)], -1)


