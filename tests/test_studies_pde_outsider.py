"""Somebody's own equation: one file of theirs, and `train`, `invert` and `data check` work, with no edit of ours."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from sciencegen import cli
from sciencegen.priors import Model
from sciencegen.result import Result

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
WAVE = '''
"""Waves on a string: u_tt = (c u_x)_x between fixed ends, by leapfrog; the stiffness c and the start are given."""

from dataclasses import dataclass, replace

import torch

from sciencegen.physics import Part


@dataclass(frozen=True)
class Wave:
    """Stiffness of the left half `c`, start `a` at rest, later frames `u`."""

    n: int
    frame: float = 0.1
    frames: int = 4
    steps: int = 8

    @property
    def parts(self):
        x = [(i + 0.5) / self.n for i in range(self.n)]
        times = [self.frame * (i + 1) for i in range(self.frames)]
        return {
            "c": Part((), (), units="m2/s2", low=0.2),
            "a": Part((self.n,), ("x",), {"x": x}, units="m"),
            "u": Part((self.frames, self.n), ("time", "x"), {"time": times, "x": x}, units="m"),
        }

    symmetries = ()

    def draw(self, count, seed=0, first=0):
        random = [torch.Generator().manual_seed(2**20 * seed + first + i) for i in range(count)]
        kicks = torch.stack([torch.randn(5, generator=g, dtype=torch.float64) for g in random])
        x = (torch.arange(self.n, dtype=torch.float64) + 0.5) / self.n
        waves = torch.stack([torch.sin(torch.pi * k * x) / k for k in range(1, 5)])
        return {"c": 1 + 0.5 * kicks[:, 0].tanh(), "a": kicks[:, 1:] @ waves}

    def force(self, c, u):
        c = torch.cat([c[..., None].expand(*c.shape, self.n // 2 + 1), torch.ones_like(u[..., self.n // 2 :])], -1)
        edges = torch.cat([-u[..., :1], u, -u[..., -1:]], -1).diff(dim=-1)
        return (c * edges).diff(dim=-1) * self.n**2

    def march(self, c, a):
        step = self.frame / self.steps
        u, speed, path = a, step / 2 * self.force(c, a), []
        for _ in range(self.frames):
            for _ in range(self.steps):
                u = u + step * speed
                speed = speed + step * self.force(c, u)
            path.append(u)
        return torch.stack(path, -2)

    def solve(self, c, a):
        return self.march(c, a)

    def residual(self, c, a, u):
        return (u - self.march(c, a)).flatten(-2) / (self.n * self.frames) ** 0.5

    def read(self, stored):
        return {f"{stored.frames} frames": replace(self, frame=stored.frame, frames=stored.frames)}
'''


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """`run(*words)` in a folder that holds wave.py alone: exit status, stdout and stderr of `sciencegen *words`."""
    monkeypatch.chdir(tmp_path)
    Path("wave.py").write_text(WAVE)
    monkeypatch.delitem(sys.modules, "wave", raising=False)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sciencegen", *map(str, words)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        return exit.value.code or 0, *capsys.readouterr()

    yield call
    sys.modules.pop("wave", None)


def test_the_file_is_no_longer_than_a_page():
    assert len(WAVE.splitlines()) <= 65


def test_an_equation_of_ones_own_is_trained_and_inverted(run):
    code, out, err = run("train", "wave:Wave", "--grid", 16, "--steps", 2, "--pairs", 200, "--out", "made")
    assert code == 0, err
    assert "sciencegen invert wave:Wave --model made/model" in " ".join(out.split())
    layout = Model.load("made/model").layout
    assert {name: v.shape for name, v in layout.variables.items()} == {"c": (), "a": (16,), "u": (4, 16)}
    assert layout.variables["u"].coords["time"] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert layout.variables["c"].units == "m2/s2"
    words = ("--model", "made/model", "--example", "--count", 6, "--seed", 3, "--law", "--out", "seen")
    code, out, err = run("invert", "wave:Wave", *words)
    assert code == 0, err
    found = Result.load("seen/result.nc")
    assert (found.data.residual < 1e-9).all()
    assert found.data.residual.attrs["zero"] > 0.1
    assert float(found.samples["c"].min()) >= 0.2
    words = ("--model", "made/model", "--data", "seen/observations.h5", "--count", 6, "--seed", 3, "--out", "again")
    assert run("invert", "wave:Wave", *words)[0] == 0
    loose = Result.load("again/result.nc")
    assert "residual" in loose.data
    assert abs(float(loose.samples["a"].mean("sample")[3] - loose.truth["a"][3])) < 1


def test_a_prior_of_ones_own_is_inverted_by_its_directory_but_imports_nothing(run):
    assert run("train", "wave:Wave", "--grid", 16, "--steps", 1, "--pairs", 80, "--out", "made")[0] == 0
    code, _, err = run("invert", "made/model", "--example", "--out", "seen")
    assert code == 2
    assert "got a prior of 'wave:Wave'; expected its system" in " ".join(err.split())
    with h5py.File("mine.h5", "w") as file:
        file["u/coordinates"], file["u/values"], file["u/noise"] = [[0.2, 0.5]], [0.1], 0.1
    Path("wave.py").write_text("raise SystemExit('a module that a model names was imported')")
    sys.modules.pop("wave", None)
    code, _, err = run("invert", "made/model", "--data", "mine.h5", "--count", 2, "--steps", 2, "--out", "seen")
    assert code == 0, err
    assert "residual" not in Result.load("seen/result.nc").data


def test_a_file_of_ones_own_is_checked(run):
    sys.path.insert(0, ".")
    try:
        from wave import Wave
    finally:
        sys.path.remove(".")
    system = Wave(16)
    given = system.draw(5, seed=1)
    u = system.solve(**given)
    assert float(system.residual(**given, u=u).norm(dim=-1).max()) == 0
    file = xarray.Dataset({"c": ("sample", given["c"]), "a": (("sample", "x"), given["a"]),
                           "u": (("sample", "time", "x"), u)}, {"time": np.arange(1, 5) * 0.1})
    file.to_netcdf("mine.nc", engine="h5netcdf")
    words = ("data", "check", "mine.nc", "--physics", "wave:Wave")
    code, out, err = run(*words)
    assert code == 0, err
    assert "wave:Wave: norm of a sample's residual" in out
    assert " solved" in out
    file.assign(u=file.u.roll(sample=1)).to_netcdf("mine.nc", engine="h5netcdf")
    assert "not solved" in run(*words)[1]
