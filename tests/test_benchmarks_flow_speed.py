"""The recipe that is timed is the recipe: its averages, its guidance, its last state; and the table is the record's."""

import argparse
import io
import itertools
import json
import time

import pytest
import torch
from rich.console import Console
from torch import nn

from benchmarks import flow_speed
from benchmarks.common import write_json
from benchmarks.flow_design.original_nets import (
    BODY,
    FRAMES,
    SIDE,
    STATE,
    Forces,
    Predictor,
    Recipe,
    operations,
    overlap,
    parameters,
)
from sciencegen.priors import zoo
from sciencegen.studies.flow.study import FlowStudy, few_steps


def little(bodies=2, steps=20, coefficient=2e-4):
    torch.manual_seed(0)
    nets = Predictor((8, 16), (1, 1), 16), Forces((8, 16), (1, 1))
    return Recipe(*(net.double().requires_grad_(False) for net in nets), bodies, steps, coefficient)


def noise(recipe, count=3, side=16, seed=1):
    return recipe.start(count, torch.Generator().manual_seed(seed), side, torch.float64)


def test_networks_have_the_parameters_and_the_operations_of_the_originals():
    net, force, known = Predictor(), Forces(), flow_speed.PUBLISHED
    assert parameters(net) == pytest.approx(known["parameters"]["noise"], rel=0.05)
    assert parameters(force) == pytest.approx(known["parameters"]["forces"], rel=0.05)
    found = flow_speed.sizes(Recipe(net, force))["operations"]
    assert found["noise"] == pytest.approx(known["operations"]["noise"], rel=0.05)
    assert found["forces"] == pytest.approx(known["operations"]["forces"], rel=0.05)


def test_operations_are_two_for_each_product_and_sum_of_a_convolution():
    conv = nn.Conv2d(3, 5, 3, padding=1)
    assert operations(conv, torch.zeros(2, 3, 8, 8)) == 2 * 2 * 3 * 5 * 9 * 64


@pytest.mark.parametrize("bodies", [1, 2, 3])
def test_the_noise_of_the_flow_is_the_mean_over_bodies_and_that_of_a_body_its_own(bodies):
    recipe, t = little(bodies), 7
    x = noise(recipe)
    found, level = recipe.predicted(x, t), torch.full((3, 1), t / recipe.steps, dtype=torch.float64)
    at = [slice(STATE + BODY * k, STATE + BODY * (k + 1)) for k in range(bodies)]
    alone = [recipe.noise(torch.cat([x[:, :STATE], x[:, place]], 1), level) for place in at]
    torch.testing.assert_close(found[:, :STATE], sum(one[:, :STATE] for one in alone) / bodies, rtol=0, atol=1e-12)
    for place, one in zip(at, alone):
        torch.testing.assert_close(found[:, place], one[:, STATE:], rtol=0, atol=1e-12)
    if bodies > 1:
        assert (alone[0] - alone[1])[:, :STATE].abs().max() > 1e-3


def test_guidance_moves_the_noisy_state_down_its_cost_by_coefficient_and_schedule():
    recipe, t = little(), 4
    x = noise(recipe)
    fresh = noise(recipe, seed=2)
    moved = recipe.step(x, t, fresh) - recipe.step(x, t, fresh, guided=False)
    pull = recipe.pull(x)
    torch.testing.assert_close(moved, -recipe.coefficient * recipe.betas[-1 - t] * pull, rtol=0, atol=1e-14)
    small = 1e-4 * moved / moved.norm()
    change = recipe.cost(x + small) - recipe.cost(x)
    assert (change < 0).all()
    torch.testing.assert_close(change, (pull * small).flatten(1).sum(1), rtol=1e-2, atol=1e-9)


def test_the_pull_is_a_designs_own_and_reaches_pressure_and_bodies_but_no_velocity():
    recipe = little()
    x = noise(recipe)
    pull = recipe.pull(x)
    torch.testing.assert_close(recipe.pull(x[1:2]), pull[1:2], rtol=0, atol=1e-12)
    channels = pull.abs().amax((0, 2, 3))
    velocity = [3 * frame + k for frame in range(FRAMES) for k in (0, 1)]
    assert (channels[velocity] == 0).all()
    assert (channels[2:STATE:3] > 0).all()
    assert (channels[STATE:] > 0).all()


def test_overlap_counts_pixels_that_are_in_both():
    masks = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    masks[:, 0, :8], masks[:, 1, 4:] = 1, 1
    assert overlap(masks).item() == 4 * 16 / 16  # rows 4 to 7: 64 pixels, blocks of 16
    masks[:, 2] = 1
    assert overlap(masks).item() == 4 + 8 + 12
    assert overlap(masks[:, :1]).item() == 0


class Exact(nn.Module):
    """The noise in rows whose clean state is known."""

    def __init__(self, clean, recipe):
        super().__init__()
        self.clean, self.recipe = clean, recipe

    def forward(self, x, level):
        kept = self.recipe.kept[round(float(level[0]) * self.recipe.steps)]
        return (x - kept.sqrt() * self.clean) / (1 - kept).sqrt()


def test_unguided_steps_end_where_all_noise_is_known():
    plain = little(bodies=1)
    clean = noise(plain, seed=3).tanh()
    recipe = Recipe(Exact(clean, plain), plain.force, 1, plain.steps)
    x, random = noise(recipe), torch.Generator().manual_seed(4)
    for t in reversed(range(recipe.steps)):
        x = recipe.step(x, t, recipe.start(3, random, 16, torch.float64), guided=False)
    torch.testing.assert_close(x, clean, rtol=0, atol=1e-9)


def test_a_row_of_a_case_has_the_time_since_its_beginning_scaled_to_a_whole_run(monkeypatch):
    ticks, walls = itertools.count(), itertools.count(0, 3)
    monkeypatch.setattr(time, "process_time", lambda: next(ticks))
    monkeypatch.setattr(time, "perf_counter", lambda: next(walls))
    case = flow_speed.Case(("a", "b"), lambda repeat: iter([{}, {"of": repeat}]), 1, 1000, 4, 2)
    assert case.laps(5) == {"a": {"cpu": 250, "wall": 750}, "b": {"cpu": 500, "wall": 1500, "of": 5}}


@pytest.fixture(scope="module")
def found():
    prior = zoo("flow")
    study = FlowStudy(prior.layout, prior.energy.requires_grad_(False), 2, sampler=few_steps(4))
    nets = Predictor((8, 16), (1, 1), 16), Forces((8, 16), (1, 1))
    recipe = Recipe(*(net.requires_grad_(False) for net in nets), steps=50)
    asked = argparse.Namespace(count=2, spare=1, steps=1, repeats=2, threads=1)
    return flow_speed.report(asked, study, recipe, time.perf_counter())


def test_ratios_are_those_of_the_times(found):
    rows = found["rows"]
    ours = rows[flow_speed.PROPOSED]
    assert ours["ratio"] == {"median": 1, "least": 1, "most": 1}
    for name, row in rows.items():
        assert len(row["cpu"]) == len(row["wall"]) == 2
        assert row["step_cpu"] * row["steps"] == pytest.approx(sum(row["cpu"]) / 2)
        assert ("ratio" in row) == (row["designs"] == 2), name
        if "ratio" in row:
            ratios = [a / b for a, b in zip(row["cpu"], ours["cpu"])]
            assert row["ratio"]["median"] == pytest.approx(sum(ratios) / 2)
            assert [row["ratio"]["least"], row["ratio"]["most"]] == sorted(ratios)
    guided = [a / b for a, b in zip(rows[flow_speed.GUIDED]["cpu"], rows[flow_speed.PLAIN]["cpu"])]
    assert found["guided_over_unguided"]["all designs"]["most"] == max(guided)


def test_the_record_alone_makes_the_table(found, tmp_path):
    write_json(tmp_path / "record.json", found)
    record = json.loads((tmp_path / "record.json").read_text())
    cells = {row[0]: row[1:] for row in zip(*(column.cells for column in flow_speed.table(record).columns))}
    assert list(cells) == list(record["rows"])
    for name, row in record["rows"].items():
        designs, size, steps, timed, step, *_, ratio, _ = cells[name]
        assert (int(designs), int(steps), int(timed)) == (row["designs"], row["steps"], row["timed"])
        assert float(size) == pytest.approx(row["parameters"] / 1e6, abs=0.005)
        assert float(step) == pytest.approx(row["step_cpu"], rel=1e-3)
        assert ratio == "-" if "ratio" not in row else float(ratio) == pytest.approx(row["ratio"]["median"], rel=6e-3)
    text = io.StringIO()
    Console(file=text, width=200).print(*flow_speed.notes(record), sep="\n")
    least = record["rows"][flow_speed.GUIDED]["ratio"]["least"]
    assert ("NOT MET" in text.getvalue()) == (least < record["bar"])
    assert f"{record['rows'][flow_speed.GUIDED]['ratio']['least']:.3g} in its worst repeat" in text.getvalue()


def test_the_window_is_the_originals():
    recipe = Recipe(nn.Identity(), nn.Identity())
    assert recipe.start(1, torch.Generator().manual_seed(0)).shape == (1, 24, SIDE, SIDE)
    assert recipe.steps == 1000
