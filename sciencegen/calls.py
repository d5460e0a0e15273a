"""Network calls as requests, so that many energies share one forward pass.

An energy's score is a coroutine that yields lists of :class:`Call` and receives their outputs. Sums run the coroutines
of their terms in lockstep (:func:`together`); whoever drives the outermost one (:func:`run`) answers all requests for
one function with one batched call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Asking", "Call", "Coroutine", "run", "together"]


@dataclass(frozen=True)
class Call:
    """A request for ``function(*inputs)``: rows in ``(N, ...)``, rows out (one tensor or a tuple of them).

    The answer is always a tuple. Calls of one function (the same object) are batched.
    """

    function: Callable[..., Tensor | tuple[Tensor, ...]]
    inputs: tuple[Tensor, ...]


Coroutine = Generator[list[Call], list[tuple[Tensor, ...]], Any]
Asking = Generator[list[Call], list[tuple[Tensor, ...]], tuple[Tensor | None, Tensor]]


def together(asking: Sequence[Coroutine]) -> Coroutine:
    """Coroutines in lockstep: their calls go out in one list, their results come back in order."""
    results: list[Any] = [None] * len(asking)
    answers: dict[int, Any] = dict.fromkeys(range(len(asking)))
    while answers:
        calls = {}
        for i, answer in answers.items():
            try:
                calls[i] = asking[i].send(answer)
            except StopIteration as stop:
                results[i] = stop.value
        if calls:
            replies = iter((yield [call for wanted in calls.values() for call in wanted]))
        answers = {i: [next(replies) for _ in wanted] for i, wanted in calls.items()}
    return results


def run(asking: Coroutine) -> Any:
    """Drive a coroutine: all waiting calls of one function become one batched call."""
    try:
        calls = next(asking)
        while True:
            calls = asking.send(_answer(calls))
    except StopIteration as stop:
        return stop.value


def _answer(calls: Sequence[Call]) -> list[tuple[Tensor, ...]]:
    answers: list[Any] = [None] * len(calls)
    for function in dict.fromkeys(call.function for call in calls):
        same = [i for i, call in enumerate(calls) if call.function == function]
        if len(same) == 1:
            outputs = function(*calls[same[0]].inputs)
            answers[same[0]] = (outputs,) if isinstance(outputs, Tensor) else outputs
            continue
        rows = [len(calls[i].inputs[0]) for i in same]
        outputs = function(*(torch.cat(column) for column in zip(*(calls[i].inputs for i in same))))
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        for i, piece in zip(same, zip(*(output.split(rows) for output in outputs))):
            answers[i] = piece
    return answers
