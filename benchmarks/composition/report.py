"""The tables, and under each what decides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["ADJUSTED", "AVERAGED", "BARE", "MENDED", "ORIGINAL", "ratios", "show", "tables"]

ORIGINAL, MENDED = "original", "original + our finish"
BARE, AVERAGED = "ours without the finish", "ours, windows averaged"
ADJUSTED = "adjusted HMC"
MEASURES = ("objective", "error", "diversity")


def tables(found: Mapping[str, Any]) -> list[Any]:
    """All of them, with what decides."""
    parts: list[Any] = []
    for question in found["few"]:
        parts += ["", few(question), *(f"  {line}" for line in verdicts(question))]
    parts += ["", speed(found["speed"]), ""]
    parts += [part for measure in ("covariance", "stiff") for part in (ablation(found["ablation"], measure), "")]
    return [*parts, advice(found["ablation"]), "", *NOTES]


def few(question: Mapping[str, Any]) -> Table:
    """Few evaluations beside many."""
    made = Table(title=f"{question['question']} ({question['role']})", title_justify="left")
    for name in ("row", "coefficient", "designs", "evaluations", "objective", "error x 1000", "diversity", "rms speed",
                 "CPU s"):
        made.add_column(name, justify="left" if name == "row" else "right")
    for row in question["rows"]:
        made.add_row(row["row"], "" if row["coefficient"] is None else f"{row['coefficient']:g}", str(row["designs"]),
                     f"{row['evaluations']:.0f}", interval(row["objective"]), interval(row["error"], 1e3),
                     interval(row["diversity"]), interval(row["speed"]), f"{row['cpu_seconds']:.0f}")
    return made


def interval(found: Mapping[str, float], scale: float = 1.0) -> str:
    """Mean and half the 95 % interval."""
    half = found["half"]
    return f"{scale * found['mean']:.4g}" + ("" if half is None or math.isnan(half) else f" ± {scale * half:.2g}")


def ratios(question: Mapping[str, Any], row: str) -> dict[str, float]:
    """Of a row's measures to the original's best, each measure at the coefficient that is best *for it*."""
    (own,) = (r for r in question["rows"] if r["row"] == row)
    theirs = [r for r in question["rows"] if r["row"] == ORIGINAL]
    best = {m: (max if m == "diversity" else min)(r[m]["mean"] for r in theirs) for m in MEASURES}
    return {m: own[m]["mean"] / best[m] for m in MEASURES} | {
        "evaluations": theirs[0]["evaluations"] / own["evaluations"]}


def verdicts(question: Mapping[str, Any]) -> Iterator[str]:
    """Each row of ours beside the bars."""
    for row in [r["row"] for r in question["rows"] if r["row"].startswith("ours, ") and r["row"] != AVERAGED]:
        r = ratios(question, row)
        met = r["objective"] <= 1 and r["error"] <= 1.1 and r["diversity"] >= 0.9
        yield (f"{row}: {r['evaluations']:.0f} times fewer evaluations; objective {r['objective']:.2f} (bar 1), error "
               f"{r['error']:.2f} (bar 1.1), diversity {r['diversity']:.2f} (bar 0.9) of the original's best over all "
               f"coefficients, each measure at its own: {'met' if met else 'NOT met'}")


def show(question: Mapping[str, Any]) -> None:
    """Print one question, as soon as it is done."""
    Console(width=160).print(few(question), *verdicts(question), sep="\n", highlight=False)


def speed(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Batched beside looped."""
    made = Table(title="One call for all windows and pairs, 44 frames: CPU seconds an evaluation", title_justify="left")
    for name in ("bodies", "batch", "calls of the loop", "looped", "batched", "ratio", "difference of epsilon",
                 "rounds"):
        made.add_column(name, justify="right")
    for r in rows:
        made.add_row(str(r["bodies"]), str(r["batch"]), str(r["copies"]), f"{r['looped_s']:.4f}",
                     f"{r['batched_s']:.4f}", f"{r['ratio']:.2f}", f"{r['epsilon_difference']:.1e}", str(r["rounds"]))
    return made


def ablation(rows: Sequence[Mapping[str, Any]], measure: str) -> Table:
    """One measure: regimes and countings down, corrections across, ODE / stochastic in a cell."""
    says = {"covariance": "relative error of the covariance (0 is right)",
            "stiff": "rms in the tight directions over the truth's (1 is right)"}[measure]
    corrections = list(dict.fromkeys(r["correction"] for r in rows))
    made = Table(title=f"Composition: {says}; ODE / stochastic steps", title_justify="left")
    for name in ("regime", "counting", *corrections):
        made.add_column(name)
    cells: dict[tuple[str, str], dict[tuple[str, bool], float]] = {}
    for r in rows:
        cells.setdefault((r["regime"], r["counting"]), {})[r["correction"], r["stochastic"]] = r[measure]
    for (regime, counting), values in cells.items():
        made.add_row(regime, counting, *(" / ".join(number(values[c, s]) for s in (False, True) if (c, s) in values)
                                         for c in corrections))
    return made


def advice(rows: Sequence[Mapping[str, Any]], tolerance: float = 0.1) -> Table:
    """For every regime, the cheapest way to a covariance that is right to ``tolerance``, free of chance.

    Only by countings that are right to it when corrected most, too: two errors may cancel on the way.
    """
    made = Table(title=f"The cheapest way to a covariance that is right to {100 * tolerance:.0f} %",
                 title_justify="left")
    for name in ("regime", "counting", "steps", "correction", "scores", "error"):
        made.add_column(name)
    for regime in dict.fromkeys(r["regime"] for r in rows):
        own = [r for r in rows if r["regime"] == regime and r["evaluations"] and r["correction"] != ADJUSTED]
        last = {(r["counting"], r["stochastic"]): r for r in sorted(own, key=lambda r: r["evaluations"])}
        good = [r for r in own if max(_error(r), _error(last[r["counting"], r["stochastic"]])) <= tolerance]
        best = min(good, key=lambda r: (r["evaluations"], r["covariance"]), default=None)
        made.add_row(regime, *(("none of them", "", "", "", "") if best is None else (
            best["counting"], "stochastic" if best["stochastic"] else "ODE", best["correction"],
            str(best["evaluations"]), number(best["covariance"]))))
    return made


def _error(row: Mapping[str, Any]) -> float:
    return math.inf if row["covariance"] is None else row["covariance"]


def number(value: float | None) -> str:
    """Three digits; what is not finite left the law for good."""
    return "diverges" if value is None or not math.isfinite(value) else f"{value:.3g}"


NOTES = (
    "Evaluations are sequential ones: all windows and pairs of a level are one; a pass back through the network counts "
    "as one more.",
    "The original's coefficient is the best of all that were run, chosen on the scored seeds themselves and for each "
    "measure by itself, in its favour; ours were chosen on other seeds of the first question and then left alone.",
)
