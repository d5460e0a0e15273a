"""Noise by counter: the same bits whatever it is drawn with, and random in every direction that is used."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from oracles import close, within
from sciencegen.random import Streams, _normal, spares

MANY = Streams(torch.arange(2000))
DRAWS = {"normal": Streams.normal, "uniform": Streams.uniform,
         "normal, single": lambda noise, size: noise.normal(size, torch.float32)}
seeds = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@given(st.lists(seeds, min_size=1, max_size=40), st.integers(1, 40), st.integers(-1, 1000), st.integers(0, 50),
       st.randoms(use_true_random=False))
def test_a_row_has_the_same_bits_alone_in_any_batch_and_in_any_order(draw, seeds, size, step, stream, random):
    seeds = torch.tensor(seeds)
    together = draw(Streams(seeds, step, stream), size)
    rows = list(range(len(seeds)))
    random.shuffle(rows)
    assert torch.equal(draw(Streams(seeds[rows]).at(step, stream), size), together[rows])
    for row in rows[:5]:
        assert torch.equal(draw(Streams(seeds[row: row + 1], step, stream), size)[0], together[row])
        assert torch.equal(draw(Streams(seeds[row], step, stream), size), together[row])


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1001])
def test_the_same_bits_in_batches_that_are_cut_up_by_vectors_and_threads(draw, size):
    whole = draw(Streams(torch.arange(500)), size)
    for cut in (1, 3, 8, 127):
        pieces = [draw(Streams(piece), size) for piece in torch.arange(500).split(cut)[:20]]
        assert torch.equal(torch.cat(pieces), whole[: 20 * cut])
    try:
        torch.set_num_threads(3)
        assert torch.equal(draw(Streams(torch.arange(500)), size), whole)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_the_same_bits_in_any_order_of_steps_and_whatever_is_drawn_in_between(draw):
    noise, steps = Streams(torch.tensor([3, 1 << 40])), [5, 0, 2, -1, 7]
    first = {step: draw(noise.at(step), 4) for step in steps}
    for step in reversed(steps):
        torch.randn(3)
        assert torch.equal(draw(noise.at(step), 4), first[step])
        assert torch.equal(draw(noise.at(99, 3).at(step), 4), first[step])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("batch, size", [((), 1), ((3,), 7), ((64,), 119), ((2, 5), 64), ((70,), 1001)])
def test_what_is_drawn_ahead_is_what_each_step_draws(dtype, batch, size):
    seeds = torch.arange(3, 3 + math.prod(batch)).reshape(batch)
    drawn = Streams(seeds, 4, 2).ahead(size, dtype)
    assert 1 <= len(drawn) <= 8
    assert len(drawn) * math.prod(batch) * size <= max(2**16, math.prod(batch) * size)
    for step, numbers in enumerate(drawn, 4):
        assert torch.equal(numbers, Streams(seeds, step, 2).normal(size, dtype))


def test_a_shorter_draw_is_the_start_of_a_longer_one():
    for draw in DRAWS.values():
        assert torch.equal(draw(MANY, 5), draw(MANY, 12)[:, :5])


def test_seeds_may_have_any_shape():
    noise = Streams(torch.arange(6).reshape(2, 3), 4)
    assert torch.equal(noise.normal(5).reshape(6, 5), Streams(torch.arange(6), 4).normal(5))


def test_fresh_noise_differs_from_call_to_call_and_follows_torchs_generator():
    torch.manual_seed(0)
    first, second = Streams.fresh(4), Streams.fresh(4)
    assert not bool((first.seeds == second.seeds).any())
    torch.manual_seed(0)
    assert torch.equal(Streams.fresh(4).seeds, first.seeds)


# --- random ------------------------------------------------------------------------------------------------------

def test_moments_of_the_normal():
    z = MANY.normal(50)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (6, 15)):
        variance = math.prod(range(1, 2 * power, 2)) - moment**2
        within(z**power, moment, math.sqrt(variance))


@pytest.mark.parametrize("step, stream", [(0, 0), (-1, 0), (17, 1), (1000, 12)])
def test_kolmogorov_and_smirnov(step, stream):
    noise = MANY.at(step, stream)
    assert stats.kstest(noise.normal(25).flatten(), "norm").pvalue > 1e-3
    assert stats.kstest(noise.uniform(25).flatten(), "uniform").pvalue > 1e-3
    along_seeds = Streams(torch.arange(50000), step, stream)
    assert stats.kstest(along_seeds.normal(1).flatten(), "norm").pvalue > 1e-3
    along_steps = torch.cat([Streams(torch.tensor([5]), s, stream).uniform(1) for s in range(2000)])
    assert stats.kstest(along_steps.flatten(), "uniform").pvalue > 1e-3


def test_uniform_numbers_lie_strictly_inside():
    u = Streams(torch.arange(100000)).uniform(10)
    assert 0 < float(u.min()) < 1e-5
    assert 1 - 1e-5 < float(u.max()) < 1


@pytest.mark.parametrize(
    "other",
    [MANY.at(1), MANY.at(0, 1), MANY.at(-1), Streams(MANY.seeds + 1), Streams(MANY.seeds + 2**32),
     Streams(MANY.seeds * -1), Streams(MANY.seeds, 0, 2), Streams(MANY.seeds.flip(0))],
    ids=["step", "stream", "step before", "next seed", "high bits", "sign", "second stream", "other rows"],
)
def test_other_steps_streams_and_seeds_are_other_numbers(other):
    a, b = MANY.normal(50), other.normal(50)
    assert float((a == b).double().mean()) < 1e-3
    within(a * b, 0, 1)
    within(MANY.uniform(50) * other.uniform(50), 1 / 4, math.sqrt(7 / 144))
    within(a.square() * b.square(), 1, math.sqrt(8))


def test_swapping_step_and_stream_or_moving_one_into_the_other_is_no_repetition():
    places = [(seed, step, stream) for seed in range(5) for step in range(-1, 6) for stream in range(6)]
    draws = {tuple(Streams(torch.tensor(s), k, t).uniform(3).tolist()) for s, k, t in places}
    assert len(draws) == len(places)


def test_positions_in_a_row_are_uncorrelated():
    z = MANY.normal(50)
    for lag in (1, 2, 3, 25):
        within(z[:, lag:] * z[:, :-lag], 0, 1)
    correlation = z.T.corrcoef() - torch.eye(50)
    assert float(correlation.abs().max()) < 5.5 / math.sqrt(len(z)), "the largest of 1225 correlations"


def test_no_two_of_many_seeds_share_a_number():
    u = Streams(torch.arange(10000)).normal(4).flatten()
    assert len(u.unique()) > 0.999 * len(u)


@pytest.mark.parametrize("bits", range(0, 64, 7))
def test_one_bit_of_the_seed_changes_every_number(bits):
    seeds = torch.arange(500) * 7919
    changed = seeds ^ (1 << bits)
    within(Streams(seeds).normal(8) * Streams(changed).normal(8), 0, 1)


def test_single_precision_is_the_same_noise_to_rounding():
    z = MANY.normal(50, torch.float32)
    assert z.dtype == torch.float32
    assert z.isfinite().all()
    close(z.double(), MANY.normal(50), 1e-5)
    assert stats.kstest(z.flatten(), "norm").pvalue > 1e-3
    for dtype in (torch.float16, torch.bfloat16):
        assert torch.equal(MANY.normal(50, dtype), z.to(dtype))


def test_single_precision_reaches_as_far_out():
    """Of ten million numbers the furthest lies at 5.3, give or take; and none is cut off at what 24 bits could say."""
    z = Streams(torch.arange(100_000)).normal(100, torch.float32)
    for limit in (3.0, 4.0, 4.5):
        expected = len(z) * 100 * 2 * stats.norm.sf(limit)
        assert abs(int((z.abs() > limit).sum()) - expected) < 4.5 * math.sqrt(expected)
    assert 4.9 < float(z.abs().max()) < 6.7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_word_has_a_finite_normal(dtype):
    """-2**31 has no positive twin: its radius came out above 1, and the normal as NaN, once in 2**32 pairs."""
    ends = torch.tensor([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1], dtype=torch.int64)
    words = (ends[:, None] << 32) + ends.remainder(2**32)
    found = _normal(words.flatten(), 2 * words.numel(), dtype)
    assert found.isfinite().all()
    assert found.abs().max() <= math.sqrt(64 * math.log(2)) + 1e-6


def test_the_generator_is_splitmix64():
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        return z ^ (z >> 31)

    def hashed(seed, step, stream):
        return mix(seed & mask) ^ mix(mix((step + golden) & mask) ^ stream)

    for seed, step, stream in itertools.product((0, 1, -5, 2**62), (-1, 0, 3), (0, 2)):
        start = hashed(seed, step, stream)
        words = [mix((start + k * golden) & mask) for k in (1, 2, 3)]
        wanted = [((w >> 32) + 0.5) / 2**32 for w in words]
        assert Streams(torch.tensor([seed]), step, stream).uniform(3).tolist() == [wanted]
    # The reference implementation's first output from state 0 (https://prng.di.unimi.it/splitmix64.c).
    assert mix(golden) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("count", [0, 1, 3, 4, 10])
def test_spares_begin_with_what_is_given_and_repeat_nothing(count):
    seeds = torch.tensor([5, 0, 2**40])
    found = spares(seeds, count)
    assert torch.equal(found[:3], seeds[:count])
    assert len(found) == len(found.unique()) == count
    assert torch.equal(spares(seeds, 10)[:count], found)
