"""The page of a run, ``report.html``: what was asked, what came of it, who verified it, how to run it again.

One file that can be sent by mail: pictures are in it, and there is no script and no link. What a user wrote (names,
paths, an objective's source) is escaped, and the page's own content security policy lets a browser fetch and run
nothing whatever it says.
"""

from __future__ import annotations

import base64
import html
import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .tables import Table

__all__ = ["page", "spelled"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PICTURES = {".png": "image/png", ".gif": "image/gif"}
STYLE = """
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem }
.about, .under, figcaption { color: #56636f; font-size: .9rem }
.warn { background: #fff4dc; border-left: 4px solid #d98e04; padding: .5rem 1rem; margin: .6rem 0 }
.checked { background: #e9f3ee; border-left: 4px solid #2f7d5b; padding: .5rem 1rem; margin: .6rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .92rem; margin-top: .8rem }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #dde3e8 }
thead th { border-bottom: 2px solid #9aa7b2 } .n { text-align: right; font-variant-numeric: tabular-nums }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto }
pre { background: #f3f5f7; padding: .7rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .85rem }
details { margin: .5rem 0 } summary { cursor: pointer }
@media print { body { margin: 0; max-width: none } details { display: none } }
"""


def page(record: Mapping[str, Any], folder: Path) -> str:
    """The page of the run in ``folder``, whose pictures are put in, by what its ``record`` (config.json) says."""
    told = record["report"]
    captions = told["captions"]
    named = [*captions, *sorted(p.name for p in folder.iterdir() if p.suffix in PICTURES and p.name not in captions)]
    shown = [name for name in named if (folder / name).is_file()]
    parts = [
        f"<h1>{_text(told['title'])}</h1>", f"<p class='about'>{_about(record)}</p>",
        *(f"<p class='warn'><strong>Warning.</strong> {_text(words)}</p>" for words in told["warnings"]),
        *(f"<p>{_text(words)}</p>" for words in told["summary"]),
        "<h2>What was verified, and by whom</h2>", *(f"<p class='checked'>{_text(w)}</p>" for w in told["verified"]),
        *(f"<div class='wide'>{Table.of(table)._repr_html_()}</div>" for table in told["tables"]),
        "<h2>Pictures</h2>" if shown else "", *(_picture(folder / name, captions.get(name, "")) for name in shown),
        "<h2>What was asked</h2>", *_asked(record), "<h2>How to run it again</h2>", *_again(record, folder),
        "<h2>Files beside this page</h2>", _rows(sorted(_sizes(record, folder).items()))]
    head = (f"<!doctype html><html lang='en'><head><meta charset='utf-8'><meta http-equiv='Content-Security-Policy' "
            f"content=\"{POLICY}\"><meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{_text(told['title'])}</title><style>{STYLE}</style></head><body>")
    return "\n".join([head, *(part for part in parts if part), "</body></html>", ""])


def spelled(record: Mapping[str, Any]) -> list[str]:
    """The words of the command that a record is of."""
    words = shlex.split(record["command"])
    for name, value in record.get("arguments", {}).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag] if value else []
        elif value is not None:
            words += [word for v in (value if isinstance(value, list) else [value]) for word in (flag, str(v))]
    return words


def _text(value: object) -> str:
    return html.escape(str(value)).replace("\n", "<br>")


def _about(record: Mapping[str, Any]) -> str:
    made = record.get("versions", {}).get("sciencegen", "")
    told = record["message"].startswith(record["status"])
    words = [record["date"], f"sciencegen {made}" if made else "", "" if told else record["status"], record["message"]]
    return " · ".join(_text(word) for word in words if word)


def _picture(file: Path, caption: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return (f"<figure><img alt='{_text(caption or file.name)}' src='data:{PICTURES[file.suffix]};base64,{data}'>"
            f"<figcaption>{_text(caption or file.name)}</figcaption></figure>")


def _asked(record: Mapping[str, Any]) -> Iterable[str]:
    """Options, and the files that were read, with their text where the record has it."""
    options = {f"--{k.replace('_', '-')}": _plain(v) for k, v in record.get("arguments", {}).items() if v is not None}
    yield _rows([("command", f"sciencegen {record['command']}" if "command" in record else "-"), *options.items()])
    for name, file in record.get("inputs", {}).items():
        told = f"{_text(name)}: {_text(file['path'])}, SHA-256 {_text(file['sha256'][:16])}…"
        text = html.escape(file.get("text", ""))
        yield (f"<details><summary>{told}</summary><pre>{text}</pre></details>" if text else
               f"<p class='about'>{told}</p>")
    if record.get("made"):
        yield (f"<details><summary>All settings</summary><pre>{html.escape(json.dumps(record['made'], indent=2))}</pre>"
               "</details>")


def _again(record: Mapping[str, Any], folder: Path) -> Iterable[str]:
    versions = ", ".join(f"{name} {made}" for name, made in record.get("versions", {}).items())
    if "command" in record:
        yield f"<pre>sciencegen rerun {_text(shlex.quote(record.get('name', folder.name)))}</pre>"
        yield "<p>in the folder above the run's, or, where its files are as they were:</p>"
        yield f"<pre>{_text(shlex.join(['sciencegen', *spelled(record)]))}</pre>"
    yield f"<p class='about'>The same numbers come of the same versions on the same kind of machine: {_text(versions)}."
    yield "In Python: sciencegen.Result.load('result.nc'), or xarray.open_dataset('result.nc').</p>"


def _sizes(record: Mapping[str, Any], folder: Path) -> Mapping[str, str]:
    there = {p.name: p.stat().st_size for p in folder.iterdir() if p.is_file()}
    return {name: f"{size:,} bytes" for name, size in there.items() if name != "report.html"}


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rows(pairs: Iterable[tuple[str, object]]) -> str:
    cells = "".join(f"<tr><th>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in pairs)
    return f"<div class='wide'><table>{cells}</table></div>"
