"""`replay convert`: a bundle for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    trace: Annotated[Path, typer.Argument(help="A bundle NAME.trace, or a recording.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="The folder or file to write.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="parquet|csv|pcapng",
            help="A folder with a file a table, or a file with the packets' rebuilt headers."
            " Default: what PATH ends with, else parquet.",
        ),
    ] = None,
) -> None:
    """Write a bundle as Parquet, CSV or pcapng."""
    from replay.convert import convert as write
    from replay.source import opened

    with opened(trace) as (recording, _):
        typer.echo(write(recording, output, to))
