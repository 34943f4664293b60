"""A bundle that may leave the company: addresses are replaced, names and texts left out.

Two addresses that share their first n bits share exactly n bits afterwards too, as in Crypto-PAn
(Xu, Fan, Ammar, Moon 2002); here keyed BLAKE2b decides each bit's turn. Whoever has the key can map
addresses forth; without it only their structure is left. A recorded hash is dropped: with a known
RSS key it would give the addresses' bits away.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.errors import TraceError
from replay.trace.addresses import address_text
from replay.trace.bundle import Manifest, open_trace, write_manifest, write_table

#: Bytes of a key, at least and at most.
KEY_RANGE = (16, 1 << 16)

#: Facts whose text tells no names; numbers stay wherever they are.
_PLAIN = (
    *("clock", "format", "latency_at", "loop", "mode", "policy", "received_by"),
    *("device", "devices", "driver", "link_type", "nic", "peer_device"),
    *("cpu", "kernel", "napi_thread", "preemption", "adaptive", "coalescing"),
)
#: A kernel's release, without what follows: who built it names himself there.
_RELEASE = re.compile(r"\d+(\.\d+)*")
_MAPPED = bytes(10) + b"\xff\xff"


def new_key() -> bytes:
    """Return a key that nobody keeps: the same address differs in the next bundle."""
    return os.urandom(32)


def read_key(path: str | os.PathLike[str]) -> bytes:
    """Return the key in the file at `path`. Raises TraceError where it is too short or too long."""
    low, high = KEY_RANGE
    try:
        with Path(path).open("rb") as file:
            key = file.read(high + 1)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not low <= len(key) <= high:
        size = f"{len(key)}" if len(key) <= high else f"more than {high}"
        raise TraceError(f"{path}: a key has {low} to {high} bytes, this file {size}")
    return key


class Anonymizer:
    """Replaces addresses, the same one always by the same."""

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key, digest_size=32).digest()
        self._turned = cache(self._turns)  # neighbours share most of their prefixes

    def address(self, address: bytes) -> bytes:
        """Return what stands for 16 bytes, IPv4 as ::ffff:a.b.c.d; an unknown one stays 0."""
        if not any(address):
            return address
        head = _MAPPED if address.startswith(_MAPPED) else b""
        tail = address[len(head) :]
        bits, value, turned = 8 * len(tail), int.from_bytes(tail, "big"), 0
        for place in range(bits):
            turned = turned << 1 | self._turned(bits, place, value >> (bits - place))
        return head + (value ^ turned).to_bytes(len(tail), "big")

    def _turns(self, bits: int, place: int, before: int) -> int:
        """Return whether the bit behind these `place` ones is turned, 0 or 1."""
        said = bytes([bits, place]) + before.to_bytes(16, "big")
        return blake2b(said, key=self._key, digest_size=1).digest()[0] & 1

    def flows(self, table: pa.Table) -> pa.Table:
        """Return a flows table with other addresses and no hashes."""
        for place, field in enumerate(table.schema):
            if field.type == pa.binary(16):  # every one of them is an address
                said = [address and self.address(address) for address in table[place].to_pylist()]
                table = table.set_column(place, field, pa.array(said, field.type))
        place = table.schema.get_field_index("rss_hash")
        if place >= 0:
            field = table.schema.field(place)
            table = table.set_column(place, field, pa.nulls(len(table), field.type))
        return table

    def manifest(self, manifest: Mapping[str, Any]) -> Manifest:
        """Return the facts that name nobody: numbers, plain words, other addresses."""
        said: Manifest = _numbers_and_words(manifest)
        server = manifest.get("server")
        if isinstance(server, Mapping) and isinstance(server.get("addresses"), list):
            told = [self._text(str(address)) for address in server["addresses"]]
            said["server"] = {**said.get("server", {}), "addresses": told}
        return {**said, "anonymized": True}

    def _text(self, address: str) -> str:
        whole = ip_address(address)
        packed = whole.packed if whole.version == 6 else _MAPPED + whole.packed
        return address_text(self.address(packed))


def rewrite(folder: Path, key: bytes, compress: str | None = None) -> None:
    """Anonymize the bundle in `folder`, which is being written, by `key`."""
    trace, anonymizer = open_trace(folder), Anonymizer(key)
    flows, manifest = anonymizer.flows(trace.flows), anonymizer.manifest(trace.manifest)
    (folder / "flows.arrow").unlink()  # it is mapped: a new file takes its place
    write_table(folder, "flows", flows, compress)
    write_manifest(folder, manifest)


def _numbers_and_words(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that hold numbers, or text under a name of _PLAIN, all the way down."""
    kept = {str(name): _kept(str(name), value) for name, value in facts.items()}
    return {name: value for name, value in kept.items() if value is not None}


def _kept(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _numbers_and_words(value)
    if isinstance(value, list):
        items = [_kept(name, item) for item in value]
        return items if items and all(item is not None for item in items) else None
    if isinstance(value, str) and name == "kernel":
        release = _RELEASE.match(value)
        return release.group() if release else None
    if isinstance(value, str):
        return value if name in _PLAIN else None
    return value
