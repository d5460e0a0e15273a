"""Hot spots: how a shocked microstructure with voids burns, forecast from its start by learned and classical means.

    python -m benchmarks hot_spots --quick --out runs/hot_spots
    python -m benchmarks hot_spots --seconds 120 --out runs/hot_spots

Given are the temperature after the collapse, the microstructure (64 x 64, periodic) and the load; wanted is the run of
120 units of time, in 40 frames, judged beside the solver. Learned rows are trained on the same windows of three frames
of 400 runs, for the same CPU seconds, all on roll-outs of two frames by the package's loop, and are rolled out by
`sg.forecast`: *ours* has a learned rate between fixed stencils (`nets.rates`), the rivals are a Fourier neural operator
and a U-Net that add what a frame changes. The second question trains on 200 runs with loads of 0.5 to 0.8 of the range
and asks about loads inside and outside of it.

What is done is kept in --out, row by row, and not done again; the frames at half time are netCDF.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import xarray
from rich.table import Table
from torch import Tensor

from ..common import arguments, facts, output, whole, write_json
from ..common.record import Line, publish
from .data import FRAMES, PARTS, Cases, Question
from .rivals import FourierStep, UNetStep
from .rows import Learned, Persistence, Regression, Row, Told, rates, slug

HALF, DRAWS = FRAMES // 2, 400  # frame at half time; resamplings of an interval
LOADS, INSIDE, LOW, HIGH = (0.35, 1.0), (0.675, 0.87), (0.35, 0.675), (0.87, 1.0)
NUMBERS = {"burnt R2": 1, "ignition %": 0, "T error": 1, "T error, end": 1, "burnt error": 1, "mean T": 1,
           "area": 1, "front": 1}
LINES = [Line("How a shocked microstructure burns", "error of the temperature at half time, in deviations",
              "all loads", "T error", ("ours, no load",), ("persistence",), ("FNO", "U-Net"), seeds="1"),
         Line("How much of a shocked microstructure burns", "R2 of the share that has burnt in the end", "all loads",
              "burnt R2", ("ours, no load",), ("regression on load, porosity, radius",), ("FNO", "U-Net"), high=True,
              seeds="1")]
NOTE = """burnt R2: of the share of the solid that has burnt in the end. ignition: whether more than a tenth has.
T error: root of the mean squared error of the temperature, at half time or the end, over its deviation. burnt error,
mean T, area, front: mean absolute errors of the final burnt share, and of the mean temperature, the share hotter than 1
and the share in which a tenth to nine tenths have burnt, means over frames. Half intervals of 95 % by resampling the
runs. CPU s: of a forecast of one run."""


def questions(quick: bool) -> tuple[Question, ...]:
    """All loads; and some loads, asked about others too."""
    train, test = (10, 8) if quick else (400, 160)
    return (Question("all loads", Cases(train, 0, *LOADS), {"all loads": (Cases(test, 1, *LOADS),)}),
            Question("some loads", Cases(train // 2, 2, *INSIDE), {
                "seen loads": (Cases(test // 4, 3, *INSIDE),),
                "unseen loads": (Cases(test // 4, 4, *LOW), Cases(test // 8, 5, *HIGH))}))


def rows(question: Question) -> Iterator[Row]:
    """All rows of a question."""
    yield from (Persistence(), Regression())
    yield Learned("ours, no load", rates(), PARTS[:3], rate=2e-2)
    if question.name == "some loads":
        yield Learned("ours, load as a channel", rates(), rate=2e-2)
        yield Learned("ours, load modulates", rates(modulated=True), rate=2e-2)
    else:
        yield Learned("FNO", FourierStep)
        yield Learned("U-Net", UNetStep)


def scored(told: Told, runs: Mapping[str, Tensor], judge: Any) -> dict[str, Tensor]:
    """Of each run ``(N,)`` what the table's means are made of."""
    truth = {k: runs[k][:, 1:] for k in PARTS[:2]}
    right = judge(truth["temperature"], truth["burnt"], runs["microstructure"])
    found: dict[str, Tensor] = {"share": right["burnt"]}
    if told.fields:
        guess = judge(told.fields["temperature"], told.fields["burnt"], runs["microstructure"])
        for name, frame in (("T error", HALF - 1), ("T error, end", FRAMES - 1)):
            off, wanted = (v[:, frame] for v in (told.fields["temperature"] - truth["temperature"],
                                                 truth["temperature"]))
            found[name], found[f"{name} of"] = off.square().mean((1, 2)), (wanted - wanted.mean()).square().mean((1, 2))
        for name, key in (("mean T", "mean"), ("area", "area"), ("front", "front")):
            found[name] = (guess[key] - right[key]).abs().mean(-1)
    else:
        guess = {"burnt": told.burnt, "ignited": told.burnt > 0.1}
    same = (guess["ignited"] == right["ignited"]).float()
    return {**found, "guess": guess["burnt"], "ignition %": 100 * same}


def summed(found: Mapping[str, Tensor], pick: Tensor) -> dict[str, float]:
    """The table's numbers of some runs."""
    found = {name: value[pick].double() for name, value in found.items()}
    off = found["guess"] - found["share"]
    made = {"burnt R2": 1 - off.square().mean() / (found["share"] - found["share"].mean()).square().mean(),
            "ignition %": found["ignition %"].mean(), "burnt error": off.abs().mean()}
    for name in NUMBERS:
        if f"{name} of" in found:
            made[name] = (found[name].mean() / found[f"{name} of"].mean()).sqrt()
        elif name in found:
            made[name] = found[name].mean()
    return {name: float(value) for name, value in made.items()}


def spread(found: Mapping[str, Tensor]) -> dict[str, float]:
    """Half of the 95 % interval of each number, by resampling the runs."""
    count, random = len(found["share"]), torch.Generator().manual_seed(0)
    many = [summed(found, torch.randint(count, (count,), generator=random)) for _ in range(DRAWS)]
    ends = {name: torch.tensor([one[name] for one in many]).quantile(torch.tensor([0.025, 0.975])) for name in many[0]}
    return {name: float(high - low) / 2 for name, (low, high) in ends.items()}


def answered(row: Row, question: Question, seconds: float, seed: int, out: Path) -> dict[str, Any]:
    """A row's scores on all sets of a question; from its file where it was answered before."""
    file = out / f"{slug(row.name)}.{seed}.json"
    if file.is_file():
        return json.loads(file.read_text())
    made: dict[str, Any] = {"row": row.name, "ready": row.ready(question, seconds, seed, out), "sets": {}}
    for name in question.tests:
        runs = question.asked(name, out)
        told = row.tell(runs)
        found = scored(told, runs, question.train.system.judged)
        made["sets"][name] = {"numbers": summed(found, torch.arange(len(found["share"]))), "half": spread(found),
                              "n": len(found["share"]), "seconds": told.seconds / len(found["share"])}
        keep(out / f"{slug(row.name)}.{seed}.{slug(name)}.nc", told, runs, found)
    write_json(file, made)
    return made


def keep(path: Path, told: Told, runs: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Temperatures at four times of the first runs, with the truth, and the burnt shares of all."""
    at, some = [HALF // 2 - 1, HALF - 1, HALF + HALF // 2 - 1, FRAMES - 1], slice(8)
    dims = ("run", "frame", "y", "x")
    fields = {"truth": runs["temperature"][some, 1:][:, at]}
    if told.fields:
        fields["temperature"] = told.fields["temperature"][some][:, at]
    made = xarray.Dataset({k: (dims, v.numpy()) for k, v in fields.items()}
                          | {k: ("sample", found[k].numpy()) for k in ("share", "guess")}, {"frame": at})
    whole(path, lambda new: made.to_netcdf(new, engine="h5netcdf"))


def table(name: str, answers: list[dict[str, Any]]) -> Table:
    """A line a row."""
    made = Table(title=f"{name}: runs of 40 frames, 64 x 64")
    for column in ("row", *NUMBERS, "CPU s", "training CPU s", "parameters", "n"):
        made.add_column(column, justify="left" if column == "row" else "right")
    for answer in answers:
        found, ready = answer["sets"][name], answer["ready"]
        cells = [said(found["numbers"].get(k), found["half"].get(k)) for k in NUMBERS]
        made.add_row(answer["row"], *cells, f"{found['seconds']:.2g}", f"{ready.get('training', 0):.0f}",
                     str(ready.get("parameters", "-")), str(found["n"]))
    return made


def said(value: float | None, half: float | None) -> str:
    """A number with half of its interval, or a dash."""
    return "-" if value is None or half is None else f"{value:.3g} ± {half:.2g}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "windows, trainings, scores and frames of every row, hot_spots.json and the tables")
    made.add_argument("--seconds", type=float, default=120.0, help="of CPU, in which a network is trained")
    made.add_argument("--rows", nargs="+", default=[""], help="only rows whose name begins with one of these")
    made.add_argument("--questions", nargs="+", default=[""], help="only those whose name begins with one of these")
    made.add_argument("--seed", type=int, default=0, help="of the networks")
    made.add_argument("--quick", action="store_true", help="few runs, seconds of training: that it runs")
    return made


def main() -> None:
    """Answer what was not answered yet, and print the tables of all that was."""
    options = parser().parse_args()
    torch.set_num_threads(options.threads)
    out, seconds = output(options.out), 4.0 if options.quick else options.seconds
    record: dict[str, Any] = {"facts": facts(), "quick": options.quick, "questions": {}}
    parts = []
    for question in questions(options.quick):
        folder = output(str(out / slug(question.name)))
        for row in rows(question):
            if question.name.startswith(tuple(options.questions)) and row.name.startswith(tuple(options.rows)):
                answered(row, question, seconds, options.seed, folder)
        files = [folder / f"{slug(row.name)}.{options.seed}.json" for row in rows(question)]
        answers = [json.loads(file.read_text()) for file in files if file.is_file()]
        record["questions"][question.name] = answers
        parts += [table(name, answers) for name in question.tests if answers]
        write_json(out / "hot_spots.json", record)
    publish(out, "hot_spots", __doc__, [*parts, NOTE], LINES)


if __name__ == "__main__":
    main()
