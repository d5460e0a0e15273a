"""Networks of trajectories: any number of bodies and frames, in any order, and averages that are exact on flights."""

import pytest
import torch

from conformance import awake
from oracles import close, normal
from sciencegen.exact import Gaussian
from sciencegen.nets.bodies import Bodies, Smoother, pairs
from sciencegen.nets.trunks import Graph, TemporalUNet
from sciencegen.priors import Denoiser
from sciencegen.train import Levels, fit

D = torch.float64
BOTH = {
    "graph": lambda bodies=2: Bodies(Graph(16, 1), Graph(16, 1, extra=16), bodies),
    "unet": lambda bodies=2: Bodies(TemporalUNet((8, 12, 16)), TemporalUNet((8, 12, 16), extra=8), bodies),
}
both = pytest.mark.parametrize("kind", BOTH)


def inputs(bodies=2, frames=12, count=3, seed=0):
    size = frames * bodies * 4
    return normal(count, size, seed=seed), normal(count, 1, seed=seed + 1) / 4, torch.ones(count, size, dtype=D)


def split(v, bodies):
    return v.unflatten(-1, (-1, bodies, 4))


# --- what every network of the package is -------------------------------------------------------------------------

@both
def test_an_untrained_network_is_zero_and_can_learn(kind):
    net = BOTH[kind]().double()
    out = net(*inputs())
    assert out.shape == (3, 96)
    assert bool((out == 0).all())
    (out - normal(3, 96, seed=5)).square().sum().backward()
    assert all(bool((getattr(net.heads[-1], last).weight.grad != 0).any()) for last in ("gate", "rest"))


@both
@torch.no_grad()
def test_untrained_it_leaves_the_gaussian_as_it_is(kind):
    data = Gaussian(normal(96), normal(96, seed=1) ** 2)
    energy = Denoiser(BOTH[kind]().double(), data)
    x = normal(4, 96, seed=2)
    for sigma in (0.01, 1.0, 30.0):
        close(energy.mean(x, torch.tensor(sigma, dtype=D)), data.mean(x, torch.tensor(sigma, dtype=D)), 1e-12)


@both
@torch.no_grad()
def test_rows_are_independent(kind):
    net = awake(BOTH[kind]())
    whole = net(*inputs())
    for row in range(3):
        close(net(*(i[row: row + 1] for i in inputs()))[0], whole[row], 1e-11)


@torch.no_grad()
def test_many_rows_go_through_in_pieces_in_order():
    net, many = awake(BOTH["unet"]()), inputs(frames=12, count=600)
    rows = []
    net.trunks[0].register_forward_hook(lambda trunk, given, out: rows.append(len(out)))
    whole = net(*many)
    assert len(rows) > 1
    assert sum(rows) == 600
    for row in (0, 299, 599):
        close(net(*(i[row: row + 1] for i in many))[0], whole[row], 1e-11)


@both
@pytest.mark.parametrize("which", [0, 1, 2], ids=["state", "level", "keep"])
@torch.no_grad()
def test_it_hears_all_that_it_is_told(kind, which):
    net, told = awake(BOTH[kind]()), list(inputs())
    before = net(*told)
    told[which] = told[which] + 0.1 if which < 2 else (torch.arange(96) < 48).to(D).expand(3, 96)
    assert bool((net(*told) != before).any())


@both
def test_the_gradient_is_the_derivative(kind):
    net, (u, c, keep) = awake(BOTH[kind]()), inputs(frames=4)
    direction, weight = normal(3, 32, seed=8), normal(3, 32, seed=9)
    v = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad((net(v, c, keep) * weight).sum(), v)
    ahead, behind = ((net(u + s * direction, c, keep) * weight).sum().detach() for s in (1e-6, -1e-6))
    assert float((slope * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-6, rel=1e-4)


@both
def test_it_learns_what_its_gaussian_does_not_know(kind, tmp_path):
    """Straight flights, of which a diagonal Gaussian knows nothing: the error falls to a half in 60 steps."""
    start, time = normal(400, 1, 2, 4), torch.arange(8)[:, None, None]
    place = start[..., :2] + 0.084 * time * start[..., 2:]
    rows = torch.cat([place, start[..., 2:].expand_as(place)], -1).flatten(1).float()
    torch.manual_seed(0)
    energy = Denoiser(BOTH[kind](), Gaussian(torch.zeros(64), torch.ones(64)))
    trained = fit(energy, rows, tmp_path, 60, batch=32, rate=1e-2, levels=Levels(low=0.05, high=0.5, spread=1.0))
    with torch.no_grad():
        before, after = (e.loss(rows[:100], torch.tensor(0.2), normal(100, 64, seed=1).float()).mean()
                         for e in (energy, trained.prior))
    assert float(after) < 0.5 * float(before)


# --- bodies and frames --------------------------------------------------------------------------------------------

@both
@pytest.mark.parametrize("bodies", [1, 2, 3, 8])
@torch.no_grad()
def test_any_number_of_bodies_in_any_order(kind, bodies):
    net, (u, c, keep) = awake(BOTH[kind]()).among(bodies), inputs(bodies)
    order = torch.randperm(bodies, generator=torch.Generator().manual_seed(1)).flip(0)
    out = split(net(u, c, keep), bodies)
    swapped = split(net(split(u, bodies)[:, :, order].flatten(1), c, keep), bodies)
    close(swapped, out[:, :, order], 1e-9)
    assert bodies == 1 or float((out[:, :, 0] - out[:, :, 1]).abs().max()) > 1e-3


@both
@torch.no_grad()
def test_what_is_not_kept_does_not_matter(kind):
    """Neither its value nor that there was room for it: a part is the same as a state that has no more."""
    net, (u, c, keep) = awake(BOTH[kind]()), inputs(frames=12)
    for frames, bodies in ((8, 2), (12, 1), (8, 1), (4, 2)):
        kept = torch.zeros(3, 12, 2, 4, dtype=D)
        kept[:, :frames, :bodies] = 1
        told = [net(torch.where(kept.flatten(1) > 0, u, noise), c, kept.flatten(1)) for noise in (u, 1e3 * u)]
        close(told[1], told[0], 1e-12)
        assert bool((split(told[0], 2)[kept == 0] == 0).all())
        alone = net.among(bodies)(split(u, 2)[:, :frames, :bodies].flatten(1), c, keep[:, : frames * bodies * 4])
        close(split(alone, bodies), split(told[0], 2)[:, :frames, :bodies], 1e-9)


@both
@torch.no_grad()
def test_what_is_given_is_taken_as_clean(kind):
    """Given frames are no noisy frames of the same numbers, and what is said of the others depends on them."""
    net, (u, c, keep) = awake(BOTH[kind]()), inputs()
    given = keep.clone().unflatten(1, (12, 8))
    given[:, :3] = -1
    out = net(u, c, given.flatten(1)).unflatten(1, (12, 8))[:, 3:]
    assert bool((out != net(u, c, keep).unflatten(1, (12, 8))[:, 3:]).any())
    moved = u.clone().unflatten(1, (12, 8))
    moved[:, 0] += 1
    assert bool((out != net(moved.flatten(1), c, given.flatten(1)).unflatten(1, (12, 8))[:, 3:]).any())


@pytest.mark.parametrize("kind, shift", [("graph", 1), ("graph", 3), ("unet", 4)])
@torch.no_grad()
def test_only_differences_of_time_matter(kind, shift):
    net, (u, c, _) = awake(BOTH[kind]()), inputs(frames=8)
    early, late = torch.zeros(2, 3, 12, 2, 4, dtype=D), torch.zeros(2, 3, 12, 2, 4, dtype=D)
    early[:, :, :8], late[:, :, shift: 8 + shift] = torch.stack([split(u, 2), torch.ones(3, 8, 2, 4, dtype=D)]), \
        torch.stack([split(u, 2), torch.ones(3, 8, 2, 4, dtype=D)])
    one, other = (split(net(v[0].flatten(1), c, v[1].flatten(1)), 2) for v in (early, late))
    close(other[:, shift: 8 + shift], one[:, :8], 1e-9)


def test_networks_of_more_bodies_share_their_weights():
    net = BOTH["graph"]()
    more = net.among(5)
    assert more.bodies == 5
    assert net.bodies == 2
    assert all(a is b for a, b in zip(more.parameters(), net.parameters(), strict=True))


def test_a_state_that_is_not_made_of_such_frames_is_refused():
    with pytest.raises(ValueError, match="got states of 20 numbers; expected frames of 2 bodies"):
        BOTH["graph"]()(torch.zeros(1, 20), torch.zeros(1, 1), torch.ones(1, 20))


def test_pairs_are_sorted_by_target():
    assert pairs(3).T.tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert pairs(1).shape == (2, 0)


# --- the smoother -------------------------------------------------------------------------------------------------

def flight(start, frames, step):
    """Straight on: ``start (N, bodies, 4)`` to ``(N, bodies, frames, 4)``."""
    time = torch.arange(frames, dtype=D)[:, None]
    place = start[:, :, None, :2] + step * time * start[:, :, None, 2:]
    return torch.cat([place, start[:, :, None, 2:].expand_as(place)], -1)


def sure(kind):
    """A smoother with random attention over one kind (free, low, high), whose gates say: exactly this."""
    head = awake(Smoother(8, reach=1.5, step=0.1))
    other = torch.arange(3) != kind
    head.bias.data[:, other] -= 1e3
    head.gate.weight.data.zero_()
    head.gate.bias.data[:] = 1 / head.heads
    for last in (head.rest, head.lean):
        last.weight.data.zero_()
        last.bias.data.zero_()
    return head


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["free", "low", "high"])
@torch.no_grad()
def test_the_smoother_knows_straight_flights_and_their_mirror_images(kind):
    """Noise-free, every frame says the same of frame t: where it is, or where it would be behind the mirror."""
    x, sigma = flight(normal(3, 2, 4), 9, 0.1), torch.tensor([0.01, 0.5, 3.0], dtype=D)[:, None, None, None]
    out = sure(kind)(normal(3, 2, 9, 8, seed=4), x, sigma, torch.ones(3, 2, 9, 1, dtype=D), normal(3, 2, 9, 17, 4))
    told = x if kind == 0 else -x + torch.tensor([1, 1, 0, 0]) * (2 * 1.5 * (-1 if kind == 1 else 1))
    root = (1 + sigma**2).sqrt()
    close(out, ((told - x) * root / sigma + x * sigma / root) / (1 + sigma**2 / 8), 1e-9)


@torch.no_grad()
def test_the_smoother_hears_only_frames_that_are_there():
    """Where all say one thing that is what it says, and what frames that are not there say does not count."""
    head, x, sigma = Smoother(8, 1.5, 0.1, heads=1).double(), normal(2, 1, 5, 4), torch.full((2, 1, 1, 1), 0.3, dtype=D)
    head.lean.bias.data.fill_(1)
    keep = torch.tensor([1.0, 1, 1, 0, 1], dtype=D)[None, None, :, None].expand(2, 1, 5, 1)
    speaker = torch.arange(5)[:, None] + torch.arange(-8, 9)
    here = (speaker >= 0) & (speaker < 5) & (speaker != 3)
    said = torch.where(here, 0.7, torch.tensor(9.0, dtype=D))[None, None, :, :, None].expand(2, 1, 5, 17, 4)
    root = (1 + sigma**2).sqrt()
    close(head(normal(2, 1, 5, 8), x, sigma, keep, said),
          ((0.7 - x) * root / sigma + x * sigma / root) / (1 + sigma**2 / 8), 1e-12)


@torch.no_grad()
def test_the_smoother_averages_noise_away():
    """With even weights the noise of a velocity falls as the root of how many frames say it."""
    head, frames, sigma = sure(0), 24, torch.tensor(0.1, dtype=D)
    for part in (head.query, head.key):
        part.weight.data.zero_()
    head.bias.data[:, 0] = 0
    noise = normal(400, 2, frames, 4)
    out = head(torch.zeros(400, 2, frames, 8, dtype=D), sigma * noise, sigma.expand(400, 1, 1, 1),
               torch.ones(400, 2, frames, 1, dtype=D), torch.zeros(400, 2, frames, 17, 4, dtype=D))
    root = float((1 + sigma**2).sqrt())
    mean = sigma * noise * (1 - sigma**2 / root**2) + out * (1 + sigma**2 / 8) * sigma / root
    assert float(mean[..., 2:].std() / sigma) == pytest.approx(frames**-0.5, rel=0.05)
