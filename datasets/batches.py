"""How a set of this folder is written: in batches that are kept, so that an interrupted run goes on; never by halves.

A batch waits as a file of its own, named by its samples, in a hidden folder beside the set; the set appears under its
name only when it is complete. So the same command goes on where it stopped, and ends in the same file.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from sciencegen import __version__

LICENCE = "MIT; computed with sciencegen, no measured data"


@dataclass(frozen=True)
class Order:
    """A set that is wanted.

    Arguments:
        out: the file to write.
        count: samples, each a `unit`, in batches of `size`.
        key: settings that tell its batches from those of other sets.
        attributes: of the file.
        same: those of the attributes that a file which is there must share, to be this set.
    """

    out: Path
    count: int
    size: int
    key: tuple[object, ...]
    attributes: Mapping[str, object]
    same: Sequence[str]
    unit: str = "sample"

    @property
    def folder(self) -> Path:
        """Where batches wait."""
        return self.out.with_name(f".{self.out.name}.{'-'.join(map(str, self.key))}.parts")

    @property
    def parts(self) -> list[Path]:
        """Files of the batches."""
        ends = ((first, min(first + self.size, self.count)) for first in range(0, self.count, self.size))
        return [self.folder / f"{first:09d}-{last:09d}.npz" for first, last in ends]

    def check(self) -> None:
        """SystemExit where the file that is there is another set."""
        with h5py.File(self.out) as file:
            found = {key: str(np.squeeze(file.attrs.get(key))) for key in self.same}
        wanted = {key: str(self.attributes[key]) for key in self.same}
        if found != wanted:
            raise SystemExit(f"{self.out} is there already, with {found}; expected {wanted}. Remove it, or give "
                             "another --out")


def samples(part: Path) -> range:
    """The numbers of the samples of a batch, by the name of its file."""
    return range(*map(int, part.stem.split("-")))


def save(part: Path, fields: Mapping[str, np.ndarray]) -> None:
    """Write a batch."""
    draft = part.with_suffix(".draft.npz")
    np.savez_compressed(draft, **fields)
    os.replace(draft, part)


def one_by_one(compute: Callable[[int, int], Mapping[str, np.ndarray]]) -> Callable[[list[Path]], Iterator[Path]]:
    """Batches written one after the other, by what computes samples `first ... last - 1`."""
    def finished(missing: list[Path]) -> Iterator[Path]:
        for part in missing:
            save(part, compute(samples(part).start, samples(part).stop))
            yield part

    return finished


def write(order: Order, finished: Callable[[list[Path]], Iterator[Path]], collect: Callable[[list[Path], Path], None]
          ) -> None:
    """Write the set, by what writes missing batches and what collects them in a file, and say so.

    One that is there stays as it is. SystemExit, with what to do, after an interrupt and where another set is in its
    place.
    """
    if order.out.exists():
        order.check()
    else:
        _write(order, finished, collect)
    print(f"{order.out}: {order.out.stat().st_size / 1e6:.2f} MB, {order.count} {order.unit}s")


def _write(order: Order, finished: Callable[[list[Path]], Iterator[Path]], collect: Callable[[list[Path], Path], None]
           ) -> None:
    order.folder.mkdir(parents=True, exist_ok=True)
    missing = [part for part in order.parts if not part.exists()]
    done = order.count - sum(len(samples(part)) for part in missing)
    draft = order.out.with_name(f".{order.out.name}.draft")
    try:
        with tqdm(total=order.count, initial=done, unit=order.unit) as bar:
            for part in finished(missing):
                bar.update(len(samples(part)))
        collect(order.parts, draft)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; what is finished is kept, and the same command goes on from there") from None
    os.replace(draft, order.out)
    shutil.rmtree(order.folder)


def history(command: str, *packages: str) -> str:
    """The command and versions by which a set was made."""
    return f"datasets/{command} with sciencegen {__version__}, " + ", ".join(f"{p} {version(p)}" for p in packages)
