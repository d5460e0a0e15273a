"""Makes airfoils.nc: the UIUC airfoils as CST shapes, with the polars that NeuralFoil computes for them.

    python datasets/make_airfoils.py --out datasets/airfoils.nc

Needs the extra: pip install "sciencegen[aero]". Takes about a minute on one core, and gives the same file, bit for
bit, with the same package versions. What is in the file, and what is not, is on the card in datasets/README.md.
"""

import argparse
import hashlib
import os
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from torch import Tensor
from tqdm import tqdm

from sciencegen.airfoil import cst, uiuc
from sciencegen.airfoil.aero import NeuralFoil
from sciencegen.airfoil.fitting import Fit, fit

ALPHA = np.arange(-6.0, 19.0, 1.0)
CONDITIONS = 8
DECADES = (5.0, 7.0)
LARGEST_ERROR = 0.005
THICKNESS = (0.03, 0.35)
TRAILING_EDGE = 0.05
LARGEST_WEIGHT = 2.0
NEIGHBOURS = 0.003
CROWD = 10
SHARE = 0.1
GOLDEN = (5**0.5 - 1) / 2
LICENCE = (
    "Shapes: fitted to the airfoil collection that AeroSandbox distributes under the MIT licence (the UIUC Airfoil "
    "Coordinates Database of M. Selig and other public sources); the coordinate files themselves are not included. "
    "Polars: computed with NeuralFoil, MIT licence."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "airfoils.nc", help="the file to write")
    out = parser.parse_args().out
    fits, dropped = collect()
    shape = torch.stack([one.shape for one in fits.values()]).float()
    data = dataset(fits, dropped, shape, polars(shape, reynolds(len(fits))))
    save(data, out)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {len(fits)} airfoils, {len(dropped)} dropped")
    print(Counter(reason.split(":")[0] for reason in dropped.values()), Counter(data.split.values.tolist()))


def collect() -> tuple[dict[str, Fit], dict[str, str]]:
    """The fits that are kept, and why each of the others is dropped, by name."""
    fits, dropped = {}, {}
    for name in tqdm(uiuc.names(), desc="fit"):
        try:
            one = fit(uiuc.coordinates(name))
        except ValueError as error:
            dropped[name] = "unreadable: " + str(error).split(f"{name}.dat", 1)[-1].lstrip(",: ")
            continue
        reason = fault(one)
        if reason is None:
            fits[name] = one
        else:
            dropped[name] = reason
    return fits, dropped


def fault(one: Fit) -> str | None:
    """Why a fit is not fit for use, or None."""
    thickness, least = cst.max_thickness(one.shape).item(), cst.least_thickness(one.shape).item()
    tail, weight = one.shape[-1].item(), one.shape[: 2 * cst.WEIGHTS].abs().max().item()
    if one.largest > LARGEST_ERROR:
        return f"bad fit: largest error {one.largest:.4f} chords, more than {LARGEST_ERROR}"
    if least <= 0:
        return f"crossing sides: least thickness {least:.5f} chords"
    if not THICKNESS[0] <= thickness <= THICKNESS[1]:
        return f"thickness: {thickness:.3f} chords, outside {THICKNESS[0]} to {THICKNESS[1]}"
    if tail > TRAILING_EDGE:
        return f"blunt: trailing edge {tail:.3f} chords, more than {TRAILING_EDGE}"
    if weight > LARGEST_WEIGHT:
        return f"wild weights: largest weight {weight:.2f}, more than {LARGEST_WEIGHT}"
    return None


def reynolds(count: int) -> Tensor:
    """Eight Reynolds numbers per airfoil (count, 8), one in each eighth of the two decades.

    All eight of an airfoil share one offset; the offsets are a golden-ratio sequence, so that the airfoils together
    cover the two decades evenly and without gaps.
    """
    offset = (0.5 + GOLDEN * np.arange(count)) % 1.0
    part = (np.arange(CONDITIONS) + offset[:, None]) / CONDITIONS
    return torch.from_numpy(10 ** (DECADES[0] + (DECADES[1] - DECADES[0]) * part)).float()


@torch.no_grad()
def polars(shape: Tensor, reynolds: Tensor) -> dict[str, np.ndarray]:
    """NeuralFoil's answers, each (airfoil, condition, alpha), computed one airfoil at a time."""
    aero, alpha = NeuralFoil(), torch.from_numpy(ALPHA).float()
    rows = [aero(one, alpha, flow[:, None]) for one, flow in zip(tqdm(shape, desc="NeuralFoil"), reynolds, strict=True)]
    return {
        key: torch.stack([getattr(row, key) for row in rows]).numpy() for key in ("cl", "log_cd", "cm", "confidence")
    }


def clusters(shape: Tensor) -> np.ndarray:
    """A number per airfoil: those whose outlines come within NEIGHBOURS of each other, directly or by a chain."""
    upper, lower = cst.surfaces(shape.double(), cst.cosine(65, shape.double()))
    heights = torch.cat([upper, lower], dim=-1).numpy()
    return fcluster(linkage(pdist(heights, "chebyshev"), "single"), NEIGHBOURS, "distance") - 1


def splits(names: list[str], cluster: np.ndarray) -> np.ndarray:
    """``train``, ``valid`` or ``test`` per airfoil, by whole clusters; crowded clusters go to train.

    The order in which clusters are dealt out is that of a hash of their first name, so that it survives changes to
    other airfoils.
    """
    sizes, first = np.bincount(cluster), np.unique(cluster, return_index=True)[1]
    small = np.flatnonzero(sizes <= CROWD)
    order = np.array(sorted(small, key=lambda i: hashlib.sha256(names[first[i]].encode()).digest()))
    filled = np.cumsum(sizes[order]) / len(names)
    part = np.full(len(sizes), "train", dtype=object)
    part[order[filled <= 2 * SHARE]] = "test"
    part[order[filled <= SHARE]] = "valid"
    return part[cluster]


def dataset(fits: dict[str, Fit], dropped: dict[str, str], shape: Tensor, aero: dict[str, np.ndarray]) -> xr.Dataset:
    """Everything under its name, with units and provenance."""
    polar, cluster = ("airfoil", "condition", "alpha"), clusters(shape)
    words = {
        "cl": "section lift coefficient",
        "log_cd": "natural logarithm of the section drag coefficient",
        "cm": "section pitching moment coefficient about the quarter chord, nose up positive",
        "confidence": "NeuralFoil's confidence in the row, 0 to 1",
    }
    variables = {
        "shape": (("airfoil", "weight"), shape.numpy(), _about("CST shape: upper, lower, leading edge, trailing edge")),
        "reynolds": (("airfoil", "condition"), reynolds(len(fits)).numpy(), _about("chord Reynolds number")),
        **{key: (polar, aero[key], _about(text)) for key, text in words.items()},
        "split": ("airfoil", splits([*fits], cluster), _about("train, valid or test; whole clusters")),
        "cluster": ("airfoil", cluster.astype(np.int16), _about("group of nearly equal outlines")),
        "fit_rms": ("airfoil", np.float32([f.rms for f in fits.values()]), _about("rms error of the fit", "chord")),
        "fit_largest": ("airfoil", np.float32([f.largest for f in fits.values()]), _about("largest error", "chord")),
        "dropped_reason": ("dropped", np.array([*dropped.values()], dtype=object), _about("why it is not here")),
    }
    coordinates = {
        "airfoil": ("airfoil", np.array([*fits], dtype=object), _about("name in the UIUC database")),
        "alpha": ("alpha", ALPHA.astype(np.float32), _about("angle of attack", "degree")),
        "dropped": ("dropped", np.array([*dropped], dtype=object), _about("name in the UIUC database")),
    }
    return xr.Dataset(variables, coordinates, _provenance())


def _about(long_name: str, units: str = "1") -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _provenance() -> dict[str, str]:
    packages = ("aerosandbox", "neuralfoil", "torch", "numpy", "scipy", "xarray")
    return {
        "Conventions": "CF-1.11",
        "title": "UIUC airfoils as CST shapes, with NeuralFoil polars",
        "source": "NeuralFoil, size xlarge, n_crit 9, free transition, incompressible; a surrogate of XFOIL",
        "history": "datasets/make_airfoils.py with " + ", ".join(f"{name} {version(name)}" for name in packages),
        "references": "https://m-selig.ae.illinois.edu/ads/coord_database.html https://arxiv.org/abs/2503.16323",
        "license": LICENCE,
    }


def save(data: xr.Dataset, out: Path) -> None:
    """Writes the file packed and compressed, under its name only when it is complete."""
    encoding = {name: {"zlib": True, "complevel": 9, "shuffle": True} for name in ("shape", "reynolds")}
    encoding |= {name: _packed(data[name].values) for name in ("cl", "log_cd", "cm", "confidence")}
    part = out.with_name(f".{out.name}.part")
    data.to_netcdf(part, engine="h5netcdf", encoding=encoding)
    os.replace(part, out)


def _packed(values: np.ndarray) -> dict[str, object]:
    """Sixteen bits over the range of the values, rounded to 1 / 130,000 of it; -32768 marks a missing value."""
    low, high = float(values.min()), float(values.max())
    return {
        "dtype": "int16",
        "_FillValue": -32768,
        "scale_factor": np.float32((high - low) / 65000),
        "add_offset": np.float32((high + low) / 2),
        "zlib": True,
        "complevel": 9,
        "shuffle": True,
    }


if __name__ == "__main__":
    main()
