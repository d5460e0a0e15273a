"""Given: the same joint density, asked for one part where the other is known."""

import torch
from matplotlib import pyplot

import sciencegen as sg

cloud = torch.Generator().manual_seed(0)
speed = torch.randn(400, generator=cloud)
joint = torch.stack([speed, 0.8 * speed + 0.5 * torch.randn(400, generator=cloud)], 1)
model = sg.Gaussian.fit(joint)
layout = sg.Layout(speed=(), lift=())
known = layout["speed"]
ahead = model.given(known).at(known, torch.tensor([1.5]))
sampler, seeds = sg.Heun(sg.karras(25, low=0.01, high=20.0)), torch.arange(200)
x = sampler(ahead, sampler.start(len(seeds), 1, seeds), seeds).detach()[:, 0]
figure, panels = pyplot.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 1)})
panels[0].plot(*joint.T, ".", color="0.7", markersize=4, label="joint: what was trained on")
panels[0].axvline(1.5, color="tab:red", linewidth=1)
panels[0].plot(torch.full((200,), 1.5), x, ".", color="tab:red", markersize=4, label="lift, given speed = 1.5")
panels[0].set(xlabel="speed", ylabel="lift"), panels[0].legend(fontsize=8)
panels[1].hist(x, 20, orientation="horizontal", color="tab:red", alpha=0.6)
panels[1].set(xticks=[], title="lift, given speed")
