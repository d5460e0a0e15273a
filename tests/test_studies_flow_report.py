"""What a run of flow designs leaves behind: numbers that agree with the designs, whole files, and errors in words."""

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from rich.console import Console

from sciencegen import cli
from sciencegen.airfoil import read_dat
from sciencegen.exact import Gaussian
from sciencegen.physics import ellipse, placed
from sciencegen.physics.mean_forces import MeanForces, efficiency
from sciencegen.priors import Model
from sciencegen.result import Result
from sciencegen.studies import report
from sciencegen.studies.ensemble import Ensemble
from sciencegen.studies.flow.compose import enlarge
from sciencegen.studies.flow.picture import shoot, vorticity
from sciencegen.studies.flow.prior import distance, energy, image, network, prior_layout, read
from sciencegen.studies.flow.study import FlowStudy
from sciencegen.studies.stages import Decode, Solve

FLOWS = Path(__file__).parents[1] / "datasets" / "flows_test.h5"
LAYOUT = prior_layout()
QUICK = MeanForces(12, 1.5, 0.5)


@cache
def study(bodies: int) -> FlowStudy:
    return FlowStudy(LAYOUT, Gaussian(torch.zeros(LAYOUT.size), torch.ones(LAYOUT.size)), bodies, solver=QUICK,
                     judge=QUICK)


@cache
def designed() -> Result:
    """Three designs as a network might have them: true flows, each body twice, apart; one lacks a body."""
    states = {k: v[[2, 4, 8]] for k, v in read(FLOWS).items()}
    near = distance(states["body"])
    pair = torch.stack([near.roll(10, -1), near.roll(-10, -1)], 1)
    states |= {"body": image(pair), "force": states["force"][:, None].repeat(1, 2, 1) * torch.tensor([[1.0], [0.5]])}
    states["body"][2, 1] = 1.0
    layout, asked = enlarge(LAYOUT, 2), study(2)
    made = {"fun": ("sample", np.zeros(3)), "seed": ("sample", np.arange(3)),
            "reason": ("sample", np.array(["", "", ""], dtype=object))}
    designs = Ensemble(3, layout.to_xarray(layout.pack(**states)).assign(made))
    for stage in (Decode(asked.fitted), Solve(asked.solved)):
        designs = stage(designs)
    return designs.isel(designs.best(3)).result(asked.config())


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    report.write(folder, study(2), designed(), {"command": "design flow"})
    return folder


def test_a_run_leaves_what_it_says_and_nothing_else(run):
    record = json.loads((run / "config.json").read_text())
    assert set(record["files"]) == {p.name for p in run.iterdir()}
    assert record["command"] == "design flow"
    assert record["made"]["bodies"] == 2
    good = int(designed().success.sum())
    assert good >= 1
    bodies = {p.name for p in run.glob("*.dat")}
    assert {f"design_{i + 1:02d}_body_{k}.dat" for i in range(good) for k in (1, 2)} <= bodies
    assert "design_03_body_2.dat" not in bodies
    assert (run / "flow.gif").read_bytes()[:4] == b"GIF8"
    assert (run / "designs.png").read_bytes()[1:4] == b"PNG"


def test_what_is_loaded_is_what_was_written(run):
    loaded = Result.load(run / "result.nc")
    xarray.testing.assert_identical(loaded.samples["solved"], designed().samples["solved"])
    assert loaded.samples["reason"].values.tolist() == designed().samples["reason"].values.tolist()


def test_a_file_s_outline_put_in_its_place_is_the_design_s(run):
    name, loop = read_dat(run / "design_01_body_2.dat")
    body = designed().samples.isel(sample=0, part=1)
    again = placed(float(body["chord"]) * (torch.from_numpy(loop) - torch.tensor([0.5, 0.0])), float(body["alpha"]),
                   body["centre"].values.tolist())
    outline = torch.from_numpy(body["outline"].values).double()
    torch.testing.assert_close(again[:: len(loop) // 4], outline[:: len(loop) // 4], atol=1e-4, rtol=0)
    assert f"chord {float(body['chord']):.4f}" in name
    assert f"{float(body['alpha']):+.2f} deg" in name


def test_the_table_has_the_solver_s_numbers_and_the_reason():
    console = Console(width=120, record=True)
    console.print(report.table(study(2), designed()))
    text, samples = console.export_text(), designed().samples
    best = efficiency(torch.from_numpy(samples["solved"].values[:1])).item()
    made = efficiency(torch.from_numpy(samples["force"].values[:1])).item()
    assert f"{best:.3f}" in text
    assert f"{made:.3f}" in text
    assert "no body" in text


def test_a_run_without_a_buildable_design_has_a_picture_and_no_film(tmp_path):
    result = designed().isel(np.array([2]))
    assert not result.success.any()
    made = report.write(tmp_path / "out", study(2), result, {})
    assert set(made) >= {"designs.png", "result.nc", "config.json"}
    assert "flow.gif" not in made


def test_a_film_s_forces_are_those_the_judge_averages():
    outline = ellipse(0.8, 0.3, 40)[None]
    film = shoot(QUICK, outline)
    late = round(QUICK.mean * len(film.times))
    torch.testing.assert_close(film.force[-late:].mean(0), QUICK(outline[None])[0])
    assert film.times[-1] == QUICK.time


def test_vorticity_is_that_of_a_turning_disc_and_its_picture_is_in_place():
    """A body turning at rate one has vorticity two; and the view's ends lie half a cell inside of what was cut."""
    h, n = 0.1, 8
    low, mid = torch.arange(n) * h, (torch.arange(n) + 0.5) * h
    flow = torch.stack([-mid.expand(n, n), mid[:, None].expand(n, n), low.expand(n, n)])
    torch.testing.assert_close(vorticity(flow, h), torch.full((n - 1, n - 1), 2.0))
    film = shoot(replace(QUICK, time=0.25), ellipse(0.8, 0.3, 40)[None])
    left, right, bottom, top = film.ends
    assert film.vorticity.shape == (1, round((right - left) * 12), round((top - bottom) * 12))
    assert (left, bottom) == pytest.approx((-1.2 + 0.5 / 12, -1.6 + 0.5 / 12), abs=0.5 / 12)


# --- the command line ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An untrained prior on disk: flows like one that was solved."""
    recipe = network(LAYOUT, channels=(16, 16, 16), blocks=(1, 1, 1))
    flow = LAYOUT.pack(**{k: v[2] for k, v in read(FLOWS).items()})
    made = energy(recipe, LAYOUT, Gaussian(flow, torch.full_like(flow, 1e-3)))
    path = tmp_path_factory.mktemp("model") / "flow"
    Model(LAYOUT, made, recipe).save(path)
    return path


def called(monkeypatch, capsys, *words) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sciencegen", *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    return exit.value.code or 0, *capsys.readouterr()


@pytest.mark.parametrize("words, text", [
    (("--count", "0"), "got --count 0"), (("--spare", "0"), "--spare 0"), (("--seed", "-1"), "--seed -1"),
    (("--bodies", "0"), "got --bodies 0"), (("--area", "-1"), "--area -1"),
    (("--reynolds", "5000"), "Reynolds number of 5000"),
    (("--model", "no/where"), "no config.json")])
def test_bad_words_are_refused(monkeypatch, capsys, tmp_path, model, words, text):
    given = () if "--model" in words else ("--model", model)
    code, out, err = called(monkeypatch, capsys, "design", "flow", *words, *given, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert text in err
    assert not (tmp_path / "out").exists()


def test_training_on_another_file_is_refused(monkeypatch, capsys, tmp_path):
    other = FLOWS.with_name("nbody_2.h5")
    code, _, err = called(monkeypatch, capsys, "train", "flow", "--data", other, "--out", tmp_path / "out")
    assert code == 2
    assert "make_flows.py" in err


def test_a_design_from_the_command_line_is_whole(monkeypatch, capsys, tmp_path, model):
    monkeypatch.setattr(FlowStudy, "__post_init__", lambda self: object.__setattr__(self, "judge", QUICK))
    code, out, err = called(monkeypatch, capsys, "design", "flow", "--count", 1, "--spare", 1, "--refined", 0,
                            "--model", model, "--out", tmp_path / "out")
    assert code == 0, err
    assert "designs feasible" in out
    assert {"result.nc", "designs.png", "config.json"} <= {p.name for p in (tmp_path / "out").iterdir()}
    result = Result.load(tmp_path / "out" / "result.nc")
    assert result.samples["solved"].dims == ("sample", "part", "coefficient")
    assert result.config["bodies"] == 1
    assert result.success.all()


def test_designs_without_a_body_end_the_run_in_words(monkeypatch, capsys, tmp_path):
    recipe = network(LAYOUT, channels=(16, 16, 16), blocks=(1, 1, 1))
    made = energy(recipe, LAYOUT, Gaussian(torch.full((LAYOUT.size,), 5.0), torch.full((LAYOUT.size,), 1e-3)))
    Model(LAYOUT, made, recipe).save(tmp_path / "model")
    code, out, err = called(monkeypatch, capsys, "design", "flow", "--count", 1, "--spare", 2, "--model",
                            tmp_path / "model", "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "got 1 designs and none that can be solved (1: no body)" in err
    assert not (tmp_path / "out").exists()
