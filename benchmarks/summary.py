"""The one table that says in a minute what the package is worth, and a page a benchmark, from the saved records.

    python -m benchmarks summary                              # the table
    python -m benchmarks summary --out docs/benchmarks        # the pages of the documentation
    python -m benchmarks summary --keep runs/airfoil          # a run's tables become benchmarks/results/airfoil.json

Every line compares rows of one table, over the same cases: our best row beside the best classical method, the best
other learned method, and what is exact or a floor. Nothing here is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .common import WIDTH
from .common.record import KINDS

RESULTS = Path(__file__).parent / "results"
HEADS = ("task", "measure", "ours", "best classical", "best learned", "exact or floor", "n", "seeds", "date", "commit")
WIDE = "---\nhtml_theme.sidebar_secondary.remove: true\n---"
Record = Mapping[str, Any]


def records(folder: Path = RESULTS) -> list[Record]:
    """The saved records, by name."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def lines(found: Sequence[Record]) -> list[list[str]]:
    """The rows of the summary, cells as text."""
    def row(record: Record, line: Mapping[str, Any]) -> list[str]:
        commit = record["commit"] + (", quick" if record["quick"] else "")
        counts = [line[name] or "-" for name in ("n", "seeds")]
        return [line["task"], line["measure"], *(_cell(line[kind]) for kind in KINDS), *counts, record["date"], commit]

    return [row(record, line) for record in found for line in record["summary"]]


def _cell(best: Mapping[str, str] | None) -> str:
    return f"{best['value']} ({best['row']})" if best else "-"


def index(found: Sequence[Record]) -> str:
    """The page with the summary and links to the others."""
    named = [[f"[{record['benchmark']}]({record['benchmark']}.md)", record["title"], f"`{record['command']}`"]
             for record in found]
    below = "\n".join(record["benchmark"] for record in found)
    return "\n\n".join([
        WIDE, "# Benchmarks", __doc__.strip().split("\n\n")[-1],
        "Numbers are means with half of the 95 % interval, in brackets the row they are of; n is the number of cases.",
        markdown(HEADS, lines(found)), "## Each of them", markdown(("name", "what it asks", "command"), named),
        f"```{{toctree}}\n:hidden:\n\n{below}\n```"]) + "\n"


def page(record: Record) -> str:
    """The page of one benchmark."""
    quick = " A quick run: fewer cases than are worth quoting." if record["quick"] else ""
    made = f"Made on {record['date']} at commit {record['commit']} by `{record['command']}`.{quick}"
    parts = [block(part) for part in record["parts"]]
    return "\n\n".join([WIDE, f"# {record['benchmark']}", record["title"], made, *parts,
                        "## How it is made", prose(record["about"])]) + "\n"


def block(part: Record) -> str:
    """A table with its title, or a text, as markdown."""
    if "text" in part:
        return prose(part["text"])
    table = part["table"]
    title = f"**{table['title'][:1].upper()}{table['title'][1:]}**\n\n" if table["title"] else ""
    return title + markdown(table["columns"], table["rows"])


def prose(text: str) -> str:
    """Text with its line breaks where it lists verdicts, and code as a block."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"```text\n{p}\n```" if p.startswith("    ") else p for p in paragraphs)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown."""
    clean = lambda cells: "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
    return "\n".join([clean(heads), "|" + "---|" * len(heads), *map(clean, rows)])


def pages(folder: Path, found: Sequence[Record]) -> None:
    """Write index.md and a page a benchmark into ``folder``; a file that would not change is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"index": index(found)} | {record["benchmark"]: page(record) for record in found}
    for name, text in texts.items():
        file = folder / f"{name}.md"
        if not file.is_file() or file.read_text() != text:
            file.write_text(text)
    for old in set(folder.glob("*.md")) - {folder / f"{name}.md" for name in texts}:
        old.unlink()


def keep(folder: Path) -> list[Path]:
    """Copy the records of a run into benchmarks/results; ValueError where it has none."""
    found = sorted(folder.glob("*.tables.json"))
    if not found:
        raise ValueError(f"got --keep {folder}; expected the --out of a finished benchmark, with a NAME.tables.json")
    RESULTS.mkdir(exist_ok=True)
    return [Path(shutil.copy(file, RESULTS / file.name.replace(".tables", ""))) for file in found]


def main() -> None:
    """Keep what is to be kept, print the table, write the pages if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the pages of the documentation")
    parser.add_argument("--keep", type=Path, help="the --out of a run whose tables are to be committed")
    args = parser.parse_args()
    try:
        kept = keep(args.keep) if args.keep else []
    except ValueError as error:
        parser.error(str(error))
    table = Table(*HEADS)
    for row in lines(records()):
        table.add_row(*row)
    Console(width=max(Console().width, WIDTH)).print(table, *(f"kept {file}" for file in kept), highlight=False)
    if args.out:
        pages(args.out, records())
