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
# # Longer and more than the prior has seen
#
# A prior knows flights of **two** discs in a box over **24** frames. This notebook asks it for four and for eight, and
# for longer: one line of algebra. First where the answer is known in closed form, then on the discs, where a solver
# has the last word.
#
# `pip install -c constraints.txt -e .` is all that it needs.

# %%
import os

import pandas
import torch
from matplotlib import pyplot

from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.mcmc import HMC
from sciencegen.priors import zoo
from sciencegen.sample import Ancestral, Euler, karras
from sciencegen.studies.nbody.compose import compose, few_steps
from sciencegen.studies.nbody.picture import draw
from sciencegen.studies.nbody.study import NBodyStudy, to_centre

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 4))
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})

# %% [markdown]
# ## Counting right
#
# A Markov chain of 12 numbers, of which only windows of 4 are known. Neighbouring windows share two numbers, and
# `p(long) = product of p(window) / product of p(overlap)`: energies are `-log p`, so that is a difference of two sums.

# %%
def chain(length, rho=0.9):
    """A stationary chain of unit variance, neighbours correlated by rho."""
    steps = torch.arange(length, dtype=torch.float64)
    return Gaussian(torch.zeros(length).double(), rho ** (steps[:, None] - steps).abs())


u = Layout(u=(12,))["u"]
right = chain(4).on(u.windows(4, 2)) - chain(2).on(u[2:-2].windows(2, 2))
right

# %% [markdown]
# At sigma = 0 that is the joint energy, exactly. But noise blurs windows one by one, and the sum of blurred energies
# is not the blurred sum: a sampler that only steps down ends up elsewhere, however small its steps. A few steps of a
# kernel at each noise level bring it nearer. Counting every window in full, overlaps and all, is wrong from the start.

# %%
x = torch.randn(3, 12, dtype=torch.float64)
zero = torch.tensor(0.0).double()
difference = (right.score(x, zero) - chain(12).score(x, zero)).abs().max()
print(f"difference of the scores at sigma 0: {float(difference):.1e}")

levels = karras(40, low=0.02, high=20.0, dtype=torch.float64)
walk = HMC(lambda sigma: 0.5 * sigma / (1 + sigma**2).sqrt(), adjusted=False, repeats=8)
rows = {}
for name, energy in (("windows, all counted", chain(4).on(u.windows(4, 2))), ("windows minus overlaps", right)):
    for how, sampler in (("flow (ODE)", Euler(levels)), ("stochastic", Ancestral(levels)),
                         ("stochastic, corrected", Ancestral(levels, walk))):
        seeds = torch.arange(2000)
        cov = torch.cov(sampler(energy, sampler.start(2000, 12, seeds), seeds).mT)
        rows[name, how] = float((cov - chain(12).cov).abs().max())
pandas.Series(rows, name="largest error of the covariance").unstack().round(2)

# %% [markdown]
# ## Discs in a box
#
# The trained prior: `trajectory (24 frames, 2 bodies, 4 features)` in box units, and what it knows of parts: one body,
# shorter windows. Four bodies are all pairs minus what each body was counted too often (Bethe), each a chain of windows
# minus overlaps.

# %%
prior = zoo("nbody")
prior.energy.requires_grad_(False)
layout, four = compose(prior.layout, prior.energy, frames=44, bodies=4)
print(layout)
for weight, term in zip(four.weights, four.energies):
    print(f"{weight:+.0f}  {term.view}, {len(term.view.rows.flatten(0, -2))} copies")

# %% [markdown]
# ## Design
#
# From where do the discs fly to the centre? Each of them at the data's speed, none inside another. `Study` samples the
# composed prior under the objective, plays the ends that it imagines backwards, and refines the best starts by
# gradients through the solver.

# %%
results = {}
for bodies in (2, 4, 8):
    study = NBodyStudy(prior.layout, prior.energy, bodies, frames=24, sampler=few_steps(12, 1), rollouts=40)
    results[bodies] = study.run(COUNT, seeds=torch.arange(COUNT))
results[4]

# %% [markdown]
# Above what the network imagined, with the solver's way from its start dotted; below the refined design.

# %%
figure, axes = draw(results[2].samples, study.system, best=3)

# %%
figure, axes = draw(results[4].samples, study.system, best=3)

# %%
figure, axes = draw(results[8].samples, study.system, best=3)

# %% [markdown]
# How much each step is worth: mean distance from the centre in the last frame. A random start ends 0.31 to 0.33 away;
# discs at rest round the centre could not be nearer than 0.100, 0.137 and 0.193. Believe the network's own word only
# where the solver's agrees.

# %%
def ends(bodies, name):
    """The objective by the solver, from the first frame of a trajectory, of samples that did not diverge."""
    start = torch.tensor(results[bodies].samples[name].values[results[bodies].success, 0]).double()
    return to_centre(study.system.solve(start, 24)).mean().item()


pandas.DataFrame({
    "network's own word": {n: to_centre(torch.tensor(r.samples["imagined"].values[r.success])).mean().item()
                           for n, r in results.items()},
    "its starts, solved": {n: ends(n, "imagined") for n in results},
    "refined, solved": {n: ends(n, "trajectory") for n in results}}).rename_axis("bodies").round(3)

# %% [markdown]
# Of a pair alone the prior cannot know that a third disc turned one of the two. A composed sample therefore avoids
# contacts between bodies, which suits this question: all meet only at the end.
