"""An inverse problem: what six readings leave possible of a temperature, and of the source that nobody has read."""

import torch
from matplotlib import pyplot

import sciencegen as sg

cells = 64
where = (torch.arange(cells) + 0.5) / cells
smooth = torch.exp(-((where[:, None] - where[None]) ** 2) / (2 * 0.12**2)).double()
laplace = torch.eye(cells).roll(1, 0).tril() - 2 * torch.eye(cells) + torch.eye(cells).roll(-1, 0).triu()
solve = -torch.linalg.inv(laplace.double()) / cells**2
rough = torch.randn(3001, cells, generator=torch.Generator().manual_seed(1)).double()
sources = rough @ torch.linalg.cholesky(smooth + 1e-6 * torch.eye(cells)).T
pairs = torch.cat([sources, 40 * sources @ solve.T], 1).float()
layout = sg.Layout(source=(cells,), temperature=(cells,))
problem = sg.Problem(layout, sg.Gaussian.fit(pairs[1:], floor=1e-3))
truth = dict(zip(("source", "temperature"), pairs[0].chunk(2)))
measure = sg.Points("temperature", torch.tensor([[4.0], [14.0], [25.0], [36.0], [48.0], [59.0]]))
data = measure(**{k: v[None] for k, v in truth.items()})[0]
sampler = sg.Multistep(sg.karras(20, low=0.005, high=40.0))
found = sg.invert(problem, measure, data, 0.03, sampler, 60, torch.arange(60), progress=False)
figure, panels = pyplot.subplots(1, 2)
for panel, name in zip(panels, ("temperature", "source")):
    panel.plot(where, found.samples[name].values.T, color="tab:blue", alpha=0.12, linewidth=0.8)
    panel.plot(where, truth[name], color="black", label="truth")
    panel.set(title=name, xlabel="x")
panels[0].plot(where[[4, 14, 25, 36, 48, 59]], data, "o", color="tab:red", label="readings")
panels[0].legend(fontsize=8)
