"""What a forecast leaves to be inferred, beside exact answers: unknown parameters (J1), chances of rare events (R1).

    python -m benchmarks forecast_inference --quick --out runs/inference
    python -m benchmarks forecast_inference --tasks J1,R1 --seeds 0,1,2 --out runs/inference

Both are of the linear stochastic equation. A task and seed that is done is kept in --out and not done again. The frames
and chances that were scored are netCDF.
"""

from __future__ import annotations

import json
from typing import Any

import torch

from .common import arguments, facts, output, write_json
from .common.record import Line, publish
from .forecast import joint_rows, rare

TASKS = {"J1": joint_rows, "R1": rare}
LINES = [Line("Unknown viscosity from 16 frames", "distance of the mean, in exact deviations", "J1", "nu off",
              ("ours, windows less overlaps of one frame", "ours, overlaps of two frames"), exact=("exact",)),
         Line("Forecast with unknown speed and viscosity, 16 frames ahead", "CRPS over the exact mixture's", "J1",
              "crps/exact, 16 ahead", ("ours, windows less overlaps of one frame", "ours, overlaps of two frames"),
              exact=("exact",)),
         Line("A chance of 1e-5 by 4,096 paths", "relative error", "R1, 1e-05", "relative error",
              ("ours, exact prior",), ("plain Monte Carlo, exact law",))]


def main() -> None:
    """Answer what was not answered yet, and print the tables."""
    made = arguments(__doc__, "answers and the tables")
    made.add_argument("--tasks", default="J1,R1", help="comma-separated: J1, R1")
    made.add_argument("--seeds", default="0", help="comma-separated")
    made.add_argument("--quick", action="store_true", help="few starts, seconds of training: that it runs")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    out, record, parts = output(options.out), {"facts": facts(), "quick": options.quick}, []
    for name in options.tasks.split(","):
        if name not in TASKS:
            raise SystemExit(f"error: got --tasks {name}; expected some of {', '.join(TASKS)}")
        found: list[dict[str, Any]] = []
        for seed in map(int, options.seeds.split(",")):
            file = out / f"{name}.{seed}.json"
            if not file.is_file():
                write_json(file, {"answers": TASKS[name].answers(options.quick, seed, out)})
            found += json.loads(file.read_text())["answers"]
        record |= {name: found}
        parts += TASKS[name].tables(found)
        write_json(out / "forecast_inference.json", record)
    publish(out, "forecast_inference", __doc__, parts, LINES)


if __name__ == "__main__":
    main()
