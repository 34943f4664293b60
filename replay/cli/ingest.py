"""`replay ingest`: captures and recordings into a bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Compression(StrEnum):
    """Codecs of Arrow IPC."""

    zstd = "zstd"
    lz4 = "lz4"


def ingest(
    source: Annotated[
        list[Path],
        typer.Argument(help="perf.data, pcap or pcapng; told apart by content, not by name."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="NAME.trace", help="The bundle to write.")
    ],
    server: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS][:PORT]",
            help="Of a capture: the host whose work is traced. Default: the port most flows share.",
        ),
    ] = None,
    compress: Annotated[
        Compression | None,
        typer.Option(help="Smaller, for shipping; default: memory-mapped."),
    ] = None,
) -> None:
    """Read a recording into a bundle, and say what was found, inferred and lost."""
    from replay.ingest.ingest import ingest as read

    typer.echo(read(source, output, server=server, compress=compress and compress.value))
