"""J1, its table: posteriors of two parameters beside the exact one, and the CRPS of the forecasts that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import xarray
from rich.table import Table
from torch import Tensor

import sciencegen as sg
from sciencegen import metrics

from ..common import whole
from .joint import AHEAD, HELD, LAYOUT, SEEN, Grid, Posterior, Windows, composed, exact, follow, learned, paths

__all__ = ["answers", "tables"]

LEADS = (1, 4, 16)
ROWS = {"ours, windows less overlaps of one frame": (1, True), "ours, overlaps of two frames": (2, True),
        "overlaps of two frames, not told the parameters": (2, False)}


def answers(quick: bool, seed: int, out: Path) -> list[dict[str, Any]]:
    """All rows of a seed: the first is the exact answer."""
    count, members = (2, 16) if quick else (24, 64)
    held, _, _ = paths(count, SEEN + AHEAD, HELD)
    seen, truth = held[:, :SEEN], held[:, SEEN:]
    grids = [Grid.around(path) for path in seen]
    right = [Posterior.of(grid, exact(grid, path)) for grid, path in zip(grids, seen)]
    prior, cost = learned(500 if quick else 16_000, 4.0 if quick else 45.0, seed)
    draws = ahead(None, right, seen, members, seed)
    best = scored(draws, truth)
    found = [{"row": "exact", "seed": seed, **judged(right, right), "crps": best}]
    keep(out / f"exact.{seed}.nc", draws, truth, right)
    for name, (overlap, told) in ROWS.items():
        mine = [Posterior.of(grid, composed(prior, overlap, grid, path, told)) for grid, path in zip(grids, seen)]
        draws = ahead(prior, mine, seen, members, seed)
        crps = scored(draws, truth)
        ratio = {m: crps[m] / best[m] for m in crps}
        found.append({"row": name, "seed": seed, **judged(mine, right), "crps": crps, "crps/exact": ratio, **cost})
        keep(out / f"overlap-{overlap}-{told}.{seed}.nc", draws, truth, mine)
    return found


def ahead(prior: Windows | None, posteriors: Sequence[Posterior], seen: Tensor, members: int, seed: int) -> Tensor:
    """Members ``(M, samples, AHEAD, n)``, each of parameters of its own from the posterior; None: by the exact law."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([posterior.draw(members, generator) for posterior in posteriors])
    if prior is None:
        c, nu = drawn.flatten(0, 1).unbind(-1)
        start = seen[:, -1].repeat_interleave(members, 0)
        return follow(start, AHEAD, c, nu, generator).unflatten(0, (-1, members)).transpose(0, 1)
    found = sg.forecast(sg.Problem(LAYOUT, prior), seen[:, None], AHEAD, members, memory=1, progress=False,
                        given={"c": drawn[..., 0], "nu": drawn[..., 1]}, seeds=torch.arange(members) + 2**20 * seed)
    return torch.as_tensor(found.frames["u"].values).transpose(0, 1)


def scored(members: Tensor, truth: Tensor) -> dict[str, float]:
    """CRPS by lead."""
    return {str(m): float(metrics.crps(members[:, :, m - 1], truth[:, m - 1]).mean()) for m in LEADS}


def judged(mine: Sequence[Posterior], right: Sequence[Posterior]) -> dict[str, float]:
    """Mean distance of means in exact deviations, its root mean square, and the mean ratio of deviations."""
    off = torch.stack([(m.mean - r.mean) / r.deviation for m, r in zip(mine, right)])
    ratio = torch.stack([m.deviation / r.deviation for m, r in zip(mine, right)])
    each = zip(("c", "nu"), off.abs().mean(0), off.square().mean(0).sqrt(), ratio.mean(0))
    words = ("off", "off rms", "deviation")
    return {f"{k} {word}": float(v) for k, *values in each for word, v in zip(words, values)} | {"n": len(off)}


def keep(path: Path, members: Tensor, truth: Tensor, posteriors: Sequence[Posterior]) -> None:
    """The scored frames, with the truth and the posteriors' moments."""
    pick = torch.tensor(LEADS) - 1
    moments = {name: (("sample", "parameter"), torch.stack([getattr(p, name) for p in posteriors]).numpy())
               for name in ("mean", "deviation")}
    fields = {"u": (("member", "sample", "lead", "x"), members[:, :, pick].float().numpy()),
              "truth": (("sample", "lead", "x"), truth[:, pick].float().numpy())}
    made = xarray.Dataset(fields | moments, {"lead": list(LEADS), "parameter": ["c", "nu"]})
    whole(path, lambda new: made.to_netcdf(new))


def tables(found: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """A line a row: distances and ratios by parameter, CRPS over that of the exact mixture by lead."""
    made = Table(title=f"J1: unknown speed c and viscosity nu, from {SEEN} frames")
    columns = [f"{k} {word}" for k in ("c", "nu") for word in ("off", "off rms", "deviation")]
    for name in ("row", *columns, *(f"crps/exact, {m} ahead" for m in LEADS), "training CPU s", "parameters",
                 "n", "seeds"):
        made.add_column(name, justify="left" if name == "row" else "right")
    for name in dict.fromkeys(answer["row"] for answer in found):
        several = [answer for answer in found if answer["row"] == name]
        read = [[answer[column] for answer in several] for column in columns]
        read += [[answer.get("crps/exact", {}).get(str(m), 1.0) for answer in several] for m in LEADS]
        cost = [f"{several[0][k]:,.0f}" if k in several[0] else "-" for k in ("training", "parameters")]
        made.add_row(name, *map(said, read), *cost, str(several[0]["n"]), str(len(several)))
    yield made


def said(values: Sequence[float]) -> str:
    """A mean, and half of its interval where there are several."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    mean, low, high = metrics.interval(torch.tensor(values, dtype=torch.float64))
    return f"{float(mean):.3f} +- {float(high - low) / 2:.2g}"
