# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own solver in the loop
#
# A hydrofoil cavitates where its surface pressure falls too low. No trained model here knows pressures, but you have a
# code that does. This notebook makes it a `Solver` in ten lines, lets it **judge** designs, runs it over a **campaign**
# of cases that survives crashes, hangs and `kill -9`, and reads the results as one table.
#
# `pip install -c constraints.txt -e '.[aero]'` is all that it needs.

# %%
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot

from sciencegen.airfoil import cst
from sciencegen.layout import Layout
from sciencegen.priors import zoo
from sciencegen.sample import Heun, karras
from sciencegen.solvers import Isolated, Judge, SolverResult, Status, load_simulations, map_simulations
from sciencegen.tasks import Constraint, Problem, design

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 32))
FOLDER = tempfile.TemporaryDirectory()  # your own directory, where you mean to keep what is computed
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})

# %% [markdown]
# ## A solver in ten lines
#
# A solver is any function of named physical parts that returns a `SolverResult`: a status, values, fields. This one is
# a panel code after Hess and Smith: a source on each panel, one vortex strength for all, no flow through the wall, and
# smooth flow off the trailing edge.

# %%
def panels(coordinates, alpha):
    """Lift, least pressure and pressure distribution of an outline (n, 2) at an angle in degrees, without friction."""
    z = coordinates @ [1, 1j]
    middle, step = (z[1:] + z[:-1]) / 2, np.diff(z)
    along = step / abs(step)
    seen = np.log((middle[:, None] - z[:-1]) / (middle[:, None] - z[1:])) / along / (2 * np.pi)
    np.fill_diagonal(seen, 0.5j / along)  # a panel sees itself from outside
    stream, source = along * np.exp(-1j * np.radians(alpha)), along[:, None] * seen
    flow = np.column_stack([source, -1j * source.sum(1)])
    matrix = np.vstack([flow.imag, (flow[0] + flow[-1]).real])
    strength = np.linalg.solve(matrix, -np.append(stream.imag, (stream[0] + stream[-1]).real))
    cp = 1 - (stream + flow @ strength).real ** 2
    values = {"cl": -2 * strength[-1] * abs(step).sum(), "cp_min": cp.min()}
    return SolverResult(Status.CONVERGED, values, {"x": middle.real, "cp": cp})


# %% [markdown]
# Trust it? A circle without lift has a least pressure of exactly -3.

# %%
turn = np.linspace(0, 2 * np.pi, 201)
circle = panels(np.stack([np.cos(turn), np.sin(turn)], axis=1) / 2, alpha=0.0)
print(f"lift {circle['cl']:.4f}, least pressure {circle['cp_min']:.4f}")

# %% [markdown]
# A program of yours that reads and writes files is coupled in the same way: `subprocess.run` in a temporary directory,
# and one `SolverResult` for each way in which it ends. `sciencegen.solvers.XFOIL` and `OpenFOAM` are such.
#
# ## The solver as judge
#
# The question: foils at least 12 % thick that carry a lift of 0.5 with the least suction. The prior knows what airfoils
# look like; a preference for thin ones guides the samples; the panel code has the last word. Our solver wants an angle
# and the question is about a lift, which in a flow without friction takes three calls:

# %%
def at_lift(coordinates, cl):
    """The same at a lift."""
    low, high = panels(coordinates, 0.0), panels(coordinates, 5.0)
    return panels(coordinates, 5 * (cl - low["cl"]) / (high["cl"] - low["cl"]))


def ask(shape):
    """A design's parts, as numpy arrays, made a case of the solver's."""
    return {"coordinates": cst.outline(torch.tensor(shape).double(), 61).numpy(), "cl": 0.5}


trained = zoo("airfoil")
layout = Layout(shape=trained.layout.variables["shape"])
problem = Problem(layout, trained.energy.marginal(trained.layout["shape"]).on(layout["shape"]))
thick = Constraint(lambda shape, **_: 0.12 - cst.max_thickness(shape), tolerance=2e-3, gain=0.03)

judge = Judge(at_lift, score=lambda result: -result["cp_min"], ask=ask, out=Path(FOLDER.name) / "judged")
result = design(problem, lambda shape, **_: cst.max_thickness(shape), 10.0, Heun(karras(30, low=0.01)), COUNT,
                judge=judge, constraints=[thick], seeds=torch.arange(COUNT))
result

# %% [markdown]
# Best first, by the panel code. A case that fails scores `NaN` and is no success; nothing is made up. Because of
# `out=`, the judge's answers are on disk: run the cell again and no case is solved twice.

# %%
ranks = np.argsort(~result.success, kind="stable")[[0, COUNT // 4, COUNT // 2]]  # thick enough first
for rank in ranks:
    print(f"design {rank + 1:2}: suction peak {result.fun[rank]:.3f}")

figure, axes = pyplot.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
for rank in ranks:
    case = ask(result.samples["shape"].values[rank])
    solved = at_lift(**case)
    axes[0].plot(*case["coordinates"].T, label=f"design {rank + 1}")
    axes[1].plot(solved.fields["x"], -solved.fields["cp"])
axes[0].set(aspect="equal", xlabel="x / chord", ylabel="y / chord")
axes[1].set(xlabel="x / chord", ylabel="suction, -cp", title="at a lift of 0.5")
legend = axes[0].legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.02), ncols=3)

# %% [markdown]
# ## A campaign that survives
#
# How wide is each foil's bucket, the range of lifts without cavitation? That is many cases, and real programs crash and
# hang. Here two cases will crash in a way that no `except` catches, and one never ends. `Isolated` gives each case a
# process of its own and a limit of time, on any executor.

# %%
@dataclass(frozen=True)
class Moody:
    """The panel code, with the habits of an old program."""

    def __call__(self, coordinates, alpha, mood):
        if mood == "crash":
            os._exit(139)
        while mood == "hang":
            time.sleep(1)
        return panels(coordinates, alpha)


moods = {(1, 5): "crash", (2, 5): "crash", (0, 3): "hang"}
angles = np.linspace(-4, 6, 11)
cases = [{"coordinates": ask(result.samples["shape"].values[rank])["coordinates"], "alpha": alpha,
          "mood": moods.get((i, j), "fine")} for i, rank in enumerate(ranks) for j, alpha in enumerate(angles)]

out = Path(FOLDER.name) / "buckets"
results = map_simulations(Isolated(Moody(), timeout=2), cases, out=out)
table = load_simulations(out)
table[["cl", "cp_min", "status"]].to_dataframe().drop(columns=["asked_mood"]).iloc[:8]

# %% [markdown]
# `load_simulations` reads the directory at any time, also while the campaign runs or after it was killed: an
# `xarray.Dataset` over `case`, with values, fields, inputs, statuses and logs; `NaN` where there is no number.

# %%
for status, number in zip(*np.unique(table.status, return_counts=True)):
    print(f"{number:3} {status}")
print(*{log for log in table.log.values if log}, sep="\n")

# %% [markdown]
# A second run with the same `out` goes on where the first was stopped. Here that was the end, so it solves nothing and
# only reads. Other cases, or another solver, in the same directory are refused:

# %%
start = time.perf_counter()
again = map_simulations(Isolated(Moody(), timeout=2), cases, out=out)
print(f"{len(again)} results again, solved anew: {sum(r.wall_s != s.wall_s for r, s in zip(again, results))}")
try:
    map_simulations(Isolated(Moody(), timeout=2), [case | {"alpha": 0.0} for case in cases], out=out)
except ValueError as error:
    print(str(error).replace(FOLDER.name, "..."))

# %%
figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
lift, peak = (table[name].values.reshape(len(ranks), -1) for name in ("cl", "cp_min"))
for i, rank in enumerate(ranks):
    axes.plot(-peak[i], lift[i], "o-", ms=4, label=f"design {rank + 1}")
axes.set(xlabel="suction peak, -cp", ylabel="lift", title="cavitation buckets; a failed case is a gap")
legend = axes.legend(frameon=False)

# %% [markdown]
# The design that was judged best at a lift of 0.5 stays so at higher lifts; near zero lift, which nobody asked for, the
# order turns. The three gaps are the cases that failed, and nothing else was lost with them.
#
# ## On a cluster
#
# `executor` is anything with `submit`, as `concurrent.futures` has it. On a SLURM site, with
# [submitit](https://github.com/facebookincubator/submitit):
#
# ```python
# executor = submitit.AutoExecutor("logs")
# executor.update_parameters(slurm_partition="cpu", timeout_min=60, cpus_per_task=1)
# results = map_simulations(Isolated(solver, timeout=3000), cases, executor, out="campaign")
# ```
#
# With Dask, `executor` is a `distributed.Client`. Airfoils of the main job are confirmed by another program with
# `sciencegen verify RUN --solver openfoam`.

# %%
FOLDER.cleanup()
