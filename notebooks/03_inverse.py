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
# # What do the sensors leave possible?
#
# Two inverse problems. First, **rock from pressures**: 60 sensors in a reservoir read the pressure, a prior that was
# learned from rocks knows what they look like, and rocks are drawn that fit. Then **your own equation in ten lines**,
# with nothing trained at all.
#
# `pip install -c constraints.txt -e .` is all that it needs.

# %%
import os

import numpy as np
import torch
from matplotlib import pyplot
from scipy.interpolate import RBFInterpolator

from sciencegen.energy import Residual
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.measure import Points
from sciencegen.observations import observe
from sciencegen.physics import Darcy
from sciencegen.priors import zoo
from sciencegen.sample import Multistep
from sciencegen.studies.pde.invert import levels, solve
from sciencegen.studies.pde.pairs import pair_layout, pairs
from sciencegen.tasks import Problem, invert

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 24))
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})

# %% [markdown]
# ## The rock
#
# `a` is a permeability of two values, 3 and 12; `u` is the pressure that Darcy's law makes of it, with a unit source
# everywhere and zero pressure at the walls. The true pair is one that the prior was not trained on. 60 sensors read
# the pressure with an error of 1 % of its rms; 20 more are held back for the judgement.

# %%
darcy, fields = Darcy(32), pairs(Darcy(32), 2000, seed=0)
layout, truth = pair_layout(darcy, fields), {name: value[-1] for name, value in pairs(darcy, 6, seed=1).items()}

rng = np.random.default_rng(0)
where, held_out = rng.uniform(0.02, 0.98, (60, 2)), rng.uniform(0.02, 0.98, (20, 2))
readings = observe(layout, truth, {"u": where}, noise=0.01, seed=0)
measure = readings.measure(layout)
check = Points("u", torch.tensor(held_out), [layout.variables["u"].coords[dim] for dim in ("x", "y")])
rms = float(truth["u"].square().mean().sqrt())

# %% [markdown]
# ## The posterior
#
# Nothing about the rock was measured. Its prior is over a hidden **level**, a Gaussian field whose sign says which of
# the two materials a place is of; how the level varies was learned from 20,000 rocks, in closed form, from how often
# two places are of one material. Rock is *derived* from the level, and the pressure from the rock, by the solver: a
# sample has two values and obeys the law exactly. A population of levels goes from the prior down to the data.

# %%
prior = zoo("darcy")
result = solve(prior, readings, darcy, COUNT, progress=False)
result

# %%
figure, _ = result.plot()

# %% [markdown]
# The spread is where the sensors say least: along the borders of the two rocks, whose exact course the pressure hardly
# feels. With an ensemble any question has an answer with a probability, such as the one that a driller asks:

# %%
rock = torch.tensor(result.samples["a"].values).double()
likely = (rock > 7.5).double().mean(0)

figure, panels = pyplot.subplots(1, 4, figsize=(13, 3.2), layout="constrained", sharey=True)
shown = {"truth": truth["a"] > 7.5, "probability of high permeability": likely,
         "one sample": rock[0] > 7.5, "another": rock[-1] > 7.5}
for panel, (title, image) in zip(panels, shown.items()):
    drawn = panel.imshow(image.double().T, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=1, cmap="cividis")
    panel.set(title=title, xlabel="x")
panels[1].scatter(*where.T, s=6, c="w", edgecolors="k", linewidths=0.4)
panels[0].set_ylabel("y")
bar = figure.colorbar(drawn, ax=panels)

# %% [markdown]
# ## Is it right?
#
# Two comparisons. A **plain interpolation** of the pressure (thin plates, with the walls' zeros) says nothing about the
# rock. A **Gaussian of pairs** is the best that linear statistics do with 2,000 of them. And the judge is Darcy's law
# itself: each sampled rock, made two-valued, is solved again, and its pressure is compared with the 20 sensors that
# nobody has seen.

# %%
linear = Gaussian.fit(layout.pack(**fields), rank=512, floor=1e-6)
steps = Multistep(levels(linear, 20, dtype=torch.float64))
plain = invert(Problem(layout, linear), measure, readings.data, readings.noise, steps, COUNT, torch.arange(COUNT),
               progress=False, truth=truth)
wall = np.linspace(0, 1, 17)
wall = np.concatenate([np.stack(side, 1) for value in (0 * wall, 0 * wall + 1)
                       for side in ((wall, value), (value, wall))])
plate = RBFInterpolator(np.concatenate([where, wall]), np.concatenate([readings.data, np.zeros(len(wall))]),
                        smoothing=1e-4)

unseen = check(u=truth["u"][None])[0]
print(f"{'':24} wrong rock   pressure at 20 unseen sensors, error / rms")
error = float((torch.tensor(plate(held_out)) - unseen).square().mean().sqrt()) / rms
print(f"{'thin plates':24} {'-':>10}   {100 * error:.1f} %")
for name, found in {"Gaussian of pairs": plain, "learned level": result}.items():
    a = torch.tensor(found.samples["a"].values).double()
    wrong = (((a > 7.5).double().mean(0) > 0.5) != (truth["a"] > 7.5)).double().mean()
    solved = check(u=darcy.solve(torch.where(a > 7.5, 12.0, 3.0).double()))
    error = (solved - unseen).square().mean(-1).sqrt().median() / rms
    print(f"{name:24} {100 * wrong:8.1f} %   {100 * error:.1f} %, re-solved from the rock (median sample)")

# %% [markdown]
# The rock is found better than by linear statistics; and the pressure at a new place better than by interpolation,
# since it is that of a rock.
#
# The same from a file of observations, with tables and the picture: `sciencegen invert darcy --data FILE.h5 --out DIR`,
# or `sciencegen invert darcy --example` to try it. An equation that is a class in a file of yours, with a law, a solver
# and a residual (CONTRIBUTING.md, *Add a PDE*), goes the same way: `sciencegen train wave:Wave`, then
# `sciencegen invert wave:Wave`.
#
# ## Your own equation in ten lines
#
# A cooling fin, 15 cm long, is 80 K above the air at its root. How well does each centimetre of it give off heat, if
# some of it may be fouled? The temperature obeys $k t\, T'' = 2 h\, T$ with an unknown $h(x)$, and twelve thermocouples
# read it to 0.2 K. Below is all that is particular to the fin: what the equation lacks, cell by cell in kelvin; a
# solver to simulate some fins with; and what coefficients one expects, their logarithm smooth about 40 W/m²K.

# %%
n, length, root, kt = 48, 0.15, 80.0, 200 * 0.002  # cells, m, K, W/K
x = (torch.arange(n, dtype=torch.float64) + 0.5) * length / n


def lack(log_h, T):
    """The heat that each cell of (*B, n) fails to balance, as a temperature; no flow through the tip."""
    before, after = torch.cat([2 * root - T[..., :1], T[..., :-1]], -1), torch.cat([T[..., 1:], T[..., -1:]], -1)
    return before - 2 * T + after - 2 * log_h.exp() / kt * (length / n) ** 2 * T


def solve(log_h):
    """T (*B, n) of log_h (*B, n): the balance is linear in T."""
    zero = torch.zeros(n, dtype=torch.float64)
    matrix = torch.stack([lack(log_h, zero + e) - lack(log_h, zero) for e in torch.eye(n, dtype=torch.float64)], -1)
    return torch.linalg.solve(matrix, -lack(log_h, zero.expand_as(log_h)))


def draw(count, seed):
    """Coefficients (count, n): a level for the whole fin, and patches of 2.5 cm."""
    smooth = torch.exp(-((x[:, None] - x) ** 2) / (2 * 0.025**2)) + 1e-8 * torch.eye(n)
    kicks = torch.randn(count, n + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return np.log(40) + 0.3 * kicks[:, :1] + 0.4 * kicks[:, 1:] @ torch.linalg.cholesky(smooth).mT


# %% [markdown]
# And these are the ten lines: a layout with units, a Gaussian prior fitted to simulated pairs, the equation as a law,
# the thermocouples, `invert`, `plot`. The prior knows the equation only on average, as a Gaussian can; its `floor`
# leaves each cell a tenth of its scale beside what 2,000 fins make likely. The law is what knows the equation exactly:
# it joins the measurements as 48 more, which read zero to within 1 mK.

# %%
grid = {"dims": ("x",), "coords": {"x": x.tolist()}}
layout = Layout(log_h=Variable((n,), np.log(40), 0.5, **grid), T=Variable((n,), 40.0, 20.0, units="K", **grid))
fins = layout.pack(log_h=draw(2000, seed=0), T=solve(draw(2000, seed=0)))
known = Gaussian.fit(fins, floor=1e-2)
law = Residual(lambda state: lack(**layout.unpack(state)), noise=1e-3)
couples = Points("T", torch.linspace(0.01, 0.145, 12)[:, None], axes=[x])
fin = {"log_h": draw(1, seed=1)[0], "T": solve(draw(1, seed=1))[0]}
readings = couples(T=fin["T"][None])[0] + 0.2 * torch.from_numpy(rng.standard_normal(12))
fine = Multistep(levels(known, 20, dtype=torch.float64))
seeds = torch.arange(COUNT)
found = invert(Problem(layout, known, law), couples, readings, 0.2, fine, COUNT, seeds, progress=False,
               truth=fin)
figure, _ = found.plot()

# %% [markdown]
# Does the law earn its place? Without it, the best is a Gaussian that keeps to what it has seen (no floor to speak of).
# It fits the readings as well, but its samples are no fins: solved again for their own coefficient, they leave the
# readings.

# %%
loose = invert(Problem(layout, Gaussian.fit(fins, floor=1e-6)), couples, readings, 0.2, fine, COUNT, seeds,
               progress=False, truth=fin)
print(f"{'':13} misfit / noise   solved again   T off its equation   error of log h   in the 90 % band")
for name, answer in {"without law": loose, "with law": found}.items():
    log_h, T = (torch.tensor(answer.samples[part].values) for part in ("log_h", "T"))
    again, band = solve(log_h), answer.posterior().log_h
    misfit = ((couples(T=again) - readings) / 0.2).square().mean(-1).sqrt().median()
    off = (T - again).abs().amax(-1).median()
    error = (log_h.mean(0) - fin["log_h"]).square().mean().sqrt()
    inside = (band.sel(statistic="lower") < fin["log_h"].numpy()) & (fin["log_h"].numpy() < band.sel(statistic="upper"))
    print(f"{name:13} {float(answer.data.misfit.median()):14.2f}   {misfit:12.2f}   {off:16.3f} K   {error:14.3f}   "
          f"{100 * float(inside.mean()):14.0f} %")

# %% [markdown]
# A trained network in place of the Gaussian pays where the unknown is far from Gaussian, as rock in channels is. The
# law is linearised anew at every step, so the more an equation bends, the more its samples want the check above: solve
# again.
