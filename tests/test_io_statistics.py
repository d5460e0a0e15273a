"""Moments merged block by block are NumPy's over the whole; blocks cover an array once, in whole chunks."""

import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st

from sciencegen.io import Summary, blocks, statistics


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8), offset=st.sampled_from([0.0, 1e3, 1e6]),
       holes=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_merged_moments_are_those_of_the_whole(sizes, offset, holes, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal(n) + offset for n in sizes]
    for part in parts:
        part[rng.random(len(part)) < holes * 0.5] = np.nan
    found = sum((Summary.of(part) for part in parts), Summary())
    whole = np.concatenate(parts)
    there = whole[~np.isnan(whole)]
    assert (found.count, found.missing) == (len(there), len(whole) - len(there))
    if len(there):
        spread = 1e-12 * len(there) * max(offset, 1)
        assert found.mean == pytest.approx(there.mean(), abs=1e-14 * max(offset, 1) * 10)
        assert found.std == pytest.approx(there.std(), rel=1e-9, abs=spread)
        assert found.rms == pytest.approx(np.sqrt(np.square(there).mean()), rel=1e-12)
        assert (found.least, found.most) == (there.min(), there.max())
    else:
        assert np.isnan(found.std)


def test_a_sum_of_squares_loses_what_merging_keeps():
    """Float32 numbers near 1e4 with a spread of 1e-2: the textbook formula has no correct digit, this one nine."""
    rng = np.random.default_rng(0)
    values = (1e4 + 0.01 * rng.standard_normal((100, 1000))).astype(np.float32)
    found = sum((Summary.of(part) for part in values), Summary())
    exact = values.astype(np.float64).std()
    assert found.std == pytest.approx(exact, rel=1e-9)
    naive = np.square(values).mean() - values.mean() ** 2
    assert abs(np.sqrt(abs(naive)) / exact - 1) > 0.1


@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=4), budget=st.integers(1, 4000),
       chunks=st.lists(st.integers(1, 4), min_size=4, max_size=4))
def test_blocks_cover_everything_once_in_whole_chunks(shape, budget, chunks):
    chunks = tuple(min(c, n) for c, n in zip(chunks, shape))
    v = xarray.Variable([f"d{i}" for i in range(len(shape))], np.zeros(shape), encoding={"chunksizes": chunks})
    count = np.zeros(shape, int)
    for key in blocks(v, budget):
        count[key] += 1
        assert all(k.start % c == 0 and (k.stop % c == 0 or k.stop == n) for k, c, n in zip(key, chunks, shape))
        least = max(int(np.prod([min(c, n) for c, n in zip(chunks, shape)])) * 8, budget)
        assert count[key].size * 8 <= least
    assert (count == 1).all()


def test_statistics_of_a_dataset():
    rng = np.random.default_rng(0)
    u = rng.standard_normal((4, 3, 5)).astype(np.float32)
    found = statistics(xarray.Dataset({"u": (("sample", "time", "x"), u), "n": ("sample", np.arange(4))}), ["u", "n"])
    assert found["u"].mean == pytest.approx(u.astype(float).mean(), rel=1e-13)
    assert found["n"].std == pytest.approx(np.arange(4).std())
