"""Commands: Typer signatures only, each calling the Python API."""

from __future__ import annotations

import os
import sys

import typer

from replay.cli.backtest import backtest
from replay.cli.calibrate import calibrate
from replay.cli.capture import capture
from replay.cli.convert import convert
from replay.cli.ingest import ingest
from replay.cli.inspect import inspect
from replay.cli.policies import policies
from replay.cli.whatif import whatif
from replay.errors import ReplayError

app = typer.Typer(
    name="replay",
    help="Replay recorded network interrupts under other policies.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (capture, ingest, inspect, calibrate, whatif, policies, convert):
    app.command()(command)
app.add_typer(backtest)


def main() -> None:
    """Run the command line: data on stdout, one line on stderr for whatever is wrong."""
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; None takes the process's arguments.

    Commands see in their context's `obj` whether it is the only one that this process runs.

    An interrupt is status 130 and a reader that went away 1, both silently: Typer sees to them.
    """
    try:
        status = app(arguments, standalone_mode=False, obj=arguments is None)
    except ReplayError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:  # before Typer sees to it
        return 130
    except OSError as error:
        _forget_output()
        where = error.filename or "output"
        return _fail(f"{where}: {error.strerror or error}", ReplayError.exit_code)
    except Exception as error:
        # What Typer raises for a wrong command line; its class has no public name.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return _fail(f"{message()} (see replay --help)", ReplayError.exit_code)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    """Write one line on stderr and return the exit status."""
    print(f"replay: {' '.join(message.split())}", file=sys.stderr)
    return status


def _forget_output() -> None:
    """Let what is still buffered go nowhere: Python flushes it at exit, and would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
