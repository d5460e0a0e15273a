"""What the airfoil prior knows, on airfoils that it has not seen: denoising error, and polars given a shape.

Tweedie error: how far the posterior mean is from the clean state at each noise level, for the joint state and for the
shape alone, beside the closed-form Gaussian's of the same mean and covariance (1: no better than the Gaussian).

Beside it the error that the prior predicts of itself, from `tr(d mean / d x)`: equal to the error where the prior is
as sure as it may be.

Calibration: shape and Reynolds number of test rows are measured, with noise, and the polar is sampled; twice. First by
`tasks.invert` alone, whose moment matching is right for Gaussians only. Then corrected: numbers measured with noise
sigma are those of the diffused state at level sigma, so Metropolis-adjusted HMC walks the polar at that level with them
held, which is exact. Error of the ensemble's mean against NeuralFoil's recorded polar, the ensemble's own spread, and
the share of truths inside the central 90 % interval (by order statistics: 90 % in the mean of a perfect ensemble of any
size), which should be 85 to 95 %. Rows of low confidence, mostly beyond stall, are shown apart.

    python -m benchmarks prior --out runs/prior [--model DIRECTORY]
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor
from tqdm.auto import tqdm

from sciencegen import metrics
from sciencegen.energy import Energy
from sciencegen.exact import Gaussian
from sciencegen.layout import View
from sciencegen.mcmc import HMC
from sciencegen.priors import Model
from sciencegen.random import Streams
from sciencegen.sample import Ancestral, karras
from sciencegen.studies.airfoil.prior import QUANTITIES, recorded
from sciencegen.tasks import Problem, invert

from .common import airfoil_arguments, airfoil_prior, arguments, facts, output, write_json
from .common.record import publish

SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BAR = (0.85, 0.95)
LEVEL = 0.9
TRUSTED = 0.8  # NeuralFoil's confidence above which a number of a polar is taken as attached flow
NOISE = 0.02  # of what is measured, in units of the layout's scale
PROBES = 4
STRIDE, LEAPS, WALKS = 0.5, 8, 24  # of the correction: a leap in units of the noise, leaps a walk, walks


@dataclass(frozen=True)
class Ensemble:
    """Samples ``(S, N, 25, 4)`` of the polars of ``N`` test rows, and the recorded ones ``(N, 25, 4)``."""

    samples: Tensor
    truth: Tensor


def tweedie(model: Model, rows: dict[str, Tensor], seed: int = 0) -> dict[str, list[float]]:
    """Denoising errors at ``SIGMAS``: of the model, of the Gaussian, for the joint state and the shape alone."""
    states, shape = model.layout.pack(**rows).float(), model.layout["shape"]
    data: Gaussian = model.energy.data
    energies = {"joint": (model.energy, data, states),
                "shape": (model.energy.marginal(shape), data.marginal(shape), shape(states))}
    found = {"sigma": list(SIGMAS)}
    for name, (learned, gaussian, clean) in tqdm(energies.items(), "tweedie", disable=None):
        error, base = (metrics.tweedie_error(e, clean, SIGMAS, seed) for e in (learned, gaussian))
        found |= {name: error.tolist(), f"{name}_gaussian": base.tolist(), f"{name}_ratio": (error / base).tolist(),
                  f"{name}_predicted": [predicted(learned, clean, sigma, seed) for sigma in SIGMAS]}
    return found


def predicted(energy: Energy, clean: Tensor, sigma: float, seed: int = 0) -> float:
    """The Tweedie error that ``energy`` expects of itself, ``tr(d mean / d x) / d``, by Hutchinson's estimate."""
    generator = torch.Generator().manual_seed(seed)
    x = (clean + sigma * torch.randn(clean.shape, generator=generator)).requires_grad_()
    with torch.enable_grad():
        mean = energy.mean(x, sigma)
    probes = [torch.randn(clean.shape, generator=generator).sign() for _ in range(PROBES)]
    pulls = [torch.autograd.grad(mean, x, probe, retain_graph=True)[0] for probe in probes]
    return float(torch.stack([(probe * pull).mean() for probe, pull in zip(probes, pulls)]).mean())


def conditional(model: Model, rows: dict[str, Tensor], samples: int, steps: int, seed: int) -> dict[str, Ensemble]:
    """Polars given shape and Reynolds number of every row, ``samples`` each: by moment matching, and corrected."""
    layout = model.layout
    known = layout["shape"] & layout["log_re"]
    noise = NOISE * known(layout.scale.float())
    truth = torch.cat([rows["shape"], rows["log_re"][:, None]], dim=-1)
    data = truth + noise * torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed))
    sampler, problem = Ancestral(karras(steps, low=NOISE / 2, high=40.0)), Problem(layout, model.energy)
    drawn = []
    for i in tqdm(range(len(data)), "calibration", disable=None):
        seeds = torch.arange(samples) + (seed * len(data) + i) * samples
        result = invert(problem, _shape_and_re, data[i], noise, sampler, samples, seeds=seeds, progress=False)
        parts = {k: torch.tensor(result.samples[k].values) for k in rows}
        drawn.append(layout.pack(**parts).float())
    x = torch.stack(drawn)
    held = known((layout.pack(**rows | {"shape": data[:, :-1], "log_re": data[:, -1]})).float())
    found = {"moments": x, "corrected": corrected(model.energy, x, known, held[:, None], seed)}
    return {k: Ensemble(layout.unpack(v.transpose(0, 1))["polar"].float(), rows["polar"]) for k, v in found.items()}


def corrected(energy: Energy, x: Tensor, known: View, held: Tensor, seed: int) -> Tensor:
    """``x (N, S, d)`` walked at level ``NOISE`` with the coordinates ``known`` at ``held (N, 1, m)``; its means."""
    free = 1 - known.adjoint(torch.ones(len(known.rows)))
    noise = Streams(torch.arange(x.shape[:-1].numel()).reshape(x.shape[:-1]) + seed * 2**32)
    x = (x + NOISE * noise.normal(x.shape[-1], x.dtype)) * free + known.adjoint(held.expand(*x.shape[:-1], -1))
    walk = HMC(STRIDE * NOISE * free, LEAPS, adjusted=True, repeats=1)
    sigma = torch.tensor(NOISE)
    for step in tqdm(range(WALKS), "correction", disable=None):
        x, _ = walk(energy, x, sigma, noise.at(step + 1))
    with torch.no_grad():
        return energy.mean(x, sigma)


def _shape_and_re(shape: Tensor, log_re: Tensor, **_: Tensor) -> Tensor:
    return torch.cat([shape, log_re[..., None]], dim=-1)


def calibration(ensemble: Ensemble) -> dict[str, dict[str, float]]:
    """For each quantity and drag: mean absolute error of the mean, spread, coverage; all angles, and trusted ones."""
    found = {}
    trusted = ensemble.truth[..., QUANTITIES.index("confidence")] > TRUSTED
    for which, keep in (("all", torch.ones_like(trusted)), ("trusted", trusted)):
        for i, name in enumerate(QUANTITIES):
            samples, truth = ensemble.samples[..., i][:, keep], ensemble.truth[..., i][keep]
            found[f"{name}, {which}"] = _scores(samples, truth)
            if name == "log_cd":
                scored = _scores(samples.exp() / truth.exp(), torch.ones_like(truth))
                found[f"cd relative, {which}"] = scored
    return found


def _scores(samples: Tensor, truth: Tensor) -> dict[str, float]:
    error = (samples.mean(0) - truth).abs()
    return {"error": float(error.mean()), "median_error": float(error.median()), "spread": float(samples.std(0).mean()),
            "crps": float(metrics.crps(samples, truth).mean()),
            "coverage": float(metrics.coverage(samples, truth, LEVEL)), "numbers": truth.numel()}


def tables(errors: dict[str, list[float]], scored: dict[str, dict[str, dict[str, float]]], split: str) -> list[Table]:
    """Both parts for the terminal."""
    kinds = {"": "", ", Gaussian": "_gaussian", ", ratio": "_ratio", ", predicted": "_predicted"}
    first = Table("sigma", *[f"{n}{t}" for n in ("joint", "shape") for t in kinds],
                  title=f"Tweedie error on the {split} split, E |mean - x|^2 / (sigma^2 d)", title_justify="left")
    for i, sigma in enumerate(errors["sigma"]):
        first.add_row(f"{sigma:g}", *(f"{errors[n + t][i]:.4f}" for n in ("joint", "shape") for t in kinds.values()))
    second = Table("sampled by", "quantity", "mean |error|", "median |error|", "spread", "CRPS",
                   f"{100 * LEVEL:.0f} % coverage", f"bar {100 * BAR[0]:.0f} to {100 * BAR[1]:.0f} %",
                   title=f"Polars given shape and Re, {split} split; trusted: confidence above {TRUSTED}",
                   title_justify="left")
    for way, quantities in scored.items():
        for name, s in quantities.items():
            second.add_row(way, name, *(f"{s[k]:.4f}" for k in ("error", "median_error", "spread", "crps")),
                           f"{100 * s['coverage']:.1f} %", "met" if BAR[0] <= s["coverage"] <= BAR[1] else "NOT MET")
    return [first, second]


def choose(rows: dict[str, Tensor], count: int, seed: int) -> dict[str, Tensor]:
    """``count`` of the test rows, no two of one airfoil as far as that goes."""
    order = torch.randperm(len(rows["log_re"]), generator=torch.Generator().manual_seed(seed))
    _, airfoil = rows["shape"].unique(dim=0, return_inverse=True)
    earlier = {}
    first = [i for i in order.tolist() if earlier.setdefault(int(airfoil[i]), i) == i]
    taken = set(first)
    chosen = [*first, *(i for i in order.tolist() if i not in taken)][:count]
    return {k: v[chosen] for k, v in rows.items()}


def main() -> None:
    """Measure, print, save."""
    parser = arguments(__doc__, "prior.json and prior.txt")
    airfoil_arguments(parser)
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    parser.add_argument("--rows", type=int, default=60, help="rows whose polars are sampled")
    parser.add_argument("--samples", type=int, default=30, help="of each polar")
    parser.add_argument("--steps", type=int, default=40, help="of the sampler")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="4 rows, 19 samples of each")
    args = parser.parse_args()
    args.rows, args.samples = (4, 19) if args.quick else (args.rows, args.samples)
    start = time.perf_counter()
    torch.set_num_threads(args.threads)
    try:
        out = output(args.out)
        model = airfoil_prior(args.model)
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error
    rows = recorded(args.data, args.split)
    errors = tweedie(model, rows, args.seed)
    drawn = conditional(model, choose(rows, args.rows, args.seed), args.samples, args.steps, args.seed)
    scored = {way: calibration(ensemble) for way, ensemble in drawn.items()}
    seconds = time.perf_counter() - start
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    write_json(out / "prior.json", {"settings": settings, "facts": facts(), "training": dict(model.training),
                                    "seconds": seconds, "tweedie": errors, "calibration": scored})
    note = f"{len(rows['log_re'])} rows; {args.rows} of them times {args.samples} samples; {seconds:.0f} s"
    publish(out, "prior", __doc__, [*tables(errors, scored, args.split), note])
