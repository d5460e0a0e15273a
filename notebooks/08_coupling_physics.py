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
# # Coupled physics
#
# Two physics, each with a solver or a trained prior of its own, that were never run together. There are two questions:
#
# - **Deterministic parts**: $u = F(v)$ and $v = G(u)$. Where do they agree? `sg.settle` finds the zeros of the sum of
#   both residuals: all branches, or that there is no solution.
# - **Random fields**: $p(u \mid v)$ and $p(v \mid u)$, each learned on its own. What is $p(u, v)$? `sg.couple` makes it
#   one problem, that is sampled, inverted and forecast as any other.
#
# The same by a command: `sciencegen couple u=rod:temperature q=rod:Program --given load=200 --shape u=32 --shape q=32`.

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import xarray
from matplotlib import pyplot

import sciencegen as sg
from sciencegen.coupling import residuals, solved

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 64))
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})
kept = tempfile.TemporaryDirectory()
folder = Path(kept.name)

# %% [markdown]
# ## Two solvers of your own
#
# A rod conducts heat between two cold walls, $-u'' = q$. That is a torch function here, and knows its gradients. What
# heats the rod is another program, which knows the temperature and says the source, $q = s \, e^{-u}$: here a script
# that reads a file and writes a file, as a simulation code does. It has no gradients, and solves one case a run.

# %%
N = 32
x = np.linspace(0, 1, N + 2)[1:-1]
minus_second = (N + 1) ** 2 * (2 * np.eye(N) - np.eye(N, k=1) - np.eye(N, k=-1))
green = torch.linalg.inv(torch.as_tensor(minus_second))


def temperature(q, **_):
    return q.double() @ green.mT


(folder / "source.py").write_text("""
import math, sys
load, *u = map(float, open(sys.argv[1]).read().split())
open(sys.argv[2], "w").write(" ".join(repr(load * math.exp(-t)) for t in u))
""")
runs = []


def program(u, load):
    runs.append(0)
    (folder / "in").write_text(" ".join(map(repr, [float(load), *u.tolist()])))
    subprocess.run([sys.executable, folder / "source.py", folder / "in", folder / "out"], check=True)
    return [float(word) for word in (folder / "out").read_text().split()]


def source(u, load):
    return torch.tensor([program(*case) for case in zip(u.detach(), load.detach())], dtype=torch.float64)


# %% [markdown]
# At a load of 200 a small error is -1.95 times as large after each round from solver to solver: going back and forth
# never arrives. `settle` learns from the rounds how the answer of one changes that of the other (as IQN-ILS in preCICE
# does), and needs no gradient for it.

# %%
layout = sg.Layout(u=sg.Variable((N,), dims=("x",), coords={"x": x}),
                   q=sg.Variable((N,), scale=100.0, dims=("x",), coords={"x": x}), load=sg.Variable(()))
law = residuals(layout, noise=1e-4, u=temperature, q=source)
found = sg.settle(law, starts={"u": torch.zeros(1, N), "q": torch.zeros(1, N), "load": torch.zeros(1)}, layout=layout,
                  known={"load": 200.0})
u = found.samples["u"].values[0]
print(found.message, f"\n{len(runs)} runs of the program;",
      f"the whole equation is met to {np.abs(minus_second @ u - 200 * np.exp(-u)).max() / 200:.0e} of the load")

back, forth = [], torch.zeros(1, N).double()
for _ in range(8):
    forth = temperature(200 * torch.exp(-forth))
    back.append(float((forth[0] - torch.as_tensor(u)).norm()))
print("back and forth, distance from the solution:", " ".join(f"{step:.2g}" for step in back))

# %% [markdown]
# ## Branches, and no solution
#
# If heat makes the source stronger, $q = s \, e^{u}$ (Bratu's problem), there are two solutions below $s = 3.51$ and
# none above. Started from many places, the sum of the residuals finds both; above, all starts end where something is
# left, and the result says so.

# %%
bumps = torch.linspace(0.1, 6, COUNT).double()[:, None] * torch.as_tensor(np.sin(np.pi * x))
branches = residuals(layout, noise=1e-4, u=temperature, q=lambda u, load: load[..., None] * u.clamp_max(20).exp())
starts = {"u": bumps, "q": minus_second @ bumps.numpy().T, "load": torch.zeros(COUNT)}
starts["q"] = torch.as_tensor(starts["q"].T)
for strength in (2.0, 3.0, 4.0):
    answer = sg.settle(branches, starts, layout, known={"load": strength})
    print(f"s = {strength}: {answer.message}")
    for u in answer.samples["u"].values[answer.success]:
        pyplot.plot(x, u, label=f"s = {strength}")
pyplot.legend(), pyplot.xlabel("x"), pyplot.ylabel("temperature")
pyplot.show()

# %% [markdown]
# ## Sensors and design in the same sum
#
# The residuals are energies as any other. Two thermometers read the rod and the load is not known; or the load is
# wanted at which the rod is just as hot as it may be. Nothing else has to be written.

# %%
cooled = residuals(layout, noise=1e-4, u=temperature, q=lambda u, load: load[..., None] * torch.exp(-u))
truth = sg.settle(cooled, 4, layout, known={"load": 120.0}).samples["u"].values[0]
read, places = 0.01, [5, 20]
data = torch.as_tensor(truth[places] + read * np.random.default_rng(0).standard_normal(2))
thermometers = sg.Residual(lambda state: layout.unpack(state)["u"][..., places] - data, read)
start = {"u": torch.zeros(4, N), "q": torch.zeros(4, N), "load": torch.tensor([50.0, 100.0, 150.0, 300.0])}
estimate = sg.settle(cooled + thermometers, start, layout)
hottest = sg.Residual(lambda state: layout.unpack(state)["u"].amax(-1, keepdim=True) - 2.0, 1e-4)
wanted = sg.settle(cooled + hottest, start, layout)
print(f"load from two thermometers: {float(estimate.samples['load'][0]):.1f}, the true one is 120")
print(f"load for a hottest point of 2: {float(wanted.samples['load'][0]):.1f}; the rod is then "
      f"{float(wanted.samples['u'].max()):.4f} at most")

# %% [markdown]
# ## Priors that never met
#
# Now the fields are random. Each prior was trained on data of its own physics, in which the other field came from
# somewhere else: there is no row in which both belong together. Here both are Gaussian, so that the joint density is
# known: the largest correlation between them is 0.95.

# %%
M, RHO = 16, 0.95
place = torch.arange(M).double() / M
kernel = torch.exp(-torch.sin(np.pi * (place[:, None] - place)) ** 2 / 0.5) + 0.02 * torch.eye(M).double()
share = RHO * torch.exp(-2.0 * torch.arange(M).double() / M)  # of each wave that both fields have in common
values, waves = torch.linalg.eigh(kernel)
across = (waves * values * share.flip(0)) @ waves.mT
joint = torch.cat([torch.cat([kernel, across], 1), torch.cat([across, kernel], 1)])
gain = across @ torch.linalg.inv(kernel)
rest = torch.linalg.cholesky(kernel - gain @ across)


def elsewhere(own, other, seed, count=4000):
    """Rows of one physics: the other field is white noise twice as strong, which it never is."""
    drawn = np.random.default_rng(seed)
    given = 2 * torch.as_tensor(drawn.standard_normal((count, M)))
    field = given @ gain.mT + torch.as_tensor(drawn.standard_normal((count, M))) @ rest.mT
    rows = {own: (("sample", "place"), field.float().numpy()), other: (("sample", "place"), given.float().numpy())}
    return sg.States(xarray.Dataset(rows, {"place": place.numpy()}), ["u", "v"])


models = {own: sg.train(elsewhere(own, other, seed), sg.Training(given=((other,),), steps=COUNT), folder / own,
                        progress=False)
          for seed, (own, other) in enumerate([("u", "v"), ("v", "u")])}

# %% [markdown]
# `couple` finds, at each noise level, the pair of means that agree with each other; for Gaussians that is the joint
# density's own mean. It reports how many sweeps that took, and by how much a sweep contracts: at one or more there
# would be no joint density, and it would refuse. What is left of the covariance's error beyond that of as many exact
# draws is what 4,000 rows of each physics leave open; the stronger the coupling, the more that counts.

# %%
problem = sg.couple(**models)
sampler, many = sg.Multistep(sg.karras(24, 0.02, 40.0)), 30 * COUNT
drawn = sg.draw(problem, sampler, many, torch.arange(many), progress=False)
pairs = torch.cat([torch.as_tensor(drawn.samples[k].values) for k in ("u", "v")], 1).double()
off = lambda cov: float((cov - joint).norm() / joint.norm())
exact = torch.linalg.cholesky(joint) @ torch.as_tensor(np.random.default_rng(9).standard_normal((2 * M, many)))
print(f"error of the covariance {off(torch.cov(pairs.mT)):.3f}; of as many exact draws {off(torch.cov(exact)):.3f}")
print(f"{float(drawn.history.sweeps.mean()):.1f} sweeps a noise level")
drawn

# %% [markdown]
# ## Sensors of one field tell of the other
#
# Eight readings of $v$; nobody reads $u$. The posterior of $u$ comes from the coupling alone. For 40 truths the exact
# intervals would hold 90 %.

# %%
sensors = sg.Entries("v", (slice(0, None, 2),))
cases, inside, error, best = min(40, COUNT), [], [], []
prior = sg.Gaussian(torch.zeros(2 * M).double(), joint)
reads = torch.eye(2 * M).double()[M::2]
weights = joint @ reads.mT @ torch.linalg.inv(reads @ joint @ reads.mT + 0.01 * torch.eye(8))
for case in range(cases):
    state = exact[:, case]
    values = reads @ state + 0.1 * torch.as_tensor(np.random.default_rng(case).standard_normal(8))
    seen = sg.invert(problem, sensors, values, 0.1, sampler, 39, torch.arange(39), progress=False).samples["u"].values
    low, high = np.sort(seen, 0)[[1, -2]]  # 2nd and 38th of 39: 90 %
    inside.append(np.mean((low < state[:M].numpy()) & (state[:M].numpy() < high)))
    error.append(np.sqrt(np.mean((seen.mean(0) - state[:M].numpy()) ** 2)))
    best.append(np.sqrt(np.mean(((weights @ values)[:M] - state[:M]).numpy() ** 2)))
print(f"{np.mean(inside):.0%} of the truth within the 90 % intervals; error {np.mean(error):.3f}, of the exact "
      f"posterior's mean {np.mean(best):.3f}, before any reading {float(kernel[0, 0]) ** 0.5:.3f}")
pyplot.plot(place, state[:M], "k", label="truth (u)")
pyplot.plot(place, seen.T, color="tab:blue", alpha=0.15)
pyplot.plot(place, (weights @ values)[:M], color="tab:orange", linestyle="--", label="exact posterior's mean")
pyplot.legend(), pyplot.xlabel("place"), pyplot.ylabel("u, which no sensor reads")
pyplot.show()

# %% [markdown]
# A solver can stand in for one of the priors: `sg.couple(u=model, v=solved(layout, v=solver))`. The field that it says
# is then a function of the other, which stays random.

# %%
fixed = solved(models["v"].layout, v=lambda u: 0.5 * u)
mixed = sg.draw(sg.couple(u=models["u"], v=fixed), sampler, 8, torch.arange(8), progress=False)
print(f"v is half of u to {float(abs(mixed.samples['v'] - 0.5 * mixed.samples['u']).max()):.0e}")

# %% [markdown]
# ## When to use something else
#
# If you have two solvers, one deterministic solution to find, and nothing else to ask, couple them with
# [preCICE](https://precice.org): it exchanges data between running codes, maps between meshes, and accelerates with the
# same IQN-ILS. What is gained here is what it does not do: priors that are learned of one physics at a time, every
# branch or the word that there is none, and uncertainty, sensors and design in the same sum.
