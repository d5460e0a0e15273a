"""Settings of Sphinx: ``python -m sphinx -W docs docs/_build``. Nothing is fetched; only small pictures are drawn."""

import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import api_pages  # noqa: E402
import gallery_pages  # noqa: E402

from benchmarks import summary  # noqa: E402
from sciencegen import __all__, __version__  # noqa: E402

project, author, release = "sciencegen", "the sciencegen authors", __version__
copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
templates_path = ["templates"]

html_theme, html_title = "pydata_sphinx_theme", "sciencegen"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_sidebars = {"start": [], "index": []}
html_theme_options = {
    "show_prev_next": False, "navigation_with_keys": False, "header_links_before_dropdown": 8,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"], "footer_start": ["copyright"], "footer_end": [],
}  # fmt: skip

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are shown as they were committed; a test runs them
nb_merge_streams = True

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = True
autosummary_imported_members, autosummary_ignore_module_all = True, False
autosummary_context = {"public": __all__}  # a name has one page: those of the package's own face are not repeated
napoleon_numpy_docstring = False
napoleon_use_rtype = False
default_role = "code"
python_maximum_signature_line_length = 100

html_math_renderer = "mathml"


def inline(translator, node: nodes.math) -> None:
    """A formula in a line as MathML, which browsers draw themselves; MathJax would be fetched from elsewhere."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def block(translator, node: nodes.math_block) -> None:
    """A formula of its own, in the same way; lines that align as a table."""
    text = node.astext().strip()
    aligned = f"\\begin{{align}}{text}\\end{{align}}" if "\\\\" in text or "&" in text else text
    translator.body.append(f'<div class="formula">{tex2mathml(aligned, as_block=True)}</div>')
    raise nodes.SkipNode


def generate(app: Sphinx, config: object) -> None:
    """The pages that nobody writes: names, benchmarks of their saved tables, the gallery of notebooks and pictures.

    Before Sphinx looks for pages: those that it finds later have no stubs made of the names on them.
    """
    api_pages.write(HERE / "api")
    summary.pages(HERE / "benchmarks", summary.records())
    gallery_pages.write(HERE, HERE.parent / "notebooks")


def untold(app: Sphinx, what: str, name: str, member: object, skip: bool, options: object) -> bool | None:
    """Leave out fields of which Python alone says something: "Alias for field number 0"."""
    return True if (getattr(member, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> None:
    """Sphinx's door."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("autodoc-skip-member", untold)
    app.connect("config-inited", generate)
