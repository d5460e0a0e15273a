"""The score points from a noisy state to likelier ones; Tweedie's mean is where it points to."""

import torch
from matplotlib import pyplot

import sciencegen as sg

prior = sg.Mixture(torch.tensor([0.5, 0.5]), torch.tensor([[-1.5, 0.0], [1.5, 0.6]]), 0.4)
line = torch.linspace(-3.2, 3.2, 17)
x = torch.cartesian_prod(line, line)
fine = torch.linspace(-3.2, 3.2, 120)
figure, panels = pyplot.subplots(1, 2, figsize=(7.0, 3.4), sharey=True)
for panel, sigma in zip(panels, (0.4, 1.5)):
    density = (-prior(torch.cartesian_prod(fine, fine), sigma)).exp().reshape(120, 120).detach()
    score = prior.score(x, sigma).detach()
    panel.contourf(fine, fine, density.T, cmap="Blues", levels=12)
    panel.quiver(*x.T, *score.T, color="0.25", scale=60 / sigma**2, width=0.004)
    noisy = torch.tensor([[-2.3, 2.2]])
    mean = prior.mean(noisy, sigma).detach()
    panel.annotate("", mean[0], noisy[0], arrowprops={"arrowstyle": "->", "color": "tab:red", "linewidth": 2})
    panel.plot(*noisy[0], "o", color="tab:red"), panel.text(-2.2, 2.5, "noisy state", color="tab:red")
    panel.set(title=f"score at sigma = {sigma:g}; red: to the mean", aspect="equal", xticks=[], yticks=[])
