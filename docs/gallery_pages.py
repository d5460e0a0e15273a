"""The gallery: every picture of the notebooks and of the concept pages, with the code that drew it."""

import base64
import json
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

STYLE = {
    "figure.figsize": (7.0, 2.8), "figure.constrained_layout.use": True, "font.size": 10.0, "axes.spines.top": False,
    "axes.spines.right": False, "axes.titlesize": 10.0, "legend.frameon": False, "savefig.facecolor": "white",
}  # fmt: skip

HEAD = """# Gallery

Every picture of this documentation, with the code that drew it. Those of the notebooks are as they were committed; a
test executes the notebooks. Those of the concepts are drawn anew whenever these pages are built.
"""


def write(docs: Path, notebooks: Path) -> None:
    """Write docs/notebooks, copies of the executed notebooks, and docs/gallery, a page for each and the concepts'."""
    copies, folder = docs / "notebooks", docs / "gallery"
    for made in (copies, folder):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
    sources = sorted(notebooks.glob("*.ipynb"))
    for source in sources:
        shutil.copy(source, copies)
        (folder / f"{source.stem}.md").write_text(notebook_page(source, folder))
    names = "\n".join([*(source.stem for source in sources), "concepts"])
    (folder / "index.md").write_text(f"{HEAD}\n" + "\n".join(thumbnails(sources, folder, docs / "pictures"))
                                     + f"\n```{{toctree}}\n:hidden:\n\n{names}\n```\n")
    (folder / "concepts.md").write_text(concepts(docs / "pictures"))
    draw(docs / "pictures")


def notebook_page(source: Path, folder: Path) -> str:
    """The pictures of one notebook, saved beside the page, each above its code."""
    link = f"[{source.stem}](../notebooks/{source.stem}.ipynb)"
    parts = [f"# {title(source)}", f"From the notebook {link}, which says what is shown."]
    for number, (picture, code) in enumerate(pictures(source)):
        file = folder / f"{source.stem}_{number}.png"
        file.write_bytes(picture)
        parts += [f"![a picture of {title(source)}]({file.name})", f"```python\n{code}\n```"]
    return "\n\n".join(parts) + "\n"


def title(source: Path) -> str:
    """The notebook's own first heading."""
    texts = ("".join(cell["source"]) for cell in json.loads(source.read_text())["cells"])
    return next(line.removeprefix("# ") for text in texts for line in text.splitlines() if line.startswith("# "))


def pictures(source: Path) -> Iterator[tuple[bytes, str]]:
    """Yields ``(PNG, code of its cell)``."""
    for cell in json.loads(source.read_text())["cells"]:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                yield base64.b64decode("".join(output["data"]["image/png"])), "".join(cell["source"])


def thumbnails(sources: list[Path], folder: Path, concepts: Path) -> Iterator[str]:
    """For each page the picture that has most to show, linked."""
    for source in sources:
        drawn = sorted(folder.glob(f"{source.stem}_*.png"), key=lambda file: file.stat().st_size)
        if drawn:
            name, page = title(source), f"{source.stem}.md"
            yield f"## [{name}]({page})\n\n[![{name}]({drawn[-1].name})]({page})\n"
    yield f"## [Concepts](concepts.md)\n\nThe {len(list(concepts.glob('*.py')))} small pictures of the concept pages.\n"


def draw(folder: Path) -> None:
    """Run each script of the folder and save the figure that it leaves beside it."""
    for file in sorted(folder.glob("*.py")):
        with pyplot.rc_context(STYLE):
            runpy.run_path(str(file))
            pyplot.savefig(file.with_suffix(".png"), dpi=130)
            pyplot.close("all")


def concepts(folder: Path) -> str:
    """The concept pages' pictures, drawn when the page is built, with their code."""
    parts = ["# Pictures of the concepts"]
    for file in sorted(folder.glob("*.py")):
        name = file.stem.replace("_", " ")
        parts += [f"## {name.capitalize()}", f"![the picture of {name}](../pictures/{file.stem}.png)"]
        parts.append(f"```{{literalinclude}} ../pictures/{file.name}\n:language: python\n```")
    return "\n\n".join(parts) + "\n"
