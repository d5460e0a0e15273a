"""The README is true: its code runs, its commands are ones that the programs take, its files are there."""

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import benchmarks
from sciencegen import cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMON = ROOT / "benchmarks" / "common" / "__init__.py"
PROGRAMS = ("pip", "python", "pytest", "sciencegen", "conda", "apt-get")


@cache
def text() -> str:
    return (ROOT / "README.md").read_text()


def blocks(markdown: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.M | re.S)


def prose(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.M | re.S)


def inline(markdown: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(markdown))


def commands(markdown: str) -> list[list[str]]:
    """Every command that the text names, fenced or inline, as words; what && joins is several."""
    lines = [line for block in blocks(markdown, "bash") for line in block.splitlines()] + inline(markdown)
    parts = [part.strip() for line in lines for part in line.partition(" #")[0].split("&&")]
    return [shlex.split(part) for part in parts if part.split(" ")[0] in PROGRAMS]


def tables(markdown: str) -> list[tuple[str, list[list[str]]]]:
    """`(section, rows of cells)` of every table; the first row is its head."""
    found = []
    for section in re.split(r"^#+ ", prose(markdown), flags=re.M):
        for table in re.findall(r"(?:^\|.*\|\n?)+", section, re.M):
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
            found.append((section, [row for row in rows if not set("".join(row)) <= set("-: ")]))
    return found


def fault(words: list[str]) -> str | None:
    """What is wrong with a command, or None."""
    program, *rest = words
    files = [ROOT / after for before, after in zip(rest, rest[1:]) if before in ("-c", "-f")]
    files += [ROOT / rest[0]] if program == "python" and rest and not rest[0].startswith("-") else []
    missing = [str(file.relative_to(ROOT)) for file in files if not file.is_file()]
    if missing:
        return f"no such file: {missing}"
    if rest[:2] == ["-m", "benchmarks"]:
        return benchmark_fault(rest[2:])
    if program == "python" and files:
        return unknown_options(rest[1:], [files[0]])
    if program == "pip":
        extras = {extra for word in rest for found in re.findall(r"\[(.*)\]", word) for extra in found.split(",")}
        unknown = extras - PROJECT["project"]["optional-dependencies"].keys()
        return f"no such extra: {unknown}" if unknown else None
    if program == "pytest" and "-m" in rest:
        markers = [m.partition(":")[0] for m in PROJECT["tool"]["pytest"]["ini_options"]["markers"]]
        return None if rest[rest.index("-m") + 1] in markers else f"no such marker; there are {markers}"
    if program == "sciencegen" and rest:
        try:
            cli.app.parse_args(rest, exit_on_error=False, print_error=False)
        except Exception as error:  # cyclopts has many kinds
            return repr(error)
    return None


def benchmark_fault(words: list[str]) -> str | None:
    """What is wrong with the words after `python -m benchmarks`, or None."""
    name, *options = [word for word in words if word not in ("NAME", "DIR")] or [None]
    if name is None or name.startswith("-"):
        return None
    if name not in benchmarks():
        return f"no such benchmark; there are {list(benchmarks())}"
    file = benchmarks()[name]
    return unknown_options(options, [*(file.parent.glob("*.py") if file.stem == "run" else [file]), COMMON])


def unknown_options(words: list[str], files: list[Path]) -> str | None:
    """Words that start as options do and stand in none of the files, or None."""
    source = "".join(file.read_text() for file in files)
    options = [word for word in words if word.startswith("--")]
    unknown = [o for o in options if o not in source and o[2:] not in source]
    return f"no such option: {unknown}" if unknown else None


# --- the README ---------------------------------------------------------------------------------------------------

def python_blocks() -> list[str]:
    return blocks(text(), "python") if (ROOT / "README.md").is_file() else []


@pytest.mark.parametrize("number", range(max(len(python_blocks()), 1)))
def test_python_blocks_run(number, tmp_path, monkeypatch, capsys):
    if not python_blocks():
        pytest.skip("README.md has no python block")
    if "zoo(" in python_blocks()[number]:
        pytest.importorskip("neuralfoil")
    monkeypatch.chdir(tmp_path)
    source = "\n" * text()[: text().index(python_blocks()[number])].count("\n") + python_blocks()[number]
    names = {}
    exec(compile(source, "README.md", "exec"), names)
    assert all(bool(value.isfinite().all()) for value in names.values() if isinstance(value, torch.Tensor))


def test_the_means_that_the_first_block_promises():
    block = next((b for b in python_blocks() if "# near " in b), None)
    if block is None:
        pytest.skip("README.md promises no numbers")
    factor, numbers = re.search(r"# near (-?[\d.]+) \* \((.*)\)", block).groups()
    wanted = float(factor) * torch.tensor([float(n) for n in numbers.split(",")])
    names = {}
    exec(block, names)
    x = names["x"]
    assert (x.mean(0) - wanted).abs().max() < 4.5 / len(x) ** 0.5 + 0.02  # of unit variance; corrected, not exact


def test_commands_are_ones_that_the_programs_take():
    found = commands(text())
    faults = {shlex.join(words): why for words in found if (why := fault(words))}
    assert faults == {}
    assert len(found) > 4


def test_the_two_commands_of_the_first_screen():
    first = "\n".join(text().splitlines()[:60])
    assert "pip install -c constraints.txt -e '.[aero]' && sciencegen design airfoil\n" in first
    assert "pip install -c constraints.txt -e '.[dev]' && pytest\n" in first


def test_files_are_there():
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(text())) if "://" not in link]
    named = [word for code in inline(text()) for word in code.split() if re.fullmatch(r"[\w.-]+(/[\w.-]+)+", word)]
    named = [word for word in named if not word.startswith(("runs/", "docs/_build"))]
    missing = [name for name in links + named if not (ROOT / name).exists()]
    assert missing == []
    assert links


def test_every_table_has_its_command():
    """A table of commands has one a row; a table of figures stands in a section that names how it was made."""
    for section, (head, *rows) in tables(text()):
        if "command" in head:
            cells = [row[head.index("command")] for row in rows]
            assert [len(commands(cell)) for cell in cells] == [1] * len(rows), cells
        figures = [cell for row in rows for cell in row[1:] if re.match(r"[*~±-]?\d", cell)]
        if len(figures) > len(rows):
            assert any(words[0] in ("python", "sciencegen") for words in commands(section)), head


def test_it_is_read_in_five_minutes():
    assert len(text().split()) <= 900


def test_nothing_is_left_to_fill_in():
    open_ends = r"[A-Z]{4,}|.*\b(TODO|TBD|XXX|FIXME)\b.*"
    left = [line for line in prose(text()).splitlines() if re.fullmatch(open_ends, line)]
    assert left == []


# --- the checks themselves ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("line, message", [
    ("pip install -c no.txt -e '.[aero]'", "no such file"), ("pip install -e '.[aero,extra]'", "no such extra"),
    ("python datasets/no.py", "no such file"), ("python datasets/make_mesh.py --no-such-word", "no such option"),
    ("python -m benchmarks no", "no such benchmark"), ("python -m benchmarks airfoil --no-such-word", "no such option"),
    ("pytest -m fast", "no such marker"), ("sciencegen draw wing", "Error"),
    ("sciencegen design airfoil --points 0.4@1e6", "Error"), ("sciencegen design airfoil --count many", "Error"),
])
def test_a_wrong_command_is_found(line, message):
    ((words,),) = [commands(f"```bash\n{line}  # a remark\n```")]
    assert message in fault(words)


def test_commands_and_tables_are_found():
    page = "Use `pip install x && sciencegen --help`.\n\n| a | command |\n|---|---|\n| 1 | `python x.py` |\n"
    assert commands(page) == [["pip", "install", "x"], ["sciencegen", "--help"], ["python", "x.py"]]
    ((_, rows),) = tables(page)
    assert rows == [["a", "command"], ["1", "`python x.py`"]]
