"""The contents of the API pages: every public name under the question that it belongs to, and the packages."""

from pathlib import Path

import sciencegen

GROUPS = {
    "States: what an answer is made of": ("layout", "states", "io"),
    "Energies": ("energy", "exact", "guide", "moments"),
    "Trained priors": ("train", "priors"),
    "Samplers": ("sample", "mcmc"),
    "Measurements": ("measure", "observations"),
    "Questions and answers": ("tasks", "problem", "result", "forecasts"),
}  # fmt: skip
PACKAGES = (
    "compose", "linear", "constrain", "symmetries", "metrics", "io", "states", "train", "priors", "priors.adapt",
    "nets", "physics", "airfoil", "solvers", "solvers.at_lift", "solvers.umbridge", "studies.study", "studies.stages",
    "mcmc", "sample", "random", "calls", "energy",
)  # fmt: skip
INDEX = """# API

What stands in `sciencegen.__all__` is public: it is imported as `import sciencegen as sg`, loaded when it is first
used, and a change of it is in the changelog. Its [packages](packages.md) are documented, too, but may still move
between versions.
"""


def write(folder: Path) -> None:
    """Write index.md and packages.md into the folder; the page of a name is made by autosummary."""
    folder.mkdir(exist_ok=True)
    homes = sciencegen._HOME
    groups = GROUPS | {"More": tuple(set(homes.values()) - {home for group in GROUPS.values() for home in group})}
    parts = [INDEX]
    for title, modules in groups.items():
        names = [f"train.{name}" if name == "train" else name for name, home in homes.items() if home in modules]
        parts += [f"## {title}\n", summary(names, "sciencegen")] if names else []
    parts.append("```{toctree}\n:hidden:\n\npackages\n```\n")
    (folder / "index.md").write_text("\n".join(parts))
    about = "# Packages\n\nWhat stands in the `__all__` of each package and not in [the package's own](index.md).\n\n"
    (folder / "packages.md").write_text(about + summary([f"sciencegen.{name}" for name in PACKAGES]))


def summary(names: list[str], module: str | None = None) -> str:
    """A table of names with a page each."""
    current = f".. currentmodule:: {module}\n" if module else ""
    listed = "\n".join(f"   {name}" for name in names)
    return f"```{{eval-rst}}\n{current}.. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{listed}\n```\n"
