"""Which connections carried the packets: the heaviest, and how many carry half of them."""

from __future__ import annotations

import numpy as np

from replay.inspection.section import Figures, Section, percent
from replay.trace.addresses import address_text
from replay.trace.bundle import Trace

#: Flows that are named, the heaviest first.
NAMED = 10
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


def flows(trace: Trace) -> list[Section]:
    """Return the heaviest flows, and how evenly packets spread over all."""
    table = trace.flows
    if not table.num_rows:
        return []
    packets = table["packets"].to_numpy()
    heaviest = np.argsort(-packets, kind="stable")
    whole, summed = int(packets.sum()), np.cumsum(packets[heaviest])
    shares = [
        {
            "packets_pct": share,
            "flows": int(np.searchsorted(summed, whole * share / 100)) + 1,
            "of_flows": len(packets),
        }
        for share in (50, 90, 99)
    ]
    named = heaviest[:NAMED].tolist()
    rows = [
        {
            "flow": _name(row, flow),
            "packets": flow["packets"],
            "share_pct": percent(flow["packets"], whole),
            "bytes": flow["bytes"],
        }
        for row, flow in zip(named, table.take(named).to_pylist(), strict=True)
    ]
    return [
        Section("flow_shares", "flows: how many carry so much of the packets", shares),
        Section("flows", f"the heaviest flows, of {len(packets):,}", rows),
    ]


def _name(row: int, flow: Figures) -> str:
    """Return a flow as people write it; by its row where a recording knows hashes only."""
    if not any(flow["source"]) and not any(flow["destination"]):
        return f"row {row}"
    protocol = _PROTOCOLS.get(flow["protocol"], str(flow["protocol"]))
    ends = " > ".join(_end(flow[side], flow[f"{side}_port"]) for side in ("source", "destination"))
    vlan = "" if flow["vlan"] is None else f" vlan {flow['vlan']}"
    tunnel = "" if not flow["tunnel"] else f" in {flow['tunnel']}"
    return f"{protocol} {ends}{vlan}{tunnel}"


def _end(address: bytes, port: int) -> str:
    host = address_text(address)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host
