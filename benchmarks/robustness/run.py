"""What the package does with damaged files, hostile models, odd solvers and wrong commands: one table.

Cases are made from a seed, each is judged in a process of its own with 10 s and 2 GB. What must not happen: something
else than was there without a word, an error that is not in words, a hang, memory, the end of the process.

    python -m benchmarks robustness --quick --out runs/robustness
    python -m benchmarks robustness --parts files --count 4000 --seed 7 --out runs/robustness

Exits with 1 if any of these happened.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

from ..common import arguments, facts, output, write_json
from ..common.record import publish
from . import PARTS, WORDS, part
from .runs import BAD, run, table

QUICK, COUNT = 60, 1500


def main() -> None:
    parser = arguments(__doc__, "robustness.txt and robustness.json")
    parser.add_argument("--parts", default="files", help=f"of {', '.join(PARTS)}, separated by commas")
    parser.add_argument("--count", type=int, help=f"cases of each part; {COUNT}, with --quick {QUICK}")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases")
    parser.add_argument("--quick", action="store_true", help="a few cases of each part")
    args = parser.parse_args()
    out, start, count = output(args.out), time.perf_counter(), args.count or (QUICK if args.quick else COUNT)
    try:
        parts = {name: part(name) for name in args.parts.split(",")}
    except ValueError as error:
        parser.error(str(error))
    verdicts = [v for name, module in parts.items() for v in run(name, module, args.seed, count)]
    seconds, bad = time.perf_counter() - start, [v for v in verdicts if v.word in BAD]
    write_json(out / "robustness.json", {**facts(), "seed": args.seed, "count": count, "words": WORDS,
                                         "seconds": seconds, "verdicts": [asdict(v) for v in verdicts]})
    lines = [f"{v.word}: {v.case}: {v.said}" for v in bad]
    publish(out, "robustness", __doc__, [table(verdicts), *lines, f"{seconds:.0f} s"])
    sys.exit(bool(bad))
