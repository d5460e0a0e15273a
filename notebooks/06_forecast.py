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
# # Forecasts
#
# From a file of trajectories to a forecast with scores, from a few sensors to what they leave possible, and from a
# forecast to the chance of what almost never happens. The system is linear and driven by noise, so that each answer can
# be held against the exact one.
#
# The same by commands: `sciencegen train field.nc --parts u --window 8 --periodic x --out mine`, then
# `sciencegen forecast mine/model --data field.nc --horizon 16 --out ahead` and
# `sciencegen assimilate mine/model --data sensors.csv --horizon 16 --out analysis`.

# %%
import math
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
import xarray
from matplotlib import pyplot

import sciencegen as sg
from sciencegen.metrics import effective_size
from sciencegen.physics import AdvectionDiffusion
from sciencegen.physics.fields import white
from sciencegen.symmetries import Shift

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 40))
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})
folder = tempfile.TemporaryDirectory()
file = Path(folder.name) / "field.nc"

# %% [markdown]
# ## A file
#
# A field drifts round a ring, diffuses, is damped, and is kicked by noise. Any file that `sciencegen data describe`
# reads will do; this one is netCDF with the axes `sample`, `time` and `x`.

# %%
system, frames = AdvectionDiffusion(64, frames=39), 40
start = system.draw(100)["a"]
path = torch.cat([start[:, None], system.kicked(start, white(64, 100, stream=2, dims=1, frames=39))], 1)
coords = {"time": system.frame * np.arange(frames), "x": system.parts["a"].coords["x"]}
xarray.Dataset({"u": (("sample", "time", "x"), path.float().numpy())}, coords).to_netcdf(file)

# %% [markdown]
# ## States and training
#
# A state is a window of 8 frames. Nothing is said of the equation; only that a shift of a solution is a solution, as
# likely as before. A prior of windows is also trained to be told its first frames, since that is how it forecasts.
# This system is linear: its data have nothing beyond their Gaussian, and the verdict of the training may say so.

# %%
states = sg.States(file, ["u"], length=8, symmetries=(Shift(("x",)),))
states

# %%
model = sg.train(states, sg.Training(steps=5 * COUNT, width=16), Path(folder.name) / "mine", progress=False)
print(model.training["verdict"])

# %% [markdown]
# ## A forecast and its scores
#
# Window after window, each drawn given the end of the last: 16 frames from two that are known, from two starts in each
# trajectory of the test split. The continuous ranked probability score (CRPS) of a perfect ensemble is known here.

# %%
held = torch.tensor(states.data["u"].values[states.test.samples])
truth = torch.cat([held[:, :18], held[:, 20:38]])
found = sg.forecast(model, truth[:, None, :2], horizon=16, members=max(COUNT, 20), seeds=torch.arange(max(COUNT, 20)),
                    progress=False)
came = {"u": truth[:, 2:18].numpy()}
scores = found.scores(came)
for lead in (1, 4, 16):
    at = scores["u"].isel(time=lead - 1)
    exact = math.sqrt(float(system.forecast(start[0], lead)[1][0, 0]) / math.pi)
    print(f"{lead:2} frames ahead: CRPS {float(at.sel(score='crps')):.3f}, exact {exact:.3f}; spread over skill "
          f"{float(at.sel(score='spread_skill')):.2f}; {float(at.sel(score='coverage')):.0%} of the truth within 90 %")
scores

# %%
found.plot(came)
pyplot.show()

# %% [markdown]
# ## Eight sensors
#
# Eight places are read at every frame, with an error of 0.1. What passes between two windows is what is believed of
# the frames that they share; so a smoother knows later readings too.

# %%
places, noise = np.arange(0, 64, 8), 0.1
field, x = truth[0, :16].double(), np.asarray(coords["x"])
where = np.array([(coords["time"][t], x[place]) for t in range(16) for place in places])
readings = field[:, places] + noise * torch.from_numpy(np.random.default_rng(0).standard_normal((16, 8)))
sensors = sg.Observations({"u": sg.Readings(where, readings.flatten().numpy(), noise)})
analysis = sg.assimilate(model, sensors, horizon=16, members=max(COUNT, 20), seeds=torch.arange(max(COUNT, 20)))
kalman = system.linear()
reads = torch.eye(64, dtype=torch.float64)[places]
best = kalman.smooth(kalman.filter(reads, noise, readings, range(16), 16))
mean = analysis.frames["u"][0].mean("member").values
error = float(np.sqrt(((mean - field.numpy()) ** 2).mean()))
print(f"error {error:.3f}, of the exact smoother {float((best.mean - field).square().mean().sqrt()):.3f}, "
      f"which expects {float(best.covariance.diagonal(dim1=-2, dim2=-1).mean().sqrt()):.3f}")
pyplot.figure(figsize=(7, 3), layout="constrained")
pyplot.plot(x, analysis.frames["u"][0, :20, 8].T, color="tab:blue", alpha=0.2)
pyplot.plot(x, field[8], color="black", label="truth")
pyplot.plot(x, best.mean[8], color="tab:orange", linestyle="--", label="exact smoother's mean")
pyplot.plot(x[places], readings[8], "o", color="tab:red", label="readings of that frame")
pyplot.legend(), pyplot.xlabel("x"), pyplot.ylabel("u, frame 8")
pyplot.show()

# %% [markdown]
# ## What almost never happens
#
# How likely is it that the field exceeds a level somewhere, 8 frames ahead? Of some thousand plain members perhaps one
# does. With an objective, members go where it is exceeded, and each comes with the weight that makes it a draw of the
# forecast again: the mean of the weights of those that exceed is the chance. The Gaussian inside of the prior is drawn
# in closed form, so that thousands cost nothing.

# %%
MANY, LEAD = 100 * COUNT, 8
now, inside = truth[:1, None, :2], sg.Problem(model.layout, model.energy.gaussian())
plain = sg.forecast(inside, now, LEAD, MANY, seeds=torch.arange(MANY), progress=False)
top = plain.frames["u"][0, :, -1].max("x").values
level = float(np.quantile(top, 0.5)) + 2.3
missing = lambda u: (level - u[:, -1].amax(-1)).clamp_min(0)
tilted = sg.forecast(inside, now, LEAD, MANY, objective=missing, weight=60.0, seeds=torch.arange(MANY), progress=False)
over = torch.tensor(tilted.frames["u"][0, :, -1].max("x").values > level)
weights = torch.tensor(tilted.weights[0]).exp() * over
print(f"level {level:.2f}: chance {float(weights.mean()):.2e}, told by {int(over.sum())} of {MANY} members that exceed "
      f"it, worth {float(effective_size(weights)):.0f} equal ones; {int((top > level).sum())} plain members do")
exact, covariance = system.forecast(truth[:1, 1].double(), LEAD)
draws = exact + torch.from_numpy(np.random.default_rng(1).standard_normal((500_000, 64))) @ torch.linalg.cholesky(
    covariance).mT
print(f"of 500,000 exact draws {float((draws.amax(-1) > level).double().mean()):.2e}")
pyplot.figure(figsize=(7, 3), layout="constrained")
pyplot.plot(x, tilted.frames["u"][0, :, -1].values[over.numpy()][:20].T, color="tab:red", alpha=0.4)
pyplot.plot(x, plain.frames["u"][0, :20, -1].T, color="tab:blue", alpha=0.2)
pyplot.axhline(level, color="black", linewidth=0.8)
pyplot.xlabel("x"), pyplot.ylabel("u, 8 frames ahead")
pyplot.show()

# %%
folder.cleanup()
