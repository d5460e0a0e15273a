"""The noise level sigma: how far a state may be from a clean one."""

import torch
from matplotlib import pyplot

import sciencegen as sg

prior = sg.Mixture(torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [2.0]]), 0.3)
x = torch.linspace(-7, 7, 600)[:, None]
figure, panels = pyplot.subplots(1, 4, sharex=True, figsize=(7.0, 2.0))
for panel, sigma in zip(panels, (0.0, 0.5, 1.5, 4.0)):
    panel.fill_between(x[:, 0], (-prior(x, sigma)).exp().detach(), color="tab:blue", alpha=0.5)
    panel.set(title=f"sigma = {sigma:g}", yticks=[], xlabel="x")
