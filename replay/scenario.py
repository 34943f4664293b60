"""Scenarios: which policies are replayed, on which machine, and what kind of row each becomes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from replay.errors import PolicyError
from replay.host import GENERIC, Host, host_of
from replay.islands import Island, Placement
from replay.policy import BOUNDS, Policy, parse_policies
from replay.policy.presets import ZERO_COST
from replay.recorded import with_recorded_nic
from replay.result import Kind
from replay.trace.bundle import Trace

#: What is asked where nobody asks anything.
DEFAULT_POLICIES = ("defer20", "suspend20", "fullbusy")

#: One policy a NIC; one alone is that of all NICs.
Policies = tuple[Policy, ...]


class Machine(NamedTuple):
    """What a policy runs on: the host's costs, and where its packets go."""

    host: Host
    placement: Placement


@dataclass(frozen=True)
class Scenario:
    """Policies on one machine: a row of the result."""

    kind: Kind
    policies: Policies
    machine: Machine

    @property
    def name(self) -> str:
        """The policies as they were named."""
        return name_of(self.policies)

    @property
    def islands(self) -> Sequence[Island]:
        """What is replayed each by itself."""
        return self.machine.placement.islands(self.policies, self.machine.host)

    @property
    def idle_cpus(self) -> int:
        """Number of CPUs on which neither a queue nor a worker runs."""
        used = sum(len(island.topology.cpu_domain) for island in self.islands)
        return len(self.machine.placement.topology.cpu_domain) - used


def policies_asked(
    asked: Sequence[Policy | Sequence[Policy] | str] | None, measured: Policy | None
) -> list[Policies]:
    """Return each scenario's policies; the usual ones where nobody asks. Raises PolicyError."""
    if asked is None:
        asked = DEFAULT_POLICIES if measured else ("base", *DEFAULT_POLICIES)
    found: list[Policies] = []
    for item in asked:
        if isinstance(item, str):
            found.append(parse_policies(item))
        else:
            found.append((item,) if isinstance(item, Policy) else tuple(item))
    return found


def with_hooks(
    asked: Sequence[Policies], path: str | os.PathLike[str]
) -> tuple[list[Policies], list[str]]:
    """Return what was asked, each policy followed by itself with the hooks in the file at `path`.

    It is then named NAME~STEM, STEM being the file's; bounds stay as they are. With it comes what
    must be said about it. Raises PolicyError where this process runs with other hooks.
    """
    from replay.engine import hooks

    own = Path(path).resolve()
    if own != hooks.FILE:
        has = f"those of {hooks.FILE}" if hooks.FILE else "none"
        raise PolicyError(
            f"{path}: the engine already runs in this process, and its hooks are {has}: set"
            " REPLAY_HOOKS to the file before replay is imported"
        )
    stem = own.stem
    found: list[Policies] = []
    for policies in asked:
        found.append(policies)
        if not any(policy in BOUNDS.values() for policy in policies):
            hooked = [replace(it, name=f"{it.name}~{stem}", hooked=True) for it in policies]
            found.append(tuple(hooked))
    return found, [f"~{stem}: {', '.join(hooks.DECIDES)} of {path} decides, not the kernel"]


def scenarios(
    measured: Policy | None, asked: Sequence[Policies], recorded: Machine, changed: Machine
) -> list[Scenario]:
    """Return the model of the measured policy, then what was asked, last the bound.

    The model runs on the machine as `recorded`, all else on that as `changed`; where these differ
    the measured policy is an alternative too. Raises PolicyError where there are more policies
    than NICs, or fewer.
    """
    nics = max(changed.placement.topology.queue_device) + 1
    for policies in asked:
        if len(policies) not in (1, nics):
            raise PolicyError(
                f"policy {name_of(policies)!r} is for {len(policies)} NICs, and there"
                f" {'is' if nics == 1 else 'are'} {nics}: --queue-nics says the NIC of each queue"
            )
    unique = {name_of(policies): policies for policies in asked}
    unique.pop(ZERO_COST.name, None)
    found: list[Scenario] = []
    if measured:
        found.append(Scenario("model", (measured,), recorded))
        unique.pop(measured.name, None)
        if changed is not recorded:
            unique = {measured.name: (measured,), **unique}
    for policies in unique.values():
        bound = len(policies) == 1 and policies[0] in BOUNDS.values()
        found.append(Scenario("bound" if bound else "alternative", policies, changed))
    return [*found, Scenario("bound", (ZERO_COST,), changed)]


def name_of(policies: Policies) -> str:
    """Return the policies as `parse_policies` reads them."""
    return "+".join(policy.name for policy in policies)


def choose_host(
    trace: Trace, given: Host | str | os.PathLike[str] | None
) -> tuple[Host, list[str]]:
    """Return the host to replay on, and what must be said about it.

    The one given; else one calibrated on the recording's events; else the generic one. The latter
    two have the settings of the recorded NIC, where they are known.
    """
    if isinstance(given, Host):
        return given, []
    if given is not None:
        return host_of(given), []
    notes = []
    if trace.events.num_rows:
        from replay.calibrate import calibrate

        found = calibrate(trace)
    else:
        found = GENERIC
        notes.append(
            f"the recording holds no kernel events: costs are those of the host {GENERIC.name}"
            f" ({GENERIC.about})"
        )
    found, settings = with_recorded_nic(found, trace)
    return found, notes + settings
