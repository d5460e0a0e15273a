"""What a score costs: one network call whatever it is made of, and no memory of the calls before."""

import pytest
import torch

from conformance import awake, gaussian
from oracles import Counted, Graph, close, normal
from sciencegen.calls import Call, Plan, together
from sciencegen.constrain import Box
from sciencegen.descent import QuasiNewton
from sciencegen.energy import Denoised, Potential, Residual
from sciencegen.guide import Moments, Projected, Tweedie
from sciencegen.layout import Layout
from sciencegen.mcmc import HMC
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet
from sciencegen.sample import Ancestral, Euler, Heun, Multistep, karras

STATE = Layout(u=(8, 2), body=(3, 4))
U, BODY = STATE["u"], STATE["body"]
STEP = Layout(u=(2, 2))["u"]
NETS = {Denoiser: MLP, EnergyNet: ScalarMLP}


def counted(kind):
    """An energy of four numbers (two frames of two) that knows its first frame's marginal, and its counted network."""
    net = Counted(awake(NETS[kind](4, 8, 1)))
    return kind(net, gaussian(4), marginals=[STEP[0]]), net


def compositions(model):
    """(name, energy over STATE, rows of the network that one state needs)."""
    frame = model.marginal(STEP[0])
    windows = model.on(U.windows(2, 1)) - frame.on(U[1:-1].each())
    return [
        ("one", model.on(BODY[0]), 1),
        ("windows minus overlaps", windows, 7 + 6),
        ("copies", model.on(BODY.each()) + 2 * model.on(U[:2]), 3 + 1),
        ("copies of copies", model.on(BODY[:, :2].pairs()[0][None] & BODY[:, 2:].pairs()[0][None]), 3),
        ("a nested sum", 3 * (windows - 0.5 * (model.on(BODY.each()) + Potential(lambda x: x.sum(-1)))), 16),
        ("projected", Projected(windows + gaussian(4).on(BODY[0]), Box(-1, 1)), 13),
    ]


# --- plans -------------------------------------------------------------------------------------------------------

def test_calls_of_one_function_are_one_call_and_answers_come_back_in_order():
    seen = []

    def double(x):
        seen.append(tuple(x.shape))
        return 2 * x

    def both(x):
        return x, x.sum(-1)

    a, b, wide = normal(2, 3, seed=1), normal(1, 3, seed=2), normal(4, 5, seed=3)
    first = Plan((Call(double, (a,)), Call(both, (b,))), lambda answers: [v for answer in answers for v in answer])
    second = Plan((Call(double, (wide,)), Call(double, (b,))), lambda answers: answers[1][0] + 1)
    found = together([first, Plan((), len), second.then(lambda v: v - 1)]).run()
    assert seen == [(2 + 1, 3), (4, 5)], "inputs of one width are one call; others are not mixed with them"
    assert [len(plan.calls) for plan in (first, second, together([first, second]))] == [2, 2, 4]
    for value, wanted in zip(found[0], (2 * a, b, b.sum(-1)), strict=True):
        close(value, wanted)
    assert found[1] == 0
    close(found[2], 2 * b)


def test_windows_and_overlaps_of_one_network_of_any_length():
    """The formula of the README: both are scored by one network, whose inputs then differ in width."""
    net = Counted(lambda u, c: u / (1 + u.square().mean(-1, keepdim=True)) + c)
    model, u = Denoised(net), Layout(u=(16,))["u"]
    long, x = model.on(u.windows(8, 4)) - model.on(u[4:-4].windows(4, 4)), normal(3, 16)
    parts = [model.on(u.windows(8, 4)).score(x, 0.5), model.on(u[4:-4].windows(4, 4)).score(x, 0.5)]
    net.rows.clear()
    close(long.score(x, 0.5), parts[0] - parts[1])
    assert net.rows == [3 * 3, 3 * 2]


def test_calls_of_different_functions_are_not_mixed():
    x = normal(3, 2)
    energy = Denoised(lambda x, sigma: 0.5 * x) + Denoised(lambda x, sigma: -x)
    close(energy.score(x, 2.0), (0.5 * x - x) / 4 + (-x - x) / 4)


# --- one call a score --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("kind", [Denoiser, EnergyNet])
def test_a_score_is_one_network_call(kind, index):
    model, net = counted(kind)
    name, energy, rows = compositions(model)[index]
    x = normal(5, STATE.size)
    for ask in (energy.score, energy.mean, energy.evaluate):
        net.rows.clear()
        ask(x, 0.5)
        assert net.rows == [5 * rows], name
    with torch.no_grad():
        net.rows.clear()
        energy.score(x, torch.full((5, 1), 0.5))
        assert net.rows == [5 * rows], name


@pytest.mark.parametrize("kind", [Denoiser, EnergyNet])
def test_calling_together_changes_no_number(kind):
    model, _ = counted(kind)
    x, frame = normal(5, STATE.size), model.marginal(STEP[0])
    parts = [frame.on(U[1:-1].each()), model.on(BODY.each()), model.on(U.windows(2, 2))]
    together = -1.0 * parts[0] + 2.0 * parts[1] + parts[2]
    apart = -1.0 * parts[0].score(x, 0.5) + 2.0 * parts[1].score(x, 0.5) + parts[2].score(x, 0.5)
    close(together.score(x, 0.5), apart)


def test_tweedie_is_one_call_forward_and_one_backward():
    model, net = counted(Denoiser)
    law = Residual(lambda x: x[..., 1:] - x[..., :-1], 0.1)
    prior, x = compositions(model)[1][1], normal(5, STATE.size)
    for energy, backward in ((Tweedie(prior, 3.0 * law + Potential(lambda x: x.sum(-1))), 1),
                             (Tweedie(prior, law, backprop=False), 0)):
        net.rows.clear()
        net.backward = 0
        with torch.no_grad():
            energy.score(x, 0.5)
        assert (net.calls, net.backward) == (1, backward)


def test_tweedie_on_an_energy_network_is_one_call_forward():
    model, net = counted(EnergyNet)
    Tweedie(compositions(model)[1][1], Potential(lambda x: (x**2).sum(-1))).score(normal(5, STATE.size), 0.5)
    assert net.calls == 1


@pytest.mark.parametrize("iterations", [1, 3, 6])
def test_moments_is_one_call_forward_and_one_backward_an_iteration(iterations):
    model, net = counted(Denoiser)
    energy = Moments(model, lambda x: x, torch.ones(4), 0.1, iterations)
    with torch.no_grad():
        energy.score(normal(5, 4), 0.5)
    assert (net.calls, net.backward) == (1, iterations + 1)


@pytest.mark.parametrize("sampler, calls", [(Euler, 8), (Ancestral, 8), (Multistep, 8), (Heun, 16)])
def test_what_a_sampler_costs(sampler, calls):
    model, net = counted(EnergyNet)
    run = sampler(karras(8))
    run(model, run.start(3, 4))
    assert net.calls == calls
    net.rows.clear()
    run = sampler(torch.cat([karras(7, low=0.02), torch.zeros(1)]), HMC(0.01, leaps=3, repeats=2))
    run(model, run.start(3, 4))
    assert net.calls == calls - (sampler is Heun) - 7 + 7 * (1 + 2 * 3), "a step begins with the corrector's last score"


def test_what_a_kernel_costs():
    model, net = counted(EnergyNet)
    for kernel, calls in ((HMC(0.1, leaps=3, repeats=2), 7), (HMC(0.1, adjusted=False), 2), (QuasiNewton(5), 5)):
        net.rows.clear()
        kernel(model, normal(3, 4), 0.5)
        assert net.calls == calls


# --- memory ------------------------------------------------------------------------------------------------------

def guided():
    """A guided energy that needs a graph within each score, and its start."""
    model, _ = counted(EnergyNet)
    return Tweedie(model, Potential(lambda x: (x**4).sum(-1))), normal(3, 4)


@pytest.mark.parametrize("sampler", [Euler, Heun, Ancestral, Multistep])
def test_no_graph_outlives_a_step(sampler):
    energy, x = guided()
    with Graph() as graph:
        for _, x, info in sampler(karras(50, low=0.02, dtype=torch.float64), HMC(0.01)).path(energy, x):
            assert len(graph) == 0
            assert not x.requires_grad
            assert not info.acceptance.requires_grad
            assert not info.evaluation.score.requires_grad


def test_no_graph_outlives_a_step_of_moments():
    model, _ = counted(Denoiser)
    energy, x = Moments(model, lambda x: x[..., :2], torch.ones(2), 0.1), normal(3, 4)
    with Graph() as graph:
        for _ in range(200):
            x = x + 1e-3 * energy.score(x, 0.5)
            assert len(graph) == 0


def test_memory_is_flat_over_200_guided_steps():
    energy, x = guided()
    with Graph() as graph, torch.no_grad():
        for _ in range(200):
            x = x + 1e-3 * energy.score(x, 0.5)
            assert len(graph) == 0


def test_a_graph_that_is_kept_would_be_seen():
    energy, x = guided()
    x.requires_grad_()
    sizes = []
    with Graph() as graph:
        for _ in range(5):
            x = x + 1e-3 * energy.score(x, 0.5)
            sizes.append(len(graph))
    assert min(b - a for a, b in zip([0, *sizes], sizes)) > 10
