"""`replay backtest`: predictions beside measurements, published and of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from replay.cli.backtest_lab import lab

backtest = typer.Typer(
    name="backtest", help="Compare predictions with measurements that the model did not see."
)


@backtest.command()
def published(
    results: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Measured cells with further counters and spreads."),
    ] = None,
    loads: Annotated[
        str | None, typer.Option(metavar="LOAD,...", help="Only these: 200K to 1000K, MAX.")
    ] = None,
    policies: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Only these of the measured policies.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.01, max=30.0, help="Seconds of each run that are counted.")
    ] = 0.4,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Runs of each cell.")] = 3,
    pinned: Annotated[
        bool, typer.Option("--pinned/--floating", help="Workers stay beside their queues, or not.")
    ] = False,
    host: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The server's costs; default: as shipped.")
    ] = None,
) -> None:
    """Predict the IRQ-suspension benchmark (12 policies x 6 loads) beside its measurements."""
    from replay.backtest.cell import Bench
    from replay.backtest.published import CLIENT, published, shipped_host
    from replay.host import read_host
    from replay.report.backtest import backtest_table

    server = read_host(host) if host else shipped_host()
    cells = published(
        Bench(server, CLIENT, pinned, seconds, seeds=tuple(range(1, seeds + 1))),
        results_file=results,
        loads=loads.split(",") if loads else (),
        policies=policies.split(",") if policies else (),
        done=lambda said: typer.echo(said, err=True),
    )
    typer.echo(backtest_table(cells), nl=False)


backtest.command()(lab)
