"""Models from strangers: refused in words before anything of them runs, or takes more memory than their weights do."""

import hashlib
import json
import resource
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from oracles import close, covariance, normal
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.priors import Denoiser, EnergyNet, Model, Recipe

LAYOUT = Layout(u=Variable((2,), loc=1.0, scale=3.0), v=(3,))
NETS = {kind: Recipe(f"sciencegen.nets.mlp.{name}", {"size": 5, "width": 16, "depth": 2})
        for kind, name in ((Denoiser, "MLP"), (EnergyNet, "ScalarMLP"))}


def model(kind=Denoiser, gaussian=None, **settings):
    torch.manual_seed(0)
    net = NETS[kind].build()
    for p in net.parameters():
        nn.init.normal_(p, std=0.3)
    data = Gaussian(normal(5).float(), covariance(5).float()) if gaussian is None else gaussian
    return Model(LAYOUT, kind(net, data, **settings), NETS[kind])


@pytest.fixture
def saved(tmp_path):
    model().save(tmp_path / "prior")
    return tmp_path / "prior"


def configured(path, change):
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))


def weighed(path, change):
    """Other weights, with their checksum, as whoever made them would have written it."""
    file = path / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file({k: v.contiguous() for k, v in tensors.items()}, file)
    configured(path, lambda c: c.update(sha256=hashlib.sha256(file.read_bytes()).hexdigest()))


def refused(path, message, **how):
    with pytest.raises(ValueError, match=message) as found:
        Model.load(path, **how)
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 800


# --- numbers -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, change, message", [
    ("net.leave.bias", lambda v: v.fill_(float("nan")), "numbers in net.leave.bias that are not finite"),
    ("data.center", lambda v: v[:1].fill_(float("inf")), "numbers in data.center that are not finite"),
    ("data.variances", lambda v: v.neg_(), "eigenvalue .*; expected none below zero"),
    ("data.axes", lambda v: v.mul_(2), "whose axes and variances are another's"),
    ("data.cov", lambda v: v[0].mul_(2), "whose axes and variances are another's"),
])
def test_numbers_that_are_no_weights_and_no_gaussian(saved, name, change, message):
    weighed(saved, lambda tensors: change(tensors[name]))
    refused(saved, message)


@pytest.mark.parametrize("change", [
    lambda t: t.update({"data.center": torch.zeros(4)}), lambda t: t.update({"data.axes": torch.eye(4)}),
    lambda t: t.pop("data.center"), lambda t: t.pop("data.axes"), lambda t: t.pop("net.leave.bias"),
    lambda t: t.update({"net.more": torch.zeros(3)}), lambda t: t.update({"net.leave.bias": torch.zeros(6)}),
])
def test_tensors_that_do_not_belong(saved, change):
    weighed(saved, change)
    refused(saved, r"damaged .*config\.json")


@pytest.mark.parametrize("entry, value", [("loc", 1e999), ("loc", "much"), ("scale", -1.0), ("shape", [3]),
                                          ("shape", [10**10]), ("shape", [-2]), ("shape", 2), ("dims", ["x", "y"])])
def test_layouts_that_are_none(saved, entry, value):
    configured(saved, lambda c: c["layout"]["u"].update({entry: value}))
    refused(saved, "got ")


@pytest.mark.parametrize("arguments", [
    {"lowest": 0.0}, {"lowest": "small"}, {"marginals": [[7]]}, {"marginals": [[0, 0]]}, {"marginals": 3},
    {"given": [[]]}, {"given": [[0.5]]}, {"net": None}, {"chart": 1},
])
def test_settings_that_are_none(saved, arguments):
    configured(saved, lambda c: c["energy"]["arguments"].update(arguments))
    refused(saved, r"damaged .*config\.json")


# --- texts ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "NaN", '{"format": NaN}', "\udcff",
                                  '{"format": "sciencegen model 1", "net": 1e999}'], ids=range(6))
def test_texts_that_no_program_of_ours_writes(saved, text):
    (saved / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    refused(saved, r"got a damaged .*config\.json")


def test_a_configuration_without_end(saved):
    with open(saved / "config.json", "ab") as file:
        file.truncate(2**26)
    refused(saved, "67,108,864 bytes")


def test_weights_that_are_none(saved):
    for content in (b"", b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}", b"\x08" + b"\0" * 7 + b'{"a":1} '):
        (saved / "model.safetensors").write_bytes(content)
        refused(saved, r"got a damaged .*model\.safetensors .*copy the model again")


# --- classes -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["sciencegen.__main__.Net", "sciencegen.cli.main", "sciencegen.priors.charts.Whole",
                                  "sciencegen.priors.diffusion.Slope", "sciencegen.priors.model.Model",
                                  "sciencegen.priors.preconditioned.Preconditioned", "torch.nn.Linear"])
def test_energies_that_are_no_priors(saved, path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sciencegen", "design", "airfoil"])
    configured(saved, lambda c: c["energy"].update({"class": path}))
    refused(saved, "got ")


def test_a_prior_named_as_it_was_in_version_one(saved):
    configured(saved, lambda c: c["energy"].update({"class": "sciencegen.network.Denoiser"}))
    assert type(Model.load(saved).energy) is Denoiser


# --- memory --------------------------------------------------------------------------------------------------------

def embedding(path, arguments, cls="torch.nn.Embedding"):
    configured(path, lambda c: c["net"].update({"class": cls, "arguments": arguments}))


@pytest.mark.parametrize("cls, arguments", [
    ("torch.nn.Embedding", {"num_embeddings": 10**9, "embedding_dim": 1}),
    ("torch.nn.Linear", {"in_features": 10**6, "out_features": 10**6}),
    ("sciencegen.nets.mlp.MLP", {"size": 5, "width": 16, "depth": 10**9}),
    ("sciencegen.nets.mlp.MLP", {"size": 10**9, "width": 16}),
    ("torch.nn.LSTM", {"input_size": 1, "hidden_size": 1, "num_layers": 10**9}),
])
def test_networks_of_sizes_that_the_weights_have_not(saved, cls, arguments):
    configured(saved, lambda c: c["net"].update({"class": cls, "arguments": arguments}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(saved, r"damaged .*config\.json")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19, "kilobytes"


def test_buffers_beside_the_weights_are_bounded(saved, monkeypatch):
    monkeypatch.setattr("sciencegen.priors.doors._SPARE", 0)
    recipe = Recipe("sciencegen.nets.mlp.LevelFeatures", {"size": 4000})
    configured(saved, lambda c: c.update(net=recipe.config()))
    weighed(saved, lambda tensors: [tensors.pop(k) for k in list(tensors) if k.startswith("net.")])
    refused(saved, "a network of .* GB beside its weights")


# --- precision, compilers, devices ---------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", ["dense", "diagonal", "low rank"])
def test_energies_in_sixteen_bits(tmp_path, kind, dtype, form):
    axes = torch.linalg.qr(normal(5, 2)).Q.float()
    gaussian = {"dense": None, "diagonal": Gaussian(torch.zeros(5), torch.arange(1.0, 6)),
                "low rank": Gaussian(normal(5).float(), torch.tensor([3.0, 1.0, 0.1]), axes)}[form]
    first = model(kind, gaussian)
    first.energy.to(dtype)
    first.save(tmp_path / "prior")
    again = Model.load(tmp_path / "prior").energy
    assert {p.dtype for p in again.parameters()} == {dtype}
    x = normal(4, 5).to(dtype)
    close(again.score(x, 0.5).float(), first.energy.score(x, 0.5).float(), 0.02)


@pytest.mark.parametrize("kind", NETS)
def test_a_compiled_network_is_saved_by_its_own_names(tmp_path, kind):
    plain, first = model(kind), model(kind)
    inside = first.energy.net if kind is EnergyNet else first.energy
    inside.net = torch.compile(inside.net)
    first.save(tmp_path / "prior")
    again = Model.load(tmp_path / "prior").energy
    assert torch.equal(again.score(normal(4, 5).float(), 0.5), plain.energy.score(normal(4, 5).float(), 0.5))


def test_a_device_by_its_name(saved):
    assert Model.load(saved, device="meta").energy.score(torch.zeros(2, 5, device="meta"), 0.5).device.type == "meta"
    for device in ("cuda:99", "gpu", 3.5):
        refused(saved, "got device=.*; expected one that torch sees here", device=device)


def test_a_model_asks_questions():
    first = model()
    problem = first.problem(derive=lambda u, v: {"w": u.sum(-1)})
    assert problem.prior is first.energy
    close(problem.parts(normal(4, 5))["w"], LAYOUT.unpack(normal(4, 5))["u"].sum(-1))


def test_parts_that_are_given_come_back(tmp_path):
    first = model(given=[LAYOUT["u"]], marginals=[LAYOUT["v"]])
    first.save(tmp_path / "prior")
    again, x = Model.load(tmp_path / "prior").energy, normal(4, 5).float()
    assert torch.equal(again.given(LAYOUT["u"]).score(x, 0.5), first.energy.given(LAYOUT["u"]).score(x, 0.5))
    with pytest.raises(ValueError, match=r"got Denoiser.given\(u\), a part of what its network knows"):
        Model(LAYOUT, first.energy.given(LAYOUT["u"]), NETS[Denoiser])
