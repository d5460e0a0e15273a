"""Law: a model behind UM-Bridge has the values and derivatives of the torch function that it implements."""

import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.sample import Heun, karras
from sciencegen.solvers import Isolated, Judge, load_simulations, map_simulations
from sciencegen.solvers.umbridge import UMBridge
from sciencegen.tasks import Problem, design, invert

pytest.importorskip("umbridge")
requests = pytest.importorskip("requests")
SHAPES = {"shape": (3,), "alpha": ()}
OUTPUTS = {"drag": (), "loads": (2,)}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("w")
    words = [sys.executable, Path(__file__).with_name("umbridge_server.py"), str(port)]
    with subprocess.Popen(words, stdout=log, stderr=log) as server:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while time.monotonic() < deadline:
            assert server.poll() is None
            try:
                requests.get(f"{address}/Info", timeout=10)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        yield address
        server.kill()


def wing(shape, alpha, scale=1.0, **others):
    drag = scale * (shape**2).sum(-1) * (1 + alpha**2)
    return torch.stack([drag, shape.sum(-1) * alpha, shape[..., 0].sin()], -1)


@pytest.fixture
def parts():
    draw = torch.Generator().manual_seed(0)
    return {"shape": torch.randn(2, 2, 3, generator=draw, dtype=torch.float64).requires_grad_(),
            "alpha": torch.randn(2, 2, generator=draw, dtype=torch.float64).requires_grad_()}


@pytest.mark.parametrize("name", ["wing", "adjoint", "tangent"])
def test_values_and_gradients_are_torchs(url, parts, name):
    model = UMBridge(url, name, SHAPES, OUTPUTS, {"scale": 1.5}, workers=3)
    ours, theirs = model.measure(**parts, other=torch.ones(1)), wing(**parts, scale=1.5)
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=ours.dtype)
    for a, b in zip(*(torch.autograd.grad((f * weights).sum(), parts.values()) for f in (ours, theirs))):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["wing", "adjoint", "tangent"])
def test_the_jacobian_along_a_vector_is_torchs(url, parts, name):
    """As measurements are linearised: the derivative of `J^T s` by `s`; no Hessian is asked for."""
    along = [torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=p.dtype) for p in parts.values()]
    found = []
    for function in (UMBridge(url, name, SHAPES, OUTPUTS).measure, wing):
        seen = function(**parts)
        dual = torch.zeros_like(seen).requires_grad_()
        pulled = torch.autograd.grad(seen, list(parts.values()), dual, create_graph=True)
        found.append(torch.autograd.grad(pulled, dual, along)[0])
    torch.testing.assert_close(*found, rtol=1e-13, atol=1e-13)


def test_second_derivatives_are_torchs_or_refused(url, parts):
    flat = [p[0].detach().requires_grad_() for p in parts.values()]
    for name in ("wing", "adjoint"):
        model = UMBridge(url, name, SHAPES, OUTPUTS)
        function = lambda shape, alpha, measure=model.measure: measure(shape=shape, alpha=alpha)
        if name == "wing":
            assert torch.autograd.gradcheck(function, flat)
            assert torch.autograd.gradgradcheck(function, flat)
        else:
            with pytest.raises(RuntimeError, match="without second derivatives, adjoint at .* serves ApplyHessian"):
                torch.autograd.gradgradcheck(function, flat)


def test_it_is_asked_for_no_gradient_that_nobody_needs(url, parts):
    model = UMBridge(url, "blind", SHAPES, OUTPUTS)
    fixed = {name: part.detach() for name, part in parts.items()}
    torch.testing.assert_close(model.measure(**fixed), wing(**fixed))
    with pytest.raises(RuntimeError, match=r"without gradients, blind at .*; use it as judge=Judge\(...\) instead"):
        model.measure(**parts)


def test_it_is_a_solver(url, tmp_path):
    solver = UMBridge(url, "wing", SHAPES, OUTPUTS)
    cases = [{"shape": [k, 1.0, 2.0], "alpha": 0.5} for k in (0.0, 1.0, 99.0)]
    results = map_simulations(Isolated(solver, 60), cases, out=tmp_path)
    assert [r.status for r in results] == ["converged", "converged", "crashed"]
    assert results[1]["drag"] == 6 * 1.25
    assert results[0]["loads"].tolist() == [1.5, 0.0]
    assert "wing at http" in results[2].log
    map_simulations(pickle.loads(pickle.dumps(solver)), cases, out=tmp_path)  # connected or not, it is the same
    assert load_simulations(tmp_path).loads.shape == (3, 2)
    assert Judge(solver, lambda r: float(r["drag"]))(shape=torch.ones(2, 3), alpha=torch.zeros(2)).tolist() == [3, 3]


@pytest.mark.parametrize("settings, error, words", [
    ({"name": "wong"}, LookupError, r"got the model 'wong' for http.*; expected one of \['adjoint', 'blind'"),
    ({"inputs": {"shape": (4,), "alpha": ()}}, ValueError, r"inputs .* of sizes \[4, 1\] .* expected sizes \[3, 1\]"),
    ({"outputs": {"drag": ()}}, ValueError, r"outputs .* of sizes \[1\] for wing .* expected sizes \[1, 2\]"),
    ({"url": "http://127.0.0.1:9"}, ConnectionError, "no answer from http.*; expected a UM-Bridge server; start it"),
])
def test_errors_are_in_words(url, settings, error, words):
    model = UMBridge(**({"url": url, "name": "wing", "inputs": SHAPES, "outputs": OUTPUTS} | settings))
    parts = {name: torch.zeros(2, *shape) for name, shape in model.inputs.items()}
    with pytest.raises(error, match=words):
        model.measure(**parts)
    if error in (LookupError, ConnectionError):
        assert model(**{name: part[0] for name, part in parts.items()}).status == "missing"


def test_wrong_parts_are_refused_in_words(url):
    model = UMBridge(url, "wing", SHAPES, OUTPUTS)
    with pytest.raises(ValueError, match=r"got shape of shape \(5, 4\); expected \(\*B, 3\)"):
        model.measure(shape=torch.zeros(5, 4), alpha=torch.zeros(5))
    with pytest.raises(ValueError, match=r"got the parts \['shape'\]; expected \['alpha'\] among them"):
        model.measure(shape=torch.zeros(5, 3))
    with pytest.raises(ValueError, match="got 3 output numbers from wing; expected 1"):
        model.objective(shape=torch.zeros(5, 3), alpha=torch.zeros(5))
    with pytest.raises(TypeError, match=r"got \['shape'\] for wing; expected \['alpha', 'shape'\]"):
        model(shape=[0.0, 0.0, 0.0])
    with pytest.raises(RuntimeError, match="wing at .* gave no numbers: the model failed, or returned nan"):
        model.measure(shape=torch.full((1, 3), 99.0), alpha=torch.zeros(1))


PROBLEM = Problem(Layout(shape=(3,), alpha=()), Gaussian(torch.zeros(4).double(), torch.ones(4).double()))


def test_a_design_by_way_of_the_server_is_the_one_by_torch(url):
    theirs = UMBridge(url, "drag", SHAPES, {"drag": ()}, workers=4)
    found = [design(PROBLEM, f, 0.3, Heun(karras(4)), 3, seeds=torch.arange(3), progress=False)
             for f in (theirs.objective, lambda **parts: wing(**parts)[..., 0])]
    for name in SHAPES:
        np.testing.assert_allclose(*(f.samples[name].values for f in found), rtol=1e-5, atol=1e-6)


def test_an_inversion_by_way_of_the_server_is_the_one_by_torch(url):
    theirs = UMBridge(url, "adjoint", SHAPES, OUTPUTS, workers=4)
    data = wing(torch.tensor([0.5, -0.2, 0.1]).double(), torch.tensor(0.3).double())
    found = [invert(PROBLEM, f, data, 0.1, Heun(karras(4)), 2, seeds=torch.arange(2), progress=False)
             for f in (theirs.measure, wing)]
    for name in SHAPES:
        np.testing.assert_allclose(*(f.samples[name].values for f in found), rtol=1e-3, atol=1e-4)
