"""What the airfoil prior knows, on airfoils that it has not seen: denoising error, and polars given a shape.

Tweedie error: how far the posterior mean is from the clean state at each noise level, for the joint state and for the
shape alone, beside the closed-form Gaussian's of the same mean and covariance (1: no better than the Gaussian).

Calibration: shape and Reynolds number of test rows are measured (with next to no noise), the polar is sampled by
`tasks.invert` with ancestral noise. Error of the ensemble's mean against NeuralFoil's recorded polar, the ensemble's
own spread (the error to expect of a calibrated one), and the share of truths inside the central 90 % interval, which
should be 85 to 95 %. Rows of low confidence, mostly beyond stall, are shown apart.

    python benchmarks/prior.py --out runs/prior [--model DIRECTORY]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from common import emit, facts, output, write_json
from rich.table import Table
from torch import Tensor
from tqdm.auto import tqdm

from sciencegen import metrics
from sciencegen.exact import Gaussian
from sciencegen.jobs.airfoil.prior import QUANTITIES, recorded
from sciencegen.model import Model, zoo
from sciencegen.sample import Ancestral, karras
from sciencegen.tasks import Problem, invert

SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BAR = (0.85, 0.95)
LEVEL = 0.9
TRUSTED = 0.8  # NeuralFoil's confidence above which a number of a polar is taken as attached flow
NOISE = 0.01  # of what is measured, in units of the layout's scale


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
        found |= {name: error.tolist(), f"{name}_gaussian": base.tolist(), f"{name}_ratio": (error / base).tolist()}
    return found


def conditional(model: Model, rows: dict[str, Tensor], samples: int, steps: int, seed: int) -> Ensemble:
    """Polars given shape and Reynolds number of every row, ``samples`` each."""
    layout = model.layout
    problem = Problem(layout, model.energy)
    view = layout["shape"] & layout["log_re"]
    noise = NOISE * view(layout.scale.float())
    sampler, drawn = Ancestral(karras(steps, low=0.01, high=40.0)), []
    for i in tqdm(range(len(rows["log_re"])), "calibration", disable=None):
        data = torch.cat([rows["shape"][i], rows["log_re"][i, None]])
        seeds = torch.arange(samples) + (seed * len(rows["log_re"]) + i) * samples
        result = invert(problem, _shape_and_re, data, noise, sampler, samples, seeds=seeds, progress=False)
        drawn.append(torch.tensor(result.samples["polar"].values))
    return Ensemble(torch.stack(drawn, dim=1).float(), rows["polar"])


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


def tables(errors: dict[str, list[float]], scored: dict[str, dict[str, float]]) -> list[Table]:
    """Both parts for the terminal."""
    first = Table("sigma", *[f"{n}{t}" for n in ("joint", "shape") for t in ("", ", Gaussian", ", ratio")],
                  title="Tweedie error on the test split, E |mean - x|^2 / (sigma^2 d)", title_justify="left")
    for i, sigma in enumerate(errors["sigma"]):
        first.add_row(f"{sigma:g}", *(f"{errors[n + t][i]:.4f}" for n in ("joint", "shape")
                                      for t in ("", "_gaussian", "_ratio")))
    second = Table("quantity", "mean |error|", "median |error|", "spread", "CRPS", f"{100 * LEVEL:.0f} % coverage",
                   f"bar {100 * BAR[0]:.0f} to {100 * BAR[1]:.0f} %", title_justify="left",
                   title=f"Polars given shape and Re, test split; trusted: confidence above {TRUSTED}")
    for name, s in scored.items():
        second.add_row(name, *(f"{s[k]:.4f}" for k in ("error", "median_error", "spread", "crps")),
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="directory for prior.json and prior.txt")
    parser.add_argument("--model", help="a model directory instead of the zoo's airfoil prior")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "datasets" / "airfoils.nc")
    parser.add_argument("--rows", type=int, default=60, help="test rows whose polars are sampled")
    parser.add_argument("--samples", type=int, default=30, help="of each polar")
    parser.add_argument("--steps", type=int, default=40, help="of the sampler")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args()
    start = time.perf_counter()
    torch.set_num_threads(args.threads)
    try:
        out = output(args.out)
        model = Model.load(args.model) if args.model else zoo("airfoil")
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error
    rows = recorded(args.data, "test")
    errors = tweedie(model, rows, args.seed)
    scored = calibration(conditional(model, choose(rows, args.rows, args.seed), args.samples, args.steps, args.seed))
    seconds = time.perf_counter() - start
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    write_json(out / "prior.json", {"settings": settings, "facts": facts(), "training": dict(model.training),
                                    "seconds": seconds, "tweedie": errors, "calibration": scored})
    emit(out / "prior.txt", [*tables(errors, scored), f"{len(rows['log_re'])} test rows; {args.rows} of them times "
                             f"{args.samples} samples; {seconds:.0f} s"])


if __name__ == "__main__":
    main()
