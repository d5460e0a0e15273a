"""Notebooks run from top to bottom, and what is stored with them is what their source says."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
EACH = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def stored(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


@EACH
def test_a_notebook_runs(source, tmp_path, monkeypatch):
    """In a kernel of its own, in an empty directory, with few designs; it leaves nothing behind."""
    pytest.importorskip("neuralfoil")
    monkeypatch.setenv("SCIENCEGEN_COUNT", "2")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = jupytext.read(source)
    NotebookClient(book, timeout=280, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert list(tmp_path.iterdir()) == []


@EACH
def test_what_is_stored_is_the_source_executed(source):
    book, text = stored(source), jupytext.read(source)
    assert [(c.cell_type, c.source) for c in book.cells] == [(c.cell_type, c.source) for c in text.cells]
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = [output.output_type for cell in code for output in cell.outputs]
    assert "error" not in kinds
    streams = [output.name for cell in code for output in cell.outputs if output.output_type == "stream"]
    assert "stderr" not in streams, "a warning is stored with the notebook"


@EACH
def test_what_is_stored_is_small_and_of_no_machine(source):
    page = source.with_suffix(".ipynb").read_text()
    assert len(page) < 1_000_000
    for place in ("/home/", "/root/", "/Users/", "/tmp/", "site-packages"):
        assert place not in page


@EACH
def test_a_notebook_shows_a_picture_and_a_table(source):
    kinds = {kind for cell in stored(source).cells for output in cell.get("outputs", []) for kind in
             output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
