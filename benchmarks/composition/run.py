"""Composition beside the original's recipe: few evaluations, batched calls, and which counting needs what correction.

Three tables. The original's sampler (10,000 evaluations, one after another) beside ours with the same weights, on
systems whose windows are known in closed form and, with `--model`, on the trained n-body prior; one call for all
windows and pairs beside a loop over them; and countings by corrections on Gaussians whose joint law is known.

    python -m benchmarks composition --quick --out runs/composition
    python -m benchmarks composition --out runs/composition
    python -m benchmarks composition --model sciencegen/zoo/nbody --out runs/composition

Every cell is saved as it is done and not made again while its settings stay; the original's is saved on its way, too.
Designs are netCDF, `trajectory (sample, time, body, feature)` in box units, so that anybody can score them again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import xarray
from torch import Tensor

from ..common import arguments, facts, output, whole, write_json
from ..common.record import Line, publish
from . import ablation, report
from .original import UNIT, Original
from .ours import Ours, finished, miss
from .questions import FEW, Question, exact, scored, trained
from .speed import timings

LINES = [Line(f"springs, 44 frames of windows of 24: {question.name} ({question.role})", "distance from the target",
              f"{question.name} (", "objective", tuple(FEW), learned=(report.ORIGINAL,), seeds="3")
         for question in exact()]


def streams(question: Question, each: int) -> Tensor:
    """One random stream a design, ``(seeds * each,)``."""
    return torch.cat([1000 * s + torch.arange(each) for s in question.seeds])


def original(question: Question, file: Path) -> xarray.Dataset:
    """Every coefficient's designs, in one batch; goes on where it was stopped."""
    made, count = question.make(), len(question.coefficients)
    seeds = streams(question, question.each).repeat(count)
    coefficients = torch.tensor(question.coefficients).repeat_interleave(len(seeds) // count)
    sampler = Original(made.layout, torch.tensor(question.target), coefficients[:, None, None])
    t, y, seconds = torch.load(file) if file.is_file() else (sampler.steps, None, 0.0)
    since = time.process_time()
    for t, y in sampler.path(made.averaged, seeds, None if y is None else (t, y)):
        if t % 20 == 0:
            whole(file, unfinished(t, y, seconds + time.process_time() - since))
    spent = seconds + time.process_time() - since
    return dataset(question, y / UNIT, seeds, sampler.evaluations, spent, coefficients)


def unfinished(*content: Any) -> Callable[[Path], None]:
    """What writes an unfinished run."""
    return lambda new: torch.save(content, new)


def ours(question: Question, sampler: Ours, averaged: bool = False) -> xarray.Dataset:
    """As many designs as the original has a coefficient."""
    made, seeds, since = question.make(), streams(question, question.each), time.process_time()
    energy = made.averaged if averaged else made.ours
    x = sampler(energy, miss(made.layout, torch.tensor(question.target)), made.layout.size, seeds)
    return dataset(question, x, seeds, sampler.evaluations, time.process_time() - since)


def mended(question: Question, found: xarray.Dataset, sampler: Ours) -> xarray.Dataset:
    """The original's designs with our finish."""
    made, since = question.make(), time.process_time()
    x = made.layout.pack(trajectory=torch.as_tensor(found["trajectory"].values)).float()
    x = finished(made.ours, x, sampler.at, sampler.finish)
    return dataset(question, x, torch.as_tensor(found["stream"].values), found.attrs["evaluations"] + sampler.finish,
                   found.attrs["cpu_seconds"] + time.process_time() - since,
                   torch.as_tensor(found["coefficient"].values))


def dataset(question: Question, x: Tensor, streams: Tensor, evaluations: int, seconds: float,
            coefficients: Tensor | None = None) -> xarray.Dataset:
    """Designs, their random streams, and what they cost."""
    found = question.make().layout.to_xarray(x.float()).assign(stream=("sample", streams.numpy()))
    if coefficients is not None:
        found = found.assign(coefficient=("sample", coefficients.double().numpy().round(6)))
    return found.assign_attrs(evaluations=evaluations, cpu_seconds=seconds)


def cells(question: Question, out: Path) -> Iterator[tuple[str, xarray.Dataset]]:
    """Rows of a question, from their files if they are there; the cheap ones first."""
    few = next(iter(question.ours.values()))
    mine = {**question.ours, report.BARE: replace(few, finish=0)}
    for row, sampler in mine.items():
        yield row, made(question, row, sampler, out, partial(ours, question, sampler))
    yield report.AVERAGED, made(question, report.AVERAGED, few, out, partial(ours, question, few, True))
    half = out / f"{slug(question.name)}.partial"
    first = made(question, report.ORIGINAL, question.coefficients, out, partial(original, question, half))
    half.unlink(missing_ok=True)
    yield report.ORIGINAL, first
    yield report.MENDED, made(question, report.MENDED, few, out, partial(mended, question, first, few))


def slug(name: str) -> str:
    """A name for a file."""
    return "".join(c if c.isalnum() else "-" for c in name)


def made(question: Question, row: str, settings: Any, out: Path, make: Callable[[], xarray.Dataset]) -> xarray.Dataset:
    """What ``make()`` gives, from its file if that is there with these settings."""
    file, settings = out / f"{slug(question.name)}_{slug(row)}.nc", f"{question.settings}, {settings}"
    if file.is_file():
        found = xarray.load_dataset(file, engine="h5netcdf")
        if found.attrs["settings"] == settings:
            return found
    found = make().assign_attrs(settings=settings)
    code = {"trajectory": {"zlib": True, "complevel": 3}}
    whole(file, lambda new: found.to_netcdf(new, engine="h5netcdf", encoding=code))
    return found


def compared(questions: list[Question], out: Path) -> list[dict[str, Any]]:
    """Scores of every row and, of the original, every coefficient."""
    found = []
    for question in questions:
        rows = []
        for row, cell in cells(question, out):
            parts = [(None, cell)] if "coefficient" not in cell else [
                (float(c), part) for c, part in cell.groupby("coefficient")]
            for coefficient, part in parts:
                score = scored(question, torch.as_tensor(part["trajectory"].values),
                               torch.as_tensor(part["stream"].values) // 1000)
                rows.append(score | {"row": row, "coefficient": coefficient, **{
                    k: float(cell.attrs[k]) for k in ("evaluations", "cpu_seconds")}})
        found.append({"question": question.name, "role": question.role, "rows": rows})
        report.show(found[-1])
    return found


def remembered(file: Path, make: Any) -> Any:
    """What ``make()`` gives, as JSON from its file if that is there."""
    if not file.is_file():
        write_json(file, {"found": make()})
    return json.loads(file.read_text())["found"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "the tables and the designs")
    made.add_argument("--quick", action="store_true", help="one question, four designs a seed: minutes")
    made.add_argument("--model", help="directory of a trained prior of two bodies and 24 frames: its questions, too")
    made.add_argument("--each", type=int, default=4, help="designs a seed and coefficient of the trained prior")
    made.add_argument("--only", nargs="+", help="some of the questions only, by name")
    return made


def main() -> None:
    """Make what is missing and report."""
    args = parser().parse_args()
    torch.set_num_threads(args.threads)
    try:
        out = output(args.out)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    (out / "designs").mkdir(exist_ok=True)
    questions = exact(4)[:1] if args.quick else exact() + (trained(args.model, args.each) if args.model else [])
    questions = [q for q in questions if not args.only or q.name in args.only]
    found = {"few": compared(questions, out / "designs"),
             "speed": remembered(out / "speed.json", lambda: timings(args.model, 2.0 if args.quick else 10.0)),
             "ablation": remembered(out / "ablation.json", lambda: ablation.table(500 if args.quick else 2000))}
    write_json(out / "composition.json", {"facts": facts(), **found})
    publish(out, "composition", __doc__, report.tables(found), LINES)
