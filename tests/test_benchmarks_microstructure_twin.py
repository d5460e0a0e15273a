"""The digital twin: intervals hold as many exchangeable truths as they say, and conductivities have slopes twice."""

import torch

from benchmarks.microstructure.twin import SAMPLES, Measured, Scanned, covered
from oracles import close
from sciencegen.physics.homogenise import conductivity


def test_intervals_hold_nine_in_ten_of_what_is_drawn_alike():
    """Of numbers, and of pixels of two values, whose ranks among their equals are by lot."""
    draws = torch.Generator().manual_seed(0)
    for rows in (torch.randn(SAMPLES + 1, 20_000, generator=draws),
                 (torch.rand(SAMPLES + 1, 20_000, generator=draws) < 0.97).float()):
        held = covered(rows[1:], rows[0], draws).float().mean()
        assert abs(held - 0.9) < 4 * (0.09 / 20_000) ** 0.5


def test_a_scan_sees_the_window_alone():
    twin = Scanned()
    truth = twin.truth(3)
    height = truth["height"].requires_grad_()
    (slope,) = torch.autograd.grad(twin.measure(height=height).sum(), height)
    assert torch.equal(slope[0] != 0, twin.seen())


def test_measured_conductivities_move_as_the_homogeniser_does():
    """Their value is its own; a slope of the slope, in what it is multiplied by, is there (forward derivatives)."""
    twin = Measured()
    height = twin.truth(0)["height"].double().requires_grad_()
    k = conductivity(1 + 9 * torch.sigmoid(height / 0.3).mT, tolerance=1e-6)
    found = twin.measure(height=height)
    close(found, torch.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 1]], -1), 1e-3)
    (want,) = torch.autograd.grad(k[:, 0, 0].sum(), height)
    dual = torch.ones_like(found).requires_grad_()
    (pulled,) = torch.autograd.grad(found, height, dual, create_graph=True)
    (pushed,) = torch.autograd.grad(pulled, dual, want)
    close(pushed[0, 0], want.square().sum(), 1e-2)
