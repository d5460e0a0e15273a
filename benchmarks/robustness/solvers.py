"""
Odd solvers, and campaigns that are killed at random moments: what they cost.

An odd solver is asked for one case of fifty: the 49 others have to be right, stored, readable, and not asked for again,
and nothing that the odd one started may be left. A campaign is killed by `kill -9` at a random moment and run again:
what it had said is stored, what was stored is not solved again, and in the end all is there. Of two runs in one
directory one is refused, and no case is solved twice.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sciencegen.solvers import Isolated, SolverResult, Status, load_simulations, map_simulations

from .odd import ODD, SLEEP

__all__ = ["PATIENCE", "Killed", "Odd", "Together", "cases", "judge"]

ENGINES = ("own pool", "isolated", "dask")
COUNT, CASES = 50, 40  # of a campaign with an odd case, and of one that is killed
PATIENCE = 240.0  # seconds until a case counts as hanging

CAMPAIGN = '''
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from sciencegen.solvers import Isolated, SolverResult, Status, iterate_simulations

def solver(x, folder):
    note(folder + "/started", x)
    time.sleep(0.02 * (1 + x % 3))
    return SolverResult(Status.CONVERGED, {"y": x * x})

def note(file, x):
    with open(file, "a") as found:
        found.write(f"{x}\\n")

def run(folder, executor=None):
    cases = [{"x": x, "folder": folder} for x in range(40)]
    for number, result in iterate_simulations(Isolated(solver, 60), cases, executor, folder + "/out", workers=2):
        note(folder + "/said", number)

if __name__ == "__main__":
    engine, folder = sys.argv[1:]
    if engine == "own pool":
        run(folder)
    elif engine == "isolated":
        with ThreadPoolExecutor(2) as pool:
            run(folder, pool)
    else:
        from distributed import Client, LocalCluster
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=folder) as cluster:
            with Client(cluster) as client:
                run(folder, client)
'''


@dataclass(frozen=True)
class Odd:
    """A campaign in which one case of many meets the solver called `name`."""

    name: str
    count: int = COUNT
    limit: float = 5.0  # seconds a case

    def __str__(self) -> str:
        return f"odd: {self.name}"


@dataclass(frozen=True)
class Killed:
    """A campaign on `engine` that is killed `delay` seconds after the start of its case number `after`."""

    engine: str
    after: int
    delay: float

    def __str__(self) -> str:
        return f"killed: on {self.engine}, {self.delay:.3f} s after the start of case {self.after}"


@dataclass(frozen=True)
class Together:
    """Two runs with one directory, the second begun `delay` seconds after the first."""

    delay: float

    def __str__(self) -> str:
        return f"together: the second {self.delay:.3f} s after the first"


def cases(seed: int, kills: int = 30) -> Iterator[Odd | Killed | Together]:
    """All odd solvers, `kills` killed campaigns over the engines, two pairs of runs."""
    draw = random.Random(seed)
    yield from map(Odd, ODD)
    for number in range(kills):
        yield Killed(ENGINES[number % len(ENGINES)], draw.randrange(CASES), 0.1 * draw.random())
    for _ in range(2):
        yield Together(3 * draw.random())


def judge(case: Odd | Killed | Together) -> str:
    """`equal` where all came that has to; `differ` or `traceback` where not."""
    look = {Odd: odd, Killed: killed, Together: together}[type(case)]
    with tempfile.TemporaryDirectory(prefix="robust", ignore_cleanup_errors=True) as folder:
        return look(case, Path(folder))


def odd(case: Odd, folder: Path) -> str:
    """A campaign with an odd case in its middle, run twice."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # one of them talks
    at, behave = case.count // 2, ODD[case.name]

    def solver(x: int) -> SolverResult:
        with (folder / "started").open("a") as file:
            file.write(f"{x}\n")
        return behave() if x == at else SolverResult(Status.CONVERGED, {"y": float(x * x)})

    asked = [{"x": x} for x in range(case.count)]
    for _ in range(2):
        found = map_simulations(Isolated(solver, case.limit), asked, out=folder / "out", workers=2)
        table = load_simulations(folder / "out")
        for x in set(range(case.count)) - {at}:
            if found[x]["y"] != x * x or str(table.status.values[x]) != "converged":
                return f"differ: case {x}"
    times = Counter((folder / "started").read_text().split())
    if any(times[str(x)] != 1 for x in range(case.count) if x != at) or times[str(at)] > 2:
        return "differ: solved twice"
    return "equal" if not left_behind() else "differ: a program is left"


def left_behind() -> bool:
    """Whether a program that a case started still runs."""
    time.sleep(0.05)
    return any(SLEEP.encode() in path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())


def killed(case: Killed, folder: Path) -> str:
    """A campaign, killed and gone on with."""
    process = start(case.engine, folder)
    while process.poll() is None and len(numbers(folder / "started")) <= case.after:
        time.sleep(0.005)
    time.sleep(case.delay)
    process.kill()
    process.wait()
    said, stored = set(numbers(folder / "said")), done(folder)
    if said - stored:
        return f"differ: {len(said - stored)} lost"
    again = start(case.engine, folder)
    if again.wait():
        return "traceback"
    times = Counter(numbers(folder / "started"))
    if any(times[x] != 1 for x in stored):
        return "differ: solved twice"
    table = load_simulations(folder / "out")
    return "equal" if table.y.values.tolist() == [x * x for x in range(CASES)] else "differ"


def together(case: Together, folder: Path) -> str:
    """Two runs at once; one may come when the other has ended, and then finds all done."""
    runs = [start("own pool", folder, stderr=subprocess.PIPE)]
    time.sleep(case.delay)
    runs.append(start("own pool", folder, stderr=subprocess.PIPE))
    said = [run.communicate()[1].decode() for run in runs]
    for run, other, words in zip(runs, runs[::-1], said):
        if run.returncode and (other.returncode or f"in use by process {other.pid}" not in words):
            return "traceback"
    return "equal" if sorted(numbers(folder / "started")) == list(range(CASES)) else "differ: solved twice"


def start(engine: str, folder: Path, stderr: int | None = None) -> subprocess.Popen:
    """The campaign, as a script of a user's."""
    (folder / "campaign.py").write_text(CAMPAIGN)
    where = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, folder / "campaign.py", engine, folder], env=where, stderr=stderr)


def numbers(file: Path) -> list[int]:
    """What a campaign has noted."""
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def done(folder: Path) -> set[int]:
    """Which cases are stored; all of them have to be readable."""
    if not (folder / "out/cases.json").exists():
        return set()
    return {x for x, status in enumerate(load_simulations(folder / "out").status.values) if status == "converged"}
