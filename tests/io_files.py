"""Small files in other projects' layouts, written from their published descriptions with h5py, NumPy, SciPy, pyvista
and pyarrow; never with this package's writers. Each builder returns the arrays that a reader must give back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io

Built = dict[str, np.ndarray]
RNG = np.random.default_rng


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Different float32 numbers, all of them exact in float64."""
    return RNG(seed).standard_normal(shape).astype(np.float32)


def centres(n: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Cell centres, as PDEBench stores them."""
    return (low + (np.arange(n) + 0.5) * (high - low) / n).astype(np.float32)


# --- PDEBench -----------------------------------------------------------------------------------------------------

def advection(path: Path) -> Built:
    """1D_Advection_Sols_beta0.4.hdf5: `tensor` (N, Nt, Nx), one more time edge than there are frames."""
    u = numbers(3, 5, 8)
    with h5py.File(path, "w") as file:
        file["tensor"], file["x-coordinate"] = u, centres(8)
        file["t-coordinate"] = np.arange(6, dtype=np.float32) * 0.05
        file.attrs["beta"] = 0.4
    return {"tensor": u, "beta": np.full(3, 0.4), "time": np.arange(5, dtype=np.float32) * 0.05, "x": centres(8)}


def generated(path: Path) -> Built:
    """The same from the generator, which keeps an axis of parameters in front (issue 57 of PDEBench)."""
    found = advection(path)
    with h5py.File(path, "a") as file:
        u = file["tensor"][:]
        del file["tensor"]
        file["tensor"] = u[None]
    return found


def darcy(path: Path) -> Built:
    """2D_DarcyFlow_beta1.0_Train.hdf5: `tensor` (N, 1, Nx, Ny), the coefficient `nu` (N, Nx, Ny)."""
    u, nu = numbers(4, 1, 6, 6), np.abs(numbers(4, 6, 6, seed=1))
    with h5py.File(path, "w") as file:
        file["tensor"], file["nu"] = u, nu
        file["x-coordinate"], file["y-coordinate"] = centres(6), centres(6)
        file.attrs["beta"] = 1.0
    return {"tensor": u[:, 0], "nu": nu, "beta": np.ones(4)}


def flow(path: Path) -> Built:
    """2D_CFD_Rand_M0.1_Eta0.01_Zeta0.01_periodic_Train.hdf5: a dataset a field, no `tensor`."""
    fields = {k: numbers(2, 3, 6, 5, seed=i) for i, k in enumerate(("Vx", "Vy", "density", "pressure"))}
    with h5py.File(path, "w") as file:
        for name, values in fields.items():
            file.create_dataset(name, data=values, chunks=(1, 3, 6, 5), compression="gzip")
        for letter, values in {"x": centres(6), "y": centres(5), "t": np.arange(4, dtype=np.float32) * 0.05}.items():
            file[f"{letter}-coordinate"] = values
        file.attrs.update({"eta": 0.01, "zeta": 0.01, "M": 0.1})
    return {**fields, "eta": np.full(2, 0.01), "M": np.full(2, 0.1), "y": centres(5)}


def volume(path: Path) -> Built:
    """3D_CFD: five fields of three dimensions."""
    fields = {k: numbers(1, 2, 4, 3, 5, seed=i) for i, k in enumerate(("Vx", "Vy", "Vz", "density", "pressure"))}
    with h5py.File(path, "w") as file:
        for name, values in fields.items():
            file[name] = values
        for letter, values in {"x": centres(4), "y": centres(3), "z": centres(5), "t": np.arange(3) * 0.1}.items():
            file[f"{letter}-coordinate"] = values
        file.attrs.update({"eta": 1e-8, "zeta": 1e-8})
    return fields


def _seeds(path: Path, data: np.ndarray, x: np.ndarray, y: np.ndarray | None) -> None:
    with h5py.File(path, "w") as file:
        for seed, run in enumerate(data):
            group = file.create_group(f"{seed:04d}")
            group.create_dataset("data", data=run, compression="lzf")
            group.create_dataset("grid/x", data=x, compression="lzf")
            group.create_dataset("grid/t", data=np.linspace(0, 5, data.shape[1], dtype=np.float32), compression="lzf")
            if y is not None:
                group.create_dataset("grid/y", data=y, compression="lzf")
            group.attrs["config"] = f"sim:\n  seed: {seed}\n"


def reaction(path: Path) -> Built:
    """2D_diff-react_NA_NA.h5: a group a seed; the generator reshapes to (Nt, Ny, Nx) and stacks two components."""
    data = numbers(3, 4, 5, 6, 2)
    _seeds(path, data, centres(6, -1), centres(5, -1))
    turned = data.transpose(0, 1, 3, 2, 4)
    return {"activator": turned[..., 0], "inhibitor": turned[..., 1], "x": centres(6, -1), "y": centres(5, -1)}


def shallow(path: Path) -> Built:
    """2D_rdb_NA_NA.h5: pyclaw's depth, (Nt, Nx, Ny, 1)."""
    data = numbers(2, 3, 6, 5, 1)
    _seeds(path, data, centres(6, -2.5, 2.5), centres(5, -2.5, 2.5))
    return {"h": data[..., 0], "sample": np.arange(2)}


def sorption(path: Path) -> Built:
    """1D_diff-sorp_NA_NA.h5: (Nt, Nx, 1)."""
    data = numbers(2, 4, 9, 1)
    _seeds(path, data, centres(9), None)
    return {"c": data[..., 0]}


def incompressible(path: Path) -> Built:
    """ns_incom_inhom_2d_512-0.h5, stopped after frame 2 of 5: made at full length, filled frame by frame."""
    velocity, particles, force = numbers(2, 3, 4, 5, 2), numbers(2, 3, 4, 5, 1, seed=1), numbers(2, 4, 5, 2, seed=2)
    with h5py.File(path, "w") as file:
        for name, shape in {"velocity": (2, 5, 4, 5, 2), "particles": (2, 5, 4, 5, 1), "force": (2, 4, 5, 2),
                            "t": (2, 5)}.items():
            file.create_dataset(name, shape, "f4", compression="lzf", chunks=(1, 1, *shape[2:]), shuffle=True)
        file["velocity"][:, :3], file["particles"][:, :3], file["force"][:] = velocity, particles, force
        file["t"][:, :3] = np.arange(3) * 0.5
        file.attrs["latestIndex"], file.attrs["config"] = 2, "sim_name: ns_sim_2d\nseed: 1\n"
    return {"velocity_x": velocity[..., 0], "velocity_y": velocity[..., 1], "particles": particles[..., 0],
            "force_y": force[..., 1], "time": np.arange(3) * 0.5}


# --- The Well, PDEArena, BubbleML ---------------------------------------------------------------------------------

def well(path: Path) -> Built:
    """data_format.md of The Well: a constant field without time, a vector, a tensor, scalars, a boundary."""
    n, t, w, h = 2, 4, 6, 5
    mask, buoyancy = numbers(w, h), numbers(n, t, w, h, seed=1)
    velocity, strain = numbers(n, t, w, h, 2, seed=2), numbers(n, t, w, h, 2, 2, seed=3)
    level = numbers(n, t, h, seed=4)
    with h5py.File(path, "w") as file:
        file.attrs.update({"dataset_name": "rayleigh_benard", "grid_type": "cartesian", "n_spatial_dims": 2,
                           "n_trajectories": n, "simulation_parameters": ["Rayleigh", "Prandtl"],
                           "Rayleigh": 1e6, "Prandtl": 0.5})
        dims = file.create_group("dimensions")
        dims.attrs["spatial_dims"] = ["x", "y"]
        for name, values in {"time": np.arange(t) * 0.25, "x": centres(w), "y": centres(h)}.items():
            dims[name] = values.astype(np.float32)
            dims[name].attrs.update({"sample_varying": False, "time_varying": False})
        for name, along, kind in (("x_periodic", "x", "PERIODIC"), ("y_wall", "y", "WALL")):
            group = file.create_group(f"boundary_conditions/{name}")
            edge = np.zeros(len(dims[along]), bool)
            edge[[0, -1]] = True
            group.attrs.update({"associated_dims": [along], "associated_fields": [], "bc_type": kind,
                                "sample_varying": False, "time_varying": False})
            group["mask"] = edge
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["Rayleigh", "Prandtl", "flux"]
        flux = numbers(n, t, seed=5)
        for name, values, sample, time in (("Rayleigh", 1e6, False, False), ("Prandtl", 0.5, False, False),
                                           ("flux", flux, True, True)):
            scalars[name] = np.float32(values)
            scalars[name].attrs.update({"sample_varying": sample, "time_varying": time})
        for rank, entries in enumerate(({"obstacle": (mask, False, False, [True, True]),
                                         "buoyancy": (buoyancy, True, True, [True, True]),
                                         "level": (level, True, True, [False, True])},
                                        {"velocity": (velocity, True, True, [True, True])},
                                        {"strain": (strain, True, True, [True, True])})):
            group = file.create_group(f"t{rank}_fields")
            group.attrs["field_names"] = list(entries)
            for name, (values, sample, time, varying) in entries.items():
                group[name] = values
                group[name].attrs.update({"sample_varying": sample, "time_varying": time, "dim_varying": varying})
                if rank == 2:
                    group[name].attrs.update({"symmetric": False, "antisymmetric": False})
    return {"obstacle": mask, "buoyancy": buoyancy, "level": level, "velocity_y": velocity[..., 1],
            "strain_xy": strain[..., 0, 1], "flux": flux, "Rayleigh": np.full(n, 1e6), "Prandtl": np.full(n, 0.5)}


def smoke(path: Path) -> Built:
    """NavierStokes2D_train_..._.h5 of PDEArena: float64, a group named after the split."""
    n, t, w, h = 2, 3, 5, 4
    fields = {name: numbers(n, t, w, h, seed=i).astype(float) for i, name in enumerate(("u", "vx", "vy"))}
    lines = {"t": np.arange(t) * 1.5, "x": np.linspace(0, 32, w), "y": np.linspace(0, 32, h)}
    steps = {"dt": 1.5, "dx": 8.0, "dy": 32 / 3, "buo_y": 0.5}
    with h5py.File(path, "w") as file:
        group = file.create_group("train")
        for name, values in {**fields, **{k: np.tile(v, (n, 1)) for k, v in lines.items()},
                             **{k: np.full(n, v) for k, v in steps.items()}}.items():
            group[name] = values
    return {**fields, "time": lines["t"], "x": lines["x"], "buo_y": np.full(n, 0.5)}


def waves(path: Path) -> Built:
    """Maxwell3D of PDEArena: two vector fields of three components."""
    d, h = numbers(1, 2, 3, 3, 4, 3), numbers(1, 2, 3, 3, 4, 3, seed=1)
    with h5py.File(path, "w") as file:
        file["valid/d_field"], file["valid/h_field"] = d, h
    return {"d_field_z": d[..., 2], "h_field_x": h[..., 0]}


def chaos(path: Path) -> Built:
    """KS1D of PDEArena: `pde_140-256`, dt and dx by sample."""
    u = numbers(3, 14, 16)
    with h5py.File(path, "w") as file:
        file["test/pde_14-16"], file["test/dt"], file["test/dx"] = u, np.full(3, 0.2), np.full(3, 0.25)
    return {"u": u, "time": np.arange(14) * 0.2, "x": np.arange(16) * 0.25}


def boiling(path: Path) -> Built:
    """Twall-100.hdf5 of BubbleML: (T, rows, columns), a row a height; parameters as pairs of bytes and numbers."""
    fields = {k: numbers(3, 4, 6, seed=i) for i, k in enumerate(("temperature", "velx", "vely", "dfun", "pressure"))}
    x, y = np.meshgrid(np.linspace(-2, 2, 6), np.linspace(0.1, 1, 4))
    real = np.array([(b"ins_invreynolds".ljust(80), 0.0042), (b"ht_prandtl".ljust(80), 8.4)], "S80,f8")
    with h5py.File(path, "w") as file:
        for name, values in fields.items():
            file[name] = values
        file["x"], file["y"] = np.tile(x, (3, 1, 1)), np.tile(y, (3, 1, 1))
        file["real-runtime-params"], file["int-runtime-params"] = real, np.array([(b"nblockx".ljust(80), 8)], "S80,i4")
    return {**{k: v.transpose(0, 2, 1)[None] for k, v in fields.items()}, "ht_prandtl": np.array([8.4]),
            "nblockx": np.array([8]), "x": x[0], "y": y[:, 0]}


# --- arrays -------------------------------------------------------------------------------------------------------

def matlab73(path: Path, arrays: Built) -> None:
    """What MATLAB's `save -v7.3` writes: 512 bytes of text, then HDF5 with every axis in the other order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double" if values.dtype == float else "single")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan 01 00:00:00 2020 HDF5 schema 1.00 .")
        file.seek(124)
        file.write(b"\x00\x02IM")


def vorticity(path: Path) -> Built:
    """ns_V1e-3_N5000_T50.mat of the Fourier neural operator: v7.3, time last."""
    a, u, t = numbers(3, 6, 6), numbers(3, 6, 6, 4, seed=1), np.arange(1.0, 5.0)
    matlab73(path, {"a": a, "u": u, "t": t[None]})
    return {"a": a, "u": u.transpose(0, 3, 1, 2), "time": t}


def vorticity5(path: Path) -> Built:
    """NavierStokes_V1e-5_N1200_T20.mat: the same in level 5."""
    a, u = numbers(3, 6, 6), numbers(3, 6, 6, 4, seed=1)
    scipy.io.savemat(path, {"a": a, "u": u, "t": np.arange(1.0, 5.0)}, do_compression=True)
    return {"a": a, "u": u.transpose(0, 3, 1, 2), "time": np.arange(1.0, 5.0)}


def initial(path: Path) -> Built:
    """burgers_data_R10.mat: state at 0 and at 1."""
    a, u = numbers(5, 16), numbers(5, 16, seed=1)
    scipy.io.savemat(path, {"a": a, "u": u, "a_smooth": a})
    return {"a": a, "u": u}


def rock(path: Path) -> Built:
    """piececonst_r421_N1024_smooth1.mat."""
    found = {k: numbers(3, 7, 7, seed=i) for i, k in enumerate(("coeff", "sol", "Kcoeff", "Kcoeff_x", "Kcoeff_y"))}
    scipy.io.savemat(path, found)
    return found


def poisson(path: Path) -> Built:
    """DiffusionPDE's Poisson set."""
    found = {"f_data": numbers(3, 5, 5), "phi_data": numbers(3, 5, 5, seed=1)}
    scipy.io.savemat(path, found)
    return found


def burgers(path: Path) -> Built:
    """DiffusionPDE's Burgers set: time before space."""
    found = {"input": numbers(3, 8), "output": numbers(3, 5, 8, seed=1)}
    scipy.io.savemat(path, found)
    return found


def operators(path: Path) -> Built:
    """DeepXDE's unaligned set."""
    found = {"X_train0": numbers(6, 9), "X_train1": numbers(6, 2, seed=1), "y_train": numbers(6, 1, seed=2)}
    np.savez(path, **found)
    return found


def solution(path: Path) -> Built:
    """Burgers.npz of the PINN papers: `usol` is (x, t)."""
    u = numbers(7, 5)
    np.savez(path, usol=u, x=np.linspace(-1, 1, 7)[:, None], t=np.linspace(0, 1, 5)[:, None])
    return {"usol": u.T, "time": np.linspace(0, 1, 5)}


def turned(path: Path) -> Built:
    """Allen_Cahn.mat: `u` is (t, x), the other way round."""
    u = numbers(5, 7)
    scipy.io.savemat(path, {"u": u, "x": np.linspace(-1, 1, 7)[None], "t": np.linspace(0, 1, 5)[None]})
    return {"u": u, "x": np.linspace(-1, 1, 7)}


# --- folders, tables, meshes --------------------------------------------------------------------------------------

def bodies(path: Path) -> Built:
    """CinDM's training_trajectories: a file a frame, NaN inside the body."""
    root, n, t = path / "training_trajectories", 3, 4
    velocity, pressure, outline = numbers(n, t, 2, 6, 6), numbers(n, t, 6, 6, seed=1), numbers(n, 2, 5, seed=2)
    velocity[..., 2:4, 2:4] = np.nan
    mask, offset = numbers(n, 6, 6, seed=3), numbers(n, 6, 6, 2, seed=4)
    for i in range(n):
        (root / f"sim_{i:06d}").mkdir(parents=True)
        np.save(root / f"sim_{i:06d}/boundary.npy", outline[i])
        for j in range(t):
            np.save(root / f"sim_{i:06d}/velocity_{j:06d}.npy", velocity[i, j])
            np.save(root / f"sim_{i:06d}/pressure_{j:06d}.npy", pressure[i, j])
        for name, values in (("boundary_mask", mask), ("boundary_offset", offset)):
            (root / name).mkdir(exist_ok=True)
            np.save(root / name / f"sim_{i:06d}.npy", values[i])
    (root / "normalization_max_min.p").write_bytes(b"\x80\x04not to be unpickled")
    return {"velocity_x": velocity[:, :, 0], "velocity_y": velocity[:, :, 1], "pressure": pressure,
            "boundary_x": outline[:, 0], "boundary_mask": mask, "boundary_offset_y": offset[..., 1]}


def balls(path: Path) -> Built:
    """CinDM's nbody-2/speed-100: one array (simulation, step, body, [x, y, vx, vy]), and pictures beside it."""
    path.mkdir()
    found = numbers(3, 7, 2, 4)
    np.save(path / "trajectory_balls_2_simu_3_steps_7.npy", found)
    (path / "trajectory_balls_2_simu_0_steps_7.gif").write_bytes(b"GIF89a")
    return {"position_x": found[..., 0], "position_y": found[..., 1], "velocity_y": found[..., 3],
            "time": np.arange(7) / 60}


def control(path: Path) -> Built:
    """DiffPhyCon's smoke: arrays of (time, x, y, component) by simulation."""
    sizes = {"Density": 1, "Velocity": 2, "Control": 2}
    found = {k: numbers(2, 3, 5, 5, c, seed=i) for i, (k, c) in enumerate(sizes.items())}
    outlets = numbers(2, 3, 8, seed=9)
    for i in range(2):
        folder = path / "train" / f"sim_{i:06d}"
        folder.mkdir(parents=True)
        for name, values in found.items():
            np.save(folder / f"{name}.npy", values[i])
        np.save(folder / "Smoke.npy", outlets[i])
    return {"Density": found["Density"][..., 0], "Velocity_y": found["Velocity"][..., 1],
            "Control_x": found["Control"][..., 0], "Smoke": outlets}


FOIL = "airFoil2D_SST_43.597_5.932_3.551_3.1_1.0_18.252"


def airfrans(path: Path) -> Built:
    """One simulation of AirfRANS: an unstructured mesh with point data, and the airfoil's surface."""
    import pyvista

    folder = path / FOIL
    folder.mkdir(parents=True)
    plane = pyvista.ImageData(dimensions=(6, 5, 1), spacing=(0.2, 0.25, 1)).cast_to_unstructured_grid()
    n = plane.n_points
    found = {"U": numbers(n, 3), "p": numbers(n, seed=1), "nut": np.abs(numbers(n, seed=2)),
             "implicit_distance": -np.abs(numbers(n, seed=3))}
    for name, values in found.items():
        plane.point_data[name] = values
    plane.save(folder / f"{FOIL}_internal.vtu")
    line = pyvista.Spline(np.array([[1.0, 0, 0], [0.5, 0.1, 0], [0, 0, 0]]), 9)
    line.point_data["Normals"] = numbers(9, 3, seed=4)
    line.save(folder / f"{FOIL}_aerofoil.vtp")
    return {"velocity_x": found["U"][None, :, 0], "p": found["p"][None], "nut": found["nut"][None],
            "inlet_speed": np.array([43.597]), "angle_of_attack": np.array([5.932]), "naca_3": np.array([18.252])}


def table(path: Path, without: str = "") -> Built:
    """airfoil_v0 of EngiBench: two structs of a (2, 192) outline and an angle, then numbers."""
    import pyarrow
    from pyarrow import parquet

    n, first, best = 4, numbers(4, 2, 192).astype(float), numbers(4, 2, 192, seed=1).astype(float)
    plain = {k: np.linspace(1, 2, n) * s for k, s in {
        "mach": 0.4, "reynolds": 1e6, "cl_target": 0.5, "area_ratio_min": 0.75, "area_initial": 0.08, "cd": 71.0,
        "cl": 0.5, "cl_con_violation": 1e-6, "area_ratio": 0.9}.items()}
    angles = np.arange(n) * 0.5
    rows = {"initial_design": [{"coords": c.tolist(), "angle_of_attack": a} for c, a in zip(first, angles)],
            "optimal_design": [{"coords": c.tolist(), "angle_of_attack": a} for c, a in zip(best, angles + 1)],
            **{k: v.tolist() for k, v in plain.items()}}
    parquet.write_table(pyarrow.table({k: v for k, v in rows.items() if k != without}), path)
    return {"initial_x": first[:, 0], "optimal_y": best[:, 1], "optimal_angle_of_attack": angles + 1, **plain}


def grains(path: Path) -> Built:
    """A volume of DREAM.3D 6.5: (nz, ny, nx, components), its grid, and tables of phases and grains beside."""
    shape, place = (2, 3, 4), "DataContainers/SyntheticVolumeDataContainer"
    ids, angles = RNG(0).integers(1, 9, shape, np.int32), numbers(*shape, 3)
    phases, mask = RNG(1).integers(1, 3, shape, np.int32), RNG(2).integers(0, 2, shape, np.uint8)
    arrays = {"FeatureIds": ids[..., None], "Phases": phases[..., None], "EulerAngles": angles, "Mask": mask[..., None]}
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[f"{place}/CellData/{name}"] = values
        grid = file.create_group(f"{place}/_SIMPL_GEOMETRY")
        grid["DIMENSIONS"] = np.array(shape[::-1], np.int64)
        grid["SPACING"], grid["ORIGIN"] = np.array([0.5, 0.25, 2], np.float32), np.array([1, 0, -2], np.float32)
        file[f"{place}/CellEnsembleData/CrystalStructures"] = np.array([[999], [1], [0]], np.uint32)
        file["Pipeline/Pipeline"] = "{}"
    turned = lambda values: values.transpose(2, 1, 0)
    return {"FeatureIds": turned(ids), "Phases": turned(phases), "EulerAngles_Phi": turned(angles[..., 1]),
            "Mask": turned(mask), "x": 1.25 + 0.5 * np.arange(4), "z": np.array([-1.0, 1.0])}


LAYOUTS: dict[str, tuple[str, Callable[[Path], Built]]] = {
    "PDEBench, tensor": ("1D_Advection_Sols_beta0.4.hdf5", advection), "PDEBench, generated": ("gen.hdf5", generated),
    "PDEBench, Darcy": ("2D_DarcyFlow_beta1.0_Train.hdf5", darcy), "PDEBench, CFD 2D": ("2D_CFD.hdf5", flow),
    "PDEBench, CFD 3D": ("3D_CFD.hdf5", volume), "PDEBench, reaction": ("2D_diff-react_NA_NA.h5", reaction),
    "PDEBench, shallow": ("2D_rdb_NA_NA.h5", shallow), "PDEBench, sorption": ("1D_diff-sorp_NA_NA.h5", sorption),
    "PDEBench, ns_incom": ("ns_incom_inhom_2d_512-0.h5", incompressible), "The Well": ("well.hdf5", well),
    "PDEArena, smoke": ("NavierStokes2D_train.h5", smoke), "PDEArena, Maxwell": ("Maxwell3D.h5", waves),
    "PDEArena, KS": ("KS_test.h5", chaos), "BubbleML": ("Twall-100.hdf5", boiling), "FNO, 7.3": ("ns.mat", vorticity),
    "FNO, level 5": ("ns5.mat", vorticity5), "FNO, Burgers": ("burgers_data_R10.mat", initial),
    "FNO, Darcy": ("piececonst_r421_N1024_smooth1.mat", rock), "DiffusionPDE, Poisson": ("poisson.mat", poisson),
    "DiffusionPDE, Burgers": ("burgers.mat", burgers), "DeepONet": ("antiderivative.npz", operators),
    "PINN, npz": ("Burgers.npz", solution), "PINN, mat": ("Allen_Cahn.mat", turned), "CinDM": ("naca_ellipse", bodies),
    "CinDM, discs": ("speed-100", balls), "DiffPhyCon": ("smoke", control), "AirfRANS": ("airfrans", airfrans),
    "EngiBench": ("train.parquet", table), "DREAM.3D": ("grains.dream3d", grains),
}


def manifest(path: Path) -> None:
    """AirfRANS's list of simulations."""
    (path / "manifest.json").write_text(json.dumps({"full_train": [FOIL], "full_test": []}))
