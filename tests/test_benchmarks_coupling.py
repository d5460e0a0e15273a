"""The benchmark of coupled physics: its referees are what they say, and the rivals' rules are the published ones."""

import pytest
import torch

import sciencegen as sg
from benchmarks.coupling import deterministic, elements, fields, gaussian, rules, run
from benchmarks.coupling.learned import Known
from oracles import close, normal
from sciencegen.fixed_points import Relaxed, fixed_point
from sciencegen.physics.coupled import Elements, Reactor, Round

N = gaussian.N


def models(law):
    return {k: Known(sg.Problem(gaussian.LAYOUT, gaussian.decoupled(law, k)), k, (o,)) for k, o in ("uv", "vu")}


def test_the_pair_has_the_canonical_correlation_that_was_asked_for():
    cov = gaussian.joint(0.95).cov
    root = [torch.linalg.cholesky(cov[s, s]) for s in (slice(0, N), slice(N, None))]
    across = torch.linalg.solve(root[0], torch.linalg.solve(root[1], cov[:N, N:].mT).mT)
    assert float(torch.linalg.svdvals(across)[0]) == pytest.approx(0.95)


def test_decoupled_data_have_the_true_conditional_and_nothing_else():
    law, x = gaussian.joint(0.9), normal(5, 2 * N)
    v = gaussian.LAYOUT["v"]
    wrong = gaussian.decoupled(law, "u")
    close(wrong.given(v).score(x, 0.7), law.given(v).score(x, 0.7), 1e-7)
    assert float((wrong.cov[N:, N:] - 4 * torch.eye(N).double()).abs().max()) < 1e-12


def test_m2pdes_rule_on_exact_components_is_picards_iteration_a_level():
    case = deterministic.CASES["eigenvalue -.55"]
    exact = {k: deterministic.Exact(case, k) for k in ("v", "u")}
    found = rules.m2pde(exact, {}, 1, [3.0, 1.0, 0.3, 0.1], 0, passes=1)["u"]
    start = rules.Draws(1, 0, torch.float64)
    fresh = [start(32) for _ in range(6)]  # estimates and states before a pass, then estimates of the pass
    u = exact["u"].physical(fresh[5])
    both = Round(deterministic.Learned(case.system, exact), {}, ("v", "u"))
    close(found, fixed_point(both, u, Relaxed(), 1e-30, 4).point, 1e-9)


def test_noised_alike_with_the_true_marginals_is_the_joint_score():
    law, levels = gaussian.joint(0.7), [5.0, 1.0, 0.2]
    true = {k: Known(sg.Problem(gaussian.LAYOUT, law), k, (o,)) for k, o in ("uv", "vu")}
    found = rules.alike(true, {}, 3, levels, 4)
    draws = rules.Draws(3, 4, torch.float64)
    x = levels[0] * torch.cat([draws(N), draws(N)], -1)
    for a, b in zip(levels, [*levels[1:], 0.0]):
        mean = law.mean(x, torch.tensor(a).double())
        x = torch.cat([draws.step(x[:, s], mean[:, s], a, b) for s in (slice(0, N), slice(N, None))], -1)
    close(torch.cat([found["u"], found["v"]], -1), x, 1e-7)


def test_gibbs_ends_at_the_joint_law():
    law = gaussian.joint(0.3)
    found = gaussian.scored(gaussian.gibbs(models(law), 4000, 20), law)
    assert found["covariance"] < 0.12
    assert found["trace"] == pytest.approx(1, abs=0.05)


def test_ends_are_sorted_by_the_solution_that_they_are_near():
    truth = [torch.ones(32).double(), 2 * torch.ones(32).double()]
    ends = torch.stack([truth[0], truth[1], 1.5 * truth[0], truth[0]])
    found = deterministic.scored(ends, torch.tensor([True, True, True, False]), truth, 1e-4)
    assert (found["right"], found["at solution 1"], found["at solution 2"]) == (0.5, 0.25, 0.25)
    assert deterministic.scored(ends, torch.tensor([True, False, False, False]), [], 1e-4)["right"] == 0.75


def test_each_element_is_told_its_neighbours_and_its_source():
    system = Elements(2, 2)
    source = system.draw(1)["source"]
    truth = elements.stacked(system, system.referee(source=source))
    told = elements.told(system, truth, source)
    walls = torch.stack([told[side] for side in elements.SIDES], 1)
    close(system.solve(told["source"], walls), truth, 1e-9)
    close(elements.schwarz(system, source, 200), truth, 1e-6)


def test_coupled_cases_are_solved_and_rows_refused_are_said():
    system = Reactor(m=4, n=6, l=8)
    given = system.draw(2)
    assert system.defect(fields.solved(system, given), given).abs().max() < 1e-8
    truth = {"u": torch.ones(2, 3)}

    def refused():
        raise ValueError("no joint density")

    assert fields.timed(refused, truth)["refused"] == "no joint density"
    assert fields.timed(lambda: ({"u": 1.5 * torch.ones(1, 3)}, {}), truth)["error"] == pytest.approx(0.5)


def test_rows_are_tabled_by_task():
    rows = [{"task": "A", "row": "ours", "error": 0.5, "n": 2}, {"task": "A", "row": "Picard", "n": 2, "message": "x"},
            {"task": "B", "row": "ours", "calls": 1.0}]
    made = list(run.tables(rows))
    assert [table.title for table in made] == ["A", "B"]
    assert list(made[0].columns[1].cells) == ["0.5", "-"]
    assert list(run.notes(rows)) == ["A, Picard: x"]
