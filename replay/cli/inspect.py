"""`replay inspect`: what a bundle holds, counted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    trace: Annotated[
        Path | None,
        typer.Argument(
            help="A bundle NAME.trace, or a recording; by default the only bundle here or in"
            " traces/."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="table|json|md", help="What is written on stdout.")
    ] = "table",
) -> None:
    """Show rates, bursts, batches, queues, flows, polls by cause, interrupts, CPU time and gaps."""
    from replay.inspection import inspect as count
    from replay.report.inspection import inspection_report
    from replay.source import opened

    report = inspection_report(form)
    with opened(trace) as (recording, notes):
        found = count(recording)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(report(found), nl=False)
