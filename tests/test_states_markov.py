"""Markov Gaussians of windows: a chain's covariance stays what it is, along rings by wave number too."""

import numpy as np
import pytest
import torch
import xarray

from oracles import close, covariance, normal
from sciencegen.layout import Layout, Variable
from sciencegen.states import States, candidates, local, markov
from sciencegen.states.markov import Frames
from sciencegen.states.symbols import smoothed
from sciencegen.states.waves import Waves
from sciencegen.symmetries import Shift

D = torch.float64
LENGTH, SIZE = 4, 3
LAYOUT = Layout(u=Variable((LENGTH, 2), dims=("time", "x")), nu=(), f=Variable((LENGTH,), dims=("time",)))
FRAMES = Frames.of(LAYOUT)


def chain(gain, drive, left):
    """The covariance of a window and a number, each frame ``gain`` of the last, ``drive`` of the number and noise."""
    joint = covariance(SIZE + 1)  # of the first frame and the number
    step = torch.cat([torch.cat([gain, drive[:, None]], 1), torch.eye(SIZE + 1, dtype=D)[SIZE:]])
    noise = torch.zeros(SIZE + 1, SIZE + 1, dtype=D)
    noise[:SIZE, :SIZE] = left
    laws, found = [joint], torch.zeros(LAYOUT.size, LAYOUT.size, dtype=D)
    for _ in range(LENGTH - 1):
        laws.append(step @ laws[-1] @ step.mT + noise)
    for i in range(LENGTH):
        for j in range(i, LENGTH):
            block = torch.linalg.matrix_power(step, j - i) @ laws[i]
            found[FRAMES.moving[j][:, None], FRAMES.moving[i]] = block[:SIZE, :SIZE]
            found[FRAMES.moving[i][:, None], FRAMES.moving[j]] = block[:SIZE, :SIZE].mT
        found[FRAMES.still[:, None], FRAMES.moving[i]] = laws[i][SIZE:, :SIZE]
        found[FRAMES.moving[i][:, None], FRAMES.still] = laws[i][:SIZE, SIZE:]
    found[FRAMES.still[:, None], FRAMES.still] = joint[SIZE:, SIZE:]
    return found


GAIN, DRIVE, LEFT = 0.4 * normal(SIZE, SIZE, seed=1), normal(SIZE, seed=2), 0.1 * covariance(SIZE, 5)


def test_the_frames_of_a_state():
    assert FRAMES.moving.tolist() == [[0, 1, 9], [2, 3, 10], [4, 5, 11], [6, 7, 12]]
    assert FRAMES.still.tolist() == [8]
    assert FRAMES.parts.tolist() == [0, 0, 2]


@pytest.mark.parametrize("layout", [Layout(u=(4,)), Layout(u=Variable((1, 4), dims=("time", "x")))], ids=str)
def test_without_two_frames_there_is_no_chain(layout):
    assert Frames.of(layout) is None


def test_a_chains_covariance_stays_what_it_is():
    wanted = chain(GAIN, DRIVE, LEFT)
    close(FRAMES.chained(wanted), wanted, 1e-9)


def test_of_wave_numbers_it_is_one_by_one_and_hermitian():
    waves = torch.stack([chain(GAIN, DRIVE, LEFT), chain(GAIN / 2, DRIVE, LEFT)]).to(torch.complex128)
    phase = torch.ones(LAYOUT.size, dtype=torch.complex128)
    phase[FRAMES.moving] = torch.exp(1j * normal(SIZE))  # the same in every frame
    turned = phase[:, None] * waves * phase.conj()
    close(torch.view_as_real(FRAMES.chained(turned)), torch.view_as_real(turned), 1e-9)


def test_what_is_left_over_may_have_one_variance_a_part():
    found = FRAMES.chained(chain(GAIN, DRIVE, LEFT), single=True)
    now, after = torch.cat([FRAMES.moving[0], FRAMES.still]), FRAMES.moving[1]
    before, across = found[now[:, None], now], found[after[:, None], now]
    left = found[after[:, None], after] - across @ torch.linalg.solve(before, across.mT)
    own = LEFT.diagonal()
    close(left, torch.diag(torch.stack([own[:2].mean(), own[:2].mean(), own[2]])), 1e-9)


def test_persistence_has_the_last_frame_and_the_increments_covariance():
    wanted = chain(GAIN, DRIVE, LEFT)
    found, apart = FRAMES.chained(wanted, persistent=True), torch.zeros(SIZE, SIZE, dtype=D)
    for before, after in zip(FRAMES.moving, FRAMES.moving[1:]):
        step = torch.zeros(SIZE, LAYOUT.size, dtype=D)
        step[range(SIZE), after], step[range(SIZE), before] = 1.0, -1.0
        apart += step @ wanted @ step.mT / (LENGTH - 1)
    known, after = torch.cat([FRAMES.moving[0], FRAMES.still]), FRAMES.moving[1]
    gain = torch.linalg.solve(found[known[:, None], known], found[known[:, None], after]).mT
    close(gain, torch.eye(SIZE, SIZE + 1, dtype=D), 1e-9)
    close(found[after[:, None], after] - wanted[FRAMES.moving[0][:, None], FRAMES.moving[0]], apart, 1e-9)


def test_a_ridge_regresses_on_less():
    wanted, ridge = chain(GAIN, DRIVE, LEFT), 0.3
    found, now = FRAMES.chained(wanted, ridge), torch.cat([FRAMES.moving[0], FRAMES.still])
    pairs = [torch.cat([frame, FRAMES.still]) for frame in FRAMES.moving[:-1]]
    pooled = torch.stack([wanted[rows[:, None], rows] for rows in pairs]).mean(0)
    across = torch.stack([wanted[FRAMES.moving[k + 1][:, None], rows] for k, rows in enumerate(pairs)]).mean(0)
    gain = across @ torch.linalg.inv(pooled + ridge * pooled.diagonal().mean() * torch.eye(SIZE + 1, dtype=D))
    close(found[FRAMES.moving[1][:, None], now], gain @ wanted[now[:, None], now], 1e-9)


# --- by wave number ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("grid", [(5,), (6,), (3, 4)], ids=str)
def test_covariances_by_wave_number_are_those_of_all_shifts(grid):
    dims = ("x", "y")[: len(grid)]
    waves = Waves.of(Layout(a=(), u=Variable((2, *grid), dims=("time", *dims))), dims)
    rows = normal(7, 1 + 2 * waves.fields[0].numel())
    spectrum = waves.spectrum(rows)
    found = waves.dense(torch.einsum("bkc,bkd->kcd", spectrum, spectrum.conj()))
    fields, every = rows[:, 1:].reshape(7, 2, *grid), []
    for shift in np.ndindex(*grid):
        moved = fields.roll(shift, tuple(range(2, 2 + len(grid)))).flatten(1)
        every.append(torch.cat([rows[:, :1], moved], 1))
    wanted = sum(one.mT @ one for one in every) / len(every)
    close(found, wanted, 1e-10)


def rotating(samples, frames=12, cells=16, seed=0):
    """A travelling wave with damping and noise on every wave number, as a data set."""
    waves = torch.arange(cells // 2 + 1, dtype=D)
    gain = 0.9 * torch.exp(-0.02 * waves**2 - 0.4j * waves)
    gain = torch.cat([gain[:-1], gain[-1:].real.to(gain)])
    spread = (1 - gain.abs() ** 2).sqrt() / (1 + waves)

    def kick(k):
        return torch.fft.rfft(normal(samples, cells, seed=seed + k)) * spread

    u, found = kick(1000) / (1 - gain.abs() ** 2).sqrt(), []
    for k in range(frames):
        found.append(torch.fft.irfft(u, n=cells))
        u = gain * u + kick(k)
    data = torch.stack(found, 1).float().numpy()
    return xarray.Dataset({"u": (("sample", "time", "x"), data)}, {"x": np.arange(cells)}), gain


@pytest.mark.parametrize("samples", [3, 40])
def test_the_regression_of_a_linear_system_by_wave_number(samples):
    data, gain = rotating(samples)
    states = States(data, ["u"], length=3, split=(1.0, 0, 0), symmetries=(Shift(("x",)),))
    ours, view = markov(states), states.layout["u"][:1]
    frame = torch.zeros(1, 48)
    frame[0, 0] = 1.0
    found = torch.fft.rfft((ours.given(view).center(frame) - ours.given(view).center(0 * frame))[0, :16].double())
    assert float((found - gain).abs().square().mean().sqrt()) < 1.0 / (samples * 11) ** 0.5


def test_local_dynamics_say_more_than_a_regression_by_wave_number():
    data, gain = rotating(10)
    states = States(data, ["u"], length=3, split=(1.0, 0, 0), symmetries=(Shift(("x",)),))
    errors, view = [], states.layout["u"][:1]
    for ours in (local(states), markov(states)):
        frame = torch.zeros(1, 48)
        frame[0, 0] = 1.0
        found = torch.fft.rfft((ours.given(view).center(frame) - ours.given(view).center(0 * frame))[0, :16].double())
        errors.append(float((found - gain).abs().square().mean().sqrt()))
    assert errors[0] < 0.7 * errors[1]


def test_a_law_of_local_dynamics_stays_what_it_is():
    _, gain = rotating(1)
    gain = torch.cat([gain, gain[1:-1].flip(0).conj()])
    lag = torch.arange(4)[:, None] - torch.arange(4)
    wanted = 2.0 * torch.where(lag >= 0, gain[:, None, None] ** lag.abs(), gain.conj()[:, None, None] ** lag.abs())
    close(torch.view_as_real(smoothed(wanted)), torch.view_as_real(wanted), 1e-9)


def test_of_two_fields_or_two_axes_nobody_knows_a_symbol():
    data, _ = rotating(6)
    two = data.assign(v=data["u"])
    assert local(States(two, ["u", "v"], length=2, symmetries=(Shift(("x",)),))) is None
    assert local(States(data, ["u"], length=2)) is None
    assert "local operator" not in candidates(States(two, ["u", "v"], length=2, symmetries=(Shift(("x",)),)))


def test_a_force_that_does_not_move_is_one_channel_and_regressed_on():
    data, _ = rotating(20)
    force = np.random.default_rng(0).normal(size=(20, 16)).astype("float32")
    forced = data["u"].values + np.arange(12)[None, :, None].astype("float32") * force[:, None]
    both = data.assign(u=(("sample", "time", "x"), forced), f=(("sample", "x"), force))
    states = States(both, ["u", "f"], length=3, split=(1.0, 0, 0), symmetries=(Shift(("x",)),))
    waves = Waves.of(states.layout, ("x",))
    assert Frames.of(states.layout).through(waves.channels).still.tolist() == [3]
    spread, one = markov(states, single=True), torch.zeros(2, states.layout.size)
    view = states.layout["u"][:1] & states.layout["f"]
    one[1, states.layout["f"].index[0]] = 1.0
    said = spread.given(view).center(one)
    assert float((said[1] - said[0])[0]) > 10 * float((said[1] - said[0])[4].abs())  # the force acts where it is


def test_candidates_of_windows_have_chains_and_others_none():
    data, _ = rotating(12)
    with_shifts = States(data, ["u"], length=2, symmetries=(Shift(("x",)),))
    assert "Markov by wave number" in candidates(with_shifts)
    assert any(name.startswith("Markov, ridge") for name in candidates(States(data, ["u"], length=2)))
    assert not any(name.startswith("Markov") for name in candidates(States(data, ["u"], length=1)))
