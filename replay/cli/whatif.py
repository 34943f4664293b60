"""`replay whatif`: what was measured, what the model says of it, and what it predicts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


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
            metavar="NAME[:key=value,...][+...]",
            help="A policy to replay, repeatable, one a NIC with + between; see replay policies.",
        ),
    ] = None,
    host: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Costs from replay calibrate, or the shipped bench, epyc-7662-cx5, generic-3ghz.",
        ),
    ] = None,
    nic: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another NIC's coalescing and ring; replay policies."),
    ] = None,
    load: Annotated[
        float, typer.Option(metavar="FACTOR", help="This many times the recorded arrivals.")
    ] = 1.0,
    load_by: Annotated[
        str,
        typer.Option(
            metavar="compression|superposition",
            help="By dividing times, or laying copies of the recording over each other.",
        ),
    ] = "compression",
    queues: Annotated[
        int | None, typer.Option(metavar="N", help="Hash the flows onto N RX queues.")
    ] = None,
    indirection: Annotated[
        str | None,
        typer.Option(metavar="equal|W0,W1,...", help="How the hash is spread over the queues."),
    ] = None,
    cpus: Annotated[
        int | None, typer.Option(metavar="N", help="CPUs; default one a queue.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Worker threads; default one a queue.")
    ] = None,
    irq_cpus: Annotated[
        str | None,
        typer.Option(metavar="C0,C1,...", help="The CPU of each queue; default i mod CPUs."),
    ] = None,
    worker_cpus: Annotated[
        str | None,
        typer.Option(
            metavar="C0,C1,...|float",
            help="The CPU of each worker, or where the scheduler finds; default its queue's.",
        ),
    ] = None,
    cache_domains: Annotated[
        str | None,
        typer.Option(metavar="D0,D1,...", help="The cache of each CPU; default one for all."),
    ] = None,
    queue_nics: Annotated[
        str | None,
        typer.Option(metavar="N0,N1,...", help="The NIC of each queue; --policy A+B is one each."),
    ] = None,
    spread: Annotated[
        str,
        typer.Option(
            metavar="queues|flows", help="A request's worker: that of its queue, or of its flow."
        ),
    ] = "queues",
    per_queue: Annotated[
        bool, typer.Option("--per-queue", help="A row for each queue too.")
    ] = False,
    arrivals: Annotated[
        str,
        typer.Option(
            metavar="auto|open|closed", help="As recorded, or each after the answer before it."
        ),
    ] = "auto",
    service: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:MEAN[,...]",
            help="Draw service times: constant:20us, exponential:20us, lognormal:20us,cv=2 or"
            " pareto:20us,shape=2; default as recorded.",
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Draws of constants, arrivals and blocks behind the intervals; 0 for none.",
        ),
    ] = None,
    hooks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Replay each policy under this mechanism of your own too; README."
        ),
    ] = None,
    causes: Annotated[
        bool,
        typer.Option("--causes", help="Why requests waited, on average and in the tail."),
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Say why it differs from the measured one, and what that hangs on.",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="table|json|tsv|md", help="What is written on stdout."),
    ] = "table",
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with charts too; needs no network."),
    ] = None,
    progress: Annotated[
        bool | None,
        typer.Option(help="How far a long run is, on stderr; default where that is a terminal."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="More columns: percentiles, polls, CPU split.")
    ] = False,
) -> None:
    """Show what was measured, the model's error on it, and what other policies would do.

    Latencies are in microseconds; cpu% is the busy share of the time, its mean over the CPUs.
    """
    if hooks:
        os.environ["REPLAY_HOOKS"] = str(hooks)  # read as the engine is imported
    from functools import partial

    from replay.explain import explained
    from replay.places import parse_places
    from replay.progress import shown
    from replay.report import report_named
    from replay.source import opened
    from replay.whatif import what_if

    report = report_named(form)
    places = parse_places(
        cpus=cpus,
        workers=workers,
        irq_cpus=irq_cpus,
        worker_cpus=worker_cpus,
        cache_domains=cache_domains,
        queue_nics=queue_nics,
        spread=spread,
    )
    if explain and explain not in (policy := policy or []):
        policy = [*policy, explain]
    with shown(progress), opened(trace) as (recording, notes):
        ask = partial(
            what_if,
            recording,
            policy,
            nic=nic,
            load=load,
            load_by=load_by,
            queues=queues,
            indirection=indirection,
            places=places,
            per_queue=per_queue,
            arrivals=arrivals,
            service=service,
            hooks=hooks,
        )
        result = ask(host=host, causes=causes, draws=draws)
        why = explained(ask, recording, host, explain) if explain else []
    for note in [*notes, *result.notes]:
        typer.echo(f"note: {note}", err=True)
    if html:
        from replay.report.html import write_page

        write_page(html, result)
    typer.echo(report(result, verbose=verbose), nl=False)
    person = form in ("table", "md")
    if why and person:
        typer.echo(f"\n# Why {explain} differs")
    for sentence in why:
        typer.echo(f"{'- ' if person else f'{explain}: '}{sentence}", err=not person)
