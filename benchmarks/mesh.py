"""Own data on an unstructured mesh: trained from a file, inverted from few sensors, beside kriging and Gaussians.

    python -m benchmarks mesh --out runs/mesh [--minutes 5] [--nodes 1000] [--samples 100] [--sensors 20] [--quick]

The file is that of datasets/make_mesh.py: sources, temperatures and conductivities on the nodes of a disc. A prior is
trained by `sciencegen.train` on 80 samples; of each test sample ``u`` is read at random nodes with 1 % noise, and the
whole field and the source are wanted. Rows, all by the same readings:

- kriging: a Gaussian process per field with a squared exponential kernel, its length and variance by the likelihood of
  the training fields at the sensors' spacing; it knows nothing of the equation, nor of the source;
- Gaussian: that of the training rows, of low rank by parts or diagonal, in closed form: the best linear estimate;
- ours: the trained prior, by moment matching.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from scipy.optimize import minimize
from torch import Tensor

from sciencegen.measure import Entries
from sciencegen.metrics import coverage, interval
from sciencegen.sample import Multistep
from sciencegen.states import States, by_part, low_rank_by_part
from sciencegen.studies.pde.invert import levels
from sciencegen.tasks import Problem, invert
from sciencegen.train import Training, train

from .common import arguments, facts, output, write_json
from .common.record import Line, publish

MAKER = Path(__file__).parents[1] / "datasets" / "make_mesh.py"
NOISE, SAMPLES = 0.01, 40
CLASSICAL = ("kriging", "Gaussian by parts", "Gaussian, diagonal")
LINES = [Line("own file on a mesh, field from 20 nodes", "relative error of the mean", "", "u", ("ours",), CLASSICAL,
              seeds="1")]


@dataclass(frozen=True)
class Case:
    """What is read of a test sample: ``u`` at nodes, and the truth of every part."""

    where: np.ndarray
    data: Tensor
    noise: float
    truth: dict[str, Tensor]


def cases(states: States, sensors: int) -> list[Case]:
    """One of each test row, sensors at random."""
    found = []
    for index, row in enumerate(states.test.some(range(len(states.test)))):
        parts = states.layout.unpack(row.double())
        draw = np.random.default_rng(index)
        where = np.sort(draw.choice(len(parts["u"]), sensors, replace=False))
        noise = NOISE * float(parts["u"].std())
        seen = parts["u"][where] + noise * torch.as_tensor(draw.normal(size=sensors))
        found.append(Case(where, seen, noise, parts))
    return found


def kriged(case: Case, points: np.ndarray, length: float, variance: float) -> Tensor:
    """The posterior mean of ``u`` under a squared exponential kernel, ``(n,)``."""
    across = kernel(points, points[case.where], length, variance)
    own = across[case.where] + case.noise**2 * np.eye(len(case.where))
    return torch.as_tensor(across @ np.linalg.solve(own, case.data.numpy()))


def kernel(a: np.ndarray, b: np.ndarray, length: float, variance: float) -> np.ndarray:
    """``variance exp(-|a - b|^2 / 2 length^2)``, ``(n, m)``."""
    return variance * np.exp(-np.square(a[:, None] - b[None]).sum(-1) / (2 * length**2))


def fitted(fields: np.ndarray, points: np.ndarray, sensors: int) -> tuple[float, float]:
    """Length and variance of the most likely kernel of the training fields, read at so many random nodes."""
    draw = np.random.default_rng(0)
    some = [draw.choice(len(points), 3 * sensors, replace=False) for _ in fields]

    def cost(log: np.ndarray) -> float:
        total = 0.0
        for field, rows in zip(fields, some):
            own = kernel(points[rows], points[rows], *np.exp(log)) + 1e-4 * np.exp(log[1]) * np.eye(len(rows))
            lower = np.linalg.cholesky(own)
            total += np.square(np.linalg.solve(lower, field[rows])).sum() / 2 + np.log(lower.diagonal()).sum()
        return total

    best = minimize(cost, np.log([0.5, fields.var()]), method="Nelder-Mead", options={"maxiter": 80})
    return tuple(np.exp(best.x))


def errors(found: dict[str, Tensor], case: Case) -> dict[str, float]:
    """Relative error of each field that a row gives."""
    return {k: float((v - case.truth[k]).norm() / case.truth[k].norm()) for k, v in found.items()}


def sampled(problem: Problem, case: Case, seed: int) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Posterior means of ``u`` and ``f``, and the coverage of 90 % intervals."""
    read = Entries("u", (case.where.tolist(),))
    sampler = Multistep(levels(problem.prior, 20))
    result = invert(problem, read, case.data, case.noise, sampler, SAMPLES, torch.arange(SAMPLES) + seed * 1000,
                    progress=False)
    samples = {k: torch.as_tensor(result.samples[k].values).double() for k in ("u", "f")}
    covered = {k: float(coverage(v, case.truth[k])) for k, v in samples.items()}
    return {k: v.mean(0) for k, v in samples.items()}, covered


def main() -> None:
    """Make the data, train, invert every test sample by each row, print the table and save it."""
    made = arguments(__doc__, "data, model, mesh.json and mesh.txt")
    for name, value in (("nodes", 1000), ("samples", 100), ("sensors", 20)):
        made.add_argument(f"--{name}", type=int, default=value)
    made.add_argument("--minutes", type=float, default=5.0, help="of training")
    made.add_argument("--quick", action="store_true", help="200 nodes, half a minute of training")
    asked = made.parse_args()
    nodes, minutes = (200, 0.5) if asked.quick else (asked.nodes, asked.minutes)
    torch.set_num_threads(asked.threads)
    out = output(asked.out)
    file = out / f"mesh_{nodes}_{asked.samples}.nc"
    if not file.exists():
        size = ["--nodes", str(nodes), "--samples", str(asked.samples)]
        subprocess.run([sys.executable, str(MAKER), "--out", str(file), *size], check=True)
    states = States(file, ["f", "u", "k"])
    model = train(states, Training(minutes=minutes), out / "run")
    points = np.stack([np.asarray(states.layout.variables["u"].coords[axis].values) for axis in "xy"], -1)
    rows = states.layout.unpack(states.train.some(range(len(states.train))).double())
    length, variance = fitted(rows["u"].numpy(), points, asked.sensors)
    gaussians = {"Gaussian by parts": low_rank_by_part(states), "Gaussian, diagonal": by_part(states)}
    scores: dict[str, list[dict[str, float]]] = {}
    for index, case in enumerate(cases(states, asked.sensors)):
        scores.setdefault("kriging", []).append(errors({"u": kriged(case, points, length, variance)}, case))
        priors = {"ours": model.energy} | gaussians
        for name, prior in priors.items():
            found, covered = sampled(Problem(states.layout, prior), case, index)
            scores.setdefault(name, []).append(errors(found, case) | {f"{k} covered": v for k, v in covered.items()})
    title = f"{nodes} nodes, {asked.sensors} sensors of u, {len(states.test)} test samples; relative error of the mean"
    publish(out, "mesh", __doc__, [tabled(title, scores)], LINES)
    write_json(out / "mesh.json", {"scores": scores, "kernel": [length, variance], "minutes": minutes, **facts()})


def tabled(title: str, scores: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """A row each, with intervals over the test samples."""
    table = Table(title=title)
    for name in ("row", "n", "u", "f", "90 % intervals of u hold", "of f"):
        table.add_column(name, justify="left" if name == "row" else "right")
    for name, found in scores.items():
        cells = []
        for key, times in (("u", 100), ("f", 100), ("u covered", 100), ("f covered", 100)):
            values = [100 * s[key] for s in found if key in s]
            mean = interval(values) if len(values) > 1 else None
            cells.append("-" if mean is None else f"{float(mean.mean):.2f} ± {float(mean.high - mean.mean):.2f} %")
        table.add_row(name, str(len(found)), *cells)
    return table
