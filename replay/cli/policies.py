"""`replay policies`: the presets, the keys of `--policy`, and the NICs of `--nic`."""

from __future__ import annotations

import typer


def policies() -> None:
    """List the named policies and what makes them, every key that can be set, and the NICs."""
    from replay.policy.presets import KNOWN_NAMES
    from replay.report.policies import policy_list

    typer.echo(policy_list(KNOWN_NAMES), nl=False)
