"""
Models behind UM-Bridge: anybody's simulator, in any language or container, over HTTP, with its own gradients.

UM-Bridge serves a map `F` from a list of vectors to a list of vectors, and where the model knows them `Gradient`
`J^T s`, `ApplyJacobian` `J v` and `ApplyHessian` `d(J^T s)/dx v`. Here `F` is a solver of named parts, and a
differentiable torch function of them: torch's chain rule runs through the server, so that a simulator with an adjoint
guides samples as a measurement or an objective. Each row of a batch is a request of its own.

"UM-Bridge: Uncertainty quantification and modeling bridge" (Seelinger, Cheng-Seelinger, Davis, Parno, Reinarz, 2023),
https://doi.org/10.21105/joss.04748; the protocol: https://um-bridge-benchmarks.readthedocs.io.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciencegen.solvers.external import Vector, differentiable, joined
from sciencegen.solvers.solver import SolverResult, Status, array, crashed

__all__ = ["UMBridge"]
INSTALL = "UM-Bridge's client is missing, install it with `pip install 'sciencegen[umbridge]'`"


@dataclass(frozen=True)
class UMBridge:
    """
    A model behind a UM-Bridge server: a :class:`sciencegen.solvers.Solver`, and :meth:`measure` and :meth:`objective`.

    Arguments:
        url: of the server, as "http://localhost:4242".
        name: of the model; a server may have several.
        inputs: name and shape of the parts that are the model's input vectors, in its order: `{"shape": (18,),
            "alpha": ()}`; in the units that the model expects.
        outputs: name and shape of its output vectors, in its order.
        config: passed on with every request.
        workers: rows that are asked for at a time, as many as the server can do at once.

    Raises (where the server is first needed):
        ImportError: the package umbridge is missing. ConnectionError: no server answers.
        LookupError: the server has no model of this name. ValueError: the model's sizes are others.
    """

    url: str
    name: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    config: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1

    def __call__(self, **parts: Any) -> SolverResult:
        """The outputs by name for one case; `missing` where there is no such server or model, lost if it vanishes."""
        if parts.keys() != self.inputs.keys():
            raise TypeError(f"got {sorted(parts)} for {self.name}; expected {sorted(self.inputs)}")
        try:
            self.server  # noqa: B018  # it connects
        except (ImportError, ConnectionError, LookupError) as error:
            return SolverResult(Status.MISSING, {}, log=str(error))
        batch, row = joined(self.inputs, {name: torch.as_tensor(array(part)) for name, part in parts.items()})
        if batch:
            raise ValueError(f"got {tuple(batch)} cases for {self.name}; expected one: parts of {dict(self.inputs)}")
        try:
            found = _split(self.evaluate(row[0].double().tolist()), self.outputs)
        except (ConnectionError, RuntimeError) as error:
            return crashed(error, lost=isinstance(error, ConnectionError))
        values = {name: np.reshape(vector, shape) for vector, (name, shape) in zip(found, self.outputs.items())}
        return SolverResult(Status.CONVERGED, values)

    def measure(self, **parts: Tensor) -> Tensor:
        """
        All outputs `(*B, m)` of parts `(*B, *shape)`, one after another, differentiable; other parts are left alone.

        Raises:
            RuntimeError: the model failed, or a gradient is needed and the server gives none.
        """
        batch, flat = joined(self.inputs, parts)
        wanted, server = [parts[name].requires_grad for name in self.inputs], self.server
        if any(wanted) and not (server.supports_gradient() or server.supports_apply_jacobian()):
            raise RuntimeError(f"got a model without gradients, {self.name} at {self.url}; expected one that serves "
                               "Gradient or ApplyJacobian; use it as judge=Judge(...) instead")
        return differentiable(self, wanted, self.workers, flat).reshape(*batch, -1)

    def objective(self, **parts: Tensor) -> Tensor:
        """:meth:`measure` of a model with one output number, `(*B,)`; ValueError for one with more."""
        if (size := sum(_sizes(self.outputs))) != 1:
            raise ValueError(f"got {size} output numbers from {self.name}; expected 1; make one of `measure(**parts)`")
        return self.measure(**parts).squeeze(-1)

    @cached_property
    def server(self) -> Any:
        """The client of the package umbridge, once the server has said what it has."""
        try:
            import umbridge
        except ImportError as error:
            raise ImportError(INSTALL) from error
        names = self._asked(umbridge.supported_models, self.url)
        if self.name not in names:
            raise LookupError(f"got the model {self.name!r} for {self.url}; expected one of {sorted(names)}")
        server = self._asked(umbridge.HTTPModel, self.url, self.name)
        for kind, shapes, ask in (("input", self.inputs, server.get_input_sizes),
                                  ("output", self.outputs, server.get_output_sizes)):
            if _sizes(shapes) != (sizes := self._asked(ask, dict(self.config))):
                raise ValueError(f"got {kind}s {dict(shapes)} of sizes {_sizes(shapes)} for {self.name} at {self.url}; "
                                 f"expected sizes {sizes}")
        return server

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}  # without the connection

    def _asked(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What a request answers; ConnectionError where nobody does, RuntimeError in the model's words."""
        import requests

        try:
            return call(*arguments)
        except requests.exceptions.JSONDecodeError as error:
            raise RuntimeError(f"{self.name} at {self.url} gave no numbers: the model failed, or returned nan; its "
                               "server's output says more") from error
        except requests.RequestException as error:
            raise ConnectionError(f"got no answer from {self.url} ({type(error).__name__}); expected a UM-Bridge "
                                  "server; start it, or mend the url") from error
        except Exception as error:  # the client raises nothing more special
            raise RuntimeError(f"{self.name} at {self.url}: {error}") from error

    def evaluate(self, row: Vector) -> Vector:
        found = self._asked(self.server, _split(row, self.inputs), dict(self.config))
        return [number for vector in found for number in vector]

    def pull(self, row: Vector, sens: Vector, wanted: Sequence[bool]) -> Vector:
        """`J^T sens`; 0 for inputs that are not wanted."""
        given, found = _split(row, self.inputs), [np.zeros(size) for size in _sizes(self.inputs)]
        for j, weights in enumerate(_split(sens, self.outputs)):
            for i in [i for i, want in enumerate(wanted) if want and any(weights)]:
                if self.server.supports_gradient():
                    found[i] += self._asked(self.server.gradient, j, i, given, weights, dict(self.config))
                else:
                    found[i] += [np.dot(weights, self._jacobian(j, i, given, e)) for e in _units(len(given[i]))]
        return np.concatenate(found).tolist()

    def push(self, row: Vector, vector: Vector) -> Vector:
        """`J vector`."""
        given, found = _split(row, self.inputs), [np.zeros(size) for size in _sizes(self.outputs)]
        for i, along in enumerate(_split(vector, self.inputs)):
            for j in range(len(found)) if any(along) else ():
                if self.server.supports_apply_jacobian():
                    found[j] += self._jacobian(j, i, given, along)
                else:
                    rows = [self._asked(self.server.gradient, j, i, given, e, dict(self.config))
                            for e in _units(len(found[j]))]
                    found[j] += np.array(rows) @ along
        return np.concatenate(found).tolist()

    def bend(self, row: Vector, sens: Vector, vector: Vector) -> Vector:
        """`d (J^T sens) / dx vector`."""
        if not self.server.supports_apply_hessian():
            raise RuntimeError(f"got a model without second derivatives, {self.name} at {self.url}; expected one that "
                               "serves ApplyHessian")
        given, found = _split(row, self.inputs), [np.zeros(size) for size in _sizes(self.inputs)]
        ask, config = self.server.apply_hessian, dict(self.config)
        for j, weights in enumerate(_split(sens, self.outputs)):
            for k, along in enumerate(_split(vector, self.inputs)):
                for i in range(len(found)) if any(along) and any(weights) else ():
                    found[i] += self._asked(ask, j, i, k, given, weights, along, config)
        return np.concatenate(found).tolist()

    def _jacobian(self, j: int, i: int, given: list[Vector], along: Vector) -> Vector:
        return self._asked(self.server.apply_jacobian, j, i, given, along, dict(self.config))


def _sizes(shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
    return [prod(shape) for shape in shapes.values()]


def _split(row: Sequence[float], shapes: Mapping[str, tuple[int, ...]]) -> list[Vector]:
    """A row, cut into the vectors of the wire."""
    ends = np.cumsum(_sizes(shapes)).tolist()
    return [list(row[start:end]) for start, end in zip([0, *ends], ends)]


def _units(size: int) -> list[Vector]:
    return np.eye(size).tolist()
