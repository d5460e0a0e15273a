"""What the OpenFOAM coupling gives beside published and independent values, and what it costs.

Laminar: a NACA 0012 (sharp trailing edge) at Re 1000 beside another OpenFOAM set-up on another mesh, whose values
are within 0.3 % of its finest one, and beside published values read off a figure; a cylinder at Re 100 beside the range
that the literature spans. Turbulent: a NACA 0012 at Re 6e6 beside NASA's verification page for the k-omega SST model
(compressible at Mach 0.15; fully turbulent). CPU seconds are those of all a case's programs, on one core.

    python -m benchmarks openfoam --out runs/openfoam --cases cylinder naca-5

Every case is saved as it is done and is not made again.

References: NASA Turbulence Modeling Resource, "2D NACA 0012 Airfoil Validation",
https://turbmodels.larc.nasa.gov/naca0012_val.html. Direct Numerical Simulations on the three-dimensional wake
transition of flows over NACA0012 airfoil at Re = 1000 (Kouser, Xiong, Yang & Peng, 2021),
https://doi.org/10.1177/17568293211055656, as given for comparison with an example of the program Lethe.
"""

from __future__ import annotations

import json
import resource
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from sciencegen.solvers.openfoam import RANS, Laminar, OpenFOAM

from .common import arguments, facts, output, write_json
from .common.record import publish

NAMES = ("cl", "cd", "cm", "cl_amplitude", "strouhal", "y_plus", "cells", "steps")
Span = tuple[float, float]
# angle, lift and drag; lift is the root mean square, 0.3 % above the mean at 10 degrees
PUBLISHED = np.array([[0, 0, 0.1212], [5.053, 0.2474, 0.1296], [7.023, 0.3029, 0.1380], [8.040, 0.3198, 0.1414],
                      [9.025, 0.3703, 0.1548], [10.042, 0.4140, 0.1649]])


@dataclass(frozen=True)
class Case:
    """One point and what it is judged by: for each value a range, and what others have published."""

    solver: OpenFOAM
    body: np.ndarray
    reynolds: float
    alpha: float
    bars: dict[str, Span]
    published: dict[str, float] = field(default_factory=dict)


def naca_0012(count: int = 401) -> np.ndarray:
    """The section with a sharp trailing edge, (2 count - 1, 2)."""
    x = 0.5 * (1 + np.cos(np.linspace(0, np.pi, count)))
    y = 0.6 * (0.2969 * np.sqrt(x) - 0.1260 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4)
    return np.concatenate([np.stack([x, y], 1), np.stack([x, -y], 1)[-2::-1]])


def circle(count: int = 72) -> np.ndarray:
    """A circle of diameter 1, (count, 2)."""
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], 1) / 2


def within(share: float, **values: float) -> dict[str, Span]:
    """Ranges of a share about values."""
    return {name: (value * (1 - share), value * (1 + share)) for name, value in values.items()}


def published(angle: float) -> dict[str, float]:
    """Lift (but at 0 degrees) and drag between the published angles."""
    lift, drag = (float(np.interp(angle, PUBLISHED[:, 0], column)) for column in PUBLISHED[:, 1:].T)
    return {"cl": lift, "cd": drag} if angle else {"cd": drag}


def cases() -> dict[str, Case]:
    """The table's rows by name, the most informative first."""
    laminar, rans, foil = OpenFOAM(Laminar(), timeout=3600.0), OpenFOAM(RANS(), timeout=3600.0), naca_0012()
    found = {
        "rans-0": Case(rans, foil, 6e6, 0.0, {"cd": (0.0080, 0.0082)}),
        "cylinder": Case(laminar, circle(), 100.0, 0.0, {"cd": (1.33, 1.38), "strouhal": (0.163, 0.168)}),
        "naca-5": Case(laminar, foil, 1000.0, 5.0, within(0.02, cd=0.1275, cl=0.2445)),
        "naca-10": Case(laminar, foil, 1000.0, 10.0, within(0.02, cd=0.1740, cl=0.4001)),
    }
    found |= {f"rans-0 x{f:g}": replace(found["rans-0"], solver=replace(rans, fineness=f)) for f in (0.7, 1.4)}
    found |= {"rans-10": Case(rans, foil, 6e6, 10.0, {})}
    found |= {f"naca-5 x{f:g}": replace(found["naca-5"], solver=replace(laminar, fineness=f)) for f in (0.5, 0.7, 1.4)}
    found |= {f"cylinder x{f:g}": replace(found["cylinder"], solver=replace(laminar, fineness=f)) for f in (0.5,)}
    drags = {0.0: 0.1203, 2.0: 0.1216, 4.0: 0.1255, 6.0: 0.1323, 7.0: 0.1364}
    lifts = {2.0: 0.1089, 4.0: 0.2050, 6.0: 0.2795, 7.0: 0.3027}
    for angle, drag in drags.items():
        values = {"cd": drag} | ({"cl": lifts[angle]} if angle else {})
        found[f"naca-{angle:g}"] = Case(laminar, foil, 1000.0, angle, within(0.02, **values))
    found |= {f"naca-{angle:g}": Case(laminar, foil, 1000.0, angle, within(0.05, **published(angle)))
              for angle in (8.0, 9.0)}
    found |= {name: replace(case, published=published(case.alpha)) for name, case in found.items() if "naca" in name}
    return found | {"rans-0 Re 3e6": Case(rans, foil, 3e6, 0.0, {})}


def measured(case: Case) -> dict[str, object]:
    """One run, with what it cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = case.solver(case.body, case.reynolds, alpha=[case.alpha])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, part) - getattr(before, part) for part in ("ru_utime", "ru_stime"))
    values = {name: float(result[name].item()) for name in NAMES}
    return {"status": str(result.status), **values, "cpu_s": cpu, "wall_s": result.wall_s, "log": result.log}


def table(done: dict[str, dict], chosen: dict[str, Case]) -> Table:
    """One row a case: values beside their ranges, cells, CPU minutes."""
    shown = Table(title="OpenFOAM: values (and the range they should be in)")
    for head in ("case", "status", "cd", "cl", "Strouhal", "y+", "cells", "steps", "CPU min"):
        shown.add_column(head)
    for name, row in done.items():
        cells = [_cell(row, key, chosen[name]) for key in ("cd", "cl", "strouhal", "y_plus")]
        sizes = [f"{row[key]:.0f}" if row[key] is not None else "-" for key in ("cells", "steps")]
        shown.add_row(name, row["status"], *cells, *sizes, f"{row['cpu_s'] / 60:.1f}")
    return shown


def _cell(row: dict, key: str, case: Case) -> str:
    if row[key] is None:
        return "-"
    words = []
    if key in case.bars:
        low, high = case.bars[key]
        words.append(f"{low:.4g} to {high:.4g}{'' if low <= row[key] <= high else ', missed'}")
    if key in case.published:
        words.append(f"published {case.published[key]:.4g}, {100 * (row[key] / case.published[key] - 1):+.1f} %")
    return f"{row[key]:.4g}" + (f" ({'; '.join(words)})" if words else "")


def main() -> None:
    """Run the cases that are not there yet, one after the other, and print the table of all that are."""
    chosen = cases()
    parser = arguments(__doc__, "a file a case, openfoam.json and openfoam.txt")
    parser.add_argument("--cases", nargs="*", choices=list(chosen), default=list(chosen))
    parser.add_argument("--quick", action="store_true", help="only rans-0")
    args = parser.parse_args()
    args.cases = ["rans-0"] if args.quick else args.cases
    out = output(args.out)
    for name in args.cases:
        file = _file(out, name)
        if not file.is_file():
            write_json(file, measured(chosen[name]) | {"facts": facts()})
            print(name, _summary(file), flush=True)
    done = {name: json.loads(file.read_text()) for name in chosen if (file := _file(out, name)).is_file()}
    write_json(out / "openfoam.json", done)
    publish(out, "openfoam", __doc__, [table(done, chosen)])


def _file(out: Path, name: str) -> Path:
    return out / f"{name.replace(' ', '_')}.json"


def _summary(file: Path) -> str:
    row = json.loads(file.read_text())
    return " ".join(f"{key}={row[key]}" for key in ("status", "cd", "cl", "strouhal", "cells", "cpu_s"))
