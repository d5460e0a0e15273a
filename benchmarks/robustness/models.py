"""Hostile models: directories that name classes, sizes and numbers which no training of ours writes.

Beside each lies a package that leaves a trace if anything imports it, a pickle that does if anything opens it, and our
own command line is given arguments that would write a run. A model is refused in words, or is as good as it was; a
setting that was changed for another valid one is not told from it by anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.priors import Denoiser, EnergyNet, Model, Recipe

__all__ = ["ModelCase", "cases", "judge"]

MENDABLE = (ValueError, FileNotFoundError, PermissionError)
LAYOUT = Layout(u=Variable((2,), loc=1.0, scale=3.0, dims=("x",), coords={"x": [0.0, 1.0]}), v=(3,))
TRACE = "ran"
EVIL = "open({!r}, 'w').close()\n"
ODD = (None, True, -1, 0, 10**9, 10**30, 0.5, 1e308, -1e308, "x", "", "cuda", [], [[]], {}, [None], [-1], [10**9],
       ["u"], {"class": "os.system", "arguments": {"command": "touch ran"}}, {"class": "evil.Net", "arguments": {}},
       {"class": "torch.nn.Identity", "arguments": {}})
CLASSES = ("os.system", "builtins.eval", "subprocess.Popen", "torch.hub.load", "torch.load", "evil.Net", "evil",
           "evil.__main__.Net", "sciencegen.__main__.main", "sciencegen.__main__", "sciencegen.cli.main",
           "sciencegen.nets.mlp.torch.nn.Linear", "sciencegen.nets.__main__.Net", "sciencegen.priors.model.Model",
           "sciencegen.priors.charts.Whole", "sciencegen.solvers.isolated.Isolated", "torch.nn.init.normal_",
           "torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel", "torch.nn.Module", "azula.evil.Net",
           "torch.nn.modules.module.torch.hub.load", "..evil.Net", "evil\x00.Net", "",
           "sciencegen.nets.mlp.__builtins__")
SIZES = (
    ("torch.nn.Embedding", {"num_embeddings": 10**9, "embedding_dim": 1}),
    ("torch.nn.Embedding", {"num_embeddings": 10**18, "embedding_dim": 10**9}),
    ("torch.nn.Linear", {"in_features": 10**6, "out_features": 10**6}),
    ("torch.nn.LSTM", {"input_size": 9, "hidden_size": 9, "num_layers": 10**9}),
    ("torch.nn.Conv3d", {"in_channels": 10**4, "out_channels": 10**4, "kernel_size": 10**3}),
    ("sciencegen.nets.mlp.MLP", {"size": 5, "width": 8, "depth": 10**9}),
    ("sciencegen.nets.mlp.MLP", {"size": 10**9, "width": 10**9}),
    ("sciencegen.nets.mlp.LevelFeatures", {"size": 10**10}),
    ("sciencegen.nets.unet.GridUNet", {"shape": [2, 10**9, 10**9], "channels": [10**5, 10**5], "blocks": [1, 1]}),
    ("sciencegen.nets.unet.GridUNet", {"shape": [2, 32, 32], "channels": [8] * 10**5, "blocks": [1] * 10**5}),
    ("sciencegen.nets.unet.GridUNet", {"shape": [2, 32, 32], "channels": [8, 8], "blocks": [10**9, 1]}),
    ("sciencegen.nets.bodies.Bodies", {"first": {"class": "sciencegen.nets.trunks.TemporalUNet", "arguments": {
        "channels": [10**9]}}, "second": None, "bodies": 10**9, "reach": 1.0, "contact": 1.0, "step": 1.0}),
    ("torch.nn.TransformerEncoder", {"encoder_layer": {"class": "torch.nn.TransformerEncoderLayer", "arguments": {
        "d_model": 4, "nhead": 2}}, "num_layers": 10**9}),
    ("torch.nn.ZeroPad2d", {"padding": 10**18}), ("torch.nn.Softmax", {"dim": 10**30}),
)  # fmt: skip


@dataclass(frozen=True)
class ModelCase:
    """A kind of mischief, and the seed or number of it."""

    kind: str
    which: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.which}"


def cases(seed: int) -> Iterator[ModelCase]:
    """Without end: of each hundred sixty are of the lists, the rest are settings and bytes."""
    many = {"class": 2 * len(CLASSES), "size": len(SIZES), "tensor": len(TENSORS), "file": len(FILES)}
    listed = [ModelCase(kind, i) for kind, count in many.items() for i in range(count)]
    draw = np.random.default_rng(seed)
    while True:
        yield from (listed[i] for i in draw.permutation(len(listed))[:60])
        yield from (ModelCase(str(draw.choice(["setting", "setting", "bytes"])), int(draw.integers(2**31)))
                    for _ in range(40))


def judge(case: ModelCase) -> str:
    sys.argv = ["sciencegen", "data", "describe", "nowhere"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        evil = Path(folder) / "evil"
        evil.mkdir()
        for name in ("__init__.py", "__main__.py"):
            (evil / name).write_text(EVIL.format(str(Path(folder) / TRACE)))
        path, wanted = _whole(Path(folder), case.which)
        KINDS[case.kind](path, case.which)
        try:
            found = _scores(Model.load(path))
        except MENDABLE as error:
            text = str(error)
            word = f"refused: {text}" if len(text) < 1500 and "\n" not in text else f"traceback: {text}"
        except BaseException as error:
            word = f"traceback: {type(error).__name__}: {error}"
        else:
            word = "equal" if torch.equal(found, wanted) else "numbers"
            word = word if bool(found.isfinite().all()) else "differ: scores that are not finite"
        return "differ: something ran" if (Path(folder) / TRACE).exists() or "evil" in sys.modules else word


def _whole(folder: Path, which: int) -> tuple[Path, torch.Tensor]:
    kind, name = ((Denoiser, "MLP"), (EnergyNet, "ScalarMLP"))[which % 2]
    recipe = Recipe(f"sciencegen.nets.mlp.{name}", {"size": 5, "width": 8, "depth": 1})
    torch.manual_seed(0)
    net = recipe.build()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    root = torch.randn(5, 5)
    model = Model(LAYOUT, kind(net, Gaussian(torch.zeros(5), root @ root.mT), [[0, 1]], given=[[2, 3]]), recipe)
    model.save(folder / "model")
    return folder / "model", _scores(model)


def _scores(model: Model) -> torch.Tensor:
    x = torch.linspace(-1, 1, 15).reshape(3, 5)
    return torch.cat([model.energy.score(x.to(p), 0.5).float() for p in list(model.energy.parameters())[:1]]).detach()


# --- kinds --------------------------------------------------------------------------------------------------------

def _class(path: Path, which: int) -> None:
    where, entry = ("net", "energy")[which % 2], {"class": CLASSES[which // 2]}
    _configured(path, lambda c: c[where].update(entry))


def _size(path: Path, which: int) -> None:
    cls, arguments = SIZES[which]
    _configured(path, lambda c: c.update(net={"class": cls, "arguments": arguments}))


def _tensor(path: Path, which: int) -> None:
    file = path / "model.safetensors"
    tensors = load_file(file)
    TENSORS[which](tensors)
    save_file({k: v.contiguous() for k, v in tensors.items()}, file)
    _checked(path)


def _setting(path: Path, which: int) -> None:
    """A leaf or a branch of the configuration is another."""
    draw = np.random.default_rng(which)
    config = json.loads((path / "config.json").read_text())
    places = list(_places(config))
    holder, key = places[int(draw.integers(len(places)))]
    holder[key] = ODD[int(draw.integers(len(ODD)))]
    (path / "config.json").write_text(json.dumps(config))


def _bytes(path: Path, which: int) -> None:
    draw = np.random.default_rng(which)
    file = path / ("config.json", "model.safetensors", "README.md")[int(draw.integers(3))]
    data = bytearray(file.read_bytes())
    for at in draw.integers(len(data), size=int(draw.integers(1, 9))):
        data[at] = int(draw.integers(256))
    file.write_bytes(data[: int(draw.integers(len(data)))] if draw.random() < 0.3 else data)
    if draw.random() < 0.5:
        _checked(path)


def _file(path: Path, which: int) -> None:
    FILES[which](path)


def _configured(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))


def _checked(path: Path) -> None:
    """The checksum of the weights as they are now, as whoever made them would have written it."""
    checksum = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
    with contextlib.suppress(ValueError, AttributeError, RecursionError):  # no configuration any more
        _configured(path, lambda c: c.update(sha256=checksum))


def _places(config: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(config) if isinstance(config, dict) else range(len(config)):
        yield config, key
        if isinstance(config[key], dict | list):
            yield from _places(config[key])


class Runs:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {TRACE}",)


def _written(name: str, content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        (path / name).write_bytes(content)
        _checked(path)
    return write


def _instead(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        (path / name).unlink()
        make(path / name)
    return replace


def _header(entries: dict[str, Any], tail: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + tail


NAMES = ("config.json", "model.safetensors", "README.md")
KINDS = {"class": _class, "size": _size, "tensor": _tensor, "setting": _setting, "bytes": _bytes, "file": _file}
TENSORS = (
    lambda t: t["net." + _first(t)].fill_(float("nan")), lambda t: t["data.center"].fill_(float("inf")),
    lambda t: t["data.variances"].neg_(), lambda t: t["data.axes"].mul_(3), lambda t: t["data.cov"].zero_(),
    lambda t: t.update({"data.center": torch.zeros(10**6)}), lambda t: t.update({"data.axes": torch.eye(7)}),
    lambda t: t.update({"data.more": torch.zeros(3)}), lambda t: t.pop("data.cov"), lambda t: t.pop("data.center"),
    lambda t: t.pop("net." + _first(t)), lambda t: t.clear(), lambda t: t.update({"net.evil": torch.zeros(3)}),
    lambda t: t.update({k: v.int() for k, v in t.items()}), lambda t: t.update({k: v.half() for k, v in t.items()}),
    lambda t: t.update({"data.center": torch.zeros(5, dtype=torch.bool)}),
    lambda t: t.update({"data.variances": torch.zeros(5)}), lambda t: t.update({"data.center": torch.zeros(())}),
    lambda t: t.update({"net." + _first(t): torch.zeros(0)}),
)  # fmt: skip
FILES = (
    *(_instead(name, os.mkfifo) for name in NAMES), *(_instead(name, Path.mkdir) for name in NAMES),
    *(_instead(name, lambda p: p.symlink_to(p)) for name in NAMES),
    *(_instead(name, lambda p: p.symlink_to("/dev/zero")) for name in NAMES),
    *(_instead(name, lambda p: os.truncate(os.open(p, os.O_CREAT | os.O_WRONLY), 2**40)) for name in NAMES),
    *(_written("config.json", text) for text in (b"[" * 10**6, b'{"a":' * 10**5, b"\xff\xfe\x00", b"null", b"1e999")),
    _written("model.safetensors", pickle.dumps(Runs())), _written("config.json", pickle.dumps(Runs())),
    _written("model.safetensors", struct.pack("<Q", 2**63)), _written("model.safetensors", b""),
    _written("model.safetensors", _header({"net.x": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 2**63]}})),
    _written("model.safetensors", _header({"data.center": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}},
                                          bytes(4))),
)  # fmt: skip


def _first(tensors: dict[str, torch.Tensor]) -> str:
    return next(name.removeprefix("net.") for name in tensors if name.startswith("net."))
