"""`replay policies`: the presets and their settings."""

from __future__ import annotations

import typer


def policies() -> None:
    """List the named policies with their settings."""
    from replay.policy.presets import KNOWN_NAMES
    from replay.report.policies import policy_table

    typer.echo(policy_table(KNOWN_NAMES), nl=False)
