"""A state: one row of numbers, and the layout that says which of them is what."""

import torch
from matplotlib import pyplot

import sciencegen as sg

speed = sg.Variable((8,), loc=2.0, scale=0.5, units="m/s")
layout = sg.Layout(velocity=speed, pressure=sg.Variable((4,), units="Pa"), angle=())
x = torch.randn(layout.size, generator=torch.Generator().manual_seed(0))
figure, panel = pyplot.subplots(figsize=(7.0, 1.7))
panel.imshow(x[None], cmap="coolwarm", vmin=-2, vmax=2, aspect="auto", extent=(0, layout.size, 0, 1))
first = 0
for (name, variable), colour in zip(layout.variables.items(), ("tab:blue", "tab:green", "tab:orange")):
    last = first + max(1, int(torch.tensor(variable.shape).prod()))
    panel.plot([first + 0.1, last - 0.1], [-0.15, -0.15], color=colour, linewidth=4)
    panel.text((first + last) / 2, -0.5, f"{name} {variable.shape}", ha="center", color=colour)
    first = last
panel.plot([3.05, 6.95], [1.15, 1.15], color="black", linewidth=3)
panel.text(5, 1.28, 'the view layout["velocity"][3:7]', ha="center")
panel.set(xticks=[], yticks=[], xlim=(-0.4, layout.size + 0.4), ylim=(-0.6, 1.6))
panel.spines[:].set_visible(False)
