"""`replay ingest`: captures and recordings into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ingest(
    source: Annotated[
        list[Path],
        typer.Argument(help="perf.data, pcap or pcapng files of one host; told by their content."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="NAME.trace", help="The bundle to write.")
    ],
) -> None:
    """Read recordings into a bundle, and say what was found, inferred and lost."""
    from replay.ingest.ingest import ingest as read

    typer.echo(read(source, output), nl=False)
