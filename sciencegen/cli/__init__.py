"""The command line: a thin mirror of the Python calls.

A command ends with 0 where it did what was asked, with 2 and one line where a user can mend what is wrong, and with 130
where it was interrupted from the keyboard.
"""

from __future__ import annotations

import os
import re
import sys

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.markup import escape

from .. import __version__
from .assimilate import assimilate
from .couple import couple
from .data import data
from .design import design
from .forecast import forecast, score
from .invert import invert
from .rerun import rerun
from .show import show
from .train import train
from .verify import verify

__all__ = ["app", "main"]

# Threads that spin while they wait slow a shared machine down thirtyfold; to be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = App(name="sciencegen", version=__version__, help="Inverse design by composing learned energies.",
          suppress_keyboard_interrupt=False)
for command in (design, train, data):
    app.command(command)
for function in (invert, forecast, assimilate, couple, score, verify, rerun, show):
    app.command(function)

PLAIN = {" into float": " into a number", " into int": " into a whole number"}  # Python's words and a user's


def main() -> None:
    """Run the command line; an error that a user can mend is one line, and exit status 2."""
    errors = Console(stderr=True)
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except KeyboardInterrupt as stopped:
        errors.print(f"interrupted: {str(stopped) or 'nothing was written, and nothing that was finished is changed'}",
                     markup=False, highlight=False, soft_wrap=True)
        sys.exit(130)
    except (CycloptsError, ValueError, TypeError, KeyError, OSError, ImportError) as error:
        errors.print(f"[red]error:[/] {escape(sentence(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)


def sentence(error: Exception) -> str:
    """What is wrong, in one line and in the words of the command line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"got {error.filename} ({error.strerror.lower()}); expected a file that can be read and written"
    else:
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    for python, word in PLAIN.items() if isinstance(error, CycloptsError) else ():
        text = text.replace(python, word)
    return re.sub(r"^Invalid value for (\S+): got ", r"got \1 ", " ".join(text.split()))
