"""`replay calibrate`: what each step of the receive path costs on the recorded host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    trace: Annotated[
        Path | None,
        typer.Argument(help="A bundle NAME.trace; by default the only one here or in traces/."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the host here, as TOML."),
    ] = None,
) -> None:
    """Measure the costs of the recorded host, each with its spread and number of samples."""
    from replay.calibrate import calibrate as measure
    from replay.host import write_host
    from replay.report.host import host_table
    from replay.source import opened

    with opened(trace) as (recording, notes):
        host = measure(recording)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    if output:
        write_host(output, host)
    typer.echo(host_table(host), nl=False)
