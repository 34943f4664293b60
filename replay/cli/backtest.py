"""`replay backtest`: predictions beside measurements, published and of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replay.cli.backtest_lab import lab

if TYPE_CHECKING:
    from replay.backtest.cell import Bench

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
        float | None,
        typer.Option(
            min=0.01, max=30.0, help="Seconds of each run that are counted: 0.4, for a fit 0.1."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Runs of each cell.")] = 3,
    pinned: Annotated[
        bool, typer.Option("--pinned/--floating", help="Workers stay beside their queues, or not.")
    ] = False,
    host: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The server's costs, or epyc-7662-cx5 as shipped."),
    ] = None,
    clients: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Clients, network, misses; default: as shipped."),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(min=0, max=100, help="More runs of each cell, for its intervals; 0: none."),
    ] = 4,
    fit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fit the constants to the cells that are not scored: the server's to FILE, the"
            " clients' beside it (NAME-clients.toml); each with its uncertainty. No prediction.",
        ),
    ] = None,
) -> None:
    """Predict the IRQ-suspension benchmark (12 policies x 6 loads) beside its measurements."""
    from dataclasses import replace

    from replay.backtest.cell import Bench
    from replay.backtest.profile import read_profile, shipped_profile
    from replay.backtest.published import published, shipped_host
    from replay.errors import PolicyError
    from replay.files import require_place
    from replay.host import host_of
    from replay.report.backtest import backtest_table

    server = host_of(host) if host else shipped_host()
    profile = read_profile(clients) if clients else shipped_profile()
    bench = Bench(server, profile.client, pinned, seeds=tuple(range(1, seeds + 1)))
    if fit:
        if loads or policies:
            raise PolicyError("--loads and --policies choose predictions: a fit has its own cells")
        require_place(fit)
        require_place(_beside(fit))
        _fit(bench, seconds, results, fit)
        return
    bench = replace(bench, seconds=seconds or bench.seconds)
    cells = published(
        bench,
        profile=profile,
        draws=draws,
        results_file=results,
        loads=loads.split(",") if loads else (),
        policies=policies.split(",") if policies else (),
        done=lambda said: typer.echo(said, err=True),
    )
    typer.echo(backtest_table(cells), nl=False)


def _fit(bench: Bench, seconds: float | None, results: Path | None, place: Path) -> None:
    """Fit the bench's constants, write them to `place` and beside it, and tell of them."""
    from dataclasses import replace

    from replay.backtest.fitting import SECONDS, WARM, fit_bench
    from replay.backtest.profile import write_profile
    from replay.backtest.reference import letter
    from replay.backtest.reference import results as results_of
    from replay.host import write_host
    from replay.report.fitted import fitted_table

    measured = results_of(results) if results else letter()
    source = results.name if results else "the cover letter"
    bench = replace(bench, seconds=seconds or SECONDS, warm=WARM)
    found = fit_bench(bench, measured, source, lambda said: typer.echo(said, err=True))
    for warning in found.warnings:
        typer.echo(f"note: {warning}", err=True)
    write_profile(_beside(place), found.profile)
    write_host(place, found.host)
    typer.echo(fitted_table(found), nl=False)


def _beside(place: Path) -> Path:
    """Return where the clients go whose server goes to `place`."""
    return place.with_name(f"{place.stem}-clients.toml")


backtest.command()(lab)
