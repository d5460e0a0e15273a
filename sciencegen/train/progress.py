"""What is shown of a training under way: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
import time

from tqdm.auto import tqdm

from .state import TrainingState

__all__ = ["Progress"]

PAUSE = 60.0  # seconds between lines
RECENT = 100  # steps over which a loss is averaged


class Progress:
    """Steps, time left and losses of a training, on standard error.

    Arguments:
        state: of the training.
        steps, minutes: after which it ends, whichever is given.
        show: whether to show anything.
    """

    def __init__(self, state: TrainingState, steps: int | None, minutes: float | None, show: bool) -> None:
        self.state, self.steps, self.minutes, self.show = state, steps, minutes, show
        self.began = self.last = time.perf_counter()
        self.first, self.spent = state.step, state.seconds
        self.bar = tqdm(total=steps, initial=state.step, desc="train", disable=None if show else True)

    def __call__(self) -> None:
        """After a step."""
        self.bar.update()
        if not self.bar.disable:
            if self.state.step % 20 == 0:
                self.bar.set_postfix_str(self._losses(), refresh=False)
        elif self.show and time.perf_counter() - self.last >= PAUSE:
            self.last = time.perf_counter()
            tqdm.write(f"train: step {self.state.step}{self._of()}, {self._left():.0f} min left, {self._losses()}",
                       file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()

    def _of(self) -> str:
        return "" if self.steps is None else f" of {self.steps}"

    def _left(self) -> float:
        """Minutes."""
        if self.steps is None:
            return max(self.minutes - self.state.seconds / 60, 0)
        pace = (self.state.seconds - self.spent) / max(self.state.step - self.first, 1)
        left = pace * (self.steps - self.state.step) / 60
        return left if self.minutes is None else min(left, max(self.minutes - self.state.seconds / 60, 0))

    def _losses(self) -> str:
        recent = [row[0] for row in self.state.record[-RECENT:]]
        shown = f"loss {sum(recent) / len(recent):.4f}"
        if not self.state.looks:
            return shown
        return f"{shown}, held out {self.state.looks[-1][1]:.4f} (at the start {self.state.looks[0][1]:.4f})"
