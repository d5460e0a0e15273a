"""Hot spots around voids of a shocked material: temperatures of the solver, and of a network that knows the start."""

import json
from pathlib import Path

import torch
from matplotlib import pyplot

from sciencegen.nets.rates import Rates
from sciencegen.physics import HotSpots

trained = json.loads(Path(__file__).with_name("hot_spots.json").read_text())
net = Rates(**trained["arguments"])
net.load_state_dict({name: torch.tensor(value) for name, value in trained["weights"].items()})
system = HotSpots(64, frame=3.0, frames=40, steps=12)
given = {name: value.float() for name, value in system.draw(1, seed=1, first=trained["run"]).items()}
truth, start = system.solve(**given)["temperature"][0], system.start(**given)
loc, scale = (torch.tensor(trained[name])[:, None, None] for name in ("loc", "scale"))
state = torch.cat([start, 0 * start, given["microstructure"]])
now, still = ((state - loc) / scale)[None].split([2, 1], 1)
with torch.no_grad():
    path = [now := net(now, still, now[:, :0, 0, 0]) for _ in range(40)]
told = [loc[0] + scale[0] * frame[0, 0] for frame in path]
figure, panels = pyplot.subplots(2, 4, figsize=(7.0, 3.3), sharex=True, sharey=True)
for column, frame in zip(panels.T, (4, 14, 24, 39)):
    for panel, field in zip(column, (truth[frame], told[frame])):
        image = panel.imshow(field, cmap="inferno", vmin=0.28, vmax=1.6)
        panel.set(xticks=(), yticks=())
    column[0].set_title(f"t = {3 * (frame + 1)}")
panels[0, 0].set_ylabel("solver"), panels[1, 0].set_ylabel("network")
figure.colorbar(image, ax=panels, label="temperature", shrink=0.8)
