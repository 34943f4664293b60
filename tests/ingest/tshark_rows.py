"""The rows of captures as tshark reads them, with the same choice of layer as ours.

The flow is that of the last IP header before a layer that is not one of ours: what ICMP quotes and
what an unknown tunnel carries is not looked at.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from tests.ingest.decoded_rows import Flow

_FIELDS = [
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "dccp.srcport",
    "dccp.dstport",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.fraghdr.more",
    "ipv6.fraghdr.offset",
]
_ENDS = {
    name: (f"{name}.{one}", f"{name}.{other}")
    for name, one, other in (
        ("ip", "src", "dst"),
        ("ipv6", "src", "dst"),
        ("tcp", "srcport", "dstport"),
        ("udp", "srcport", "dstport"),
        ("sctp", "srcport", "dstport"),
        ("dccp", "srcport", "dstport"),
    )
}
#: Layers that lie on the way to an IP header, or belong to it.
_ON_THE_WAY = {
    "eth", "ethertype", "vlan", "ieee8021ad", "mpls", "pppoes", "ppp", "sll", "sll2", "null",
    "raw", "gre", "vxlan", "vxlan_gpe", "geneve", "erspan", "teredo", "llc", "chdlc", "etherip",
    "ah", "ipv6.hopopts", "ipv6.routing", "ipv6.fraghdr", "ipv6.dstopts", "shim6",
}  # fmt: skip
_WHOLE = ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams")


class Seen(NamedTuple):
    """A packet; its time is None where tshark says none."""

    time: int | None
    length: int
    flow: Flow | None
    fragment: bool
    protocols: str


def tshark_rows(paths: Sequence[Path], folder: Path) -> list[Seen]:
    """Read captures one after the other; several are put into one file in `folder` first."""
    path = paths[0]
    if len(paths) > 1:
        path = folder / "all.pcapng"
        run = ["mergecap", "-a", "-I", "none", "-w", str(path), *map(str, paths)]
        subprocess.run(run, check=True, capture_output=True)
    run = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a"]
    run += ["-E", "aggregator=,"]
    for name in _WHOLE:
        run += ["-o", f"{name}:FALSE"]
    for field in _FIELDS:
        run += ["-e", field]
    said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    lines = (dict(zip(_FIELDS, line.split("\t"), strict=True)) for line in said.splitlines())
    return [_seen(line) for line in lines if line["frame.time_epoch"]]  # others are no packets


def _seen(line: dict[str, str]) -> Seen:
    seconds, _, fraction = line["frame.time_epoch"].partition(".")
    time = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    # Where a file says that fewer bytes were on the wire than it holds, it holds them.
    length = max(int(line["frame.len"]), int(line["frame.cap_len"]))
    parts = [line[name] for name in _FIELDS if "frag" in name or name == "ip.flags.mf"]
    fragment = any(word not in ("", "0", "False") for part in parts for word in part.split(","))
    return Seen(time, length, _flow(line), fragment, line["frame.protocols"])


def _flow(line: dict[str, str]) -> Flow | None:
    used: Counter[str] = Counter()
    flow = None
    for layer in line["frame.protocols"].split(":"):
        if layer in _ENDS:
            ends = [line[name].split(",") for name in _ENDS[layer]]
            number = used[layer]
            used[layer] += 1
            if number >= len(ends[1]) or not ends[1][number]:
                break  # cut within it
            one, other = ends[0][number], ends[1][number]
            if layer in ("ip", "ipv6"):
                flow = Flow(ip_address(one), 0, ip_address(other), 0)
            elif flow is not None:
                flow = flow._replace(source_port=int(one), destination_port=int(other))
                if layer != "udp":
                    break
        elif layer not in _ON_THE_WAY:
            break
    return flow
