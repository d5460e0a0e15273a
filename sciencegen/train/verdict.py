"""Whether a network is of use: its loss on held-out rows beside that of the Gaussian that it corrects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..priors.base import Prior
from .held_out import HeldOut
from .recipe import Data
from .schedule import Schedule

__all__ = ["Verdict", "judged"]


@dataclass(frozen=True)
class Verdict:
    """Losses on the same held-out rows, or None where none were held out.

    Attributes:
        rows: which rows: test rows, else validation rows.
    """

    network: float | None = None
    gaussian: float | None = None
    rows: str = ""

    @property
    def better(self) -> bool:
        """Whether the network is to be used: it is better than its Gaussian, or nobody can know."""
        return self.network is None or self.network < self.gaussian

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        if self.network is None:
            return "NOTHING WAS HELD OUT: whether the network is better than its own Gaussian is not known"
        figures = f"{self.network:.3f} against {self.gaussian:.3f} on {self.rows} rows"
        if not self.better:
            return (f"THE NETWORK IS NO BETTER THAN ITS OWN GAUSSIAN ({figures}): the model is that Gaussian alone; "
                    "train longer, on more data, or take another network")
        share = 100 * self.network / self.gaussian
        return f"the network's denoising error is {share:.1f} % of its Gaussian's ({figures})"

    def facts(self) -> Mapping[str, Any]:
        """Itself, JSON-ready."""
        return {"verdict": self.words, "better": None if self.network is None else self.better,
                "held_out": {"rows": self.rows, "network": self.network, "gaussian": self.gaussian}}


def judged(network: Prior, base: Prior, data: Data, schedule: Schedule) -> Verdict:
    """The verdict on a network by rows that nothing was chosen by, as far as there are some."""
    for rows, name in ((data.test, "test"), (data.valid, "validation")):
        if len(rows):
            held = HeldOut(rows, schedule)
            return Verdict(held(network), held(base), name)
    return Verdict()
