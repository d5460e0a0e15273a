"""Law: two solvers that could give other numbers have other identities; the same solver has the same in any process."""

import copyreg
import ctypes
import functools
import importlib
import logging
import math
import operator
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sciencegen.solvers import XFOIL, Isolated
from sciencegen.solvers.identity import digest, identity

ROOT = Path(__file__).parents[1]
RHO, LOG = 1.2, logging.getLogger(__name__)


class Panel:
    """A solver with a setting."""

    kind = "thin"

    def __init__(self, slope, lock=None):
        self.slope, self.lock = slope, lock or threading.Lock()

    def __call__(self, alpha):
        return self.slope * alpha

    def lift(self, alpha):
        return self.slope * alpha


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


@dataclass(frozen=True)
class Frozen:
    a: float
    inner: object = None
    many: list = field(default_factory=list)

    def __call__(self, x):
        return self.a * x


class Kind(Enum):
    THIN = 1
    THICK = 2


def closure(s):
    def solver(alpha):
        return s * alpha

    return solver


def default(s):
    return lambda alpha, slope=s: slope * alpha


def keyword(s):
    def solver(alpha, *, slope=s):
        return slope * alpha

    return solver


def decorated(s):
    @functools.wraps(closure(1.0))
    def around(*args):
        return closure(s)(*args)

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    return decorate(functools.cache(closure(s))) if s else around


def attributed(s):
    def solver(alpha):
        return solver.slope * alpha

    solver.slope = s
    return solver


def with_helper(s):
    names = {"factor": s, "math": math}
    exec("def helper(x):\n    return factor * x\ndef solver(alpha):\n    return helper(alpha) + math.sin(0.0)", names)
    return names["solver"]


def with_class(s):
    names = {}
    exec(f"class Model:\n    def run(self, x):\n        return {s} * x\n"
         "def solver(alpha):\n    return Model().run(alpha)", names)
    return names["solver"]


def edited_method(s):
    names = {}
    exec(f"class Model:\n    slope = {s}\n    def __call__(self, x):\n        return self.slope * x", names)
    return names["Model"]()


def inherited(s):
    base = type("Base", (), {"slope": property(lambda self: s)})
    return type("Model", (base,), {"__call__": lambda self, x: self.slope * x})()


def network(s):
    net = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(net.weight, s)
    torch.nn.init.zeros_(net.bias)
    return net


def patched(s):
    panel = Panel(1.0)
    panel.lift = lambda alpha: s * alpha
    return panel.lift


MAKERS = {
    "object": Panel, "closure": closure, "default": default, "keyword": keyword, "decorated": decorated,
    "function attribute": attributed, "helper's global": with_helper, "class that is used": with_class,
    "class attribute": edited_method, "inherited property": inherited, "instance attribute that is a function": patched,
    "method": lambda s: Panel(s).lift,
    "call": lambda s: Panel(s).__call__,
    "partial": lambda s: functools.partial(closure(1.0), s),
    "partial, large array": lambda s: functools.partial(closure(1.0), mesh=np.where(np.arange(3000) == 1500, s, 0.0)),
    "partial of a method": lambda s: functools.partial(Panel(s).lift, alpha=1.0),
    "closure over an array": lambda s: closure(np.full(3000, s)),
    "closure over a tensor": lambda s: closure(torch.full((10,), s, requires_grad=True)),
    "closure over a network": lambda s: closure(network(s)),
    "closure over a closure": lambda s: closure(closure(s)),
    "closure over a dict": lambda s: closure({"a": [s]}),
    "closure over a set": lambda s: closure({s, 1e9}),
    "frozen dataclass": Frozen,
    "nested dataclass": lambda s: Frozen(1.0, Frozen(s)),
    "list in a dataclass": lambda s: Frozen(1.0, None, [s]),
    "slots": lambda s: closure(Slotted(s)),
    "namespace": lambda s: closure(SimpleNamespace(slope=s)),
    "vectorised": lambda s: np.vectorize(closure(s)),
    "enum": lambda s: closure(Kind.THIN if s < 0.15 else Kind.THICK),
    "random generator": lambda s: closure(np.random.default_rng(int(100 * s))),
    "path": lambda s: closure(Path(f"mesh{s}")),
    "lambda": lambda s: (lambda x: 1 * x) if s < 0.15 else (lambda x: 2 * x),
    "except": lambda s: eval(f"lambda x: [{s} for _ in range(3)]"),
    "C function": lambda s: math.sin if s < 0.15 else math.cos,
    "ufunc": lambda s: np.sin if s < 0.15 else np.cos,
    "operator": lambda s: operator.itemgetter(int(10 * s)),
    "method of a C object": lambda s: closure([s].index),
    "isolated within": lambda s: Frozen(1.0, Isolated(Panel(s))),
    "one of ours": lambda s: XFOIL(timeout=100 * s),
    "true and one": lambda s: closure(True if s < 0.15 else 1),
    "signed zero": lambda s: closure(0.0 if s < 0.15 else -0.0),
    "integer and text": lambda s: closure(1 if s < 0.15 else "1"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_another_setting_is_another_solver_and_the_same_is_the_same(make):
    assert identity(make(0.1)) == identity(make(0.1))
    assert identity(make(0.1)) != identity(make(0.2))


def test_what_differs_is_named():
    one, two = identity(Panel(0.1)), identity(Panel(0.2))
    assert {k: (one[k], two[k]) for k in one if one[k] != two[k]} == {"Panel().slope": ("0.1", "0.2")}
    assert identity(closure(0.1))["solver: closure s"] == "0.1"
    assert identity(np.sin)["numpy"] == np.__version__


def test_comments_docstrings_and_lines_do_not_count():
    one, two = {}, {}
    exec("def solver(x):\n    'Old words.'\n    return 2 * x", one)
    exec("# a remark\n\ndef solver(x):\n    'New words.'\n\n    return 2 * x  # twice", two)
    assert identity(one["solver"]) == identity(two["solver"])


def test_locks_and_loggers_hold_no_setting():
    def solver(x):
        LOG.info("asked")
        return x

    assert identity(Panel(0.1, threading.Lock())) == identity(Panel(0.1, threading.Lock()))
    assert identity(solver) == identity(solver)


def test_use_changes_nothing():
    """Pickle and caches leave marks on classes and functions."""
    class Fresh:
        def __call__(self, x):
            return kind(x)

        @functools.cached_property
        def slow(self):
            return 1

    class kind:
        def __init__(self, x):
            self.x = x

    solver, cached = Fresh(), functools.cache(closure(2.0))
    before = identity(solver), identity(cached)
    copyreg._slotnames(kind)
    solver(1.0)
    cached(1.0)
    assert (identity(solver), identity(cached)) == before


def test_recursion_ends():
    def solver(x):
        return x if x < 1 else solver(x - 1)

    ring, loop = SimpleNamespace(), [1.0]
    ring.own = ring
    loop.append(loop)
    for each in (solver, closure(ring), closure(loop)):
        assert identity(each) == identity(each)


@pytest.mark.parametrize("held", [
    (x for x in [1]), ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1), memoryview(b"abc"), sys.stdout,
], ids=["generator", "C pointer", "memory", "file"])
def test_what_nobody_can_tell_apart_is_refused_and_named(held):
    words = r"got a solver with <.*> in it \(solver: closure s\), of which nobody can tell whether it is the same"
    with pytest.raises(TypeError, match=words):
        identity(closure(held))


MODULES = {
    "solver.py": "import tools.lift\nfrom tools.drag import drag\nimport tools as all_tools\n"
                 "def solver(alpha):\n    from late import late\n    return tools.lift.lift(alpha) + drag(alpha)"
                 " + all_tools.CONSTANT + late(alpha)\n",
    "tools/__init__.py": "CONSTANT = 1.0\nUNUSED = 2.0\n",
    "tools/lift.py": "def lift(alpha):\n    return 2.0 * alpha\n",
    "tools/drag.py": "from .deep import K\ndef drag(alpha):\n    return K * alpha\n",
    "tools/deep.py": "K = 3.0\n",
    "late.py": "from tools2.later import L\ndef late(alpha):\n    return L\n",
    "tools2/__init__.py": "",
    "tools2/later.py": "L = 4.0\n",
}
EDITS = [
    ("tools/__init__.py", "CONSTANT = 1.0", "CONSTANT = 1.5", True), ("tools/lift.py", "2.0", "2.5", True),
    ("tools/deep.py", "3.0", "3.5", True), ("late.py", "return L", "return 2 * L", True),
    ("tools2/later.py", "4.0", "4.5", True), ("tools/__init__.py", "UNUSED = 2.0", "UNUSED = 9.0", False),
    ("tools2/later.py", "L", "# why\nL", False),
]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes the modules and gives a function that imports them as a new process would: their solver's identity."""
    def asked():
        for name in [name for name in sys.modules if name.split(".")[0] in ("solver", "tools", "tools2", "late")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return identity(importlib.import_module("solver").solver)

    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return asked


@pytest.mark.parametrize("name, old, new, counts", EDITS)
def test_modules_of_the_users_own_are_followed(tmp_path, written, name, old, new, counts):
    """Each edit of something that the solver uses, however far away, counts; an edit of something else does not."""
    before = written()
    assert written() == before
    (tmp_path / name).write_text((tmp_path / name).read_text().replace(old, new, 1))
    assert (written() != before) == counts


SETS = """
import json
from sciencegen.solvers.identity import identity
def solver(x):
    return x in {"a", "b", "c", "d", "e"}
solver.names = {"f", "g", "h", "i", "j"}
print(json.dumps(identity(solver)))
"""


def test_the_order_of_sets_does_not_count():
    """It changes from process to process."""
    said = {subprocess.run([sys.executable, "-c", SETS], capture_output=True, text=True, check=True,
                           env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)}).stdout
            for seed in range(2)}
    assert len(said) == 1


def test_a_digest_tells_a_name_from_a_number():
    with pytest.raises(TypeError, match="got 1 for a name in a case; expected text"):
        digest({1: 2.0, "a": 3.0})
    assert digest({"a": torch.ones(2, requires_grad=True)}) == digest({"a": np.ones(2, np.float32)})
