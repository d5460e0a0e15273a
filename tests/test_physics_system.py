"""The protocol of a system: what every shipped one promises, how one is found, and what is refused in words."""

import math
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from oracles import close
from sciencegen.physics import SYSTEMS, LogWells, Part, Stored, Wells, resolve
from sciencegen.physics.turns import SQUARE

every = pytest.mark.parametrize("name", SYSTEMS)
ON_CPU = ("darcy", "channels", "wells")  # factorised by LAPACK
FILE = Stored(0.25, 3, {"nu": 0.02, "k": 2.0, "f": 1.5, "rate": 9.0, "c": 0.7})


def solved(name: str, count: int = 3, seed: int = 0, first: int = 0) -> dict[str, torch.Tensor]:
    system = resolve(name, 8)
    given = system.draw(count, seed, first)
    return given | {list(system.parts)[-1]: system.solve(**given)}


class Nowhere(TorchDispatchMode):
    """Fails where an operation makes a tensor that is on the CPU; a number without axes may be."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        left = [v for v in tree_leaves(out) if isinstance(v, torch.Tensor) and v.device.type == "cpu" and v.ndim]
        assert not left, f"{func} makes a tensor of shape {tuple(left[0].shape)} on the CPU"
        return out


# --- what every system promises -----------------------------------------------------------------------------------

@every
def test_what_is_drawn_and_solved_has_the_shapes_and_ranges_of_the_parts(name):
    system, parts = resolve(name, 8), solved(name)
    assert list(parts) == list(system.parts)
    for key, part in system.parts.items():
        assert parts[key].shape == (3, *part.shape)
        assert len(part.dims) == len(part.shape)
        assert all(len(part.coords[dim]) == n for dim, n in zip(part.dims, part.shape))
        assert set(part.periodic) <= set(part.dims)
        assert bool(((parts[key] >= part.low) & (parts[key] <= part.high)).all())


@every
def test_a_sample_is_the_same_whatever_the_count(name):
    for key, value in resolve(name, 8).draw(5, 3).items():
        later = resolve(name, 8).draw(2, 3, first=2)[key]
        close(later, value[2:4], 1e-12)
        assert not torch.equal(value[0], value[1])
        assert value.dtype == torch.float64


@every
def test_the_residual_is_rounding_for_a_solution_and_about_one_for_none_whatever_the_leading_axes(name):
    system, parts = resolve(name, 8), solved(name, 4)
    solution = list(parts)[-1]
    assert system.residual(**parts).norm(dim=-1).max() < 1e-9
    empty = system.residual(**parts | {solution: torch.zeros_like(parts[solution])}).norm(dim=-1)
    assert ((empty > 0.2) & (empty < 3)).all()
    folded = {key: value.unflatten(0, (2, 2)) for key, value in parts.items()}
    close(system.residual(**folded).flatten(0, 1), system.residual(**parts), 1e-12)
    given = {key: value for key, value in folded.items() if key != solution}
    close(system.solve(**given), folded[solution], 1e-12)


@every
def test_single_precision_stays_single(name):
    system, parts = resolve(name, 8), {key: value.float() for key, value in solved(name).items()}
    *given, solution = parts
    assert system.solve(**{key: parts[key] for key in given}).dtype == torch.float32
    assert system.residual(**parts).dtype == torch.float32
    assert system.residual(**parts).norm(dim=-1).max() < 1e-3


@every
def test_symmetries_take_solutions_to_solutions(name):
    system, parts = resolve(name, 8), solved(name)
    for symmetry in system.symmetries:
        moved = symmetry(parts)
        assert system.residual(**moved).norm(dim=-1).max() < 1e-9
        assert any(not torch.equal(moved[key], parts[key]) for key in parts)
    assert len(system.symmetries) in (0, 7)


def test_the_turns_of_the_square_and_none_are_a_group():
    index = torch.arange(9).reshape(3, 3)
    orders = {tuple(f({"a": index})["a"].flatten().tolist()) for f in SQUARE} | {tuple(range(9))}
    assert len(orders) == 8
    assert {tuple(a[i] for i in b) for a in orders for b in orders} == orders


@every
def test_no_tensor_is_made_on_another_device_than_the_inputs(name):
    system, parts = resolve(name, 8), {key: value.to("meta") for key, value in solved(name).items()}
    *given, _ = parts
    with Nowhere():
        system.residual(**parts)
        if name not in ON_CPU and name != "burgers":  # which compares the data with its bound
            system.solve(**{key: parts[key] for key in given})


def test_burgers_advances_on_the_device_of_its_input():
    with Nowhere():
        assert resolve("burgers", 8).advance(torch.zeros(2, 8, device="meta")).device.type == "meta"


def test_a_tensor_on_the_cpu_is_found():
    with Nowhere(), pytest.raises(AssertionError, match="on the CPU"):
        torch.zeros(2)


@every
def test_a_file_is_read_with_its_own_parameters(name):
    for label, read in resolve(name, 8).read(FILE).items():
        solution = list(read.parts.values())[-1]
        assert "time" not in solution.dims or solution.shape[0] == 3
        assert any(char.isdigit() for char in label) or name == "poisson"
    assert name == "poisson" or resolve(name, 8).read(FILE) != {"": resolve(name, 8)}


def test_a_parameter_that_is_not_stored_is_asked_for():
    with pytest.raises(ValueError, match=r"expected one of \['nu', 'Nu'\].*--parameter nu=VALUE"):
        resolve("heat", 8).read(Stored(0.1, 1, {"k": 1.0}))


def test_the_logarithm_of_the_wells_is_the_wells():
    log, plain = solved("wells"), Wells(8)
    close(plain.solve(log["a"].exp()), log["u"], 1e-12)
    close(plain.draw(3)["a"], log["a"].exp(), 1e-12)
    assert LogWells(8).wells == plain


# --- how one is found ---------------------------------------------------------------------------------------------

@every
def test_a_name_is_built_on_the_grid_that_is_asked_for(name):
    assert all(part.shape[-1] == 12 for part in resolve(name, 12).parts.values())


def test_names_cost_no_torch():
    import subprocess

    code = "import sciencegen.physics as p, sys; print(len(p.SYSTEMS), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["12", "False"]


@pytest.mark.parametrize("name, kind, words", [
    ("stokes", KeyError, "no system 'stokes'; there are poisson, helmholtz"),
    (":Wave", KeyError, "no system ':Wave'"),
    ("no_such_module:Wave", ImportError, "got no module 'no_such_module'; expected one that is installed, or"),
    ("broken:Wave", ImportError, "which fails when it is imported .ZeroDivisionError"),
    ("mine:Wav", ImportError, "expected 'Wav' in .*mine.py"),
    ("mine:number", TypeError, "got mine:number, a int"),
    ("mine:Nothing", TypeError, r"does not take a grid .*as mine:Nothing\(32\)"),
    ("mine:Half", TypeError, "got mine:Half without symmetries, draw, solve, residual, read"),
    ("mine:Bare", TypeError, "expected two or more by name, each a sciencegen.physics.Part"),
])
def test_what_is_no_system_is_refused_in_words(name, kind, words, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "mine.py").write_text(
        "number = 3\nclass Nothing: pass\n"
        "class Half:\n    def __init__(self, n): self.parts = {}\n"
        "class Bare(Half):\n    symmetries = (); draw = solve = residual = read = print\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    with pytest.raises(kind, match=words):
        resolve(name)
    assert sys.path == before
    sys.modules.pop("mine", None)


def test_cells_are_centres_of_the_unit_interval():
    part = Part.cells(4, "x", times=[0.5, 1.0], low=0.0, periodic=True)
    assert part == Part((2, 4), ("time", "x"), {"time": [0.5, 1.0], "x": [0.125, 0.375, 0.625, 0.875]}, "", 0.0,
                        math.inf, ("x",))
