"""A model's directory: the same score in another process, and no surprise when it is damaged, foreign or hostile."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import sciencegen
from oracles import close, covariance, normal
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.nets.mlp import MLP
from sciencegen.priors import Denoiser, EnergyNet, Model, Recipe, zoo

LAYOUT = Layout(
    speed=Variable((2,), loc=torch.tensor([1.0, 2.0]), scale=3.0, dims=("x",), units="m/s", coords={"x": [0.0, 0.5]}),
    shape=(3,),
)
RECIPES = {
    Denoiser: Recipe("sciencegen.nets.mlp.MLP", {"size": 5, "width": 16, "depth": 2}),
    EnergyNet: Recipe("sciencegen.nets.mlp.ScalarMLP", {"size": 5, "width": 16, "depth": 2}),
}
KINDS = pytest.mark.parametrize("kind", [Denoiser, EnergyNet])


class Own(MLP):
    """A network of the user's own."""


def energy(kind, recipe=None, cov=None, dtype=torch.float32, **settings):
    """A network that is not zero."""
    torch.manual_seed(0)
    net = (recipe or RECIPES[kind]).build([__name__]).to(dtype)
    for p in net.parameters():
        nn.init.normal_(p, std=0.3)
    return kind(net, Gaussian(normal(5).to(dtype), (covariance(5) if cov is None else cov).to(dtype)), **settings)


def model(kind=Denoiser, **settings):
    return Model(LAYOUT, energy(kind, **settings), RECIPES[kind], "# A card\n", {"steps": 10, "data": "a wind tunnel"})


def scores(prior, sigma):
    x = (1 + sigma) * normal(20, 5, seed=3)
    return prior.score(x.to(prior.data.center), sigma).detach()


# --- the same again ---------------------------------------------------------------------------------------------

@KINDS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_loaded_is_what_was_saved(tmp_path, kind, dtype):
    first = model(kind, dtype=dtype, marginals=[[0, 1], [4]], lowest=0.01)
    first.save(tmp_path / "prior")
    again = Model.load(tmp_path / "prior")
    assert type(again.energy) is kind
    assert again.config() == first.config()
    assert (again.card, again.training, again.recipe) == (first.card, first.training, first.recipe)
    for sigma in (0.005, 0.1, 1.0, 50.0):
        assert torch.equal(scores(again.energy, sigma), scores(first.energy, sigma))
    view = LAYOUT["speed"]
    x = normal(4, 2).to(dtype)
    close(again.energy.marginal(view).score(x, 0.3), first.energy.marginal(view).score(x, 0.3), 1e-6)


def test_the_score_in_a_fresh_process_is_the_same(tmp_path):
    first, x = {kind.__name__: model(kind) for kind in RECIPES}, normal(7, 5).float()
    for name, prior in first.items():
        prior.save(tmp_path / name)
    torch.save(x, tmp_path / "x")
    program = """
import sys, torch
from sciencegen.priors import Model
for name in sys.argv[1:]:
    energy = Model.load(name).energy
    torch.save([energy.score(torch.load("x"), s).detach() for s in (0.01, 1.0)], name + ".scores")
"""
    path = {**os.environ, "PYTHONPATH": str(Path(sciencegen.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program, *first], check=True, timeout=120, cwd=tmp_path, env=path)
    for name, prior in first.items():
        for s, there in zip((0.01, 1.0), torch.load(tmp_path / f"{name}.scores")):
            close(there, prior.energy.score(x, s), 1e-5)


@KINDS
def test_half_precision_keeps_three_digits_and_half_the_bytes(tmp_path, kind):
    first = model(kind)
    first.save(tmp_path / "full")
    first.save(tmp_path / "half", half=True)
    again = Model.load(tmp_path / "half").energy
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert torch.equal(again.data.axes, first.energy.data.axes), "the Gaussian keeps its precision"
    for sigma in (0.01, 1.0, 50.0):
        close(scores(again, sigma), scores(first.energy, sigma), 1e-2)
    size = {k: (tmp_path / k / "model.safetensors").stat().st_size for k in ("full", "half")}
    assert size["half"] < 0.65 * size["full"]


@KINDS
@pytest.mark.parametrize("half", [False, True])
def test_every_form_of_gaussian_comes_back(tmp_path, kind, half):
    axes = torch.linalg.qr(normal(5, 2)).Q
    forms = {"diagonal": (torch.tensor([2.0, 1.0, 0.5, 0.1, 1e-4]),), "scalar": (torch.tensor(0.3),),
             "low rank": (torch.tensor([3.0, 1.0, 0.01]), axes.float())}
    for name, form in forms.items():
        first = Model(LAYOUT, kind(energy(kind).net, Gaussian(normal(5).float(), *form)), RECIPES[kind])
        first.save(tmp_path / name, half=half)
        again, sizes = Model.load(tmp_path / name).energy, load_file(tmp_path / name / "model.safetensors")
        assert all(v.dtype == torch.float32 for v in again.data.state_dict().values())
        for sigma in (0.01, 1.0, 50.0):
            close(scores(again, sigma), scores(first.energy, sigma), 1e-2 if half else 1e-6)
        if name == "low rank":
            assert sizes["data.axes"].dtype == (torch.float16 if half else torch.float32)
            close(again.data.axes.mT @ again.data.axes, torch.eye(2), 1e-6)


def test_a_nearly_singular_gaussian_comes_back_as_it_was(tmp_path):
    root = normal(5, 2)
    first = model(cov=100 * root @ root.mT)  # in 32 bits its zero variances are noise of 1e-5
    first.save(tmp_path / "prior")
    again = Model.load(tmp_path / "prior")
    for sigma in (0.002, 0.01, 1.0):
        assert torch.equal(scores(again.energy, sigma), scores(first.energy, sigma))


def test_the_layout_comes_back_with_its_units(tmp_path):
    model().save(tmp_path / "prior")
    again, x = Model.load(tmp_path / "prior").layout, normal(3, 5)
    close(again.unpack(x)["speed"], LAYOUT.unpack(x)["speed"])
    assert again.to_xarray(x).identical(LAYOUT.to_xarray(x))


def test_a_network_of_ones_own_needs_trust(tmp_path):
    recipe = Recipe(f"{__name__}.Own", {"size": 5, "width": 8})
    first = Model(LAYOUT, energy(Denoiser, recipe), recipe)
    first.save(tmp_path / "prior")
    with pytest.raises(ValueError, match="name its package in 'trusted'"):
        Model.load(tmp_path / "prior")
    again = Model.load(tmp_path / "prior", trusted=[__name__])
    assert torch.equal(scores(again.energy, 0.5), scores(first.energy, 0.5))


# --- on disk ----------------------------------------------------------------------------------------------------

def test_the_directory_is_three_plain_files(tmp_path):
    model().save(tmp_path / "deep" / "prior")
    assert sorted(p.name for p in (tmp_path / "deep" / "prior").iterdir()) == [
        "README.md", "config.json", "model.safetensors"]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["prior"], "nothing else is left"
    config = json.loads((tmp_path / "deep" / "prior" / "config.json").read_text())
    assert config["net"] == {"class": "sciencegen.nets.mlp.MLP", "arguments": {"size": 5, "width": 16, "depth": 2}}
    assert config["layout"]["speed"]["units"] == "m/s"
    assert config["version"] == sciencegen.__version__
    tensors = load_file(tmp_path / "deep" / "prior" / "model.safetensors")
    assert {k.split(".")[0] for k in tensors} == {"net", "data"}


def test_without_a_card_one_is_written(tmp_path):
    Model(LAYOUT, energy(Denoiser), RECIPES[Denoiser], training={"data": "a wind tunnel"}).save(tmp_path / "wind")
    card = Model.load(tmp_path / "wind").card
    assert "# wind" in card
    assert "| speed | [2] | m/s |" in card
    assert "- data: a wind tunnel" in card


def test_a_model_is_replaced_whole(tmp_path):
    model(EnergyNet).save(tmp_path / "prior")
    model(Denoiser).save(tmp_path / "prior")
    assert isinstance(Model.load(tmp_path / "prior").energy, Denoiser)
    assert [p.name for p in tmp_path.iterdir()] == ["prior"]


def test_a_failed_write_leaves_the_old_model(tmp_path, monkeypatch):
    model(EnergyNet).save(tmp_path / "prior")

    def full(self, content):
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="no space"):
        model(Denoiser).save(tmp_path / "prior")
    monkeypatch.undo()
    assert isinstance(Model.load(tmp_path / "prior").energy, EnergyNet)
    assert [p.name for p in tmp_path.iterdir()] == ["prior"]


def test_what_is_not_a_model_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="holds something else"):
        model().save(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="holds something else"):
        model().save(tmp_path / "file")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "thesis.tex"]


# --- what cannot be saved ---------------------------------------------------------------------------------------

def test_a_recipe_of_another_network_is_refused(tmp_path):
    wrong = Recipe("sciencegen.nets.mlp.MLP", {"size": 5, "width": 8, "depth": 2})
    with pytest.raises(ValueError, match="expected the recipe of the energy's network"):
        Model(LAYOUT, energy(Denoiser), wrong).save(tmp_path / "prior")
    assert not list(tmp_path.iterdir())


def test_arguments_must_be_json_and_those_of_the_constructor(tmp_path):
    with pytest.raises(ValueError, match="got arguments .*'widht'"):
        Recipe("sciencegen.nets.mlp.MLP", {"size": 5, "widht": 8}).build()
    recipe = Recipe("sciencegen.nets.mlp.MLP", {"size": torch.tensor(5), "width": 16, "depth": 2})
    with pytest.raises(ValueError, match="expected finite numbers, texts"):
        Model(LAYOUT, energy(Denoiser), recipe).save(tmp_path / "prior")
    with pytest.raises(ValueError, match="expected finite numbers, texts"):
        Model(LAYOUT, energy(Denoiser), RECIPES[Denoiser], training={"loss": float("nan")}).save(tmp_path / "prior")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    prior = model()
    nn.init.constant_(prior.energy.net.leave.bias, 1e5)
    with pytest.raises(ValueError, match="save with half=False"):
        prior.save(tmp_path / "prior", half=True)
    prior.save(tmp_path / "prior")
    nn.init.constant_(prior.energy.net.leave.bias, float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        prior.save(tmp_path / "prior")


def test_energy_and_layout_must_agree():
    with pytest.raises(ValueError, match="expected the energy of the layout's whole state"):
        Model(Layout(u=(4,)), energy(Denoiser), RECIPES[Denoiser])
    part = energy(Denoiser, marginals=[[0, 1]]).marginal(LAYOUT["speed"])
    with pytest.raises(ValueError, match="of 5 numbers and Denoiser.marginal.*of 2; expected"):
        Model(LAYOUT, part, RECIPES[Denoiser])


# --- what cannot be loaded --------------------------------------------------------------------------------------

@pytest.fixture
def saved(tmp_path):
    model().save(tmp_path / "prior")
    return tmp_path / "prior"


def edit(path, change):
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))


def refused(path, message, error=ValueError):
    with pytest.raises(error, match=message):
        Model.load(path)


def test_missing_files(saved):
    refused(saved.parent / "elsewhere", "got no config.json", FileNotFoundError)
    (saved / "model.safetensors").unlink()
    refused(saved, "got no model.safetensors", FileNotFoundError)


def test_a_missing_card_is_no_reason_to_refuse(saved):
    (saved / "README.md").unlink()
    assert Model.load(saved).card == ""


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])],
                         ids=["cut", "empty", "one bit"])
def test_damaged_weights(saved, damage):
    file = saved / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    refused(saved, "damaged .*model.safetensors.*copy the model again")


def test_weights_of_another_model(saved):
    Model(LAYOUT, energy(Denoiser, lowest=0.1), RECIPES[Denoiser]).save(saved.parent / "other")
    nn.init.zeros_((prior := model()).energy.net.leave.bias)
    prior.save(saved.parent / "other")
    shutil.copy(saved.parent / "other" / "model.safetensors", saved)
    refused(saved, "damaged .*model.safetensors")


@pytest.mark.parametrize("text, message", [("{", "damaged .*config.json"), ("[]", "not a 'sciencegen model 1'"),
                                           ('{"model_type": "bert"}', "not a 'sciencegen model 1'")])
def test_damaged_and_foreign_configurations(saved, text, message):
    (saved / "config.json").write_text(text)
    refused(saved, message)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("net"),
        lambda c: c.pop("layout"),
        lambda c: c.update(dtype="int8"),
        lambda c: c["net"]["arguments"].update(width=8),
        lambda c: c["energy"]["arguments"].update(speed=8),
        lambda c: c["net"].update(arguments=None),
    ],
)
def test_configurations_that_do_not_fit_the_weights(saved, change):
    edit(saved, change)
    refused(saved, "damaged .*config.json")


@pytest.mark.parametrize("which", ["net", "energy"])
@pytest.mark.parametrize("path", ["os.system", "sciencegen.__main__.main", "sciencegen.cli.main"])
def test_classes_of_other_packages_are_refused(saved, path, which):
    edit(saved, lambda c: c[which].update({"class": path}))
    refused(saved, f"got the class {path}; expected one in sciencegen")


# --- the zoo ----------------------------------------------------------------------------------------------------

def test_the_zoo_is_a_folder_of_the_package(tmp_path, monkeypatch):
    model().save(tmp_path / "zoo" / "wing")
    (tmp_path / "zoo" / "__init__.py").touch()
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    assert zoo("wing").training["data"] == "a wind tunnel"
    with pytest.raises(KeyError, match=r"no trained prior 'wind'; this version has \['wing'\]"):
        zoo("wind")


def test_what_the_zoo_does_not_have_it_lists():
    with pytest.raises(KeyError, match=r"no trained prior 'nothing'; this version has \["):
        zoo("nothing")
