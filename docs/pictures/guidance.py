"""Guidance: an objective that is meant for the clean state acts at every noise level, at Tweedie's mean."""

import torch
from matplotlib import pyplot

import sciencegen as sg

prior = sg.Mixture(torch.tensor([0.7, 0.3]), torch.tensor([[-1.2, 0.0], [1.4, 0.4]]), 0.45)
drag = sg.Potential(lambda x: (x[..., 1] - 1.0).square())
correct = sg.HMC(lambda s: 0.4 * s / (1 + s**2) ** 0.5, leaps=5, repeats=4)
sampler, seeds = sg.Ancestral(sg.karras(30, low=0.02, high=10.0), correct), torch.arange(300)
figure, panels = pyplot.subplots(1, 3, sharey=True, figsize=(7.0, 2.7))
for panel, weight in zip(panels, (0.0, 1.0, 10.0)):
    energy = sg.Tweedie(prior, weight * drag) if weight else prior
    x = sampler(energy, sampler.start(len(seeds), 2, seeds), seeds).detach()
    panel.axhline(1.0, color="tab:red", linewidth=1), panel.plot(*x.T, ".", markersize=3)
    panel.set(title=f"weight {weight:g}", aspect="equal", xlim=(-3, 3), ylim=(-2, 2.5))
panels[0].text(-2.9, 1.1, "wanted", color="tab:red")
