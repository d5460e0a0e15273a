"""A trained prior beside its own Gaussian: what the network adds, at each noise level, as its card says."""

from matplotlib import pyplot

import sciencegen as sg

errors = sg.zoo("microstructure").training["denoising"]
figure, panel = pyplot.subplots()
for words, name, look in (("its Gaussian, closed form", "gaussian", {"ls": "--", "color": "0.5"}),
                          ("the trained network", "prior", {})):
    panel.semilogx(errors["sigma"], errors["phase"][name], marker="o", label=words, **look)
panel.set(xlabel="noise level sigma", ylabel="error / sigma", title="microstructures that it has not seen")
panel.legend(fontsize=8)
