"""`replay backtest lab`: predictions against this machine's own kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def lab(
    server: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="memcached, redis, nginx, or known: our own; default memcached."
        ),
    ] = None,
    service_us: Annotated[
        float | None,
        typer.Option(metavar="US", help="What a request of our own server takes; default 8."),
    ] = None,
    rates: Annotated[
        str | None, typer.Option(metavar="N,...", help="Requests/s; default: to saturation.")
    ] = None,
    policies: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Default those of the benchmark.")
    ] = None,
    busy: Annotated[
        str | None, typer.Option(metavar="NAME", help="The busy-polling run to calibrate on.")
    ] = None,
    repetitions: Annotated[int | None, typer.Option(help="Of every cell; default 7.")] = None,
    window: Annotated[
        float | None, typer.Option(metavar="S", help="Measured seconds a run; default 2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides all arrivals and orders.")] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the recording and every run.")
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Predict what such a run measured; measure nothing."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the fitted host here, as TOML.")
    ] = None,
) -> None:
    """As root, kernel 6.13 or newer: record base, measure every policy, predict all but base."""
    from replay.backtest.kept import predicted
    from replay.backtest.lab import lab as run
    from replay.backtest.plan import plan_of
    from replay.errors import PolicyError
    from replay.files import require_place
    from replay.host import write_host
    from replay.lab.services import service_of
    from replay.report.lab import lab_table

    if profile is not None:
        require_place(profile)
    asked = {
        **{
            "server": server,
            "service-us": service_us,
            "rates": rates,
            "policies": policies,
            "busy": busy,
        },
        **{"repetitions": repetitions, "window": window, "seed": seed, "keep": keep},
    }
    given = [name for name, value in asked.items() if value is not None]
    if measured is not None and given:
        raise PolicyError(
            f"--measured predicts what was kept as it was measured: --{given[0]} says what to"
            " measure, leave it out"
        )
    if measured is not None:
        found = predicted(measured)
    else:
        service = service_of(server or "memcached", service_us)
        plan = plan_of(
            rates=rates or service.rates,
            policies=policies,
            busy=busy,
            repetitions=repetitions,
            window_s=window,
            seed=seed,
        )
        found = run(service, plan, lambda said: typer.echo(said, err=True), keep)
    for warning in found.fitted.warnings:
        typer.echo(f"note: {warning}", err=True)
    if profile is not None:
        write_host(profile, found.fitted.host)
    typer.echo(lab_table(found), nl=False)
