"""A model of two steps makes one of six: windows minus overlaps. Adding the windows alone counts steps twice."""

import torch
from matplotlib import pyplot

import sciencegen as sg

r = 0.8
pair = sg.Gaussian(torch.zeros(2), torch.tensor([[1.0, r], [r, 1.0]]))
single = sg.Gaussian(torch.zeros(1), torch.ones(1))
u = sg.Layout(u=(6,))["u"]
truth = r ** (torch.arange(6)[:, None] - torch.arange(6)[None]).abs()
summed = pair.on(u.windows(2, 1))
chain = summed - single.on(u[1:5].windows(1, 1))


def covariance(energy: sg.Energy) -> torch.Tensor:
    """Of an energy that is a Gaussian's: the inverse of its Hessian."""
    return torch.linalg.inv(torch.autograd.functional.hessian(lambda x: energy(x, 0.0), torch.zeros(6)))


shown = {"truth": truth, "windows, added": covariance(summed), "windows - overlaps": covariance(chain)}
figure, panels = pyplot.subplots(1, 3, figsize=(7.0, 2.5))
for panel, (title, image) in zip(panels, shown.items()):
    drawn = panel.imshow(image, vmin=0, vmax=1, cmap="cividis")
    panel.set(title=title, xlabel="step", xticks=range(6), yticks=range(6))
figure.colorbar(drawn, ax=panels, label="covariance")
