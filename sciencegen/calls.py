"""Network calls as requests, so that many energies share one forward pass.

A score is planned before it is paid: a :class:`Plan` lists the network calls that it needs and says what to make of
their answers. Plans of the terms of a sum are joined (:func:`together`), and running the outermost one answers all
requests for one function, of inputs of one width, by one batched call.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Answers", "Call", "Plan", "together"]

Answers = Sequence[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Call:
    """A request for ``function(*inputs)``: rows in ``(N, ...)``, rows out (one tensor or a tuple of them).

    The answer is always a tuple. Calls of one function (the same object) whose inputs differ in their number of rows
    alone are batched.
    """

    function: Callable[..., Tensor | tuple[Tensor, ...]]
    inputs: tuple[Tensor, ...]

    @property
    def kind(self) -> Hashable:
        """What calls have in common that may be batched: the function, and the inputs' widths, types and devices."""
        return self.function, tuple((v.shape[1:], v.dtype, v.device) for v in self.inputs)


class Plan(NamedTuple):
    """Network calls, and what to make of their answers: ``finish(answers)``, one answer a call, in order."""

    calls: tuple[Call, ...]
    finish: Callable[[Answers], Any]

    def then(self, function: Callable[[Any], Any]) -> Plan:
        """The same calls; ``function`` of what they came to."""
        return Plan(self.calls, lambda answers: function(self.finish(answers)))

    def run(self) -> Any:
        """What it comes to; all calls of one kind are one batched call."""
        return self.finish(_answer(self.calls))


def together(plans: Sequence[Plan]) -> Plan:
    """Plans side by side: all their calls, finished to the list of what each comes to."""
    ends = torch.tensor([len(plan.calls) for plan in plans]).cumsum(0).tolist()
    spans = list(zip([0, *ends], ends))
    return Plan(tuple(call for plan in plans for call in plan.calls),
                lambda answers: [plan.finish(answers[a:b]) for plan, (a, b) in zip(plans, spans)])


def _answer(calls: Sequence[Call]) -> Answers:
    answers: list[Any] = [None] * len(calls)
    kinds: dict[Hashable, list[int]] = {}
    for index, call in enumerate(calls):
        kinds.setdefault(call.kind, []).append(index)
    for same in kinds.values():
        function, inputs = calls[same[0]].function, [calls[i].inputs for i in same]
        if len(same) == 1:
            answers[same[0]] = _tuple(function(*inputs[0]))
            continue
        rows = [len(given[0]) for given in inputs]
        outputs = _tuple(function(*(torch.cat(column) for column in zip(*inputs))))
        for i, piece in zip(same, zip(*(output.split(rows) for output in outputs))):
            answers[i] = piece
    return answers


def _tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else outputs
