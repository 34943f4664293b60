"""`replay whatif`: what was measured, what the model says of it, and what it predicts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """Forms of a result on stdout."""

    table = "table"
    json = "json"
    tsv = "tsv"
    md = "md"


def whatif(
    trace: Annotated[
        Path | None,
        typer.Argument(
            help="A bundle NAME.trace, or a pcap; by default the only bundle here or in traces/."
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:key=value,...]",
            help="A policy to replay, repeatable; see replay policies.",
        ),
    ] = None,
    host: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Costs from replay calibrate, not the recording's."),
    ] = None,
    load: Annotated[
        float, typer.Option(metavar="FACTOR", help="Arrivals this many times as fast.")
    ] = 1.0,
    queues: Annotated[
        int | None, typer.Option(metavar="N", help="Hash the flows onto N RX queues.")
    ] = None,
    indirection: Annotated[
        str | None,
        typer.Option(metavar="equal|W0,W1,...", help="How the hash is spread over the queues."),
    ] = None,
    per_queue: Annotated[
        bool, typer.Option("--per-queue", help="A row for each queue too.")
    ] = False,
    arrivals: Annotated[
        str,
        typer.Option(
            metavar="auto|open|closed", help="As recorded, or each after the answer before it."
        ),
    ] = "auto",
    form: Annotated[Format, typer.Option("--format", help="What is written on stdout.")] = (
        Format.table
    ),
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with charts too; needs no network."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="More columns: percentiles, polls, CPU split.")
    ] = False,
) -> None:
    """Show what was measured, the model's error on it, and what other policies would do."""
    from replay.report import FORMATS
    from replay.source import opened
    from replay.whatif import what_if

    with opened(trace) as (recording, notes):
        result = what_if(
            recording,
            policy,
            host=host,
            load=load,
            queues=queues,
            indirection=indirection,
            per_queue=per_queue,
            arrivals=arrivals,
        )
    for note in [*notes, *result.notes]:
        typer.echo(f"note: {note}", err=True)
    if html:
        from replay.report.html import write_page

        write_page(html, result)
    typer.echo(FORMATS[form](result, verbose=verbose), nl=False)
