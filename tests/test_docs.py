"""The documentation is true: its code runs, its commands are ones that the programs take, its pages are there."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from test_readme import blocks, commands, fault, prose

DOCS = Path(__file__).parents[1] / "docs"
MADE = ("api", "benchmarks", "gallery", "notebooks")  # pages that the build makes
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).parts[0] not in
         ("_build", *MADE)]
WITH_CODE = [page for page in PAGES if blocks(page.read_text(), "python")]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    if "airfoil" in page.read_text():
        pytest.importorskip("neuralfoil")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page.read_text(), "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_links_and_pictures_of_a_page(page):
    faults = {shlex.join(words): why for words in commands(page.read_text()) if (why := fault(words))}
    assert faults == {}
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(page.read_text())):
        target = page.parent / link
        inside = target.resolve().relative_to(DOCS).parts if "://" not in link else MADE
        if link.endswith(".png"):
            assert target.with_suffix(".py").is_file(), link
        elif inside[0] not in MADE:
            assert target.is_file(), link


def test_every_page_is_in_the_contents():
    for index in (DOCS / "concepts" / "index.md", DOCS / "howto" / "index.md"):
        listed = "\n".join(blocks(index.read_text(), re.escape("{toctree}")))
        assert {page.stem for page in index.parent.glob("*.md")} - {"index"} == set(re.findall(r"^\w+$", listed, re.M))


def test_the_glossary_is_in_order():
    words = re.findall(r"^(?! )([a-z][a-z -]*)\n  ", (DOCS / "concepts" / "glossary.md").read_text(), re.M)
    assert len(words) > 30
    assert words == sorted(words)


def test_every_picture_of_a_notebook_is_in_the_gallery_with_its_code(tmp_path):
    spec = importlib.util.spec_from_file_location("gallery_pages", DOCS / "gallery_pages.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    for source in (DOCS.parent / "notebooks").glob("*.ipynb"):
        page, count = gallery.notebook_page(source, tmp_path), source.read_text().count('"image/png"')
        assert count == len(blocks(page, "python")) == len(list(tmp_path.glob(f"{source.stem}_*.png"))) > 0
