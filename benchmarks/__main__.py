"""The command ``python -m benchmarks NAME --out DIR [--quick]``; without a name, the list of benchmarks.

One thread of linear algebra, set before NumPy is imported: matrices of twenty rows gain nothing from threads, and
OpenBLAS's wait for work by spinning: on busy cores SLSQP then takes nine milliseconds a step instead of a twentieth.
"""

import ast
import importlib
import os
import sys
from pathlib import Path

for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")

HERE = Path(__file__).parent


def benchmarks() -> dict[str, Path]:
    """The file with the ``main`` of every benchmark, by name."""
    single = {file.stem: file for file in HERE.glob("*.py") if not file.stem.startswith("_")}
    return dict(sorted((single | {file.parent.name: file for file in HERE.glob("*/run.py")}).items()))


def purpose(file: Path) -> str:
    """The first sentence of a benchmark's docstring, read without running it."""
    return (ast.get_docstring(ast.parse(file.read_text())) or "").split("\n\n")[0].replace("\n", " ")


def main() -> None:
    """Run the benchmark that the first word names."""
    known = benchmarks()
    chosen = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if chosen in ("-h", "--help"):
        print(__doc__.split("\n")[0], "", *(f"{name:18} {purpose(file)}" for name, file in known.items()), sep="\n")
        return
    if chosen not in known:
        raise SystemExit(f"error: got {chosen}; expected one of {', '.join(known)}")
    sys.argv[:2] = [f"python -m benchmarks {chosen}"]
    inner = ".run" if known[chosen].stem == "run" else ""
    importlib.import_module(f"benchmarks.{chosen}{inner}").main()


if __name__ == "__main__":
    main()
