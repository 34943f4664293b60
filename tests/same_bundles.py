"""Whether two versions of this program make the same bundles of the same recordings.

`python -m tests.same_bundles make FOLDER SOURCE...` writes a bundle of every recording of kernel
events among the files and folders given (what cannot be read is noted in one line instead), with
the `replay` that is imported; `python -m tests.same_bundles compare FOLDER OTHER` says which of
them differ, column for column.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from replay.errors import ReplayError
from replay.ingest.ingest import ingest
from replay.ingest.sniff import CAPTURES, sniff_folder, sniff_stream
from replay.ingest.stream import Stream
from replay.trace.bundle import open_trace
from replay.trace.schema import TABLES


def main(what: str, folder: Path, *others: Path) -> int:
    """Make bundles or compare them; return 1 where they differ."""
    if what == "make":
        folder.mkdir(parents=True)
        sources = list(_sources(others))
        for number, source in enumerate(sources):
            place = folder / f"{number:04} {source.name}"
            try:
                summary = ingest([source], f"{place}.trace")
                said = str(summary).split("\n", 1)[1]
            except ReplayError as error:
                said = str(error)
            Path(f"{place}.txt").write_text(said, encoding="utf-8")
        print(f"{len(sources)} recordings, {len(list(folder.glob('*.trace')))} bundles")
        return 0
    names = sorted({it.name for place in (folder, *others) for it in place.iterdir()})
    different = [it for name in names for it in _differences(folder / name, others[0] / name)]
    print("\n".join([*different, f"{len(names)} compared, {len(different)} differences"]))
    return int(bool(different))


def _sources(given: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the recordings of kernel events in the files and folders given."""
    for place in given:
        for path in [place, *sorted(place.rglob("*"))] if place.is_dir() else [place]:
            try:
                if path.is_dir():
                    sniff_folder(path)
                else:
                    with Stream(path) as stream:
                        if sniff_stream(stream) in CAPTURES:
                            continue
            except ReplayError:
                continue
            yield path


def _differences(one: Path, other: Path) -> Iterator[str]:
    """Yield what differs between two bundles, or two texts."""
    if not one.exists() or not other.exists():
        yield f"{one.name}: only one of them is there"
    elif one.is_file():
        if one.read_text("utf-8") != other.read_text("utf-8"):
            yield f"{one.name}: {one.read_text('utf-8')!r} != {other.read_text('utf-8')!r}"
    else:
        first, second = open_trace(one), open_trace(other)
        if first.manifest != second.manifest:
            yield f"{one.name}: manifest"
        for table in TABLES:
            mine, theirs = getattr(first, table), getattr(second, table)
            for column in mine.schema.names:
                if not mine[column].equals(theirs[column]):
                    yield f"{one.name}: {table}.{column}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(Path, sys.argv[2:])))
