"""The page of a run stands for itself: everything in it, nothing fetched, nothing run, and a browser shows it."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray
from matplotlib import image, pyplot
from rich.console import Console

from sciencegen import cli
from sciencegen.result import Result
from sciencegen.studies import own
from sciencegen.studies.runs import Report, added, read_report, write_run
from sciencegen.studies.study import keep
from sciencegen.studies.tables import Table

HOSTILE = "</pre><script>document.title='run'</script><img src=x onerror=alert(1)> & \"quotes\""
TABLE = Table("the best", [{"#": "1", "drag": "54.1", "feasible": "yes"}, {"#": "2", "drag": "-", "feasible": HOSTILE}],
              "under it [bold]")
REPORT = Report("Design of <2> beams", (TABLE,), ("1,000 solves",), ("A solver judged them.",), (HOSTILE,),
                {"second.png": "the second", "missing.png": "not there"})
ASKED = {"command": "design beam:study",
         "arguments": {"count": 2, "point": ["0.4@3e6", "a b"], "law": True, "no": None},
         "inputs": {"objective": {"path": "/tmp/mine.py", "sha256": 64 * "a", "text": f"# {HOSTILE}\n"},
                    "model": {"path": "zoo/beam", "sha256": 64 * "b"}},
         "versions": {"sciencegen": "0.1"}}
BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
COLOUR = (0.1, 0.7, 0.3)


def pictures(folder: Path) -> None:
    for name, color in (("first", "tab:blue"), ("second", COLOUR)):
        keep(pyplot.figure(figsize=(4, 2), facecolor=color), folder / f"{name}.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("page") / "a run"
    made = write_run(out, REPORT, ASKED, pictures, {"weight": np.nan, "by": HOSTILE}, "stopped early")
    assert made == sorted(p.name for p in out.iterdir()) == ["config.json", "first.png", "report.html", "second.png"]
    return out


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.texts, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_is_whole_and_fetches_and_runs_nothing(run):
    page = Elements((run / "report.html").read_text())
    assert page.open == []
    tags = [tag for tag, _ in page.found]
    assert not {"script", "a", "link", "iframe", "object", "form"} & set(tags)
    for _, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on")]
    sources = [attributes["src"] for tag, attributes in page.found if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert any("default-src 'none'" in attributes.get("content", "") for tag, attributes in page.found)


def test_the_page_says_what_was_asked_and_how_to_run_it_again(run):
    text = "".join(Elements((run / "report.html").read_text()).texts)
    for words in ("Design of <2> beams", HOSTILE, "A solver judged them.", "1,000 solves", "the second",
                  "stopped early", "model: zoo/beam", "sciencegen rerun 'a run'", f"# {HOSTILE}", "second.png",
                  "sciencegen design beam:study --count 2 --point 0.4@3e6 --point 'a b' --law"):
        assert words in text, words
    assert "not there" not in text


def test_a_browser_shows_all_of_it(run, tmp_path):
    if BROWSER is None:
        pytest.skip("no Chromium here")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=1000"]
    shot = tmp_path / "page.png"
    page = (run / "report.html").as_uri()
    for words in (["--window-size=1000,2400", f"--screenshot={shot}"], ["--dump-dom"]):
        done = subprocess.run([BROWSER, *flags, *words, page], capture_output=True, text=True, timeout=120, check=True)
    assert "<title>Design of &lt;2&gt; beams</title>" in done.stdout  # no script of the user's has run
    seen = image.imread(shot)[..., :3]
    green = np.abs(seen - COLOUR).max(-1) < 0.02
    assert 300 < green.any(0).sum() < 1000  # the picture, as wide as it is and no wider than the page
    assert (np.abs(seen - [1.0, 0.957, 0.863]).max(-1) < 0.02).sum() > 10_000  # the warning


def test_show_prints_the_tables_of_a_run(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sciencegen", "show", str(run)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    out = " ".join(capsys.readouterr().out.split())
    for words in ("Design of <2> beams", "54.1", "under it [bold]", "A solver judged them.", "1,000 solves"):
        assert words in out
    assert read_report(run).config() == REPORT.config()


@pytest.mark.parametrize("record", ["{}", '{"report": {"title": "t"}}', '{"report": 3}', "[]", "no json"])
def test_a_directory_that_says_nothing_is_refused_in_a_line(tmp_path, record, monkeypatch, capsys):
    (tmp_path / "config.json").write_text(record)
    monkeypatch.setattr(sys, "argv", ["sciencegen", "show", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert re.fullmatch(r"error: got .*; expected .*\n", capsys.readouterr().err)


def test_what_another_program_says_later_comes_on_the_page(tmp_path):
    out = tmp_path / "run"
    write_run(out, REPORT, ASKED, pictures)
    for count in (1, 2):
        added(out, "sciencegen verify, XFOIL", Table("drag", [{"#": "1", "XFOIL": "53.0"}]), f"{count} of 2 verified")
    told, text = read_report(out), (out / "report.html").read_text()
    assert told.verified == [*REPORT.verified, "sciencegen verify, XFOIL: 2 of 2 verified"]
    assert [table.title for table in told.tables] == ["the best", "drag"]
    assert "2 of 2 verified" in text
    assert "1 of 2 verified" not in text
    assert json.loads((out / "config.json").read_text())["files"] == sorted(p.name for p in out.iterdir())


def test_a_table_sets_numbers_right_and_prints_brackets():
    assert [TABLE.numeric(name) for name in TABLE.columns] == [True, True, False]
    console = Console(width=100, record=True)
    console.print(TABLE)
    assert "under it [bold]" in console.export_text()
    assert Table.of(json.loads(json.dumps(TABLE.config()))).config() == TABLE.config()


def test_designs_by_an_own_prior_say_why_they_are_none():
    data = xarray.Dataset({"thin": ("sample", [-1.0, 2.0, np.nan]), "heavy": ("sample", [-1.0, -1.0, np.nan])})
    fun, success = np.array([1.0, 2.0, np.nan]), np.array([True, False, False])
    samples = xarray.Dataset({"u": ("sample", fun)})
    result = Result(samples, fun, success, 0, "finished", 0, xarray.Dataset(), np.arange(3), {}, data)
    assert [row["feasible"] for row in own.table(result).rows] == ["yes", "no: thin", "no: diverged"]
