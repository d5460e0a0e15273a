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
# # Airfoil design in five minutes
#
# A trained prior knows airfoils and their polars, **one operating condition at a time**. This notebook composes it over
# three conditions in one line, designs airfoils for them, and has the best confirmed by XFOIL.
#
# `pip install -c constraints.txt -e '.[aero]'` is all that it needs; XFOIL is optional. Set `COUNT` to how many designs
# you want.

# %%
import os

import torch
from matplotlib import pyplot

from sciencegen.airfoil import cst
from sciencegen.airfoil.conditions import Point, Requirements
from sciencegen.exact import Gaussian
from sciencegen.priors import zoo
from sciencegen.result import Result
from sciencegen.studies.airfoil import choice, report
from sciencegen.studies.airfoil.picture import draw
from sciencegen.studies.airfoil.study import AirfoilStudy, compose

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 32))
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})

# %% [markdown]
# ## The prior, and what its state is made of
#
# A `Layout` says which numbers of the flat state `x` are what, and in which units. Here: 18 shape numbers, lift, log
# drag, moment and confidence over 25 angles of attack, and the Reynolds number.

# %%
prior = zoo("airfoil")
for name, variable in prior.layout.variables.items():
    print(f"{name:7}{str(variable.shape):9} {', '.join(variable.dims)}")
prior.layout

# %% [markdown]
# ## Three conditions at once: one line
#
# Given the shape, conditions are independent: `p(s, y1, y2, y3) = p(s, y1) p(s, y2) p(s, y3) / p(s)^2`. Energies are
# `-log p`, so the formula is a sum, and the shape that was counted three times is taken off twice. `compose` below does
# the same for any number; whatever it is, a score costs one call of the network.

# %%
many, _ = compose(prior.layout, prior.energy, 3)  # the layout: one shape, three polars, three Reynolds numbers
shape, op = many["shape"], many["polar"].each() & many["log_re"].each()
shape_prior = prior.energy.marginal(prior.layout["shape"])

three = prior.energy.on(shape & op) - 2 * shape_prior.on(shape)
three

# %% [markdown]
# Anything that has an energy can be added. You like your airfoils near one that you know? Add a Gaussian about it:
#
# `three + Gaussian(mean, cov).on(shape)`

# %%
three + Gaussian(torch.zeros(18), 4 * torch.ones(18)).on(shape)

# %% [markdown]
# ## Design
#
# The question: operating points (lift, Reynolds number) and what the airfoil must keep to. `run` samples the composed
# energy under the objective, refines each sample by NeuralFoil's exact gradients, judges them and sorts: best first.

# %%
points = (Point(0.4, 3e6), Point(0.8, 1.5e6), Point(1.2, 1e6))
study = AirfoilStudy(prior.layout, prior.energy, points, Requirements(thickness=0.12, cm=-0.133))
result = study.run(COUNT, seeds=torch.arange(COUNT))  # seeds: the same ones give the same designs
print(result)

# %% [markdown]
# In a notebook, a `Result` shows its samples as an `xarray.Dataset`: named dims, physical units.

# %%
result

# %%
figure, axes = result.plot()

# %% [markdown]
# The best side by side, their polars by Reynolds number, and drag beside unguided samples of the prior:

# %%
figure, axes = draw(result, points, report.baselines(study, count=COUNT), None)

# %% [markdown]
# ## Your own objective
#
# Any torch function of `shape (*B, 18)` and of `cd, cm, confidence (*B, K)` at the operating points that gives one
# positive number a design. Here the climb, at a lift of 1.2, counts eight times:

# %%
def climb_first(cd, **_):
    """Drag weighted towards the third point."""
    return (cd * torch.tensor([0.1, 0.1, 0.8])).sum(-1)


climber = AirfoilStudy(prior.layout, prior.energy, points, study.requirements, climb_first)
climbing = climber.run(COUNT, seeds=torch.arange(COUNT))

for name, found in (("mean drag", result), ("climb first", climbing)):
    counts = 1e4 * found.samples.cd[0].values
    print(f"{name:12} drag counts at the three points: " + ", ".join(f"{c:.1f}" for c in counts))

# %%
figure, axes = pyplot.subplots(figsize=(8, 2.2), layout="constrained")
for name, found in (("mean drag", result), ("climb first", climbing)):
    axes.plot(*cst.outline(torch.tensor(found.samples["shape"].values[0])).T, label=name)
axes.set(aspect="equal", xlabel="x / chord")
legend = axes.legend(frameon=False)

# %% [markdown]
# ## Keep it

# %%
path = result.save("five_minutes.nc")
again = Result.load(path)
path.unlink()
again.samples.identical(result.samples)

# %% [markdown]
# ## Ask a real program
#
# NeuralFoil judged the designs; XFOIL has the last word where it is installed. A point that it does not confirm is
# `NaN`, never a guess, and the message says why.

# %%
best = result.samples.isel(sample=slice(3)).assign(fun=("sample", result.fun[:3]))
verified = choice.confirm(study, best, best=3)
print(verified.xfoil_cd.attrs["message"])
for i in range(best.sizes["sample"]):
    ours, theirs = 1e4 * result.fun[i], 1e4 * verified.xfoil_fun.values[i]
    print(f"design {i + 1}: NeuralFoil {ours:.1f} counts, XFOIL {theirs:.1f}")
