"""`replay ingest`: captures and recordings into a bundle."""

from __future__ import annotations

import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Compression(StrEnum):
    """Codecs of Arrow IPC."""

    zstd = "zstd"
    lz4 = "lz4"


def ingest(
    context: typer.Context,
    source: Annotated[
        list[Path],
        typer.Argument(
            help="perf.data, pcap or pcapng, also compressed, - for standard input; perf.data and a"
            " capture of the same minutes; or a bundle to add to; beside it results of mutilate,"
            " wrk, wrk2, memtier, /proc/interrupts and ethtool -S before and after, ethtool -c -g"
            " -l -x -i, napi-get. Told apart by content, not by name."
        ),
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
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose packets (of perf.data; default the busiest), interrupts and settings.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:key=value,...]", help="What the host ran under; see replay policies."
        ),
    ] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POLICY[@RATE]=FILE",
            help="A client's results or counters under another policy or rate; repeatable.",
        ),
    ] = None,
    rss_key: Annotated[
        str | None,
        typer.Option(
            metavar="HEX|microsoft|symmetric",
            help="The NIC's hash key, as ethtool -x prints it: each flow's hash is written.",
        ),
    ] = None,
    rss_transform: Annotated[
        str | None,
        typer.Option(
            metavar="none|symmetric-xor|symmetric-or-xor",
            help="What the NIC makes of the hash's input first (ethtool -X xfrm).",
        ),
    ] = None,
    rss_inner: Annotated[
        bool,
        typer.Option(
            "--rss-inner", help="The NIC hashes packets inside of tunnels; default: the outer ones."
        ),
    ] = False,
    anonymize: Annotated[
        bool,
        typer.Option(
            "--anonymize",
            help="Replace addresses, prefix by prefix, and leave names out: the bundle may leave"
            " the company.",
        ),
    ] = False,
    anonymize_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Do so by this key of 16 bytes or more: the same in each bundle. Default: a new"
            " one that nobody keeps.",
        ),
    ] = None,
    clock_offset: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="A capture's clock less perf's, where perf.data does not say it (CLOCK_DATA).",
        ),
    ] = None,
    compress: Annotated[
        Compression | None,
        typer.Option(help="Smaller, for shipping; default: memory-mapped."),
    ] = None,
) -> None:
    """Read a recording into a bundle, and say what was found, inferred and lost."""
    from replay.engine.accelerate import interpret
    from replay.ingest.ingest import ingest as read
    from replay.ingest.little import is_little
    from replay.layout import hash_entries
    from replay.progress import shown

    if context.obj and is_little(source):
        interpret()
    key = None
    if anonymize or anonymize_key:
        from replay.trace.anonymize import new_key, read_key

        key = read_key(anonymize_key) if anonymize_key else new_key()
    codec = compress and compress.value
    signal.signal(signal.SIGTERM, _end)
    with shown():
        summary = read(
            source,
            output,
            server=server,
            device=device,
            policy=policy,
            outcomes=outcome or (),
            clock_offset=clock_offset,
            compress=codec,
            anonymize=key,
            rss=hash_entries(rss_key, rss_transform, rss_inner),
        )
    typer.echo(summary)


def _end(number: int, _: object) -> None:
    """End in order, as an interrupt does: nothing half-written is left."""
    raise SystemExit(128 + number)
