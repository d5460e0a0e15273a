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
# # Microstructures
#
# A material of two phases: how its structure is described, which structures conduct as is wanted, how one structure
# goes over into another, and what the whole looks like of which a small part was seen.
#
# The same by a command: `sciencegen design microstructure --kx 4 --ky 2.2 --contrast 10 --style size=3,angle=30`.

# %%
import os

import numpy as np
import torch
import xarray
from matplotlib import pyplot

import sciencegen as sg
from sciencegen.physics.microstructure import FAMILIES, LevelSet, Style, connected, style_of, two_point
from sciencegen.studies.microstructure.goals import Goals
from sciencegen.studies.microstructure.images import Limits
from sciencegen.studies.microstructure.level_set import LevelSets
from sciencegen.studies.microstructure.study import MicrostructureStudy

COUNT = int(os.environ.get("SCIENCEGEN_COUNT", 16))
pyplot.rcParams.update({"figure.dpi": 65, "savefig.dpi": 65})


def show(images, titles, width=2.6):
    _, axes = pyplot.subplots(1, len(images), figsize=(width * len(images), 2.8), squeeze=False)
    for axis, image, title in zip(axes[0], images, titles):
        axis.imshow(image, origin="lower", cmap="gray")
        axis.set_title(title)
        axis.axis("off")
    pyplot.show()


# %% [markdown]
# ## Four families, one style
#
# Level sets of a random field, Voronoi grains, hard discs, and what is left when a mixture falls apart. All share a
# style: a correlation length in pixels, the angle and the aspect of what is stretched, and the share of phase 1. Every
# image is periodic, so that it can be a cell of an endless material.

# %%
style = Style(3.0, 30.0, 2.0, 0.4)
many = style[torch.zeros(4 * COUNT, dtype=torch.long)]
images = {name: family.draw(many, (64, 64), seed=1) for name, family in FAMILIES.items()}
show([phase[0] for phase in images.values()], images)

# %% [markdown]
# ## What they are like
#
# `style_of` reads the style off an image by how often neighbours differ. The families have one style and are different
# materials: how much of phase 1 is in one piece, and how they conduct, says so.

# %%
k = {name: Goals(contrast=10.0).conductivity(phase.double()).diagonal(dim1=-2, dim2=-1).mean(0)
     for name, phase in images.items()}
looks = {name: style_of(phase.double()) for name, phase in images.items()}
mean = lambda name: (["family"], [float(getattr(look, name).mean()) for look in looks.values()])
table = xarray.Dataset({name: mean(name) for name in ("length", "angle", "aspect", "fraction")} | {
    "in one piece": (["family"], [float(connected(phase).mean()) for phase in images.values()]),
    "kx": (["family"], [float(v[0]) for v in k.values()]), "ky": (["family"], [float(v[1]) for v in k.values()])},
    {"family": list(images)})
table.to_dataframe().round(2)

# %% [markdown]
# The two-point function is the chance that two points, so far apart, are both of phase 1. That of level sets is known
# in closed form, so that the generator can be held against it.

# %%
for name, phase in images.items():
    pyplot.plot(two_point(phase.double()).mean(0)[0, :20], label=name)
pyplot.plot(LevelSet().two_point(style, (64, 64))[0, 0, :20], "k--", label="level set, closed form")
pyplot.legend(), pyplot.xlabel("pixels along x"), pyplot.ylabel("two-point function")
pyplot.show()

# %% [markdown]
# ## Structures that conduct as wanted
#
# Phase 1 conducts ten times as well as phase 0. Along x the material shall conduct 4 times as well as phase 0, along y
# 2.2 times. Samples of the family move the shortest way there, in the units of the prior; what is judged are the images
# of 0 and 1. No network is needed for level sets.

# %%
goals = Goals({"kx": 4.0, "ky": 2.2}, contrast=10.0)
study = MicrostructureStudy(LevelSets((64, 64), Style(3.0, 0.0, 1.5, 0.5)), goals)
designs = study.run(COUNT, torch.arange(COUNT), progress=False)
designs

# %%
found = designs.samples
error = 100 * np.abs(found.reached.values / [4.0, 2.2] - 1).max(1)
print(f"the worse of both conductivities is {np.median(error):.2f} % off in the median, {error.max():.2f} % at most,",
      f"by {found.solves.values.mean():.0f} solves a design")
show(found.phase.values[:4], [f"kx {a:.2f}, ky {b:.2f}" for a, b in found.conductivity.values])

# %% [markdown]
# What hangs apart can be forbidden, and what is too fine to be made. That leaves less to choose from, and a picture
# changes by leaps: not every sample gets there.

# %%
limited = LevelSets((64, 64), Style(4.0, 0.0, 1.5, 0.5), limits=Limits(connected=True, feature=4))
kept = MicrostructureStudy(limited, goals).run(min(COUNT, 4), torch.arange(min(COUNT, 4)), progress=False).samples
show(kept.phase.values, [f"kx {a:.2f}, ky {b:.2f}" for a, b in kept.conductivity.values])

# %% [markdown]
# ## Painting
#
# The style may be another in each place. Here fine structures along x go over into coarse ones along y, and back, as
# the image is periodic.

# %%
turn = (1 - torch.cos(2 * torch.pi * torch.arange(256.0) / 256)) / 2
weights = torch.stack([1 - turn, turn])[:, None, :].expand(2, 128, 256)
graded = LevelSets((128, 256), Style([2.0, 5.0], [0.0, 90.0], [3.0, 2.0], [0.35, 0.55]), weights)
painted = graded.phase(graded.draw(torch.arange(1)), 0.1)[0]
local = [style_of(part[None].double()) for part in (painted[:, :64].roll(32, 1), painted[:, 96:160])]
for place, look in zip(("at the sides", "in the middle"), local):
    print(f"{place}: length {float(look.length):.1f}, fraction {float(look.fraction):.2f}")
show([painted], ["fine along x at the sides, coarse along y in the middle"], 7)

# %% [markdown]
# ## A digital twin
#
# A scan has seen a window of a structure, in shades and with noise. The prior: white noise that becomes the field, and
# a style that is not known either. `sg.invert` draws both, given the scan: inside of the window all samples are as the
# scan says, outside they are what may be there, in the styles that the window leaves possible.

# %%
SIDE, NOISE, WINDOW = 32, 0.3, slice(8, 24)
layout = sg.Layout(noise=sg.Variable((SIDE, SIDE), dims=("y", "x")),
                   style=sg.Variable((4,), torch.tensor([1.15, 0.0, 0.0, 0.45]), torch.tensor([0.3, 0.45, 0.45, 0.15])))
family = LevelSet()


def named(style):
    """Styles by the numbers: log length, stretch along both diagonals, fraction."""
    length, stretch, share = style.reshape(-1, 4).split([1, 2, 1], -1)
    return Style.stretched(length[:, 0].exp(), stretch, share[:, 0].clamp(0.05, 0.95))


def derive(noise, style):
    styles, white = named(style), noise.reshape(-1, SIDE, SIDE)
    height = family.field(styles, white) - family.threshold(styles)[:, None, None].to(white)
    return {"height": height.reshape(noise.shape)}


def scan(height, **_):
    return torch.tanh(height[..., WINDOW, WINDOW]).flatten(-2)


problem = sg.Problem(layout, sg.Gaussian(torch.zeros(layout.size), torch.tensor(1.0)), derive=derive)
truth = problem.parts(torch.randn(1, layout.size, generator=torch.Generator().manual_seed(5)))
data = scan(**truth)[0]
data = data + NOISE * torch.randn(data.shape, generator=torch.Generator().manual_seed(6))
count = max(2 * COUNT, 4)
posterior = sg.invert(problem, scan, data, NOISE, sg.Heun(sg.karras(16, 0.02, 10.0)), count, torch.arange(count),
                      progress=False)
posterior

# %%
parts = problem.parts(layout.pack(**{name: torch.tensor(posterior.samples[name].values) for name in layout.variables}))
likely = (parts["height"] > 0).double().mean(0)
seen = torch.full((SIDE, SIDE), torch.nan)
seen[WINDOW, WINDOW] = data.reshape(16, 16)
pictures = [truth["height"][0] > 0, seen, *(parts["height"][:2] > 0)]
show([*pictures[:2], likely, pictures[2]], ["truth", "scan", "chance of phase 1", "one sample"])
before, after, true = named(layout.unpack(torch.randn(999, layout.size))["style"]), named(parts["style"]), named(
    truth["style"])
for name in ("length", "fraction"):
    ends = [np.quantile(getattr(s, name), [0.05, 0.95]) for s in (before, after)]
    print(f"{name}: {ends[0][0]:.2f} to {ends[0][1]:.2f} before, {ends[1][0]:.2f} to {ends[1][1]:.2f} after the scan;",
          f"in truth {float(getattr(true, name)):.2f}")

# %% [markdown]
# ## When to use something else
#
# If what is wanted is one structure and not a sample of those possible, topology optimisation goes further than any
# family of structures. If you have a scan of the whole, simulate that. What is gained here are many structures that
# look as the family does, conduct as is wanted, and the honest range of what has not been seen.
