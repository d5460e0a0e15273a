"""Recipes: networks as texts, and which classes a text from a stranger may have built."""

import importlib
import json
import sys

import pytest
from torch import nn

from sciencegen.nets.mlp import MLP
from sciencegen.recipe import TRUSTED, Recipe, module_class


class Own(nn.Module):
    """A network of the caller's."""


class Loud(nn.Module):
    """A network that cannot be built."""

    def __init__(self, size):
        raise AssertionError("no such size")


def test_a_recipe_holds_recipes():
    layer = Recipe("torch.nn.TransformerEncoderLayer", {"d_model": 4, "nhead": 2, "batch_first": True})
    stack = Recipe("torch.nn.TransformerEncoder", {"encoder_layer": layer, "num_layers": 3})
    assert Recipe.from_config(json.loads(json.dumps(stack.config()))) == stack
    assert [type(part) for part in stack.build().layers] == 3 * [nn.TransformerEncoderLayer]


def test_networks_of_the_package_and_of_azula_are_built():
    assert isinstance(Recipe("sciencegen.nets.mlp.MLP", {"size": 3, "width": 4, "depth": 1}).build(), MLP)
    assert module_class("sciencegen.nets.unet.UNet", TRUSTED).__module__ == "azula.nn.unet"


def test_what_is_trusted_is_built():
    with pytest.raises(ValueError, match="name its package in 'trusted'"):
        Recipe(f"{__name__}.Own").build()
    assert isinstance(Recipe(f"{__name__}.Own").build([__name__]), Own)


FOREIGN = ["os.system", "builtins.eval", "subprocess.Popen", "torch.load", "torch.hub.load", "torch.nnx.Net",
           "sciencegenerator.Net", "sciencegen.cli.main", "sciencegen.model.Model", "sciencegen.netsx.Net",
           "sciencegen.__main__.Net", "sciencegen.nets.__main__.Net", "azula.__main__.Net", "torch.nn.__dict__.Net",
           "azula", "torch.nn.", "torch.nn..Linear", "torch.nn.a-b.Net", ""]


@pytest.mark.parametrize("path", FOREIGN)
def test_what_is_not_trusted_is_refused_before_anything_is_imported(path, monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"imported {name}"))
    with pytest.raises(ValueError, match="got the class"):
        Recipe(path).build()


def test_a_trusted_package_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "someones").mkdir()
    (tmp_path / "someones" / "__init__.py").touch()
    (tmp_path / "someones" / "__main__.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="names of Python's own"):
        Recipe("someones.__main__.Net").build(["someones"])
    assert "someones" not in sys.modules


@pytest.mark.parametrize("path", ["torch.nn.init.normal_", "sciencegen.nets.trunks.pairs", "sciencegen.nets.mlp.torch"])
def test_what_is_not_a_network_is_refused(path):
    with pytest.raises(ValueError, match="not a torch.nn.Module"):
        Recipe(path).build()


def test_what_a_trusted_module_imports_from_elsewhere_is_refused():
    with pytest.raises(ValueError, match="which is a class of torch_geometric"):
        Recipe("sciencegen.nets.trunks.MessagePassing").build()


@pytest.mark.parametrize("path", ["sciencegen.nets.nowhere.Net", "sciencegen.nets.mlp.Nothing", "torch.nn"])
def test_what_cannot_be_imported_is_named(path):
    with pytest.raises(ValueError, match=f"got .*{path}"):
        Recipe(path).build()


@pytest.mark.parametrize("recipe", [Recipe("torch.nn.Linear", {"in_features": -1, "out_features": 2}),
                                    Recipe("torch.nn.Linear", {"size": 2}), Recipe(f"{__name__}.Loud", {"size": 2})])
def test_whatever_a_constructor_trips_over_is_said(recipe):
    with pytest.raises(ValueError, match="(?s)got arguments .*; expected those of its constructor"):
        recipe.build([__name__])


def nested(depth):
    config = {"class": "torch.nn.Identity", "arguments": {}}
    for _ in range(depth - 1):
        config = {"class": "torch.nn.Sequential", "arguments": {"inner": config}}
    return config


@pytest.mark.parametrize("config", [None, [], {}, {"class": "torch.nn.Identity"}, {"class": 3, "arguments": {}},
                                    {"class": "torch.nn.Identity", "arguments": None}, nested(17)])
def test_what_is_no_recipe_is_refused(config):
    with pytest.raises(TypeError, match="expected a network"):
        Recipe.from_config(config)


def test_recipes_may_be_sixteen_deep():
    assert Recipe.from_config(nested(16)).config() == nested(16)
