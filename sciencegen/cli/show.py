"""``sciencegen show``: what a finished run says, without computing anything."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from .run import printed

__all__ = ["show"]


def show(run: Path, /) -> None:
    """Print the tables of a run and what was said of them.

    Parameters
    ----------
    run
        Directory that a command wrote.
    """
    from ..studies.runs import PAGE, read_report

    report = read_report(run)
    Console().print(report.title, style="bold", markup=False, highlight=False, emoji=False, soft_wrap=True)
    printed(report)
    Console().print(f"the page is {run / PAGE}", markup=False, highlight=False, emoji=False, soft_wrap=True)
