"""What is given: the conditional Gaussian before training, no score along what is known, and p(x | c) after it."""

import math

import pytest
import torch

from conformance import awake, diagonal, low_rank, scalar
from oracles import close, covariance, normal, within
from sciencegen.exact import Gaussian, Mixture
from sciencegen.layout import Layout, Variable
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, Draw, EnergyNet
from sciencegen.sample import Heun, karras
from sciencegen.tasks import Problem, design

KINDS = {Denoiser: MLP, EnergyNet: ScalarMLP}
X = Layout(x=(5,))["x"]
KNOWN, FREE = X[1:3], X[:1] & X[3:]
FORMS = {"dense": Gaussian(normal(5, seed=1), covariance(5)), "diagonal": diagonal(5), "one variance": scalar(5),
         "low rank": low_rank(5, 2)}
every = pytest.mark.parametrize("kind", KINDS)
forms = pytest.mark.parametrize("gaussian", FORMS.values(), ids=FORMS)


def prior(kind, gaussian=FORMS["dense"], net=None, given=(KNOWN, X[:1])):
    return kind(net or KINDS[kind](5, 16, 1), gaussian, [FREE], given=given).double()


# --- before training -----------------------------------------------------------------------------------------------

@every
@forms
@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_untrained_it_is_the_conditional_gaussian(kind, gaussian, sigma):
    x = 3 * normal(7, 5)
    for view in (KNOWN, X[[2, 1]], X[:1]):
        ours, exact = prior(kind, gaussian).given(view), gaussian.given(view)
        close(ours.score(x, sigma), exact.score(x, sigma), 1e-10)
        if ours.exact:
            close(ours(x, sigma), exact(x, sigma), 1e-10)


@every
def test_where_values_are_known_it_is_an_energy_of_the_rest(kind):
    value, gaussian = normal(2, seed=3), FORMS["dense"]
    ours, exact = (e.given(KNOWN).at(KNOWN, value) for e in (prior(kind), gaussian))
    close(ours.score(normal(7, 3), 0.5), exact.score(normal(7, 3), 0.5), 1e-10)
    close(ours.gaussian().center, exact.gaussian().center, 1e-12)
    close(ours.gaussian().variances, exact.gaussian().variances, 1e-12)
    assert prior(kind).given(KNOWN).gaussian() is None, "along what is given there is no density"
    with pytest.raises(TypeError, match="is noised with the rest; expected it as given"):
        prior(kind).given(X[:1]).at(KNOWN, value)


@every
def test_a_problem_in_which_a_part_is_given(kind):
    layout = Layout(a=(1,), u=Variable((2,), loc=1.0, scale=2.0), b=(2,))
    value = torch.tensor([0.3, 4.0], dtype=torch.float64)
    known = [Problem(layout, e).given(u=value) for e in (prior(kind), FORMS["dense"])]
    found = [design(p, lambda a, **_: a[..., 0] ** 2, 1.0, Heun(karras(8, 0.02, 20.0, dtype=torch.float64)), 4,
                    seeds=torch.arange(4), progress=False) for p in known]
    for result in found:
        assert (abs(result.samples.u - value.numpy()) < 1e-12).all()
    close(*(torch.tensor(r.samples.b.values) for r in found), 1e-8)


# --- what the network is told --------------------------------------------------------------------------------------

@every
def test_what_is_given_is_marked_and_clean(kind):
    seen, gaussian, x = [], FORMS["dense"], 2 * normal(4, 5)

    class Net(torch.nn.Module):
        def forward(self, u, c, keep):
            seen.append((u.detach(), keep))
            return (u**2).sum(-1) if kind is EnergyNet else u

    energy = prior(kind, net=Net()).given(KNOWN)
    for sigma in (0.1, 10.0):
        energy.score(x, sigma)
        u, keep = seen.pop()
        assert keep.tolist() == [[1, -1, -1, 1, 1]] * 4
        close(u[:, 1:3], ((x - gaussian.center) / gaussian.cov.diagonal().sqrt())[:, 1:3], 1e-12)


@every
def test_along_what_is_given_the_score_is_zero(kind):
    energy = prior(kind, net=awake(KINDS[kind](5, 16, 1))).given(KNOWN)
    score = energy.score(normal(7, 5), 0.7)
    assert bool((score[:, 1:3] == 0).all())
    assert bool((score[:, [0, 3, 4]] != 0).all())
    moved = normal(7, 5) + torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0])
    assert not torch.allclose(energy.score(moved, 0.7), score), "what is given is seen"


@every
@forms
@pytest.mark.parametrize("sigma", [2e-3, 1.0, 80.0])
def test_the_loss_of_the_gaussian_on_gaussian_data_is_one_for_every_kind_of_row(kind, gaussian, sigma):
    count, energy = 20_000, prior(kind, gaussian)
    clean = gaussian.center + gaussian.back(gaussian.variances.sqrt() * gaussian.modes(normal(count, 5, seed=4)))
    part = torch.arange(count) % energy.parts
    draw = Draw(torch.full((count, 1), sigma), normal(count, 5, seed=5), part, torch.empty(count, 0))
    with torch.no_grad():
        loss = energy.plan_loss(clean, draw).run()
    assert loss.shape == (count,)
    for k, free in enumerate((5, 3, 3, 4)):
        within(loss[part == k], 1, math.sqrt(2 / free))


@every
def test_all_kinds_of_rows_share_one_call_and_stay_in_their_places(kind):
    energy, rows, noise = prior(kind, net=awake(KINDS[kind](5, 16, 1))), normal(9, 5), normal(9, 5, seed=1)
    part, sigma = torch.tensor([2, 0, 3, 1, 0, 2, 1, 3, 0]), normal(9, 1, seed=2).exp()
    plan = energy.plan_loss(rows, Draw(sigma, noise, part, torch.empty(9, 0)))
    assert len({call.kind for call in plan.calls}) == 1
    kinds = [energy, energy.marginal(FREE), energy.given(KNOWN), energy.given(X[:1])]
    wanted = torch.stack([kinds[k].loss(rows[i], sigma[i], noise[i]) for i, k in enumerate(part)])
    close(plan.run(), wanted, 1e-12)


# --- the algebra ---------------------------------------------------------------------------------------------------

@every
def test_classifier_free_guidance_is_a_sum(kind):
    energy = prior(kind, net=awake(KINDS[kind](5, 16, 1)))
    alone, known, x = energy.marginal(FREE).on(FREE), energy.given(KNOWN), normal(7, 5)
    for weight in (0.0, 1.0, 2.5):
        guided = alone + weight * (known - alone)
        close(guided.score(x, 0.7), (1 - weight) * alone.score(x, 0.7) + weight * known.score(x, 0.7), 1e-12)
        assert guided.at(KNOWN, normal(2)).score(normal(7, 3), 0.7).shape == (7, 3)
    name = kind.__name__
    part = f"{name}.marginal({FREE})({FREE})"
    assert repr(alone + 2.5 * (known - alone)) == f"-1.5·{part} + 2.5·{name}.given(x[1:3])"


def test_a_problem_asks_a_guided_prior_as_any_other():
    """Guidance twice as strong as the condition: for Gaussians in closed form, here of two numbers given a third."""
    layout, data = Layout(a=(1,), u=(1,), b=(1,)), FORMS["dense"].marginal(X[:3])
    a, u, b = (layout[name] for name in ("a", "u", "b"))
    energy = Denoiser(MLP(3, 8, 1), data, [a & b], given=[u]).double()
    guided = 2.0 * energy.given(u) - energy.marginal(a & b).on(a & b)
    value = torch.tensor([0.4], dtype=torch.float64)
    sampler, seeds = Heun(karras(40, 0.01, 40.0, dtype=torch.float64)), torch.arange(3)
    found = design(Problem(layout, guided).given(u=value), lambda a, **_: 0 * a[..., 0], 0.0, sampler, 3,
                   seeds=seeds, progress=False)
    exact = 2.0 * data.given(u).at(u, value) - data.marginal(a & b)
    wanted = exact.mean(sampler(exact, sampler.start(3, 2, seeds), seeds), 0.01)
    close(torch.tensor(found.samples.a.values[:, 0]).sort().values, wanted[:, 0].sort().values, 1e-8)


@every
def test_what_was_not_trained_is_refused_with_what_was(kind):
    with pytest.raises(ValueError, match=r"got 'x\[3:\]' given; expected one of the 2 parts .*: \[1, 2\] of 2; \[0\]"):
        prior(kind).given(X[3:])
    for wrong in ([5], [0, 0], []):
        with pytest.raises(ValueError, match="expected coordinates of a state of 5 numbers"):
            prior(kind, given=[wrong])
    with pytest.raises(ValueError, match="some left"):
        prior(kind, given=[X]).given(X)
    with pytest.raises(TypeError, match="is not known; expected a Gaussian or a network"):
        (prior(kind) + Mixture(torch.ones(1), torch.zeros(1, 5), torch.ones(1))).given(KNOWN)


@every
def test_a_product_s_conditional_is_the_product_of_conditionals(kind):
    first, second = prior(kind), prior(kind)
    x = normal(3, 5)
    both = (first + 0.5 * second).given(KNOWN)
    close(both.score(x, 0.7), first.given(KNOWN).score(x, 0.7) + 0.5 * second.given(KNOWN).score(x, 0.7))


# --- after training ------------------------------------------------------------------------------------------------

PAIR = Layout(c=(1,), x=(1,))


def drawn(count, generator):
    """``c`` in (0, 1); ``x`` near ``+-(0.5 + c)``, above with probability ``0.2 + 0.6 c``."""
    c = torch.rand(count, 1, generator=generator)
    sign = torch.where(torch.rand(count, 1, generator=generator) < 0.2 + 0.6 * c, 1.0, -1.0)
    return torch.cat([c, sign * (0.5 + c) + 0.12 * torch.randn(count, 1, generator=generator)], -1)


def test_two_modes_that_move_and_change_their_shares():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    data = Gaussian.fit(drawn(20_000, generator))
    energy = Denoiser(MLP(2, 48, 2), data, given=[PAIR["c"]])
    steps, batch = 700, 512
    optimiser = torch.optim.Adam(energy.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, steps)
    part = torch.ones(batch, dtype=torch.int64)
    for _ in range(steps):
        sigma = torch.exp(1.2 * torch.randn(batch, 1, generator=generator) - 0.8)
        noise = torch.randn(batch, 2, generator=generator)
        loss = energy.plan_loss(drawn(batch, generator), Draw(sigma, noise, part, noise[:, :0])).run().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    for c, share in ((0.1, 0.26), (0.5, 0.5), (0.9, 0.74)):
        known = energy.given(PAIR["c"]).at(PAIR["c"], torch.tensor([c]))
        with torch.no_grad():
            sampler = Heun(karras(24, 0.02, 20.0))
            x = sampler(known, sampler.start(4000, 1, torch.arange(4000)))[:, 0]
        assert abs(float((x > 0).float().mean()) - share) < 0.05
        for side, sign in ((x[x > 0], 1), (x[x < 0], -1)):
            assert abs(float(side.mean()) - sign * (0.5 + c)) < 0.05
            assert abs(float(side.std()) - 0.12) < 0.04
