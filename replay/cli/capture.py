"""`replay capture`: record this host into a bundle while a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def capture(
    interface: Annotated[str, typer.Argument(help="The network device that receives.")],
    command: Annotated[
        list[str], typer.Argument(help="Behind --: what to record, such as sleep 5.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="NAME.trace", help="The bundle to write.")
    ],
    packets: Annotated[
        bool, typer.Option("--packets", help="Capture packet headers with tcpdump, too.")
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:key=value,...]", help="What the host runs under; default as it is set."
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the raw files there.")
    ] = None,
) -> None:
    """Record as root: perf, settings of the device, counters before and after, in one bundle."""
    from replay.capture import capture as record

    typer.echo(record(interface, command, output, packets=packets, policy=policy, keep=keep))
