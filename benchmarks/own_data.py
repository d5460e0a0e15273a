"""Own data: ten minutes of training on a file that nobody prepared, then readings of 40 sensors, beside a Gaussian.

A pollutant is carried by a uniform wind and diffuses on a periodic square: 200 trajectories of 20 x 32 x 32, exact by
Fourier's series, each with a viscosity of its own, in a file that plain h5py writes in PDEBench's layout. A prior of
windows of 8 frames is trained as `sciencegen train` does it. Then 40 sensors at random places are read at 4 times, with
errors of 5 % of the field's standard deviation, for trajectories that were not trained on.

    python -m benchmarks own_data --out runs/own_data
    python -m benchmarks own_data --quick --out runs/own_data_quick

*Best linear posterior* is that of the Gaussian with the least held-out error, of all that the package fits; it is what
kriging with a fitted covariance gives. Errors are of the posterior's mean over samples, root mean square over cases in
units of each part's standard deviation, with the interval of their ratio over cases; coverage is of 90 % intervals.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from rich.table import Table

from sciencegen.energy import Energy
from sciencegen.layout import Layout
from sciencegen.measure import Points
from sciencegen.metrics import coverage
from sciencegen.priors import Model
from sciencegen.sample import Multistep
from sciencegen.states import States
from sciencegen.studies.pde.invert import levels
from sciencegen.symmetries import Shift
from sciencegen.tasks import Problem, invert
from sciencegen.train import Training, train

from .common import arguments, facts, output, write_json
from .common.record import Line, publish

PARTS = ["tensor", "viscosity"]
OURS, LINEAR = "ours", "best linear posterior"
LINES = [Line(f"own file, {part} of a window from 40 sensors", "root mean square error", f"posterior of {part}",
              "error", (OURS,), (LINEAR,), seeds="1") for part in PARTS]
WINDOW, SENSORS, FRAMES, NOISE = 8, 40, (0, 2, 4, 6), 0.05
WIND = (1.0, 0.5)


def write(path: Path, count: int, frames: int = 20, cells: int = 32, seed: int = 0) -> None:
    """The file: ``tensor (count, frames, cells, cells)``, ``viscosity (count,)`` and the axes."""
    random, k = np.random.default_rng(seed), np.fft.fftfreq(cells, 1 / cells)
    kx, ky = np.meshgrid(k, k, indexing="ij")
    viscosity, times = 10 ** random.uniform(-3, -2, count), 0.04 * np.arange(frames)
    rough = np.fft.fft2(random.standard_normal((count, cells, cells))) * np.exp(-(kx**2 + ky**2) / 18)
    field = np.fft.ifft2(rough).real
    start = np.fft.fft2(np.exp(0.7 * field / field.std()))  # a concentration is positive
    decay = viscosity[:, None, None, None] * (2 * np.pi) ** 2 * (kx**2 + ky**2) + 2j * np.pi * (
        WIND[0] * kx + WIND[1] * ky)
    tensor = np.fft.ifft2(start[:, None] * np.exp(-decay * times[:, None, None])).real
    with h5py.File(path, "w") as file:
        file["tensor"], file["viscosity"] = tensor.astype("f4"), viscosity.astype("f4")
        centres = (np.arange(cells) + 0.5) / cells
        for name, axis in (("x", centres), ("y", centres), ("t", times)):
            file[f"{name}-coordinate"] = axis.astype("f4")


def sensors(layout: Layout, case: int) -> Points:
    """Places on the square, each read at all of the times."""
    places = np.random.default_rng(case).uniform(0, layout.variables["tensor"].shape[-1] - 1, (SENSORS, 2))
    index = [[frame, *place] for frame in FRAMES for place in places]
    return Points("tensor", torch.tensor(index, dtype=torch.float64))


def posterior(layout: Layout, prior: Energy, truth: dict[str, Any], case: int, members: int, steps: int
              ) -> tuple[dict[str, tuple[float, float]], int]:
    """By part the squared error of the mean and the coverage, in units of the part; and the network calls."""
    measure, parts = sensors(layout, case), {k: v[None].double() for k, v in truth.items()}
    noise = NOISE * float(layout.scale[0])
    read = measure(**parts)[0]
    read = read + noise * torch.from_numpy(np.random.default_rng(case + 2**20).standard_normal(len(read)))
    result = invert(Problem(layout, prior), measure, read.float(), noise, Multistep(levels(prior, steps)), members,
                    torch.arange(members) + case * 2**20, False)
    found = {}
    for name, variable in layout.variables.items():
        drawn, wanted = torch.as_tensor(result.samples[name].values), parts[name][0].float()
        error = ((drawn.mean(0) - wanted) / float(torch.as_tensor(variable.scale).max())).square().mean()
        found[name] = float(error), float(coverage(drawn, wanted))
    return found, result.nfev


def compared(model: Model, states: States, linear: Energy, cases: int, members: int, steps: int) -> dict[str, Any]:
    """Errors and coverages of the trained prior and of the Gaussian, by part and case."""
    rows = torch.linspace(0, len(states.test) - 1, cases).long().tolist()
    found: dict[str, Any] = {who: {name: [] for name in states.layout.variables} for who in ("network", "gaussian")}
    for case, row in enumerate(rows):
        truth = {k: v[0] for k, v in states.test.physical([row]).items()}
        for who, prior in (("network", model.energy), ("gaussian", linear)):
            for name, one in posterior(states.layout, prior, truth, case, members, steps)[0].items():
                found[who][name].append(one)
    return found


def tables(found: dict[str, Any]) -> list[Table]:
    """One a part: root mean square errors and coverages, and the ratio with its interval over cases (bootstrap)."""
    made = []
    for name in found["network"]:
        ours, theirs = (np.array(found[who][name]) for who in ("network", "gaussian"))
        picks = np.random.default_rng(0).integers(len(ours), size=(2000, len(ours)))
        ratios = np.sqrt(ours[picks, 0].mean(1) / theirs[picks, 0].mean(1))
        error, other = (np.sqrt(v[:, 0].mean()) for v in (ours, theirs))
        low, high = np.quantile(ratios, (0.025, 0.975))
        table = Table("row", "n", "error", "over the linear one's", "coverage of 90 %", title=f"posterior of {name}")
        table.add_row(OURS, str(len(ours)), f"{error:.4f}", f"{error / other:.3f} ({low:.3f} to {high:.3f})",
                      f"{100 * ours[:, 1].mean():.1f} %")
        table.add_row(LINEAR, str(len(ours)), f"{other:.4f}", "1", f"{100 * theirs[:, 1].mean():.1f} %")
        made.append(table)
    return made


def main() -> None:
    """Write the file, train, invert, print."""
    made = arguments(__doc__, "the file, the model, own_data.json and own_data.txt")
    made.add_argument("--minutes", type=float, default=10.0, help="of training")
    made.add_argument("--steps", type=int, help="of training, in the place of minutes")
    made.add_argument("--cases", type=int, default=20, help="trajectories that are inverted")
    made.add_argument("--quick", action="store_true", help="20 trajectories, 20 steps, 2 cases")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    out, cases, members = output(options.out), 2 if options.quick else options.cases, 19 if options.quick else 39
    steps, minutes = (20, None) if options.quick else (options.steps, None if options.steps else options.minutes)
    if not (out / "own.h5").exists():
        write(out / "own.h5", 20 if options.quick else 200)
    states = States(out / "own.h5", PARTS, WINDOW, symmetries=(Shift(("x", "y")),))
    start, spent = time.perf_counter(), time.process_time()
    model = train(states, Training(steps=steps, minutes=minutes), out)
    timing = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - spent}
    linear = model.energy.gaussian()
    found = compared(model, states, linear, cases, members, 4 if options.quick else 20)
    write_json(out / "own_data.json", {"facts": facts(), "timing": timing, "training": dict(model.training), **found})
    note = (f"best linear: the Gaussian '{model.training['gaussian']}'; {model.training['steps']} steps, "
            f"{timing['cpu_s']:.0f} CPU s in this call")
    publish(out, "own_data", __doc__, [*tables(found), model.training["verdict"], note], LINES)
