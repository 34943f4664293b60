"""Attachments concluded: outcomes of the recording's policy and of others, its NIC, its layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from replay.errors import TraceError
from replay.ingest import nic_facts
from replay.ingest.attachments import Attachment
from replay.ingest.client import ClientRun
from replay.ingest.device_counters import metrics_between, traffic
from replay.ingest.interrupts import Interrupts, Vector, vectors
from replay.ingest.outcomes import Scenario, outcomes_table, scenario_of
from replay.ingest.settings import Settings, merged
from replay.ingest.snapshots import Pair, pairs
from replay.trace.schema import OUTCOMES
from replay.units import SECOND

_KEY = ["policy", "offered_per_s", "metric"]

#: A client's rate is the recording's if it differs by less: recordings begin and end beside a run.
SAME_LOAD = 0.1

CLIENT_ENDS = "client send to receive"


@dataclass(frozen=True)
class Group:
    """Files of one policy and rate: runs of a client, snapshots of counters, or both."""

    files: Sequence[Attachment]
    policy: str
    rate: float | None  # requests a second; None: as the client's runs say
    recorded_s: float = 0.0  # what the recording that they enclose lasts


@dataclass
class Attached:
    """What is added to a bundle."""

    manifest: dict[str, Any] = field(default_factory=dict)
    outcomes: pa.Table = field(default_factory=OUTCOMES.empty_table)
    found: list[str] = field(default_factory=list)
    inferred: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Device:
    """Whose vectors are counted."""

    name: str | None
    irqs: frozenset[int]  # of its receiving NAPIs, where they are known


def conclude(
    beside: Sequence[Attachment],
    others: Sequence[tuple[Attachment, str, float | None]],
    manifest: dict[str, Any],
    *,
    before: pa.Table,
    device: str | None,
    recorded_rate: Callable[[], float],
) -> Attached:
    """Return what the files say: those `beside` the recording, and `others` of a policy and rate.

    `manifest` is the recording's, `before` its outcomes so far: new ones replace those of the same
    policy, rate and metric. `device` is the one named by a person; `recorded_rate` the requests a
    second that the recording holds. Raises TraceError where files contradict each other, or where
    one of them cannot be used.
    """
    told = Attached()
    settings = merged([one for it in beside for one in it.settings], device)
    policy = manifest.get("policy")
    policy = policy.get("name") if isinstance(policy, dict) else policy
    if settings is not None:
        policy, lines = nic_facts.policy_of(settings, policy)
        told.inferred += lines
        told.manifest["nic"] = nic_facts.nic_facts(settings)
        told.found.append(_settings_line(told.manifest["nic"]))
    if policy is not None:
        told.manifest["policy"] = policy
    on = _Device(
        device or (settings and settings.device) or _device_of(manifest), _irqs_of(settings)
    )
    known = dict.fromkeys((row["policy"], row["offered_per_s"]) for row in before.to_pylist())
    scenarios = [Scenario(*one) for one in known]
    mine = [it for it in beside if it.runs or it.interrupts or it.counters]
    counted: list[Vector] = []
    if mine:
        if policy is None:
            raise TraceError(
                f"{mine[0].where}: measured under which policy? --policy says it, or napi-get's"
                f" output; --outcome POLICY@RATE=FILE for another one than the recording's"
            )
        recorded_s = float(manifest.get("duration_ns") or 0) / SECOND
        group = Group(mine, str(policy), None, recorded_s)
        counted = _add(group, on, scenarios, told, recorded_rate)
        _compare([one for one in scenarios if one.values], recorded_rate(), told)
    layout, found, lost = nic_facts.layout_facts(settings, counted)
    told.manifest |= layout
    told.found += found
    told.lost += lost
    for policy_of_it, rate in dict.fromkeys((name, rate) for _, name, rate in others):
        files = [it for it, name, at in others if (name, at) == (policy_of_it, rate)]
        _add(Group(files, policy_of_it, rate), on, scenarios, told, recorded_rate)
    if any(it.runs for it in (*beside, *(it for it, _, _ in others))):
        told.manifest["latency_at"] = CLIENT_ENDS
    scenarios = [one for one in scenarios if one.values]
    told.outcomes = _replaced(before, outcomes_table(scenarios), told)
    told.found += [
        f"outcomes of {one.policy} at {one.rate:,.0f} requests/s:"
        f" {max(map(len, one.values.values()))} x {', '.join(one.values)}"
        for one in scenarios
    ]
    return told


def _add(
    group: Group,
    device: _Device,
    scenarios: list[Scenario],
    told: Attached,
    recorded_rate: Callable[[], float],
) -> list[Vector]:
    """Add what a group says to the scenarios; return the device's vectors, if they were counted."""
    for it in group.files:
        if it.settings:
            raise TraceError(f"{it.where}: settings are the recording's: give it as a source")
        for run in it.runs:
            told.lost += [f"{it.where}: {note}" for note in run.notes]
    runs = [run for it in group.files for run in it.runs]
    for run in runs:
        rate = group.rate or run.offered_per_s
        method = run.method
        if rate is None:
            rate = run.metrics["requests"]
            method += "; the rate offered is not in its output: that served is taken for it"
        one = scenario_of(scenarios, group.policy, rate)
        for name, value in run.metrics.items():
            one.add(name, value, method)
    interrupts = [it.interrupts for it in group.files if it.interrupts]
    counters = [it.counters for it in group.files if it.counters]
    if not interrupts and not counters:
        return []
    one = _only(group, runs, scenarios, recorded_rate)
    enclosed = _enclosed_s(group, runs, max(len(interrupts), len(counters)))
    fired: list[Vector] = []
    for pair in pairs(interrupts, lambda it: it.total, enclosed):
        seen = _vectors(pair, device)
        fired = fired or seen
        total = sum(vector.fired for vector in seen) / pair.seconds
        one.add("irqs", total, f"/proc/interrupts {pair.method}: {_names(seen)}")
        if not told.manifest.get("interrupts") and group.recorded_s:
            told.manifest["interrupts"] = [
                {"irq": it.irq, "name": it.name, "cpu": it.cpu, "per_s": it.fired / pair.seconds}
                for it in seen
            ]
    for other in pairs(counters, traffic, enclosed):
        measured = metrics_between(other.before.counters, other.after.counters)
        if not measured:
            raise TraceError(
                f"{other.after.where}: none of its {len(other.after.counters)} counters is known to"
                " be of packets, drops, polls or interrupts"
            )
        for name, (count, counter) in measured.items():
            if name != "irqs" or not interrupts:
                one.add(name, count / other.seconds, f"ethtool -S {other.method}: {counter}")
    return fired


def _only(
    group: Group,
    runs: Sequence[ClientRun],
    scenarios: list[Scenario],
    recorded_rate: Callable[[], float],
) -> Scenario:
    """Return the scenario that counters belong to: that of the client's runs, else the rate's."""
    if group.rate is not None:
        return scenario_of(scenarios, group.policy, group.rate)
    mine = [one for one in scenarios if one.values and one.policy == group.policy] if runs else []
    if len(mine) > 1:
        rates = ", ".join(f"{one.rate:,.0f}" for one in mine[:8])
        raise TraceError(
            f"{group.files[0].where}: clients ran at {len(mine)} rates ({rates}): which one the"
            " counters are of is not known; --outcome POLICY@RATE=FILE says it"
        )
    if mine:
        return mine[0]
    if not group.recorded_s:
        raise TraceError(
            f"{group.files[0].where}: counted at which rate? --outcome POLICY@RATE=FILE says it"
        )
    return scenario_of(scenarios, group.policy, recorded_rate())


def _enclosed_s(group: Group, runs: Sequence[ClientRun], snapshots: int) -> float:
    """Return how long what a pair of snapshots encloses took at least."""
    shortest = min((run.seconds or 0.0 for run in runs), default=0.0)
    return max(group.recorded_s, shortest) if snapshots == 2 else shortest


def _vectors(pair: Pair[Interrupts], device: _Device) -> list[Vector]:
    found = vectors(pair.before.counters, pair.after.counters, device.name, device.irqs)
    if not found:
        raise TraceError(
            f"{pair.after.where}: no interrupt is called after {device.name or 'the device'}:"
            " name it with --device, or give napi-get's output, which has their numbers"
        )
    return found


def _names(seen: Sequence[Vector]) -> str:
    return seen[0].name if len(seen) == 1 else f"{seen[0].name} to {seen[-1].name}"


def _compare(scenarios: Sequence[Scenario], recorded: float, told: Attached) -> None:
    """Take the client's rate for the recording's, or say that it is another one."""
    near = [one for one in scenarios if abs(one.rate - recorded) <= SAME_LOAD * recorded]
    if len(near) == 1:
        told.manifest["offered_per_s"] = near[0].rate
        return
    rates = ", ".join(f"{one.rate:,.0f}" for one in scenarios[:8])
    told.inferred.append(
        f"outcomes at {rates} requests/s are kept, but the recording holds {recorded:,.0f}/s:"
        " a table of it has no measured row"
    )


def _device_of(manifest: dict[str, Any]) -> str | None:
    """Return the recording's device: the one rebuilt, or a capture's only one."""
    named = manifest.get("device")
    if isinstance(named, str):
        return named
    listed = [it.get("name") for it in manifest.get("devices") or [] if isinstance(it, dict)]
    return listed[0] if len(listed) == 1 else None


def _irqs_of(settings: Settings | None) -> frozenset[int]:
    """Return the interrupts of the receiving NAPIs, where they are known."""
    napis = nic_facts.receiving_napis(settings) if settings else []
    return frozenset(napi["irq"] for napi in napis if napi.get("irq"))


def _settings_line(nic: dict[str, Any]) -> str:
    """Return what is known of the NIC in one line."""
    said = [f"{name} {value}" for name, value in nic.items() if name not in ("napis", "device")]
    napis = f", {len(nic['napis'])} NAPI instances" if "napis" in nic else ""
    return f"settings of {nic.get('device', 'the device')}: {', '.join(said)}{napis}"


def _replaced(before: pa.Table, new: pa.Table, told: Attached) -> pa.Table:
    """Return outcomes with those replaced of which there are new ones; say whose row is mixed."""
    keys = {tuple(row.values()) for row in new.select(_KEY).to_pylist()}
    kept, gone = [], dict[tuple[str, float], list[str]]()
    for row in before.to_pylist():
        policy, rate, metric = (row[it] for it in _KEY)
        if (policy, rate, metric) in keys:
            gone.setdefault((policy, rate), []).append(metric)
        else:
            kept.append(row)
    for (policy, rate), metrics in gone.items():
        rest = [
            row["metric"] for row in kept if (row["policy"], row["offered_per_s"]) == (policy, rate)
        ]
        mixed = f"; still of before: {', '.join(rest)}" if rest else ""
        told.lost.append(
            f"outcomes of {policy} at {rate:,.0f} requests/s that were there are replaced:"
            f" {', '.join(metrics)}{mixed}"
        )
    return pa.concat_tables([pa.Table.from_pylist(kept, schema=OUTCOMES), new])
