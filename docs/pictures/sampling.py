"""A sampler takes states from noise to data, down a grid of noise levels."""

import torch
from matplotlib import pyplot

import sciencegen as sg

prior = sg.Mixture(torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [2.0]]), 0.4)
levels = sg.karras(30, low=0.05, high=8.0)
seeds = torch.arange(24)
figure, panels = pyplot.subplots(1, 2, sharey=True, figsize=(7.0, 2.8))
for panel, sampler in zip(panels, (sg.Heun(levels), sg.Ancestral(levels))):
    x = sampler.start(len(seeds), 1, seeds)
    states = [x, *(x for _, x, _ in sampler.path(prior, x, seeds))]
    panel.plot(levels[: len(states)], torch.cat(states, 1).T, color="tab:blue", alpha=0.5, linewidth=0.9)
    panel.set(title=type(sampler).__name__, xlabel="noise level sigma", xscale="log", xlim=(8, 0.05), ylim=(-12, 12))
panels[0].set_ylabel("state x")
