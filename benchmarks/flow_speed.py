"""How long ten designs of two bodies take: ours beside the original's recipe, one after the other in one process.

*Ours*: `Study.propose` with the shipped prior and the study's own settings: sampled, traced, and down through what the
network expects, before any call of a solver; and the samples alone. *The original's recipe*: 1000 guided steps, at the
original's own network sizes with random weights, for only time is measured here; and on our network and window, so that
one sees how much of the ratio is the size of networks and how much steps and guidance. What designs of the recipe are
worth is a row of flow_design.py.

    python -m benchmarks flow_speed --out runs/flow_speed
    python -m benchmarks flow_speed --quick --out runs/flow_speed_quick

In every repeat each row has its turn, so that all see the same load; the first step of the recipe warms up and is not
counted. A few steps are timed and scaled to 1000. Ratios are of CPU seconds within a repeat, their median is shown with
the least and the most. A study samples three times as many designs as it goes on with (`--spare`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from statistics import median
from typing import Any

import torch
from rich.table import Table
from tqdm.auto import tqdm

from sciencegen.priors import Model, zoo
from sciencegen.studies.ensemble import Ensemble
from sciencegen.studies.flow.study import FlowStudy
from sciencegen.studies.stages import Solve

from .common import arguments, facts, output, write_json
from .common.record import Line, publish
from .flow_design.original_nets import BODY, SIDE, STATE, Forces, Predictor, Recipe, operations, parameters
from .flow_design.ours import Original, averaged

BAR = 50.0
OURS, PROPOSED = "ours, generated", "ours, until the first call of a solver"
SMALL = "the original's recipe, our network and window"
GUIDED, PLAIN = "the original's recipe, its networks", "its networks, unguided"
GUIDED_ONE, PLAIN_ONE = "the original's recipe, its networks, one design", "its networks, unguided, one design"
PAIRS = {"all designs": (GUIDED, PLAIN), "one design": (GUIDED_ONE, PLAIN_ONE)}
# Of the released code with its own networks, in wall seconds on 2 cores of another computer.
PUBLISHED = {"step_wall_s": {"ten designs": 9.4, "one design": 1.33}, "guided_over_unguided": [4.7, 8.2],
             "parameters": {"noise": 3.11e6, "forces": 14.59e6}, "operations": {"noise": 10.47e9, "forces": 4.15e9},
             "note": "measured elsewhere with the released code on 2 cores, wall seconds; for reference only"}

LINES = [Line("time of ten designs of two bodies", "CPU s, whole run", "designs of", "CPU s, whole run", (PROPOSED,),
              learned=(GUIDED,), seeds="1")]


@dataclass(frozen=True)
class Case:
    """Something to time: ``run(repeat)`` yields as each of ``rows`` is done, the time of one holding those before it.

    What it yields are further facts. Of the ``steps`` of a whole run ``timed`` are run, for so many ``designs``, with
    networks of ``parameters``.
    """

    rows: tuple[str, ...]
    run: Callable[[int], Iterator[dict[str, float]]]
    parameters: int
    steps: int
    timed: int
    designs: int

    def laps(self, repeat: int) -> dict[str, dict[str, float]]:
        """CPU and wall seconds of each row's whole run, and its further facts."""
        cpu, wall, scale, found = time.process_time(), time.perf_counter(), self.steps / self.timed, []
        for told in self.run(repeat):
            spent = {"cpu": scale * (time.process_time() - cpu), "wall": scale * (time.perf_counter() - wall)}
            found.append(spent | told)
        return dict(zip(self.rows, found, strict=True))


def ours(study: FlowStudy, count: int, spare: int) -> list[Case]:
    """Samples alone; and the study as a user runs it, up to the first call of a solver, ``count`` of ``spare`` times as
    many."""
    study, steps = replace(study, spare=spare), len(study.sampler.sigmas) - 1

    def samples(repeat: int) -> Iterator[dict[str, float]]:
        study.sample(spare * count, torch.arange(spare * count) + repeat * 2**20, progress=False)
        yield {}

    def proposed(repeat: int) -> Iterator[dict[str, float]]:
        designs = Ensemble.asked(count, torch.arange(count) + repeat * 2**20, progress=False)
        for stage in takewhile(lambda stage: not isinstance(stage, Solve), study.stages):
            designs = stage(designs)
        yield {"traced": int(designs.good.sum()), "sampled": count}

    return [Case((name,), run, parameters(study.energy), steps, steps, count)
            for name, run in ((OURS, samples), (PROPOSED, proposed))]


def original(recipe: Recipe, name: str, count: int, steps: int, guided: bool) -> Case:
    """The first ``steps`` of the recipe after one that warms up."""
    random = torch.Generator().manual_seed(count)
    first = recipe.step(recipe.start(count, random), recipe.steps - 1, recipe.start(count, random), guided)

    def run(repeat: int) -> Iterator[dict[str, float]]:
        x = first
        for t in range(recipe.steps - 2, recipe.steps - 2 - steps, -1):
            x = recipe.step(x, t, recipe.start(count, random), guided)
        yield {}

    size = parameters(recipe.noise) + (parameters(recipe.force) if guided else 0)
    return Case((name,), run, size, recipe.steps, steps, count)


def small(study: FlowStudy, count: int, steps: int, whole: int) -> Case:
    """The original's recipe on our prior."""
    made, row = averaged(study.layout, study.energy, study.bodies), Original(SMALL, study, 1.0, max(steps, 2))

    def run(repeat: int) -> Iterator[dict[str, float]]:
        row.sample(made.layout, made.prior, torch.arange(count) + repeat * 2**20, study.reynolds)
        yield {}

    return Case((SMALL,), run, parameters(study.energy), whole, row.steps, count)


def cases(study: FlowStudy, recipe: Recipe, count: int, spare: int, steps: int) -> list[Case]:
    """All, in the order of their turns."""
    return [*ours(study, count, spare), small(study, count, 10 * steps, recipe.steps),
            original(recipe, PLAIN, count, steps, False), original(recipe, GUIDED, count, steps, True),
            original(recipe, PLAIN_ONE, 1, steps, False), original(recipe, GUIDED_ONE, 1, steps, True)]


def measure(todo: list[Case], repeats: int) -> dict[str, dict[str, Any]]:
    """By row: what was run, CPU and wall seconds of a whole run in every repeat, and ratios to :data:`PROPOSED`."""
    rows: dict[str, dict[str, Any]] = {
        row: {"parameters": case.parameters, "steps": case.steps, "timed": case.timed, "designs": case.designs}
        for case in todo for row in case.rows}
    for repeat in tqdm(range(repeats), "flow speed", disable=None):
        for case in todo:
            for row, spent in case.laps(repeat).items():
                for kind, value in spent.items():
                    rows[row].setdefault(kind, []).append(value)
    of = rows[PROPOSED]
    for row in rows.values():
        row["step_cpu"] = median(row["cpu"]) / row["steps"]
        if row["designs"] == of["designs"]:
            row["ratio"], row["wall_ratio"] = (spread(row[k], of[k]) for k in ("cpu", "wall"))
    return rows


def spread(above: list[float], below: list[float]) -> dict[str, float]:
    """Median, least and most of ratios, repeat by repeat."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {"median": median(ratios), "least": min(ratios), "most": max(ratios)}


def guidance(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Guided over unguided steps."""
    return {name: spread(rows[a]["cpu"], rows[b]["cpu"]) for name, (a, b) in PAIRS.items()}


def sizes(recipe: Recipe) -> dict[str, dict[str, float]]:
    """Parameters of the recipe's networks, and operations of a call for one row, beside the original's."""
    noise, force = (torch.zeros(1, channels, SIDE, SIDE) for channels in (STATE + BODY, 1 + BODY))
    counted = {"noise": operations(recipe.noise, noise, torch.zeros(1, 1)), "forces": operations(recipe.force, force)}
    return {"parameters": {"noise": parameters(recipe.noise), "forces": parameters(recipe.force)},
            "operations": counted}


def table(found: Mapping[str, Any]) -> Table:
    """One line a row of ``found["rows"]``."""
    out = Table("row", "designs", "parameters, M", "steps", "timed", "CPU s a step", "CPU s, whole run", "wall s",
                "times ours", "least to most", title=found["title"], title_justify="left")
    for name, row in found["rows"].items():
        ratio = row.get("ratio")
        out.add_row(name, str(row["designs"]), f"{row['parameters'] / 1e6:.2f}", str(row["steps"]), str(row["timed"]),
                    f"{row['step_cpu']:.4g}", f"{median(row['cpu']):.4g}", f"{median(row['wall']):.4g}",
                    f"{ratio['median']:.3g}" if ratio else "-",
                    f"{ratio['least']:.3g} to {ratio['most']:.3g}" if ratio else "-")
    return out


def notes(found: Mapping[str, Any]) -> list[str]:
    """What belongs under the table."""
    ratio, size, known = found["rows"][GUIDED]["ratio"], found["sizes"], found["reference"]
    few = found["rows"][SMALL]["ratio"]
    nets = "; ".join(f"{name} {size['parameters'][name] / 1e6:.2f} M and {size['operations'][name] / 1e9:.2f} GFLOP a "
                     f"row (original {known['parameters'][name] / 1e6:.2f} M, {known['operations'][name] / 1e9:.2f})"
                     for name in size["parameters"])
    guided = "; ".join(f"{name} {r['median']:.2f} ({r['least']:.2f} to {r['most']:.2f})"
                       for name, r in found["guided_over_unguided"].items())
    (low, high), traced = known["guided_over_unguided"], found["rows"][PROPOSED]["traced"]
    steps = ", ".join(f"{seconds:g} s a guided step for {name}" for name, seconds in known["step_wall_s"].items())
    return ["", f"The recipe over ours, until a solver is called: {ratio['least']:.3g} in its worst repeat, bar "
            f"{BAR:g}: {'met' if ratio['least'] >= BAR else 'NOT MET'}.",
            f"Of the median {ratio['median']:.3g}, {few['median']:.3g} is the recipe's on our network and window, and "
            f"{ratio['median'] / few['median']:.3g} the size of networks, window and guidance by a network.",
            f"Guided over unguided steps: {guided}; the original {low:g} to {high:g}.",
            f"Networks of random weights: {nets}.", f"The original: {steps} ({known['note']}).",
            f"Ours traced {sum(traced)} of {sum(found['rows'][PROPOSED]['sampled'])} samples; rows of the recipe are "
            f"not traced. {found['seconds']:.0f} s."]


def report(args: Any, study: FlowStudy, recipe: Recipe, start: float) -> dict[str, Any]:
    """Everything, as the record has it."""
    rows = measure(cases(study, recipe, args.count, args.spare, args.steps), args.repeats)
    chosen = f"{args.count} designs of {study.bodies} bodies"
    if args.spare > 1:
        chosen += f", ours the best expected of {args.spare * args.count}"
    return {"title": f"{chosen}; {args.repeats} repeats, {args.threads} threads", "settings": vars(args),
            "facts": facts(), "bar": BAR, "reference": PUBLISHED, "sizes": sizes(recipe), "rows": rows,
            "guided_over_unguided": guidance(rows), "seconds": time.perf_counter() - start}


def main() -> None:
    """Measure, print, save."""
    parser = arguments(__doc__, "flow_speed.json and flow_speed.txt")
    parser.add_argument("--model", help="a model directory instead of the zoo's flow prior")
    parser.add_argument("--quick", action="store_true", help="2 designs, one step, one repeat")
    parser.add_argument("--count", type=int, default=10, help="designs")
    parser.add_argument("--spare", type=int, default=3, help="times as many are sampled by ours, as studies do")
    parser.add_argument("--steps", type=int, default=3, help="of the recipe that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    args, start = parser.parse_args(), time.perf_counter()
    if args.quick:
        args.count, args.steps, args.repeats = 2, 1, 1
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    try:
        out = output(args.out)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    model = zoo("flow") if args.model is None else Model.load(args.model)
    study = FlowStudy(model.layout, model.energy.requires_grad_(False), bodies=2)
    recipe = Recipe(Predictor().requires_grad_(False), Forces().requires_grad_(False))
    found = report(args, study, recipe, start)
    write_json(out / "flow_speed.json", found)
    publish(out, "flow_speed", __doc__, [table(found), *notes(found)], LINES)
