"""Compositions of exact parts are the exact whole."""

import pytest
import torch

from oracles import close, normal
from sciencegen.compose import bethe, chain, chained, pairs, superposed
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable

D = torch.float64


def joint(count: int, memory: float = 0.8) -> torch.Tensor:
    """Covariance of an AR(1) process."""
    return memory ** (torch.arange(count)[:, None] - torch.arange(count)).abs().to(D)


def density(energy):
    """Mean and covariance of a sum of Gaussians."""
    made = energy.gaussian()
    return made.center, made.back(made.variances * made.modes(torch.eye(len(made.center), dtype=D)))


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_a_chain_of_windows_is_the_process_that_they_are_of(overlap):
    frames = 4 + 3 * (4 - overlap)
    window = Layout(u=Variable((4,), dims=("time",), coords={"time": [0.0, 0.5, 1.0, 1.5]}))
    long = window.grown("u", length=frames)
    mean, cov = density(chain(Gaussian(torch.full((4,), 0.3, dtype=D), joint(4)), long, overlap))
    close(mean, torch.full((frames,), 0.3, dtype=D), 1e-9)
    close(cov, joint(frames), 1e-9)
    assert list(long.variables["u"].coords["time"]) == [0.5 * k for k in range(frames)]


@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_a_parameter_is_counted_once_whatever_the_number_of_windows(overlap):
    """Frames that are independent, given a number that shifts them all: the joint is known in closed form."""
    layout = Layout(u=(3, 2), nu=())
    long = layout.grown("u", length=9 - 2 * overlap if overlap else 9)

    def law(frames):
        own = torch.cat([torch.full((frames * 2,), 0.4, dtype=D), torch.zeros(1, dtype=D)])
        return 0.7 + torch.diag(own)  # the number itself, and what each frame has beside it

    prior = Gaussian(torch.zeros(7, dtype=D), law(3))
    _, found = density(chain(prior, long, overlap))
    close(found, law(long.variables["u"].shape[0]), 1e-8)


@pytest.mark.parametrize("overlap", [1, 2])
def test_a_domain_grows_along_any_axis_that_is_named(overlap):
    """A row of columns: a process along x, two frames that share it, and a number that is independent of both."""
    one = Layout(u=Variable((2, 4), dims=("time", "x")), p=Variable((4,), dims=("x",)), nu=())
    wide = one.grown("u", length=4 + 2 * (4 - overlap), dim="x")
    side = wide.variables["u"].shape[1]
    frames = torch.tensor([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]], dtype=D)  # of u twice, and of p
    law = lambda n: torch.block_diag(torch.kron(frames, joint(n)), torch.eye(1, dtype=D))
    _, found = density(chain(Gaussian(torch.zeros(13, dtype=D), law(4)), wide, overlap))
    assert [v.shape for v in wide.variables.values()] == [(2, side), (side,), ()]
    close(found, law(side), 1e-8)
    with pytest.raises(ValueError, match="got the axis 'y' for"):
        one.grown("u", length=8, dim="y")
    with pytest.raises(ValueError, match="grow one at a time"):
        chain(Gaussian(torch.zeros(13, dtype=D), law(4)), one.grown("u", copies=2), overlap)


def test_pairs_of_a_tree_are_the_whole():
    """Two bodies and one body of independent ones; four together."""
    one = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=D)
    pair, single = Gaussian(torch.zeros(4, dtype=D), torch.block_diag(one, one)), Gaussian(torch.zeros(2, dtype=D), one)
    body = Layout(body=(4, 2))["body"]
    close(density(pairs(pair, single, body))[1], torch.block_diag(one, one, one, one), 1e-9)
    close(pairs(pair, single, Layout(body=(2, 2))["body"]).score(x := normal(3, 4), 0.5), pair.score(x, 0.5))


def test_bethe_of_chains_is_all_bodies_over_all_frames():
    """Independent bodies, each a process in time: windows of two frames that share one."""
    cov = lambda frames, bodies: torch.kron(joint(frames), torch.eye(bodies, dtype=D))
    gaussian = lambda frames, bodies: Gaussian(torch.zeros(frames * bodies, dtype=D), cov(frames, bodies))
    view = Layout(u=(5, 3, 1))["u"]
    made = bethe(lambda v, copies: chained(gaussian(2, 2), gaussian(1, 2), v, 2, 1, copies),
                 lambda v, copies: chained(gaussian(2, 1), gaussian(1, 1), v, 2, 1, copies), view)
    close(density(made)[1], cov(5, 3), 1e-9)


def test_copies_share_what_they_share():
    """A shape and its polar at three conditions, from the joint at one."""
    loading = normal(3, 2, seed=2)
    noise = torch.tensor([0.3, 0.5, 0.2], dtype=D)
    shape, polar = torch.eye(2, dtype=D), loading @ loading.mT + torch.diag(noise)
    prior = Gaussian(torch.zeros(5, dtype=D), torch.cat([torch.cat([shape, loading.mT], 1),
                                                         torch.cat([loading, polar], 1)]))
    many = Layout(shape=(2,), polar=(3,)).grown("polar", copies=3)
    _, found = density(superposed(prior, many))
    columns = torch.cat([torch.eye(2, dtype=D), loading, loading, loading])
    wanted = columns @ columns.mT + torch.diag(torch.cat([torch.zeros(2, dtype=D), noise, noise, noise]))
    close(found, wanted, 1e-9)
    assert superposed(prior, many.origin) is prior
    alone = Layout(polar=(3,)).grown("polar", copies=2, dim="point")
    assert alone.variables["polar"].shape == (2, 3)
    close(density(superposed(Gaussian(torch.zeros(3, dtype=D), polar), alone))[1], torch.block_diag(polar, polar), 1e-9)


@pytest.mark.parametrize("frames, overlap", [(9, 2), (10, 4), (10, -1), (3, 1)])
def test_windows_that_do_not_fit_are_refused(frames, overlap):
    layout = Layout(u=(4,))
    if frames < 4:
        with pytest.raises(ValueError, match=r"got a length of 3 along axis 0 of shape \(4,\)"):
            layout.grown("u", length=frames)
        return
    with pytest.raises(ValueError, match=r"got \d+ frames for windows of 4 that share -?\d; expected an overlap"):
        chain(Gaussian(torch.zeros(4, dtype=D), joint(4)), layout.grown("u", length=frames), overlap)


def test_what_cannot_grow_is_refused():
    uneven = Layout(u=Variable((3,), dims=("time",), coords={"time": [0.0, 1.0, 3.0]}))
    varying = Layout(u=Variable((3,), scale=torch.tensor([1.0, 2.0, 3.0])))
    for layout, message in ((uneven, "expected even steps"), (varying, "units that differ along axis 0")):
        with pytest.raises(ValueError, match=message):
            layout.grown("u", length=5)
    with pytest.raises(KeyError, match="no variable"):
        uneven.grown("v", length=5)
    with pytest.raises(ValueError, match="expected one part or more, and a length or a number of copies"):
        uneven.grown("u")
