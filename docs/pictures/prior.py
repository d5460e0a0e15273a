"""A trained prior beside its own Gaussian: what the network adds, at each noise level."""

import torch
from matplotlib import pyplot

import sciencegen as sg
from sciencegen.physics import Darcy
from sciencegen.studies.pde.pairs import pairs

model = sg.zoo("darcy")
rows = model.layout.pack(**pairs(Darcy(32), 8, seed=1)).float()
levels = torch.logspace(-1.5, 1.3, 8)
noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))


def error(energy: sg.Energy) -> list[float]:
    """Mean square error of Tweedie's mean, over the noise's variance."""
    return [float((energy.mean(rows + s * noise, float(s)) - rows).square().mean() / s**2) for s in levels]


with torch.no_grad():
    network, gaussian = error(model.energy), error(model.energy.data)
figure, panel = pyplot.subplots()
panel.loglog(levels, gaussian, "o--", color="0.5", label="its Gaussian, closed form")
panel.loglog(levels, network, "o-", label="the trained network")
panel.set(xlabel="noise level sigma", ylabel="error / sigma$^2$", title="rocks and pressures that it has not seen")
panel.legend(fontsize=8)
