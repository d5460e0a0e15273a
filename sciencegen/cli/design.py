"""``sciencegen design``: a shipped study, or one of your own as ``module:attribute``."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from .options import Count, Device, Out, Overwrite, Partial, Seed, Switch, Whole, at_least
from .own import design_model, is_model
from .run import Asked, designed

if TYPE_CHECKING:
    from ..studies.study import Study

__all__ = ["design"]

design = App(name="design", help="Sample designs, refine them and have them judged.")

POINTS = ("0.4@3e6", "0.8@1.5e6", "1.2@1e6")
Repeated = Annotated[tuple[str, ...], Parameter(negative="")]
Moduli = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)]


@design.command
def airfoil(*, point: Repeated = POINTS, min_thickness: float = 0.12, min_cm: float = -0.133,
            min_edge_gap: float = 0.001, count: Count = 64, seed: Seed = 0, out: Out = Path("runs/airfoil"),
            verify: Literal["xfoil", "none"] = "xfoil", objective: Path | None = None, reference: Path | None = None,
            model: Path | None = None, device: Device = "cpu", overwrite: Overwrite = False, partial: Partial = False
            ) -> None:
    """Design airfoils of least mean drag over several operating points.

    Parameters
    ----------
    point
        Operating point CL@RE: lift coefficient and chord Reynolds number; repeat it for several.
    min_thickness
        Least maximum thickness, chords.
    min_cm
        Lowest pitching moment about the quarter chord (nose up is positive).
    min_edge_gap
        Least thickness of the trailing edge, chords.
    verify
        Have ten designs chosen that XFOIL confirms and that are far apart, or not.
    objective
        Python file with your own objective(shape, cd, cm, confidence): torch, positive, low is good. The file is run,
        with all your rights: read it first if it is somebody else's.
    reference
        A .dat file to compare with.
    model
        Directory of a trained prior, instead of the one that is shipped.
    """
    from ..airfoil.conditions import Point, Requirements
    from ..studies.airfoil import report
    from ..studies.airfoil.study import AirfoilStudy, mean_drag
    from ..studies.objective import load_objective

    asked = Asked.of("design airfoil", "airfoil", point=point, min_thickness=min_thickness, min_cm=min_cm,
                     min_edge_gap=min_edge_gap, count=count, seed=seed, verify=verify, objective=objective,
                     reference=reference, model=model, device=device)
    points = tuple(Point.parse(text) for text in point)
    need = Requirements(thickness=min_thickness, cm=min_cm, trailing_edge_gap=min_edge_gap)
    wanted = "objective(shape (*B, 18), cd, cm, confidence (*B, K)) -> (*B,), positive, low is good"
    goal = mean_drag if objective is None else load_objective(objective, report.trial(len(points)), wanted, True)
    compared = None if reference is None else report.read_reference(reference)
    trained = asked.model()
    study = AirfoilStudy(trained.layout, trained.energy, points, need, goal,
                         verified=report.BEST if verify == "xfoil" else 0, reference=compared)
    designed(study, asked, out, overwrite, partial)


@design.command
def flow(*, bodies: Whole = 1, count: Count = 16, seed: Seed = 0, reynolds: float = 250.0, lift: float | None = None,
         area: float = 0.0, out: Out = Path("runs/flow"), spare: Whole = 3, refined: Whole = 1,
         verify: Literal["openfoam", "none"] = "none", model: Path | None = None, device: Device = "cpu",
         overwrite: Overwrite = False, partial: Partial = False) -> None:
    """Design airfoils in a stream, of most lift over drag together, by a prior of flows around one.

    Parameters
    ----------
    bodies
        How many airfoils; the prior knows one, each of several flies in the stream that the others leave.
    reynolds
        Of the unit chord, within what the prior was trained on.
    lift
        Least lift of all airfoils together, a coefficient of the unit chord.
    area
        Least area of each airfoil, square chords.
    spare
        So many times as many designs are sampled, and those solved of which the network expects most.
    refined
        How many of the best go down through the solver, eight calls of its gradient each.
    verify
        Have OpenFOAM say what the forces are, instead of the package's own solver; up to a minute a design.
    model
        Directory of a trained prior, instead of the one that is shipped.
    """
    from ..airfoil.wings import Limits
    from ..studies.flow.openfoam import ByOpenFOAM
    from ..studies.flow.study import FlowStudy

    at_least(1, bodies=bodies, spare=spare)
    at_least(0, refined=refined, area=area)
    asked = Asked.of("design flow", "flow", bodies=bodies, count=count, seed=seed, reynolds=reynolds, lift=lift,
                     area=area, spare=spare, refined=refined, verify=verify, model=model, device=device)
    trained = asked.model()
    study = FlowStudy(trained.layout, trained.energy, bodies, reynolds, spare=spare, refined=refined,
                      limits=Limits(area=area), lift=(-math.inf if lift is None else lift, math.inf))
    designed(study if verify == "none" else replace(study, judge=ByOpenFOAM.here()), asked, out, overwrite, partial)


@design.command
def nbody(*, bodies: Whole = 4, frames: Whole = 44, count: Count = 50, seed: Seed = 0, out: Out = Path("runs/nbody"),
          rollouts: Whole = 80, law: float | None = None, model: Path | None = None, device: Device = "cpu",
          overwrite: Overwrite = False, partial: Partial = False) -> None:
    """Design starts from which discs in a box, all at one speed, end at its centre, by a prior of two of them.

    Parameters
    ----------
    bodies
        How many discs; the prior knows pairs.
    frames
        How long they fly, 15 frames a second: 24, 34, 44, ...; the prior knows 24.
    rollouts
        Solver rollouts by which each design is mended; 0 leaves its start as the network has it. From 32 on, a quarter
        of them play the design's end backwards and judge what comes of it; the others have gradients, half of them
        of this engine and one with a four times finer step together.
    law
        Keep samples to the solver's map from each frame to the next, up to this standard deviation (try 0.05).
    model
        Directory of a trained prior, instead of the one that is shipped.
    """
    from ..studies.nbody.study import NBodyStudy

    at_least(0, rollouts=rollouts)
    if law is not None and not law > 0:
        raise ValueError(f"got --law {law}; expected a standard deviation above 0")
    asked = Asked.of("design nbody", "nbody", bodies=bodies, frames=frames, count=count, seed=seed, rollouts=rollouts,
                     law=law, model=model, device=device)
    trained = asked.model()
    study = NBodyStudy(trained.layout, trained.energy, bodies, frames, law=law, rollouts=rollouts)
    designed(study, asked, out, overwrite, partial)


@design.command
def microstructure(*, kx: float | None = None, ky: float | None = None, contrast: float = 10.0, modulus: Moduli = (),
                   void: float = 1e-4, fraction: float | None = None, style: Repeated = (), paint: Path | None = None,
                   size: Whole = 64, connected: Switch = False, feature: Whole = 1,
                   prior: Literal["level-set", "generator", "patches", "adam"] | None = None, model: Path | None = None,
                   count: Count = 16, seed: Seed = 0, out: Out = Path("runs/microstructure"), device: Device = "cpu",
                   overwrite: Overwrite = False, partial: Partial = False) -> None:
    """Design periodic microstructures of two phases, of wanted conductivity or stiffness, in a given style.

    Parameters
    ----------
    kx, ky
        Effective conductivity along x and y, in units of phase 0's.
    contrast
        Conductivity of phase 1, in the same units.
    modulus
        Effective stiffness as C11=0.3 (C22, C12, C66), in units of Young's modulus of phase 1; repeat it for several.
        Plane strain, Poisson's ratio 0.3. Phase 1 is then in one piece.
    void
        Stiffness of phase 0, in the same units.
    fraction
        Share of phase 1; free unless given.
    style
        As size=4,angle=30,aspect=2,fraction=0.4,family=grains: correlation length in pixels, long direction in degrees
        from x, lengths along it over those across; level-set, grains, discs or spinodal. Repeat it, with a map.
    paint
        A picture, black where the first style is, white where the last. Of one style its shade is the local share of
        phase 1, from 0.2 (black) to 0.8 (white).
    size
        Pixels a side.
    connected
        Phase 1 in one piece.
    feature
        Diameter of the least disc, in pixels, that fits everywhere into both phases.
    prior
        What images are drawn by: the white noise of level sets, the generator of another family (these two unless
        given), or the network that has learned patches of all; or Adam on white noise, the floor to compare with.
    model
        Directory of a trained prior of patches, instead of the one that is shipped.
    """
    from ..studies.microstructure.images import Limits
    from ..studies.microstructure.words import goals, study_of

    prior = "patches" if model is not None and prior is None else prior
    asked = Asked.of("design microstructure", "microstructure" if prior == "patches" else None, kx=kx, ky=ky,
                     contrast=contrast, modulus=modulus, void=void, fraction=fraction, style=style, paint=paint,
                     size=size, connected=connected, feature=feature, prior=prior, model=model, count=count, seed=seed,
                     device=device)
    wanted = goals(kx, ky, fraction, modulus, contrast, void)
    study = study_of(wanted, style, paint, size, Limits(connected, feature), prior, asked.model)
    designed(study, asked, out, overwrite, partial)


@design.default
def own(study: str, /, *, objective: Path | None = None, strength: float = 3.0, count: Count = 16, seed: Seed = 0,
        steps: Whole = 32, out: Out = Path("runs/own"), device: Device = "cpu", overwrite: Overwrite = False,
        partial: Partial = False) -> None:
    """Run a study, shipped (these have options of their own) or yours; or use a prior of yours.

    Parameters
    ----------
    study
        The directory of a trained prior (`sciencegen train DATA`), with an --objective. Or a study of your own as
        module:attribute: a study, or a function that makes one, in a module that is installed or in the working
        directory.
    objective
        For a trained prior: a Python file with objective(**parts) -> (*B,), torch, low is good, and perhaps a list
        `constraints` of functions (**parts) -> (*B,), at most 0 where they are met. The file is run, with all your
        rights: read it first if it is somebody else's.
    strength
        For a trained prior: of the objective, in its standard deviations over the prior.
    steps
        For a trained prior: noise levels of the sampler.
    """
    if is_model(study):
        design_model(study, objective, strength, count, seed, steps, out, device, overwrite)
        return
    if objective is not None:
        raise ValueError(f"got --objective {objective} for {study}; expected the directory of a trained prior with it: "
                         "a study has its own")
    found = resolved(study)
    file = sys.modules[type(found).__module__].__file__
    asked = Asked.of(f"design {study}", None, count=count, seed=seed, device=device)
    designed(found, replace(asked, files={"study": Path(file)} if file else {}), out, overwrite, partial)


def resolved(text: str) -> Study:
    """The study that ``module:attribute`` names; ValueError where there is none."""
    from ..modules import attribute as named
    from ..studies.study import Study

    if ":" not in text:
        raise ValueError(f"got the study {text}; expected airfoil, flow, microstructure, nbody or module:attribute")
    try:
        found = named(text)
        found = found() if callable(found) and not isinstance(found, Study) else found
    except (Exception, SystemExit) as error:  # the user's own module, of any kind
        raise ValueError(f"got the study {text} ({error!r}); expected a module with a study, or a function that makes "
                         "one") from error
    if not isinstance(found, Study):
        raise ValueError(f"got {type(found).__name__} from {text}; expected a sciencegen.studies.study.Study")
    return found
