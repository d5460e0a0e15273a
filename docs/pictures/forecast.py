"""A forecast: members that go on from the same known frames, each a possible future; their mean; the truth."""

import torch
from matplotlib import pyplot

import sciencegen as sg

frames, count = 90, 400
noise = torch.Generator().manual_seed(3)
path = [torch.randn(count, 2, generator=noise)]
turn = 0.97 * torch.tensor([[0.92, 0.39], [-0.39, 0.92]])
for _ in range(frames - 1):
    path.append(path[-1] @ turn.T + 0.25 * torch.randn(count, 2, generator=noise))
paths = torch.stack(path, 1)
windows = paths[:-1].unfold(1, 4, 4).transpose(-1, -2).flatten(0, 1)
layout = sg.Layout(u=sg.Variable((4, 2), dims=("time", "part")))
problem = sg.Problem(layout, sg.Gaussian.fit(windows.flatten(1)))
truth = paths[-1, 20:60]
found = sg.forecast(problem, truth[:2], 38, 60, seeds=torch.arange(60), progress=False)
u = torch.as_tensor(found.frames["u"].values)[0, ..., 0]
figure, panel = pyplot.subplots()
lead = torch.arange(1, 39)
panel.plot(lead, u.T, color="tab:blue", alpha=0.15, linewidth=0.8)
panel.plot([], [], color="tab:blue", label="members")
panel.plot(lead, u.mean(0), color="tab:blue", linewidth=2, label="forecast mean")
panel.plot(torch.arange(-1, 39), truth[:, 0], color="black", label="truth")
panel.axvline(0, color="0.6", linewidth=1)
panel.set(xlabel="lead time, frames", ylabel="u"), panel.legend(fontsize=8, ncols=3)
