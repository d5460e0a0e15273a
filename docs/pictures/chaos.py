"""A forecast of chaos by the shipped prior of Kuramoto and Sivashinsky's equation, from starts known to one percent."""

from pathlib import Path

import torch
import xarray
from matplotlib import pyplot

import sciencegen as sg

held = xarray.open_dataset(Path(__file__).parents[2] / "datasets" / "forecast_kuramoto_sivashinsky_64.nc")
horizon, members = 130, 24
truth = torch.as_tensor(held["u"].values[3, : 2 + horizon])
noise = torch.randn(members, 1, truth.shape[-1], generator=torch.Generator().manual_seed(0))
start = truth[:2] + 0.01 * 1.2 * noise  # each member's start is off by one in a hundred
model = sg.zoo("ks")
found = sg.forecast(model, {"u": start[None]}, horizon, members, seeds=torch.arange(members), progress=False)
u = torch.as_tensor(found.frames["u"].values)[0]
frame = float(model.layout.variables["u"].coords["time"][1])
shown = [("truth", truth[2:]), ("a member", u[0]), ("mean of 24", u.mean(0)), ("spread", u.std(0))]
figure, panels = pyplot.subplots(1, 4, sharey=True, figsize=(8, 3))
for panel, (name, field) in zip(panels, shown):
    look = {"cmap": "magma", "vmin": 0} if name == "spread" else {"cmap": "RdBu_r", "vmin": -3, "vmax": 3}
    image = panel.imshow(field, origin="lower", aspect="auto", extent=(0, 22, 0, horizon * frame), **look)
    panel.set(title=name, xlabel="x")
panels[0].set(ylabel="time ahead")
figure.colorbar(image, ax=panels[-1])
