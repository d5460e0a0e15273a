"""The house: imports go down one list and never up, and what is optional is imported where it is used.

Read from the source (`ast`), so that an import inside a function counts too.
"""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sciencegen"

# A module may import only what stands before it. "" is `sciencegen` itself, which re-exports the house below it.
BASE = ["files", "recipe", "modules", "fixed_points"]  # for all: whole files, networks written down, names, iterations
HOUSE = [
    "values", "random", "view", "layout", "calls", "energy", "exact", "linear", "compose", "measure",
    "moments", "guide", "constrain", "mcmc", "descent", "sample", "exponential", "problem", "priors", "coupling",
    "symmetries", "observations", "states", "metrics", "plot", "result", "forecast_plot", "forecasts", "tasks",
    "train", "", "zoo", "studies", "cli", "__main__",
]  # fmt: skip
# Parts that know no energy: in the same way, but apart from the house. nets: networks know no physics.
APART = ["io", "physics", "airfoil", "solvers"]
NETS = ["nets"]
USERS_OF_APART = ["observations", "states", "train", "", "zoo", "studies", "cli"]


def below(module: str) -> list[str]:
    """What `module`, a part of the house or a part that stands apart, may import besides itself."""
    if module in BASE:
        return BASE[: BASE.index(module)]
    for order in (APART, NETS):
        if module in order:
            return BASE + order[: order.index(module)]
    return BASE + HOUSE[: HOUSE.index(module)] + (APART + NETS if module in USERS_OF_APART else [])


def part(dotted: str) -> str:
    """'sciencegen.nets.unet' -> 'nets'."""
    return (dotted.split(".") + [""])[1]


def imports(tree: ast.AST, package: str):
    """Yields `(line, dotted name)` of every import of a module of `package`, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            # `from sciencegen import energy` imports a part; `from sciencegen import __version__` the root.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "sciencegen" else [base]
            known = BASE + HOUSE + APART + NETS
            yield from ((node.lineno, name if part(name) in known else base) for name in names)


def upward(source: str, path: str) -> list[str]:
    """The imports in `source`, the file `path` (relative to the checkout), that break the order."""
    file = Path(path)
    package = ".".join(file.parent.parts)
    module = part(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
    if module not in BASE + HOUSE + APART + NETS:
        return [f"{path}:1: '{module}' has no place in the house; give it one in tests/test_architecture.py"]
    allowed = [module, *below(module)]
    return [
        f"{path}:{line}: imports '{name}', but '{module or 'sciencegen'}' may import only {[a for a in allowed if a]}"
        for line, name in imports(ast.parse(source), package)
        if name.split(".")[0] == "sciencegen" and part(name) not in allowed
    ]


def eager(tree: ast.AST):
    """Yields the nodes that run when the module is imported: all but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from eager(node)


def optional(source: str, path: str, core: set[str]) -> list[str]:
    """The imports at module level in `source` of what `pip install sciencegen` does not promise."""
    found = []
    for node in eager(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        found += [(node.lineno, name) for name in names if name.split(".")[0] not in core | sys.stdlib_module_names]
    return [
        f"{path}:{line}: imports '{name}' at module level, which is no core dependency; import it in the function that "
        "uses it, and name the extra to install where it is missing"
        for line, name in found
    ]


def core_modules() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w.-]+", requirement)[0] for requirement in project["dependencies"]]
    return {name.replace("-", "_") for name in names} | {"sciencegen"}


def sources() -> list[tuple[str, str]]:
    return [(file.read_text(), str(file.relative_to(ROOT))) for file in sorted(PACKAGE.rglob("*.py"))]


def test_imports_go_down_only():
    found = [line for source, path in sources() for line in upward(source, path)]
    assert not found, "\n".join(found)


def test_optional_packages_are_imported_where_they_are_used():
    core = core_modules()
    found = [line for source, path in sources() for line in optional(source, path, core)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "path, source",
    [
        ("sciencegen/energy.py", "import torch\nfrom sciencegen.sample import Heun"),
        ("sciencegen/energy.py", "import torch\nimport sciencegen.sample as s"),
        ("sciencegen/energy.py", "import torch\nfrom sciencegen import layout, sample"),
        ("sciencegen/energy.py", "import torch\nfrom . import sample"),
        ("sciencegen/energy.py", "def f():\n    from .sample import Heun"),
        ("sciencegen/energy.py", "import torch\nfrom . import __version__"),
        ("sciencegen/tasks.py", "import torch\nfrom sciencegen.physics import burgers"),
        ("sciencegen/physics/burgers.py", "import torch\nfrom sciencegen.energy import Residual"),
        ("sciencegen/physics/burgers.py", "import torch\nfrom ..energy import Residual"),
        ("sciencegen/physics/burgers.py", "import torch\nfrom .. import nets"),
        ("sciencegen/nets/unet.py", "import torch\nfrom sciencegen.physics.grid import Grid"),
        ("sciencegen/studies/airfoil.py", "import torch\nfrom sciencegen.cli import main"),
        ("sciencegen/__init__.py", "import torch\nfrom .studies import airfoil"),
    ],
)
def test_an_import_that_goes_up_is_found(path, source):
    (line,) = upward(source, path)
    assert line.startswith(f"{path}:2: imports 'sciencegen")
    assert "may import only" in line


@pytest.mark.parametrize(
    "path, source",
    [
        ("sciencegen/energy.py", "import torch, numpy\nfrom .layout import Layout\nfrom sciencegen import layout"),
        ("sciencegen/physics/burgers.py", "from . import grid\nfrom .grid import Grid\nimport sciencegen.physics.grid"),
        ("sciencegen/solvers/xfoil.py", "from ..airfoil.outline import naca"),
        ("sciencegen/studies/a.py", "from .. import airfoil, priors\nfrom ..nets import mlp\nfrom . import common"),
        ("sciencegen/cli.py", "from sciencegen import __version__\nfrom .studies import airfoil"),
        ("sciencegen/__init__.py", "from .tasks import design\nfrom . import physics"),
    ],
)
def test_an_import_that_goes_down_is_allowed(path, source):
    assert upward(source, path) == []


def test_a_module_without_a_place_is_found():
    assert "'util' has no place" in upward("import torch", "sciencegen/util.py")[0]


def test_an_optional_import_is_found():
    core = core_modules()
    for name in ("neuralfoil", "aerosandbox", "cma", "pymoo", "foamlib", "gmsh", "pyvista"):
        for source in (f"import os\nimport {name}.x", f"try:\n    from {name} import x\nexcept ImportError: pass"):
            (line,) = optional(source, "sciencegen/x.py", core)
            assert line.startswith(f"sciencegen/x.py:2: imports '{name}")
        assert optional(f"import os, torch\ndef f():\n    import {name}", "sciencegen/x.py", core) == []
