"""Families of generative networks on microstructures, GAN and VAE, and digital twins of structures.

    python -m benchmarks microstructure_rivals --out runs/rivals [--count 64] [--twins 40] [--quick]

- Training: a decoder by an encoder (VAE), and by a discriminator (GAN) with batch normalisation, whose batches hold
  data and made images apart, or mixed. All on 6,000 images of 32 x 32 of all families, with their style as given.
- Controls: how images of 64 x 64 follow the style that was asked for, as in `microstructure`.
- Style mixing: slopes of what images look like on the style of the coarse blocks and on that of the fine ones. With all
  blocks of one style, its slope should be one, the other's zero.
- Designs: as in `microstructure`, of the same conductivities and beside the same reference, but in the decoder's noise.
- Digital twins: structures and their styles from a noisy scan of a window, and from effective conductivities.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sciencegen.priors import Model

from .common import DATA, arguments, facts, output, write_json
from .common.record import Line, publish
from .microstructure import twin
from .microstructure.families.rows import tables
from .microstructure.run import tabled

STEPS = {"VAE": 1800, "GAN": 400, "GAN, mixed batches": 400}  # a minute or two on one free core, each
QUICK = 40
LINES = [Line("style of a microstructure from a scan of a quarter", "share of lengths within 90 % intervals",
              "Digital twins", "length", ("level set, a window seen",), high=True, seeds="1")]


def main() -> None:
    """Train the rivals, measure them, find twins, print the tables and save them."""
    made = arguments(__doc__, "decoders, microstructure_rivals.json and microstructure_rivals.txt")
    made.add_argument("--count", type=int, default=64, help="designs of a row")
    made.add_argument("--twins", type=int, default=40, help="truths of each kind of twin")
    made.add_argument("--model", type=Path, help="directory of a trained prior of patches, for twins by it")
    made.add_argument("--quick", action="store_true", help=f"{QUICK} steps of training, 4 designs and twins")
    asked = made.parse_args()
    torch.set_num_threads(asked.threads)
    out, (count, twins) = output(asked.out), (4, 4) if asked.quick else (asked.count, asked.twins)
    steps = dict.fromkeys(STEPS, QUICK) if asked.quick else STEPS
    model = None if asked.model is None else Model.load(asked.model)
    found = tables(out, steps, count) | twin.tables(twins, model, DATA.with_name("microstructures_64.h5"))
    publish(out, "microstructure_rivals", __doc__, [tabled(title, rows) for title, rows in found.items()], LINES)
    write_json(out / "microstructure_rivals.json", {"rows": found, "count": count, "twins": twins, **facts()})


if __name__ == "__main__":
    main()
