"""Patches minus edges plus corners: each point is counted once, and the law of a large field comes out."""

import pytest
import torch

from conformance import awake
from oracles import close, normal
from sciencegen.compose import patches
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.nets.mlp import MLP
from sciencegen.nets.zero import Zero
from sciencegen.priors import Denoiser
from sciencegen.tasks import Problem

D = torch.float64


def field(side: int, length: float, smooth: bool = False) -> torch.Tensor:
    """Covariance of a field of exponential correlation, or Matern's of 3/2, on a square."""
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).to(D)
    r = torch.cdist(places, places) / length * (3**0.5 if smooth else 1.0)
    return (1 + r if smooth else 1) * torch.exp(-r)


def square(side: int, **others) -> Layout:
    return Layout(u=Variable((side, side), dims=("y", "x")), **others)


def large(one: Layout, rows: int, columns: int) -> Layout:
    return one.grown("u", length=rows, dim="y").grown("u", length=columns, dim="x")


def dense(energy) -> torch.Tensor:
    made = energy.gaussian()
    return made.back(made.variances * made.modes(torch.eye(len(made.center), dtype=D)))


def standard(size: int) -> Gaussian:
    return Gaussian(torch.zeros(size, dtype=D), 1.0)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("overlap", [0, 1, 2, 3])
def test_each_point_is_counted_once(periodic, overlap):
    """Of independent numbers of unit variance the energy is half their square, whatever the patches."""
    one, step = square(4, s=(2,)), 4 - overlap
    whole = large(one, *((4 * step if periodic else 4 + k * step) for k in (2, 3)))
    found = patches(standard(18), whole, overlap, periodic)
    x = normal(3, whole.size)
    close(found.score(x, 0.0), -x, 1e-12)


@pytest.mark.parametrize("length, smooth, patch, wrong", [
    (2.0, False, 8, 9e-4), (2.0, False, 12, 1.1e-4), (4.0, False, 8, 6.3e-3), (2.0, True, 8, 5e-3),
    (2.0, True, 12, 4e-4)])
def test_gaussian_fields_are_composed_as_well_as_patches_are_long(length, smooth, patch, wrong):
    """Half-overlapping patches of three correlation lengths and more; a field in the plane is no Markov chain."""
    prior = Gaussian(torch.zeros(patch**2, dtype=D), field(patch, length, smooth))
    exact, found = field(24, length, smooth), dense(patches(prior, large(square(patch), 24, 24), patch // 2, False))
    assert (found - exact).norm() / exact.norm() < wrong


def test_a_separable_chain_is_composed_exactly():
    """Markov along both axes: the closed form of the composition is the dense law."""
    memory = lambda n: 0.7 ** (torch.arange(n)[:, None] - torch.arange(n)).abs().to(D)
    law = lambda rows, columns: torch.kron(memory(rows), memory(columns))
    found = patches(Gaussian(torch.full((16,), 0.3, dtype=D), law(4, 4)), large(square(4), 7, 10), 1, False)
    close(dense(found), law(7, 10), 1e-9)
    close(found.gaussian().center, torch.full((70,), 0.3, dtype=D), 1e-9)


def test_round_the_ends_no_place_is_special():
    """A shift by whole strides changes nothing, in any direction."""
    prior = Gaussian(torch.zeros(36, dtype=D), field(6, 2.0))
    energy, x = patches(prior, large(square(6), 12, 15), 3), normal(4, 180)
    for shift in ((3, 0), (0, 3), (6, 9)):
        moved = x.reshape(4, 12, 15).roll(shift, (1, 2)).flatten(1)
        close(energy(moved, 0.5), energy(x, 0.5), 1e-10)


@pytest.mark.parametrize("periodic", [True, False])
def test_a_part_that_all_patches_share_is_counted_once(periodic):
    """A number that shifts a field of independent values: the joint law is known in closed form."""
    def law(size):
        return 0.7 + torch.diag(torch.cat([torch.full((size,), 0.4, dtype=D), torch.zeros(1, dtype=D)]))

    prior = Gaussian(torch.zeros(17, dtype=D), law(16))
    whole = large(square(4, s=()), 6, 8)
    close(dense(patches(prior, whole, 2, periodic)), law(48), 1e-7)


def denoiser(one: Layout, overlap: int, gaussian: Gaussian, net) -> Denoiser:
    u, s = one["u"], one["s"]
    strips = (u[:, :overlap], u[:overlap], u[:overlap, :overlap])
    return Denoiser(net, gaussian, given=[s], within=[(strip & s, s) for strip in strips]).double()


def test_where_a_style_is_given_patches_and_marginals_are_those_of_the_conditional():
    one = square(4, s=(2,))
    root = normal(18, 18)
    gaussian = Gaussian(normal(18, seed=1), root @ root.mT / 18 + 0.5 * torch.eye(18, dtype=D))
    untrained, value = denoiser(one, 2, gaussian, Zero()), torch.tensor([0.4, -1.2], dtype=D)
    strip = one["u"][:, :2] & one["s"]
    ours = untrained.given(one["s"]).marginal(strip)
    inside = Layout(u=(8,), s=(2,))["s"]
    exact = gaussian.marginal(strip).given(inside)
    x = torch.cat([normal(5, 8), value.expand(5, 2)], -1)
    for sigma in (0.1, 2.0):
        close(ours.score(x, sigma), exact.score(x, sigma), 1e-10)
    whole = large(one, 8, 8)
    problem = Problem(whole, patches(untrained.given(one["s"]), whole, 2)).given(s=value)
    assert problem.size == 64
    assert problem.energy().score(normal(3, 64), 0.5).shape == (3, 64)


def test_painted_with_one_style_everywhere_it_is_the_field_of_that_style():
    one = square(4, s=(2,))
    prior = denoiser(one, 2, Gaussian(torch.zeros(18, dtype=D), torch.ones(18, dtype=D)), awake(MLP(18, 16, 1)))
    whole, value, x = large(one, 8, 12), torch.tensor([0.4, -1.2], dtype=D), normal(3, 96)
    painted = whole.grown("s", copies=6, dim="column").grown("s", copies=4, dim="row")
    plain, every = (Problem(of, patches(prior.given(one["s"]), of, 2)) for of in (whole, painted))
    same = every.given(s=value.expand(4, 6, 2)).energy().score(x, 0.7)
    close(same, plain.given(s=value).energy().score(x, 0.7), 1e-12)
    changed = value.expand(4, 6, 2).clone()
    changed[1, 2] += 1.0
    differs = (every.given(s=changed).energy().score(x, 0.7) - same).abs().sum(0).reshape(8, 12) > 0
    inside = torch.zeros(8, 12, dtype=torch.bool)
    inside[2:6, 4:8] = True
    assert torch.equal(differs, inside), "a patch's style acts on its own pixels, all of them"


def test_every_kind_of_row_is_trained_and_comes_back():
    one = square(4, s=(2,))
    prior = denoiser(one, 2, standard(18), Zero())
    again = Denoiser.build(prior.config(), Zero(), prior.tensors())
    assert again.within == prior.within
    assert again.parts == 5
    with pytest.raises(ValueError, match="the 3 parts that this network was trained to know .its argument within"):
        again.given(one["s"]).marginal(one["u"][2:] & one["s"])


def test_sizes_that_do_not_fit_are_refused():
    prior = standard(16)
    with pytest.raises(ValueError, match="got 9 frames for windows of 4 that share 2; expected .* 4, 6, 8, 10"):
        patches(prior, large(square(4), 8, 9), 2)
    with pytest.raises(ValueError, match="grow both"):
        patches(prior, square(4).grown("u", length=8, dim="y"), 2)
    with pytest.raises(ValueError, match="all divisible by stride"):
        square(9)["u"].patches(4, 2)
    assert square(8)["u"].patches((4, 2), (2, 4)).rows.shape == (4, 2, 8)


def test_along_one_axis_windows_go_round_too():
    one = Layout(u=(6,))
    assert one["u"].windows(3, 2, periodic=True).rows.tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 0]]
