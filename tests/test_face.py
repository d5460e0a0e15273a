"""What `import sciencegen` gives: some names, all documented, loaded when they are asked for."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import sciencegen as sg

SOURCE = Path(sg.__file__)


def test_every_public_name_is_there_and_documented():
    names = [name for name in sg.__all__ if name != "__version__"]
    assert 25 <= len(names) <= 50
    assert set(dir(sg)) == set(sg.__all__)
    for name in names:
        assert inspect.getdoc(getattr(sg, name)), f"{name} has no docstring"


def test_a_type_checker_sees_the_same_names():
    """What is imported for type checkers alone is what is loaded when it is asked for."""
    block = next(node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    typed = {alias.asname: node.module for node in block.body for alias in node.names}
    assert set(typed) == set(sg.__all__) - {"__version__"}
    for name, module in typed.items():
        assert module is None or sg._HOME[name] == module
    assert (SOURCE.parent / "py.typed").is_file()


def test_nothing_is_loaded_before_it_is_asked_for():
    code = "import sys, sciencegen; print([m for m in ('torch', 'numpy', 'xarray', 'h5py') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_package_of_training_is_the_function():
    """However it was imported first."""
    from sciencegen.train import Training, fit

    assert sg.train is sys.modules["sciencegen.train"]
    with pytest.raises(AttributeError, match="layout"):
        sg.train(None, Training())
    assert callable(fit)


def test_a_name_that_is_not_there_says_what_is():
    with pytest.raises(AttributeError, match="has no attribute 'Denoizer'; it has .*Denoiser"):
        sg.Denoizer  # noqa: B018
