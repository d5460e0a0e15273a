"""A U-Net that corrects a Wiener filter: untrained it is the filter, and only where the law is given."""

import math

import pytest
import torch

from conformance import awake
from oracles import close, normal
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.nets.wiener import WienerUNet
from sciencegen.priors import Denoiser

D = torch.float64
LAYOUT = Layout(phase=(16, 16), style=(5,))
LOC, SCALE = (1.0, 0.0, 0.0, 0.5, 0.0), (0.5, 0.4, 0.4, 0.2, 1.0)


def network() -> WienerUNet:
    return WienerUNet(16, LOC, SCALE, channels=(8, 8), blocks=(1, 1), margin=16)


def prior(net) -> Denoiser:
    phase, style = LAYOUT["phase"], LAYOUT["style"]
    data = Gaussian(torch.zeros(LAYOUT.size), torch.ones(LAYOUT.size))
    return Denoiser(net, data, lowest=5e-2, given=[style], within=[(phase[:8] & style, style)]).double()


def states(count: int, log_length: float, share: float, sigma: float) -> torch.Tensor:
    """White noise with a style."""
    value = torch.tensor([log_length, 0.5, -0.3, share, 2.0], dtype=D)
    style = (value - torch.tensor(LOC, dtype=D)) / torch.tensor(SCALE, dtype=D)
    return torch.cat([sigma * normal(count, 256), style.expand(count, 5)], -1)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0])
def test_untrained_the_mean_is_the_wiener_filter_of_the_style(sigma):
    """By dense linear algebra: a stationary field on the padded torus, of which all beyond the patch is at its mean."""
    x, n = states(3, 0.7, 0.4, sigma), 32
    energy = prior(network()).given(LAYOUT["style"])
    with torch.no_grad():
        found = energy.mean(x, sigma)[:, :256].reshape(3, 16, 16)
    k = 2 * math.pi * torch.fft.fftfreq(n, dtype=D)
    ky, kx = torch.meshgrid(k, k, indexing="ij")
    r, angle = math.hypot(0.5, 0.3), math.atan2(-0.3, 0.5) / 2
    along = kx * math.cos(angle) + ky * math.sin(angle)
    across = ky * math.cos(angle) - kx * math.sin(angle)
    spectrum = (1 + math.exp(1.4) * (math.exp(r) * along**2 + math.exp(-r) * across**2)) ** -1.5
    spectrum = spectrum * 0.96 / spectrum.mean()
    wanted = torch.zeros(3, n, n, dtype=D)
    wanted[:, :16, :16] = x[:, :256].reshape(3, 16, 16) + 0.2
    gain = spectrum / (spectrum + sigma**2)
    wanted = torch.fft.ifft2(torch.fft.fft2(wanted) * gain).real[:, :16, :16] - 0.2
    assert (found - wanted).norm() / wanted.norm() < 0.02, "but for the sign at the highest wave number"


def test_a_short_correlation_leaves_the_mean_and_a_long_one_averages():
    sigma = 2.0
    energy = prior(network()).given(LAYOUT["style"])
    with torch.no_grad():
        for share in (0.3, 0.6):
            x = states(200, -3.0, share, sigma)
            means = energy.mean(x, sigma)[:, :256]
            weight = 4 / (4 + 4 * share * (1 - share))  # of pixels that know nothing of each other
            close(means.mean(), torch.tensor((2 * share - 1) * weight, dtype=D), 0.02)
            long = energy.mean(states(200, 2.5, share, sigma), sigma)[:, :256].reshape(-1, 16, 16)
            assert (long - long.roll(1, -1))[..., 1:].std() < 0.2 * (means - means.roll(1, -1)).std()


def test_where_no_style_is_given_there_is_no_filter():
    x = states(2, 0.7, 0.4, 1.0)
    close(prior(network()).mean(x, 1.0), x / 2, 1e-12)


def test_what_is_not_there_is_not_looked_at():
    energy = prior(awake(network())).given(LAYOUT["style"])
    part = energy.marginal(LAYOUT["phase"][:8] & LAYOUT["style"])
    x = torch.cat([normal(2, 128), states(2, 0.7, 0.4, 1.0)[:, 256:]], -1)
    assert part.score(x, 0.5).shape == (2, 133)
    close(part.score(x, 0.5)[:, 128:], torch.zeros(2, 5, dtype=D), 1e-12)


def test_numbers_that_are_too_few():
    with pytest.raises(ValueError, match="four or more"):
        WienerUNet(16, (0.0,), (1.0,))
