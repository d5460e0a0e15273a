"""The checkout itself: what stands where, what is promised to an installer, and the habits a reader relies on."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sciencegen

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOP = {
    "sciencegen", "datasets", "notebooks", "tests", "benchmarks", "docs",
    "environment.yml", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
}  # fmt: skip
CONDA = {"torch": "pytorch", "torch-geometric": "pytorch-geometric"}  # the names that differ on conda-forge


# --- what is installed ------------------------------------------------------------------------------------------

def direct() -> list[Requirement]:
    """Every requirement of pyproject.toml, core and extras but peers', which one benchmark asks for."""
    extras = [extra for name, extra in PROJECT["optional-dependencies"].items() if name != "peers"]
    lines = PROJECT["dependencies"] + [line for extra in extras for line in extra]
    return [r for r in map(Requirement, lines) if r.name != "sciencegen"]


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def version(pin: Requirement) -> str:
    return str(pin.specifier).removeprefix("==")


def test_every_direct_dependency_is_pinned_at_a_version_it_allows():
    pins = constraints()
    for requirement in direct():
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version(pin)), f"{requirement} against {pin}"


def test_constraints_are_exact_portable_versions():
    for pin in constraints().values():
        assert re.fullmatch(r"==[\w.!]+", str(pin.specifier)), f"{pin}: expected NAME==VERSION without a local build"
        assert pin.url is None
        assert not pin.name.startswith(("nvidia", "cuda", "triton", "sciencegen"))


def test_dev_brings_what_the_other_extras_need_to_be_tested():
    own = [r for r in map(Requirement, PROJECT["optional-dependencies"]["dev"]) if r.name == "sciencegen"]
    assert own[0].extras == PROJECT["optional-dependencies"].keys() - {"dev", "peers"}


def test_environment_yml_is_in_step_with_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    from_pip = [Requirement(line) for line in pip["pip"] if not line.startswith("-")]
    names = [canonicalize_name(re.match(r"[\w.-]+", line)[0]) for line in conda] + [r.name for r in from_pip]
    wanted = [CONDA.get(name, name) for name in (canonicalize_name(r.name) for r in direct())]
    assert environment["name"] == "sciencegen"
    assert "-e .[dev]" in pip["pip"]
    assert set(wanted) - set(names) == set(), "missing in environment.yml"
    assert set(names) - set(wanted) == {"python", "pip", "torchvision"}, "in environment.yml, not in pyproject.toml"
    assert [r.specifier for r in from_pip] == [constraints()[r.name].specifier for r in from_pip]
    floors = {CONDA.get(r.name, r.name): str(r.specifier) for r in direct()} | {"python": PROJECT["requires-python"]}
    for name, line in zip(names, conda, strict=False):
        assert name not in floors or line.endswith(f" {floors[name]}"), f"{line}: pyproject.toml says {floors[name]}"


def closure(names: list[str]) -> set[str]:
    """The installed distributions that `names` need, extras left out."""
    seen, todo = set(), list(names)
    while todo:
        name = canonicalize_name(todo.pop())
        if name not in seen:
            seen.add(name)
            needs = map(Requirement, importlib.metadata.requires(name) or [])
            todo += [r.name for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]
    return seen


def licence(name: str) -> str:
    """What a distribution says in one line; a whole licence text in the field is no such line."""
    meta = importlib.metadata.metadata(name)
    free = [line for line in (meta.get("License-Expression"), meta.get("License")) if line and len(line) < 200]
    return " ".join(free + [c for c in meta.get_all("Classifier") or [] if c.startswith("License")])


def copyleft(text: str) -> bool:
    """Whether a licence is the GPL or the AGPL; the LGPL is not meant."""
    return bool(re.search(r"(?<![A-Z])A?GPL|(?<!Lesser )General Public", text))


def test_the_core_installs_nothing_under_the_gpl():
    core = closure([Requirement(line).name for line in PROJECT["dependencies"]])
    assert {name: licence(name) for name in core if copyleft(licence(name))} == {}
    assert core > {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}


def test_the_gpl_is_recognised():
    assert all(map(copyleft, ["GPL-3.0-only", "GPLv2+", "AGPL-3.0", "License :: GNU General Public License (GPL)"]))
    assert not any(map(copyleft, ["MIT", "LGPL-2.1-or-later", "GNU Lesser General Public License v3 (LGPLv3)"]))


def test_one_version():
    assert sciencegen.__version__ == PROJECT["version"] == importlib.metadata.version("sciencegen")


def test_the_wheel_ships_the_trained_priors(tmp_path):
    files = ["zoo/__init__.py", "zoo/airfoil/config.json", "zoo/airfoil/model.safetensors", "zoo/airfoil/README.md"]
    for name in ("pyproject.toml", ".gitignore", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "README.md").touch()
    for name in ["__init__.py", *files, "__pycache__/x.pyc"]:
        file = tmp_path / "sciencegen" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    shipped = {file.distribution_path for file in WheelBuilder(str(tmp_path)).recurse_included_files()}
    assert shipped == {f"sciencegen/{name}" for name in ["__init__.py", *files]}


def test_top_level():
    def git(*args):
        return subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=True).stdout

    try:
        names = git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: a user's own files may lie here")
    top = {name.split("/")[0] for name in names if not name.startswith(".")}
    assert top - TOP == set(), f"allowed at the top of the checkout: {sorted(TOP)} and dot files"


# --- how it is written ------------------------------------------------------------------------------------------

Check = Callable[[ast.Module, str], Iterator[tuple[int, str]]]


def too_long(tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    lines = len(source.splitlines())
    if lines > 250:
        yield 250, f"{lines} lines, at most 250; is there a seam?"


def asserts(tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert; raise an error that says got, expected and what to do"


def prints(tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print; return it, or leave it to sciencegen/cli.py"


def undocumented(tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    if not ast.get_docstring(tree):
        yield 1, "no docstring; a module's states its theory"
    for node in tree.body:
        public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_"
        if public and not ast.get_docstring(node):
            yield node.lineno, f"no docstring on '{node.name}'"


def violations(check: Check, source: str, path: str) -> list[str]:
    return [f"{path}:{line}: {text}" for line, text in check(ast.parse(source), source)]


@pytest.mark.parametrize("check", [too_long, asserts, prints, undocumented])
def test_style(check):
    files = [str(file.relative_to(ROOT)) for file in sorted((ROOT / "sciencegen").rglob("*.py"))]
    exempt = {"sciencegen/cli.py"} if check is prints else set()
    read = [(path, (ROOT / path).read_text()) for path in files if path not in exempt]
    found = [line for path, source in read for line in violations(check, source, path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "check, source, line",
    [
        (too_long, "\n" * 251, 250),
        (asserts, "def f(x):\n    assert x", 2),
        (prints, "def f(x):\n    print(x)", 2),
        (undocumented, "x = 1", 1),
        (undocumented, "'''A module.'''\nclass Heun:\n    x = 1", 2),
        (undocumented, "'''A module.'''\ndef f(x):\n    return x", 2),
    ],
)
def test_a_breach_of_style_is_found(check, source, line):
    (found,) = violations(check, source, "x.py")
    assert found.startswith(f"x.py:{line}: ")


def test_good_style_is_not_a_breach():
    source = "'''A module.'''\ndef _f(x):\n    return x\ndef g(x):\n    '''Twice x.'''\n    return 2 * x"
    for check in (too_long, asserts, prints, undocumented):
        assert violations(check, source, "x.py") == []
