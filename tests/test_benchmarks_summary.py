"""What is kept of a benchmark: tables of one number of cases, lines of the best rows, pages made of nothing else."""

import json
import sys

import pytest
from rich.table import Table

from benchmarks import summary
from benchmarks.__main__ import benchmarks, purpose
from benchmarks.common.record import COUNTS, FREE, Line, alike, leading, plain, publish

TABLE = {"title": "t", "columns": ["row", "n", "error"],
         "rows": [["ours", "40", "1.9 ± .2"], ["ours, slow", "4", ".5"], ["kriging", "40", "**2.3**"],
                  ["spline", "40", "9"], ["exact", "-", "1.8"]]}  # fmt: skip
LINE = Line("a task", "error, %", "t", "error", ("ours", "ours, slow"), ("kriging", "spline"), exact=("exact",))


def test_a_table_of_several_n_is_several_tables_and_what_has_none_is_in_all():
    big, small = alike(TABLE)
    assert (big["title"], small["title"]) == ("t; n = 40", "t; n = 4")
    assert [row[0] for row in big["rows"]] == ["ours", "kriging", "spline", "exact"]
    assert [row[0] for row in small["rows"]] == ["ours, slow", "exact"]
    assert alike(big) == [big]


def test_a_line_compares_the_best_rows_of_one_table():
    found = LINE.resolved(alike(TABLE))
    assert found["ours"] == {"value": "1.9 ± .2", "row": "ours"}  # not the better one of four cases
    assert found["classical"] == {"value": "2.3", "row": "kriging"}
    assert (found["exact"]["value"], found["learned"], found["n"]) == ("1.8", None, "40")
    high = Line("a task", "error, %", "t", "error", ("ours",), ("kriging", "spline"), high=True)
    assert high.resolved(alike(TABLE))["classical"]["row"] == "spline"
    assert Line("a task", "error, %", "no such table", "error", ("ours",)).resolved([TABLE]) is None


@pytest.mark.parametrize("cell, number", [
    (".0972 ± .0003", 0.0972), ("1,234", 1234.0), ("**-3.5**", -3.5), ("1.2e-02", 0.012), ("-", None), ("met", None),
])
def test_a_cell_is_compared_by_the_number_that_it_begins_with(cell, number):
    assert leading(cell) == number


def test_a_run_becomes_a_page_and_a_line_without_its_marks(tmp_path, monkeypatch, capsys):
    made = Table("row", "n", "error\n%", title="[bold]t")
    for name, n, error in TABLE["rows"]:
        made.add_row(f"[dim]{name}", n, error)
    assert plain(made)["rows"] == TABLE["rows"]
    words = ["--quick", "--task", "F1 from 10", "--data=/somewhere/flows.h5", "--out", str(tmp_path / "x")]
    monkeypatch.setattr(sys, "argv", ["python -m benchmarks x", *words])
    line = Line("a task", "error, %", "t", "error %", ("ours",))
    publish(tmp_path, "x", "What x asks.\n\nHow it is made.", [made, "met: all"], [line])
    record = json.loads((tmp_path / "x.tables.json").read_text())
    assert record["quick"] is True
    assert record["command"] == "python -m benchmarks x --quick --task 'F1 from 10' --data=flows.h5 --out x"
    assert "met: all" in (tmp_path / "x.txt").read_text()
    monkeypatch.setattr(summary, "RESULTS", tmp_path / "results")
    assert [file.name for file in summary.keep(tmp_path)] == ["x.json"]
    summary.pages(tmp_path / "docs", summary.records(tmp_path / "results"))
    assert "| a task | error, % | 1.9 ± .2 (ours)" in (tmp_path / "docs" / "index.md").read_text()
    page = (tmp_path / "docs" / "x.md").read_text()
    assert all(text in page for text in ("| ours | 40 | 1.9 ± .2 |", "met: all", "A quick run", "How it is made."))
    with pytest.raises(ValueError, match="--keep"):
        summary.keep(tmp_path / "docs")


def test_every_saved_result_is_of_a_benchmark_that_is_there_and_a_table_has_one_n():
    saved = summary.records()
    assert {record["benchmark"] for record in saved} <= benchmarks().keys()
    for record in saved:
        assert all(record[name] for name in ("title", "date", "commit", "command", "parts"))
        for table in (part["table"] for part in record["parts"] if "table" in part):
            assert {len(row) for row in table["rows"]} == {len(table["columns"])}, table["title"]
            for at in (table["columns"].index(name) for name in COUNTS if name in table["columns"]):
                assert len({row[at] for row in table["rows"]} - set(FREE)) <= 1, table["title"]
    assert len(summary.lines(saved)) >= len(saved)


def test_every_benchmark_says_what_it_asks_and_takes_quick():
    for name, file in benchmarks().items():
        assert purpose(file).endswith((".", ":")), name
        assert name == "summary" or "--quick" in file.read_text(), name
