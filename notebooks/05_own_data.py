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
# # Your own data
#
# From a file of simulations to a trained prior, and from the prior to answers: what do a few sensors leave possible,
# which start leads where one wants, and what about a longer time than the network has ever seen.
#
# The same by commands: `sciencegen train pollutant.h5 --parts tensor,viscosity --window 4 --periodic x --out mine`,
# then `sciencegen invert mine/model --data sensors.h5` and `sciencegen design mine/model --objective mine.py`.

# %%
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from matplotlib import pyplot

from sciencegen.compose import chain
from sciencegen.measure import Points
from sciencegen.sample import Multistep
from sciencegen.states import States
from sciencegen.studies.pde.invert import levels
from sciencegen.symmetries import Shift
from sciencegen.tasks import Constraint, Problem, design, invert
from sciencegen.train import Training, train

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 40))
SAMPLES, STEPS = max(COUNT, 4), 15 * COUNT
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})
folder = tempfile.TemporaryDirectory()
file = Path(folder.name) / "pollutant.h5"

# %% [markdown]
# ## A file
#
# A pollutant drifts along a periodic canal and diffuses, each time with another viscosity. The file is written by plain
# h5py, in the layout of PDEBench: `tensor (sample, time, x)`, the axes, and a number a sample. Any file that
# `sciencegen data describe` reads will do.

# %%
random, cells, frames = np.random.default_rng(0), 32, 10
x, times = (np.arange(cells) + 0.5) / cells, 0.05 * np.arange(frames)
k = np.fft.rfftfreq(cells, 1 / cells)
rough = random.standard_normal((80, cells))
fields = np.fft.irfft(np.fft.rfft(rough) * np.exp(-(k**2) / 18), cells)
start = np.exp(fields / fields.std())
viscosity = 10 ** random.uniform(-3, -2, len(start))
decay = viscosity[:, None, None] * (2 * np.pi * k) ** 2 + 2j * np.pi * k
tensor = np.fft.irfft(np.fft.rfft(start)[:, None] * np.exp(-decay * times[:, None]), cells)
with h5py.File(file, "w") as stored:
    stored["tensor"], stored["viscosity"] = tensor.astype("f4"), viscosity.astype("f4")
    stored["x-coordinate"], stored["t-coordinate"] = x.astype("f4"), times.astype("f4")

# %% [markdown]
# ## States and training
#
# A state is a window of 4 frames and the viscosity. No trajectory is in two splits. What is the same after a shift is
# said by a symmetry. `marginals` names what the prior is to know by itself: two frames and the viscosity, which is what
# neighbouring windows of a longer time share; `given` what it is to know exactly: the viscosity.

# %%
states = States(file, ["tensor", "viscosity"], length=4, symmetries=(Shift(("x",)),))
states

# %%
shared = (("tensor", 2), "viscosity")
how = Training(steps=STEPS, width=16, marginals=(shared,), given=(("viscosity",),))
model = train(states, how, Path(folder.name) / "mine", progress=False)
print(model.training["verdict"])

# %% [markdown]
# The card says how well the prior denoises held-out data beside its own Gaussian, and whether its intervals hold what
# they promise.

# %%
print(model.card[model.card.index("## Denoising"): model.card.index("## Training")])

# %% [markdown]
# ## What do a few sensors leave possible?
#
# Six places are read at two times, with an error of 5 %. The truth is a trajectory of the test split.

# %%
truth = {name: value[0] for name, value in states.test.physical([0]).items()}
places = random.uniform(0, cells - 1, 6)
measure = Points("tensor", torch.tensor([[frame, place] for frame in (0, 3) for place in places]))
noise = 0.05 * float(model.layout.scale[0])
clean = measure(**{name: value[None].double() for name, value in truth.items()})[0]
data = (clean + noise * torch.from_numpy(random.standard_normal(len(clean)))).float()
problem = Problem(model.layout, model.energy)
sampler = Multistep(levels(model.energy, 12))
found = invert(problem, measure, data, noise, sampler, SAMPLES, torch.arange(SAMPLES), progress=False)
print(found.message)
low, high = (found.samples["viscosity"].quantile(q).item() for q in (0.05, 0.95))
print(f"viscosity {float(truth['viscosity']):.4f}, between {low:.4f} and {high:.4f}")
pyplot.plot(x, found.samples["tensor"][:, -1].T, color="tab:blue", alpha=0.2)
pyplot.plot(x, truth["tensor"][-1], color="black", label="truth")
pyplot.plot(x[np.round(places).astype(int)], data[6:], "o", color="tab:red", label="readings")
pyplot.legend(), pyplot.xlabel("x"), pyplot.ylabel("concentration, last frame")
pyplot.show()

# %% [markdown]
# ## Which start leads where one wants?
#
# In the last frame the middle of the canal should be as clean as possible, and no less of the pollutant be there in all
# than in the mean; a concentration is not negative. An objective is a torch function of the parts by their names; a
# constraint is at most zero.

# %%
least = float(tensor.mean())
clean_middle = lambda tensor, viscosity: tensor[:, -1, cells // 2 - 3: cells // 2 + 3].mean(-1)
enough = lambda tensor, viscosity: least - tensor[:, 0].mean(-1)
positive = lambda tensor, viscosity: -tensor.flatten(1).amin(-1)
designs = design(problem, clean_middle, 5.0, sampler, SAMPLES, constraints=[enough, Constraint(positive, 0.1)],
                 seeds=torch.arange(SAMPLES), progress=False)
mean = float(clean_middle(torch.tensor(tensor), None).mean())
print(f"{int(designs.success.sum())} of {SAMPLES} are feasible; the middle has {designs.fun[0]:.2f} in the best and "
      f"{mean:.2f} in the mean of the file")
pyplot.plot(x, designs.samples["tensor"][:3, 0].T, color="tab:green", label="start")
pyplot.plot(x, designs.samples["tensor"][:3, -1].T, color="tab:orange", label="end")
pyplot.xlabel("x"), pyplot.ylabel("concentration of the three best")
pyplot.show()

# %% [markdown]
# ## A longer time than trained on
#
# Windows that overlap by two frames, minus the overlaps: energies add, so the prior of 10 frames is a sum of priors of
# 4 and of 2. Readings of the first and of the last frame then speak about all that lies between.

# %%
layout = model.layout.grown("tensor", length=frames)
longer = chain(model.energy, layout, 2)
whole = torch.from_numpy(tensor[int(states.test.samples[0])])
far = Points("tensor", torch.tensor([[frame, place] for frame in (0, frames - 1) for place in places]))
seen = far(tensor=whole[None], viscosity=torch.ones(1, dtype=torch.float64))[0].float()
between = invert(Problem(layout, longer), far, seen, noise, sampler, SAMPLES, torch.arange(SAMPLES), progress=False)
figure, axes = pyplot.subplots(1, 3, sharey=True, figsize=(9, 3))
for ax, frame in zip(axes, (0, frames // 2, frames - 1)):
    ax.plot(x, between.samples["tensor"][:, frame].T, color="tab:blue", alpha=0.2)
    ax.plot(x, whole[frame], color="black")
    ax.set_title(f"frame {frame}"), ax.set_xlabel("x")
pyplot.show()

# %%
folder.cleanup()
