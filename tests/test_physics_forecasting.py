"""Systems to forecast: closed forms of the linear one, known numbers and orders of the chaotic ones."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles import close, conditioned, normal, order, within
from sciencegen.physics import AdvectionDiffusion, Kolmogorov, KuramotoSivashinsky, Lorenz63, Lorenz96
from sciencegen.physics.fields import white
from sciencegen.physics.navier_stokes import integrate

D = torch.float64
LINE = AdvectionDiffusion(64)
SMALL = AdvectionDiffusion(8, c=0.7, nu=0.05, frame=0.4, frames=3, length=3.0)


# --- the linear one -------------------------------------------------------------------------------------------------

def test_exact_forecasts_have_the_known_scores():
    """sqrt(V / pi) of a pixel's variance, by another sum than the class has."""
    k = torch.arange(-32, 32, dtype=D)
    power = (1 + (k / 3) ** 2) ** -3
    power = power / power.sum()
    for lead, known in {1: 0.1954, 2: 0.2666, 4: 0.3530, 8: 0.4446, 16: 0.5196, 32: 0.5568}.items():
        variance = (power * (1 - torch.exp(-2 * lead * 0.25 * (0.2 + 0.02 * k**2)))).sum()
        got = LINE.forecast(normal(64), lead)[1].diagonal()
        close(got, variance.expand(64))
        assert float((got[0] / math.pi).sqrt()) == pytest.approx(known, abs=5e-5)


@pytest.mark.parametrize("system", [LINE, SMALL, AdvectionDiffusion(9)])
def test_the_stationary_law_stays_and_kicks_have_their_covariance(system):
    chain, eye = system.linear(), torch.eye(system.n, dtype=D)
    close(chain.ahead(chain.mean, chain.covariance)[1], chain.covariance)
    close(chain.covariance.diagonal(), torch.ones(system.n, dtype=D))
    rows = system.coloured(system.modes().kick, eye)
    close(rows.mT @ rows, chain.kick)
    close(normal(3, system.n) @ chain.matrix.mT, system.advance(normal(3, system.n)))


def test_a_forecast_is_the_chains():
    mean, covariance = normal(2, 8), torch.zeros(8, 8, dtype=D)
    for lead in (1, 2, 3):
        mean, covariance = SMALL.linear().ahead(mean, covariance)
        got = SMALL.forecast(normal(2, 8), lead)
        close(got[0], mean)
        close(got[0], SMALL.solve(normal(2, 8))[:, lead - 1])
        close(got[1], covariance)


def test_waves_travel_at_their_speed_and_decay():
    x = (torch.arange(16, dtype=D) + 0.5) * 2 * math.pi / 16
    system = AdvectionDiffusion(16, c=1.3, nu=0.1, frame=0.5)
    close(system.advance(torch.cos(2 * x)), math.exp(-0.5 * (0.2 + 0.4)) * torch.cos(2 * (x - 0.65)))


def test_drawn_starts_and_paths_are_of_the_stationary_law():
    starts = LINE.draw(400)["a"]
    path = LINE.kicked(starts, white(64, 400, stream=1, dims=1, frames=8))
    for rows in (starts, path[:, -1]):
        powers = torch.fft.rfft(rows, norm="forward").abs().square() / LINE.modes().power
        assert ((powers.mean(0) - 1).abs() < 4.5 * math.sqrt(2 / 400)).all()
    innovation = path[:, 3] - LINE.advance(path[:, 2])
    within(innovation.square().mean(-1), float(LINE.modes().kick @ LINE.multiplicity), float(
        innovation.square().mean(-1).std()))


def joint(system: AdvectionDiffusion, frames: int) -> torch.Tensor:
    """Covariance of ``frames`` frames in a row."""
    chain = system.linear()
    powers = [torch.linalg.matrix_power(chain.matrix, k) @ chain.covariance for k in range(frames)]
    blocks = [[powers[i - j] if i >= j else powers[j - i].mT for j in range(frames)] for i in range(frames)]
    return torch.cat([torch.cat(row, 1) for row in blocks])


def test_the_likelihood_of_parameters_is_that_of_the_joint_gaussian():
    speed, viscosity = torch.tensor([[0.5, 0.9, 1.4]], dtype=D), torch.tensor([[0.02], [0.05]], dtype=D)
    path = normal(4, 3, 8)
    got = SMALL.log_likelihood(path, speed, viscosity)
    assert got.shape == (4, 2, 3)
    wanted = torch.empty(4, 2, 3, dtype=D)
    for i, nu in enumerate(viscosity[:, 0]):
        for j, c in enumerate(speed[0]):
            law = joint(AdvectionDiffusion(8, float(c), float(nu), frame=0.4, length=3.0), 3)
            wanted[:, i, j] = torch.distributions.MultivariateNormal(torch.zeros(24, dtype=D), law).log_prob(
                path.flatten(1))
    close(got - got[:, :1, :1], wanted - wanted[:, :1, :1], 1e-9)
    close(SMALL.log_likelihood(path) - got[:, 0, 0], AdvectionDiffusion(
        8, 0.7, 0.05, frame=0.4, length=3.0).log_likelihood(path) - got[:, 0, 0])


# --- filter and smoother --------------------------------------------------------------------------------------------

@given(st.integers(1, 3), st.sampled_from([(0,), (1, 2), (0, 2), (0, 1, 2)]))
def test_filter_smoother_and_likelihood_are_the_joint_gaussians(m, observed):
    chain, reads, noise = SMALL.linear(), normal(m, 8, seed=1), 0.3
    law, readings = joint(SMALL, 3), normal(2, len(observed), m, seed=2)
    filtered = chain.filter(reads, noise, readings, observed, 3)
    smoothed = chain.smooth(filtered)
    some = torch.zeros(len(observed) * m, 24, dtype=D)
    for i, frame in enumerate(observed):
        some[i * m : (i + 1) * m, frame * 8 : frame * 8 + 8] = reads
    spread = some @ law @ some.mT + noise**2 * torch.eye(len(some), dtype=D)
    density = torch.distributions.MultivariateNormal(torch.zeros(len(some), dtype=D), spread)
    close(filtered.log_likelihood, density.log_prob(readings.flatten(1)), 1e-9)
    for row in range(2):
        mean, covariance = conditioned(torch.zeros(24, dtype=D), law, some, readings[row].flatten(), noise)
        for t in range(3):
            place = slice(8 * t, 8 * t + 8)
            close(smoothed.mean[row, t], mean[place], 1e-8)
            close(smoothed.covariance[t], covariance[place, place], 1e-8)
    last = [smoothed.mean[:, -1], smoothed.covariance[-1]]
    close(filtered.mean[:, -1], last[0])
    close(filtered.covariance[-1], last[1])


@pytest.mark.parametrize("sensors, noise, every, filter, smoother", [
    (16, 0.1, 1, 0.0994, 0.0944), (8, 0.1, 1, 0.1785, 0.1561), (8, 0.1, 4, 0.447, 0.335), (4, 0.5, 1, 0.471, 0.388)])
def test_sensors_leave_the_known_errors(sensors, noise, every, filter, smoother):
    reads = torch.eye(64, dtype=D)[:: 64 // sensors]
    observed = range(0, 60, every)
    beliefs = LINE.linear().filter(reads, noise, torch.zeros(len(observed), sensors, dtype=D), observed, 60)
    middle = slice(28, 32)  # a whole cycle, far from both ends
    for found, known in ((beliefs, filter), (LINE.linear().smooth(beliefs), smoother)):
        error = found.covariance[middle].diagonal(dim1=-2, dim2=-1).mean().sqrt()
        assert float(error) == pytest.approx(known, rel=3e-3)


def test_readings_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(\*B, 2, 1\)"):
        SMALL.linear().filter(torch.ones(1, 8, dtype=D), 0.1, normal(3, 1), (0, 2), 3)


# --- chaos ----------------------------------------------------------------------------------------------------------

def lyapunov(system, rows: torch.Tensor, frames: int) -> torch.Tensor:
    """The leading exponent from each row, by a neighbour that is drawn back to 1e-6 after every frame."""
    other, growth = rows + 1e-6 * torch.nn.functional.normalize(normal(*rows.shape), dim=-1), 0.0
    for frame in range(frames):
        rows, other = system.advance(rows), system.advance(other)
        apart = (other - rows).norm(dim=-1, keepdim=True)
        growth = growth + (apart / 1e-6).log()[..., 0] * (frame >= frames // 10)
        other = rows + 1e-6 * (other - rows) / apart
    return growth / (system.frame * (frames - frames // 10))


def test_kuramoto_sivashinsky_is_of_fourth_order_and_keeps_its_mean():
    start = 1 + KuramotoSivashinsky(32).draw(2)["a"]
    exact = KuramotoSivashinsky(32, steps=1024).advance(start)
    steps = [64, 128, 256]  # with few steps the stiff part takes an order away
    errors = [float((KuramotoSivashinsky(32, steps=n).advance(start) - exact).norm()) for n in steps]
    assert order(errors, steps) == pytest.approx(4, abs=0.3)
    close(exact.mean(-1), start.mean(-1))


def test_kuramoto_sivashinsky_is_what_an_explicit_scheme_of_small_steps_finds():
    wave = 2 * math.pi / 22 * torch.arange(17, dtype=D)
    odd = torch.where(torch.arange(17) < 16, wave, 0.0)
    rate = lambda u: torch.fft.irfft((wave**2 - wave**4) * torch.fft.rfft(u) - 0.5j * odd * torch.fft.rfft(u**2), 32)
    u = start = KuramotoSivashinsky(32).draw(2)["a"]
    step = 0.5 / 400
    for _ in range(400):
        a = rate(u)
        b = rate(u + step / 2 * a)
        c = rate(u + step / 2 * b)
        u = u + step / 6 * (a + 2 * b + 2 * c + rate(u + step * c))
    close(KuramotoSivashinsky(32, steps=100).advance(start), u, 1e-8)
    close(KuramotoSivashinsky(32).advance(start), u, 1e-5)


def test_kuramoto_sivashinsky_grows_and_damps_waves_as_its_linear_part_says():
    x = (torch.arange(32, dtype=D) + 0.5) * 22 / 32
    for k in (2, 5):
        wave = 2 * math.pi * k / 22
        small = 1e-9 * torch.cos(wave * x)
        close(KuramotoSivashinsky(32).advance(small) / 1e-9, math.exp(0.5 * (wave**2 - wave**4)) * small / 1e-9, 1e-7)


def test_kuramoto_sivashinsky_has_the_known_deviation_and_lyapunov_exponent():
    system = KuramotoSivashinsky(32, frame=2.0, frames=150, steps=8)
    rows = system.draw(24)["a"]
    path = system.solve(rows)
    deviation = path.square().mean((-1, -2)).sqrt()
    within(deviation, 1.186, float(deviation.std()))
    exponent = lyapunov(system, path[:, -1], 200)
    within(exponent, 0.0498, float(exponent.std()))


@pytest.mark.parametrize("system", [Lorenz63(frame=0.1, steps=1), Lorenz96(6, frame=0.1)])
def test_lorenz_is_of_fourth_order(system):
    from dataclasses import replace

    start = system.draw(3)["a"]
    steps, exact = [2, 4, 8], replace(system, steps=200).advance(start)
    errors = [float((replace(system, steps=n).advance(start) - exact).norm()) for n in steps]
    assert order(errors, steps) == pytest.approx(4, abs=0.4)


def test_lorenz_rests_where_it_should_and_has_the_known_exponents():
    eye = math.sqrt(8 / 3 * 27)
    rest = torch.tensor([[eye, eye, 27.0], [-eye, -eye, 27.0]], dtype=D)
    close(Lorenz63().advance(rest), rest)
    close(Lorenz96(8).advance(torch.full((8,), 8.0, dtype=D)), torch.full((8,), 8.0, dtype=D))
    for system, known, count in ((Lorenz63(frame=0.02), 0.9056, 30), (Lorenz96(40), 1.68, 8)):
        exponent = lyapunov(system, system.draw(count)["a"], 1000)
        within(exponent, known, float(exponent.std()) + 0.02)


def test_the_products_of_lorenz_96_pass_energy_on_and_make_none():
    u = normal(5, 12)
    close((Lorenz96(12).rate(u) * u).sum(-1), (8 * u - u.square()).sum(-1))


@pytest.mark.parametrize("system", [Lorenz63(frames=2), Lorenz96(5, frames=2, noise=0.5)])
def test_kicks_of_lorenz_are_as_strong_as_they_should(system):
    start = system.draw(2)["a"]
    noise = normal(2, 2, start.shape[-1])
    path = system.kicked(start, noise)
    close(path[:, 0] - system.advance(start), system.noise * math.sqrt(system.frame) * noise[:, 0])
    close(path[:, 1] - system.advance(path[:, 0]), system.noise * math.sqrt(system.frame) * noise[:, 1])


# --- Kolmogorov flow ------------------------------------------------------------------------------------------------

def test_the_laminar_flow_stays():
    system = Kolmogorov(16)
    y = (torch.arange(16, dtype=D) + 0.5) / 16
    laminar = 6 * torch.cos(8 * math.pi * y) / (1e-3 * (8 * math.pi) ** 2 + 0.1)
    close(system.advance(laminar.expand(16, 16)), laminar.expand(16, 16), 1e-6)


def test_drag_takes_all_waves_alike():
    w, zero = normal(8, 8), torch.zeros(8, 8, dtype=D)
    w = w - w.mean()
    close(integrate(1e-9 * w, zero, 0.0, 0.3, 0.1, 5) * 1e9, math.exp(-0.15) * w, 1e-6)


def test_kicks_of_the_flow_have_the_variance_of_their_strength_in_their_band():
    system = Kolmogorov(16, frames=1)
    noise = normal(500, 1, 16, 16)
    kicks = system.kicked(torch.zeros(500, 16, 16, dtype=D), noise)[:, 0] - system.advance(torch.zeros(16, 16, dtype=D))
    power = kicks.square().mean((-1, -2))
    within(power, 1.5**2 * 0.2, float(power.std()))
    k = torch.fft.fftfreq(16, 1 / 16, dtype=D)
    outside = torch.hypot(k[:, None], k) > 4
    assert float(torch.fft.fft2(kicks)[:, outside].abs().max()) < 1e-10
    close(kicks.mean((-1, -2)), torch.zeros(500, dtype=D))


def test_drawn_flows_are_stationary():
    system = Kolmogorov(16, frames=10)
    start = system.draw(32)["a"]
    later = system.kicked(start, white(16, 32, stream=2, frames=10))[:, -1]
    power = later.square().mean((-1, -2)) - start.square().mean((-1, -2))
    within(power, 0.0, float(power.std()))
    assert float(start.square().mean().sqrt()) == pytest.approx(system.size, rel=0.15)
