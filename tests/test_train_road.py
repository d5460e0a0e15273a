"""From anybody's data to a trained model with a card: what is chosen, what is refused, what is said."""

import json

import numpy as np
import pytest
import torch
import xarray

import io_files as files
from oracles import close, normal
from sciencegen import cli, io
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.metrics import calibration, tweedie_error
from sciencegen.nets.gated import Gated
from sciencegen.nets.mlp import MLP
from sciencegen.nets.zero import Zero
from sciencegen.observations import Observations, Readings
from sciencegen.priors import Denoiser, EnergyNet, Model
from sciencegen.recipe import Recipe
from sciencegen.result import Result
from sciencegen.sample import Multistep, karras
from sciencegen.states import States
from sciencegen.symmetries import Shift
from sciencegen.tasks import Problem, design, invert
from sciencegen.train import Levels, Packed, Training, bases, contexts, train
from sciencegen.train.bases import chosen
from sciencegen.train.recipe import together
from sciencegen.train.verdict import KNOTS, gates, judged, knots

NEEDS = {"AirfRANS": "pyvista", "EngiBench": "pyarrow"}
FEW = Levels(low=0.05, high=10.0)


def packed(rows, **names):
    layout = Layout(**(names or {"x": (rows.shape[1],)}))
    a, b = len(rows) * 3 // 5, len(rows) * 4 // 5
    return Packed(layout, rows[:a], rows[a:b], rows[b:])


def bent(count=600):
    """Three numbers, the first of which depends on the square of the second."""
    rows = normal(count, 3).float()
    rows[:, 0] = 0.3 * rows[:, 0] + rows[:, 1] ** 2 - 1
    return rows


def mlp(size=3):
    return Recipe("sciencegen.nets.mlp.MLP", {"size": size, "width": 32, "depth": 2})


def how(rows, **settings):
    made = {"net": mlp(rows.shape[1]), "gaussian": Gaussian.fit(rows), "levels": FEW, "steps": 5, "every": 100}
    return Training(**{**made, **settings})


def waves(samples=12, frames=5, cells=16):
    """Decaying waves that travel, ``u (sample, time, x)``, and how fast they decay, ``nu (sample)``."""
    random, x = np.random.default_rng(0), (np.arange(cells) + 0.5) / cells
    phase, decay = random.uniform(size=(samples, 1, 1)), random.uniform(0, 2, samples)
    time = 0.1 * np.arange(frames)
    u = np.sin(2 * np.pi * (x + phase - time[:, None])) * np.exp(-decay[:, None, None] * time[:, None])
    return xarray.Dataset({"u": (("sample", "time", "x"), u), "nu": ("sample", decay)}, {"time": time, "x": x})


# --- anybody's files ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", files.LAYOUTS)
def test_any_published_file_trains_inverts_and_designs(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    file, build = files.LAYOUTS[name]
    build(tmp_path / file)
    data = io.open(tmp_path / file / files.FOIL if name == "AirfRANS" else tmp_path / file)
    data = data if {"sample", "time"} & set(data.dims) else data.expand_dims("sample")  # a file of one structure
    states = States(data, length=min(2, data.sizes.get("time", 1)), split=(1, 0, 0), missing=0)
    train(states, Training(steps=5, batch=2, width=8), tmp_path / "run")
    model = Model.load(tmp_path / "run" / "model")
    assert model.training["verdict"].startswith("NOTHING WAS HELD OUT")
    part, sampler = next(iter(model.layout.variables)), Multistep(karras(3, 0.1, 10.0))
    first = lambda parts: parts[part].flatten(1)[:, :2]
    truth = states.train.physical([0])
    seen, spread = first(truth)[0].float(), float(model.layout.scale[0])
    problem, seeds = Problem(model.layout, model.energy), torch.arange(2)
    found = invert(problem, lambda **parts: first(parts), seen, 0.1 * spread, sampler, 2, seeds, False)
    assert np.isfinite(found.samples[part].values).all()
    best = design(problem, lambda **parts: (first(parts)[:, 0] / spread).square(), 1.0, sampler, 2, seeds=seeds,
                  progress=False)
    assert np.isfinite(best.fun).all()


def test_training_from_a_file_is_training_from_the_packed_tensor(tmp_path):
    io.save(waves(), tmp_path / "waves.nc")
    states = States(tmp_path / "waves.nc", ["u", "nu"], length=3)
    made = Training(steps=6, batch=4, width=8, gaussian=chosen(states, None, [], Levels()).gaussian)
    rows = [split.tensor() for split in (states.train, states.valid, states.test)]
    models = [train(data, made, tmp_path / name) for name, data in
              (("file", states), ("tensor", Packed(states.layout, *rows)))]
    for (name, v), w in zip(models[0].energy.state_dict().items(), models[1].energy.state_dict().values(), strict=True):
        assert torch.equal(v, w), name


def test_a_model_is_written_with_its_card_and_goes_on_to_more_steps(tmp_path):
    rows = bent()
    first = train(packed(rows), how(rows, steps=20), tmp_path / "parts")
    longer = train(packed(rows), how(rows, steps=40), tmp_path / "parts")
    whole = train(packed(rows), how(rows, steps=40), tmp_path / "whole")
    assert first.training["steps"] == 20
    for v, w in zip(longer.energy.state_dict().values(), whole.energy.state_dict().values(), strict=True):
        assert torch.equal(v, w)
    loaded = Model.load(tmp_path / "parts" / "model")
    assert loaded.card == longer.card
    assert loaded.training == json.loads(json.dumps(dict(longer.training)))
    with pytest.raises(ValueError, match="data=.*there"):
        train(packed(rows.flip(0)), how(rows, steps=40), tmp_path / "parts")
    with pytest.raises(ValueError, match="layout=.*there"):
        train(packed(rows, a=(2,), b=()), how(rows, steps=40), tmp_path / "parts")


# --- the verdict --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, net", [(Denoiser, "MLP"), (EnergyNet, "ScalarMLP")])
def test_a_network_that_is_no_better_than_its_gaussian_is_not_shipped_and_the_card_says_so(kind, net, tmp_path):
    rows = normal(400, 3).float() @ normal(3, 3, seed=1).float()
    recipe = Recipe(f"sciencegen.nets.mlp.{net}", {"size": 3, "width": 8, "depth": 1})
    made = how(rows, kind=kind, net=recipe, rate=0.5, gated=False, steps=3, given=(("x",),)[:0])
    model = train(packed(rows), made, tmp_path)
    assert not model.training["better"]
    assert "**THE NETWORK IS NO BETTER THAN ITS OWN GAUSSIAN" in model.card
    assert model.recipe.path.endswith("Zero")
    loaded, x = Model.load(tmp_path / "model"), normal(5, 3, seed=2).float()
    for sigma in (0.1, 2.0):
        close(loaded.energy.score(x, sigma), made.gaussian.score(x, sigma), 1e-4)


def test_a_network_that_is_better_is_shipped_with_how_much(tmp_path):
    rows = bent(1500)
    model = train(packed(rows), how(rows, steps=250, batch=64, rate=5e-3), tmp_path)
    found = model.training["held_out"]
    assert model.training["better"]
    assert found["network"] < 0.9 * found["gaussian"]
    assert f"{100 * found['network'] / found['gaussian']:.1f} % of its own Gaussian's" in model.card
    assert 0 <= min(model.training["gates"]) <= max(model.training["gates"]) <= 1
    for name, one in model.training["calibration"]["halves"].items():
        assert one["error"] < 1.5 * one["error of the Gaussian"], name


def test_a_network_that_was_trained_to_be_given_parts_is_judged_by_that(tmp_path):
    """It has seen no joint row, where its Gaussian is the better one."""
    rows = bent()
    data = packed(rows, u=(1,), v=(2,))
    model = train(data, how(rows, given=(("v",),), shares=(0.0, 1.0), steps=200), tmp_path, progress=False)
    assert model.training["better"]


def test_gates_are_the_shares_of_a_correction_that_denoise_best_level_by_level():
    rows, network = bent(), Denoiser(MLP(3, 16, 1), Gaussian(torch.zeros(3), torch.ones(3)))
    torch.manual_seed(0)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    base, data = Denoiser(Zero(), network.data), packed(rows)
    shares = gates(network, base, data, FEW)
    centers = knots(FEW)
    errors = []
    for weights in (shares, [0.0] * KNOTS, [1.0] * KNOTS, *(np.clip(np.array(shares) + d, 0, 1) for d in (0.2, -0.2))):
        gated = Gated(network.net, (centers.log() / 4).tolist(), list(weights))
        errors.append(tweedie_error(Denoiser(gated, network.data), data.valid, centers))
    for other in errors[1:]:
        assert (errors[0] <= other + 0.02 * other).all(), "of the rows that they were chosen by, up to other noise"
    assert not judged(network, base, data, FEW).better


def test_a_gate_is_linear_between_its_knots_and_constant_beyond():
    gated = Gated(MLP(2, 8, 1), [-1.0, 0.0, 1.0], [0.0, 1.0, 0.5])
    torch.nn.init.normal_(gated.net.leave.weight)
    u, keep = normal(5, 2).float(), torch.ones(5, 2)
    c = torch.tensor([-3.0, -0.75, 0.0, 0.5, 4.0])[:, None]
    wanted = torch.tensor([0.0, 0.25, 1.0, 0.75, 0.5])[:, None] * gated.net(u, c, keep)
    close(gated(u, c, keep), wanted)
    with pytest.raises(ValueError, match="expected as many, two or more, rising"):
        Gated(MLP(2), [1.0, 0.0], [0.0, 1.0])


def test_samples_that_are_drawn_as_the_truth_are_calibrated():
    samples, truth = normal(39, 4000), normal(4000, seed=1)
    found = calibration(samples, truth)
    close(found.error, found.spread, 0.05)
    close(found.coverage, torch.tensor(0.9).double(), 0.02)
    assert float(calibration(0.5 * samples, truth).coverage) < 0.7


# --- what is chosen -----------------------------------------------------------------------------------------------

def test_the_gaussian_is_the_one_that_denoises_held_out_rows_best():
    states = States(waves(60), ["u", "nu"], length=3, symmetries=(Shift(("x",)),))
    choice = chosen(states, None, [], Levels())
    assert choice.name in ("low rank", "low rank by part", "by wave number")
    assert choice.errors[choice.name] == min(choice.errors.values())
    assert choice.errors[choice.name] < 0.5 * choice.errors["by part"]


def test_a_gaussian_that_has_no_conditional_of_its_form_is_not_chosen(monkeypatch):
    states = States(waves(), ["u", "nu"], length=3)
    size = states.layout.size
    bare = Gaussian(torch.zeros(size), torch.tensor([1.0, 0.0]), torch.full((size, 1), size**-0.5))
    monkeypatch.setattr(bases, "candidates", lambda data: {"bare": bare, "unit": Gaussian(torch.zeros(size), 1.0)})
    assert set(chosen(states, None, [], Levels()).errors) == {"bare", "unit"}
    assert set(chosen(states, None, [states.layout["nu"]], Levels()).errors) == {"unit"}


def test_packed_rows_need_a_gaussian():
    with pytest.raises(ValueError, match=r"expected States, .* or Training\(gaussian="):
        chosen(packed(bent()), None, [], Levels())


def test_parts_are_views_names_or_first_entries():
    layout = Layout(u=(4, 2), nu=())
    assert together(layout, ("nu", ("u", 2))).rows.tolist() == [8, 0, 1, 2, 3]
    assert together(layout, (layout["u"][1:],)).rows.tolist() == [2, 3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="empty group"):
        together(layout, ())
    with pytest.raises(KeyError, match="no variable 'v'"):
        together(layout, ("v",))


def test_what_is_given_is_trained_and_calibrated(tmp_path):
    states = States(waves(30), ["u", "nu"], length=3)
    model = train(states, Training(steps=5, batch=4, width=8, given=(("nu",), (("u", 1), "nu"))), tmp_path)
    assert set(model.training["calibration"]) == {"halves", "given nu", "given u:1, nu"}
    loaded = Model.load(tmp_path / "model")
    assert Problem(loaded.layout, loaded.energy).given(nu=1.0).size == 3 * 16


# --- the commands -------------------------------------------------------------------------------------------------

MINE = """
def objective(tensor, beta):
    return (tensor[:, -1].mean(-1) - 1).square()

constraints = [lambda tensor, beta: tensor.flatten(1).amax(-1) - 9]
"""


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr("sys.argv", ["sciencegen", *map(str, words)])
        try:
            cli.main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        return (code, *capsys.readouterr())

    return call


def test_three_commands_lead_from_a_file_to_an_inversion_and_a_design(run, tmp_path):
    files.advection(tmp_path / "data.h5")
    (tmp_path / "mine.py").write_text(MINE)
    code, out, err = run("train", "data.h5", "--parts", "tensor,beta", "--window", "2", "--steps", "3", "--out", "mine")
    assert code == 0, err
    assert "THE NETWORK IS NO BETTER" in out or "% of its own Gaussian's" in out
    model = Model.load("mine/model")
    Observations({"tensor": Readings([[0.0, 0.3], [0.05, 0.7]], [1.0, -1.0], 0.1)}).save("sensors.h5")
    few = ("--count", "4", "--steps", "4")
    code, out, err = run("invert", "mine/model", "--data", "sensors.h5", *few, "--out", "found")
    assert code == 0, err
    assert Result.load("found/result.nc").samples["tensor"].shape == (4, 2, 8)
    code, out, err = run("design", "mine/model", "--objective", "mine.py", *few, "--out", "made")
    assert code == 0, err
    assert set(Result.load("made/result.nc").samples) == set(model.layout.variables)
    assert {p.name for p in (tmp_path / "made").iterdir()} == {"result.nc", "designs.png", "config.json", "report.html"}


@pytest.mark.parametrize(
    "words, message",
    [
        (["train", "data.h5", "--parts", "v"], "got no variable 'v'"),
        (["train", "data.h5", "--window", "99"], "got --window 99; expected 1 to 5, the frames of the data"),
        (["train", "data.h5", "--periodic", "z"], "'z'"),
        (["train", "data.h5", "--given", "tensor:two"], "got --given tensor:two; expected parts"),
        (["train", "nothing.h5", "--parts", "u"], "got --parts for nothing.h5, which is no file"),
        (["design", "a/model"], "expected airfoil, flow, microstructure, nbody or module:attribute"),
        (["design", "my:study", "--objective", "mine.py"], "expected the directory of a trained prior with it"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(run, tmp_path, words, message):
    files.advection(tmp_path / "data.h5")
    code, out, err = run(*words, "--out", "out")
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


# --- contexts -----------------------------------------------------------------------------------------------------

def test_a_window_is_trained_to_be_told_its_first_frames_with_and_without_what_has_no_time():
    moving = Layout(u=Variable((4, 8), dims=("time", "x")), v=Variable((4,), dims=("time",)))
    assert contexts(moving) == tuple((("u", h), ("v", h)) for h in (1, 2, 3))
    both = Layout(**moving.variables, nu=())
    assert contexts(both, [2]) == ((("u", 2), ("v", 2)), (("u", 2), ("v", 2), "nu"))
    assert contexts(Layout(u=Variable((40,), dims=("time",))))[8:] == ((("u", 16),), (("u", 20),), (("u", 32),),
                                                                       (("u", 39),))
    assert contexts(Layout(u=(4, 8))) == contexts(Layout(u=Variable((1,), dims=("time",)))) == ()
    assert Training().shared(both) == (1 / 3, *[1 / 9] * 6)
    assert Training(given=()).shared(both) is None
    with pytest.raises(ValueError, match="got a history of 4 frames; expected 1 to 3"):
        contexts(moving, [4])
