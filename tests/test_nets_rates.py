"""Marched fields: stencils and orders by exact diffusion, second order, roll-outs, symmetry, and what is refused."""

import math

import pytest
import torch

from conformance import awake
from oracles import close, normal, order
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.nets.rates import March, Rates, diffused, laplacian
from sciencegen.priors import Stepper
from sciencegen.priors.contexts import Context
from sciencegen.tasks import Problem, forecast

D = torch.float64
SHAPES = [(3, 4, 6), (3, 4, 6), (4, 6), ()]


def rates(**more):
    return awake(Rates(2, 1, 1, width=5, **more))


def told(count=3, rows=4, columns=6):
    return normal(count, 2, rows, columns), normal(count, 1, rows, columns, seed=1), normal(count, 1, seed=2)


def wave(k: int, n: int = 16) -> torch.Tensor:
    return torch.cos(2 * math.pi * k * torch.arange(n, dtype=D) / n).expand(1, 1, n, n)


@pytest.mark.parametrize("k", [0, 1, 3, 8])
def test_waves_are_eigenvectors_of_the_laplacian_and_decay_by_heuns_factor(k):
    value = -4 * math.sin(math.pi * k / 16) ** 2
    close(laplacian(wave(k)), value * wave(k))
    close(laplacian(wave(k).mT), value * wave(k).mT)
    z, share = value * 0.2, torch.tensor(0.2, dtype=D)
    close(diffused(wave(k), share), (1 + z + z**2 / 2) * wave(k))


def test_without_a_rate_a_frame_is_diffusion_of_second_order():
    errors = []
    for steps in (4, 8, 16):
        net = Rates(1, steps=steps).double()
        net.conduct.data = torch.logit(torch.tensor([2 * 0.8 / steps], dtype=D)) / 10
        close(net.diffusivity, torch.tensor([0.8], dtype=D), 1e-12)
        found = net(wave(2), wave(2)[:, :0], torch.zeros(1, 0, dtype=D))
        exact = math.exp(-4 * 0.8 * math.sin(2 * math.pi / 16) ** 2)
        errors.append(abs(float(found.detach()[0, 0, 0, 0]) - exact))
    assert order(errors, [4, 8, 16]) == pytest.approx(2, abs=0.1)


def test_steps_of_a_rate_and_diffusion_are_of_second_order():
    now, still, numbers = told()
    found = []
    for steps in (16, 32, 64):
        net = rates(steps=steps)
        net.conduct.data = torch.logit(torch.tensor([0.8, 0.1], dtype=D) * 2 / steps) / 10
        found.append(net(now, still, numbers).detach())
    gaps = [float((a - b).abs().max()) for a, b in zip(found, found[1:])]
    assert order(gaps, [16, 32]) == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("more", [{}, {"modulated": True}, {"kernel": 3, "layers": 2}])
def test_a_shift_of_all_fields_shifts_the_next_frame_and_everything_is_heard(more):
    net, (now, still, numbers) = rates(**more), told()
    moved = [field.roll((1, 2), (-2, -1)) for field in (now, still)]
    close(net(*moved, numbers), net(now, still, numbers).roll((1, 2), (-2, -1)), 1e-12)
    before = net(now, still, numbers).detach()
    for index, inputs in enumerate((now, still, numbers)):
        others = [v + 0.1 * (k == index) for k, v in enumerate((now, still, numbers))]
        assert float((net(*others).detach() - before).abs().amin((1, 2, 3)).max()) > 0, inputs.shape


def test_untrained_numbers_say_nothing_where_they_modulate():
    net, (now, still, numbers) = Rates(2, 1, 1, modulated=True).double(), told()
    close(net(now, still, numbers), net(now, still, numbers + 1), 1e-14)


@pytest.mark.parametrize("wrong", [{"kernel": 2}, {"layers": 0}, {"steps": 0}])
def test_rates_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="expected an odd number of points"):
        Rates(1, **wrong)


def test_a_march_is_its_step_again_and_again_and_zero_where_nothing_is_asked():
    step = rates()
    net, size = March(SHAPES, step), sum(math.prod(shape) for shape in SHAPES)
    u = normal(2, size)
    out = net(u, u[:, :1], torch.ones_like(u))
    one, other, still, number = out.split([72, 72, 24, 1], -1)
    first = torch.stack([u[:, :24], u[:, 72:96]], 1).reshape(2, 2, 4, 6)
    second = step(first, u[:, 144:168].reshape(2, 1, 4, 6), u[:, 168:])
    third = step(second, u[:, 144:168].reshape(2, 1, 4, 6), u[:, 168:])
    for part, field in ((one, 0), (other, 1)):
        frames = part.reshape(2, 3, 4, 6)
        close(frames[:, 0], torch.zeros(2, 4, 6, dtype=D))
        close(frames[:, 1], second[:, field])
        close(frames[:, 2], third[:, field])
    assert float(still.abs().max() + number.abs().max()) == 0


@pytest.mark.parametrize("shapes", [[(4, 6)], [(1, 4, 6)], [(3, 4, 6), (2, 4, 6)], [(3, 4, 6), (4, 4)], [(3, 6), (6,)]])
def test_parts_that_cannot_be_marched_are_refused(shapes):
    with pytest.raises(ValueError, match="expected .L, rows, columns. of fields that move"):
        March(shapes, rates())


def test_a_forecast_by_windows_is_the_march_of_its_horizon():
    dims, units = ("time", "y", "x"), {"loc": 0.3, "scale": 2.0}
    moving = [Variable(shape, dims=dims, **units) for shape in SHAPES[:2]]
    layout = Layout(a=moving[0], b=moving[1], m=Variable((4, 6), dims=("y", "x")), load=Variable(()))
    step, flat = rates(), torch.zeros(layout.size, dtype=D)
    known = layout["a"][:1] & layout["b"][:1] & layout["m"] & layout["load"]
    prior = Stepper(March(SHAPES, step), Gaussian(flat, flat + 1), given=[known], context=Context(0.01)).double()
    now, still, numbers = told(1)
    history = {"a": 0.3 + 2 * now[:, :1, None].squeeze(1), "b": 0.3 + 2 * now[:, 1:, None].squeeze(1)}
    given = {"m": still[0, 0], "load": numbers[0, 0]}
    found = forecast(Problem(layout, prior), {k: v[0] for k, v in history.items()}, 5, members=1, given=given,
                     progress=False)
    for frame in range(5):
        now = step(now, still, numbers)
        for field, name in enumerate("ab"):
            got = torch.as_tensor(found.frames[name].values).reshape(5, 4, 6)[frame]
            close(got, 0.3 + 2 * now[0, field], 1e-9)
