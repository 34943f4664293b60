"""`replay calibrate`: what each step of the receive path costs on a host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    trace: Annotated[
        Path | None,
        typer.Argument(help="A bundle NAME.trace; by default the only one here or in traces/."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="CSV",
            help="Fit to measured counters: columns policy, load, and irqs, cpu, p50, ...",
        ),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="The constants to fit; default the costly ones."),
    ] = None,
    host: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What is known before a fit; default the recording's."),
    ] = None,
    about: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Kernel, CPU, NIC: for the host's file.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the host here, as TOML."),
    ] = None,
) -> None:
    """Measure the costs of the recorded host, or fit them to counters, each with its spread."""
    from contextlib import ExitStack

    from replay.calibrate import calibrated
    from replay.host import write_host
    from replay.report.host import held_out_table, host_table
    from replay.source import opened

    with ExitStack() as open_ones:
        known, notes = None, list[str]()
        if trace or source is None:
            known, notes = open_ones.enter_context(opened(trace))
        found = calibrated(known, source=source, fit=fit, prior=host, about=about)
    for note in [*notes, *found.warnings]:
        typer.echo(f"note: {note}", err=True)
    if output:
        write_host(output, found.host)
    typer.echo(host_table(found.host) + held_out_table(found.errors), nl=False)
