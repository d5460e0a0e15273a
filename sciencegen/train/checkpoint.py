"""The checkpoint of a training: one file, whole or not there, that is not read if a byte of it has changed.

A line of text with a checksum, then tensors and facts as safetensors, https://github.com/huggingface/safetensors, so
that nothing is unpickled. What a training computes is said by its facts: a checkpoint is only continued where they are
the same, and what differs is named.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ..exact import Gaussian
from ..files import replacing
from .state import TrainingState

__all__ = ["Checkpoint", "digest"]

FORMAT = "sciencegen training checkpoint 2"


class Checkpoint:
    """Where a training is kept, and what must be the same for it to be continued.

    Arguments:
        path: of the file.
        facts: of schedule, prior and data, as JSON can say them.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path, self.facts = path, json.loads(json.dumps(dict(facts), default=str))

    def save(self, state: TrainingState) -> None:
        """Write the file under another name, then rename it, so that there is always a whole one; rank 0 only."""
        if state.ranks.rank:
            return
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in _tensors(state).items()}
        said = {"facts": json.dumps(self.facts), "step": str(state.step), "looks": json.dumps(state.looks)}
        blob = save(tensors, said)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as new:
            new.write_bytes(_line(blob) + blob)

    def resume(self, state: TrainingState) -> None:
        """Continue from the file, if there is one; ValueError if it is damaged or of another training."""
        if not self.path.exists():
            return
        tensors, said = _read(self.path)
        try:
            if differ := self._differences(state, json.loads(said["facts"]), tensors):
                raise ValueError(f"got {', '.join(differ)} for the checkpoint {self.path}; expected what it was "
                                 "trained with: train in another directory, or move the checkpoint away")
            _put(state, tensors)
            state.step, state.looks = int(said["step"]), [(int(k), float(v)) for k, v in json.loads(said["looks"])]
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"got {self.path} without what this prior has ({_short(str(error))}); expected a "
                             f"'{FORMAT}' of this version and of a prior of this form: train in another directory, or "
                             "move it away") from error
        state.start = time.perf_counter() - (state.record[-1][2] if state.record else 0.0)


    def _differences(self, state: TrainingState, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
        """What is not as in the file, each with what is there."""
        found = [f"{k}={_short(self.facts.get(k))} (there {_short(facts.get(k))})" for k in {**self.facts, **facts}
                 if self.facts.get(k) != facts.get(k)]
        for name, ours in _moments(state.prior.gaussian()).items():
            theirs = tensors[f"gaussian.{name}"].to(ours)
            if ours.shape != theirs.shape or not torch.allclose(ours, theirs, 1e-4, 1e-4 * float(theirs.abs().max())):
                found.append(f"another {name} of the prior's Gaussian")
        return found


def digest(*tensors: Tensor) -> str:
    """A short text that changes with the tensors' shapes and numbers."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(str(tuple(tensor.shape)).encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    found = {f"prior.{k}": v for k, v in state.prior.state_dict().items()}
    found |= {f"gaussian.{k}": v for k, v in _moments(state.prior.gaussian()).items()}
    found |= {f"average.{i}": v for i, v in enumerate(state.averages)}
    found |= {f"best.{i}": v for i, v in enumerate(state.best)}
    found["record"] = torch.tensor(state.record, dtype=torch.float64).reshape(-1, 3)
    for k, optimizer in enumerate(state.optimizers):
        for i, entries in optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{k}.{i}.{name}": v for name, v in entries.items()}
    return found


def _put(state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    state.prior.load_state_dict({k.removeprefix("prior."): v for k, v in tensors.items() if k.startswith("prior.")})
    state.averages = [tensors[f"average.{i}"].to(p) for i, p in enumerate(state.parameters)]
    state.best = [tensors[f"best.{i}"].to(p) for i, p in enumerate(state.parameters)] if "best.0" in tensors else []
    state.record = [tuple(row) for row in tensors["record"].tolist()]
    for k, optimizer in enumerate(state.optimizers):
        entries: dict[int, dict[str, Tensor]] = {}
        for key in (key for key in tensors if key.startswith(f"optimizer.{k}.")):
            _, _, i, name = key.split(".")
            entries.setdefault(int(i), {})[name] = tensors[key]
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})


def _moments(gaussian: Gaussian | None) -> dict[str, Tensor]:
    """Mean and covariance, by what it makes of a vector of ones, which signs and order of axes leave alone."""
    if gaussian is None:
        return {}
    ones = torch.ones_like(gaussian.center)
    return {"mean": gaussian.center.clone(), "covariance": gaussian.back(gaussian.variances * gaussian.modes(ones))}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    line, _, blob = path.read_bytes().partition(b"\n")
    if not line.startswith(FORMAT.encode()):
        raise ValueError(f"got {path}, which is not a '{FORMAT}'; move it away, or train in another directory")
    if line + b"\n" != _line(blob):
        raise ValueError(f"got a damaged checkpoint, {path}; expected the checksum in its first line: move it away to "
                         "start again, or train in another directory")
    length = int.from_bytes(blob[:8], "little")
    return load(blob), json.loads(blob[8 : 8 + length])["__metadata__"]


def _line(blob: bytes) -> bytes:
    return f"{FORMAT} {hashlib.sha256(blob).hexdigest()}\n".encode()


def _short(value: object) -> str:
    return textwrap.shorten(value if isinstance(value, str) else repr(value), 60)
