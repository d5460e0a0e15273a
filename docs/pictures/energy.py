"""An energy is -log of a density: low where states are likely; energies add where densities multiply."""

import torch
from matplotlib import pyplot

import sciencegen as sg

x = torch.linspace(-5, 5, 400)[:, None]
prior = sg.Mixture(torch.tensor([0.5, 0.5]), torch.tensor([[-2.0], [2.0]]), 0.8)
wish = sg.Potential(lambda x: 1.5 * (2.0 - x[..., 0]).clamp(min=0))
terms = {"a trained model": prior, "an objective: right is good": wish, "their sum": prior + wish}
figure, panels = pyplot.subplots(1, 2)
for name, energy in terms.items():
    value = energy(x, 0.0).detach()
    density = (-value).exp() / (-value).exp().sum() / 0.025
    panels[0].plot(x, value - value.min(), label=name)
    panels[1].plot(x, density, label=name)
panels[0].set(title="energies: they add", xlabel="state x", ylim=(0, 10))
panels[1].set(title="densities exp(-E): they multiply", xlabel="state x", yticks=[])
panels[1].legend(fontsize=8, loc="upper left")
