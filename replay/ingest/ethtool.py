"""What ethtool prints of a device's settings: -c, -g, -l, -x and -i, as text and as JSON.

One file may hold several of these outputs, one after the other, and of several devices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from replay.errors import TraceError
from replay.ingest.settings import Settings
from replay.layout.indirection import MAX_QUEUES, MAX_SIZE
from replay.layout.key import MAX_KEY_BYTES

#: The first lines of the outputs, by which they are known.
HEADER = re.compile(
    r"^(?:(Coalesce|Ring|Channel) parameters for (\S+):"
    r"|(RX flow hash indirection table) for (\S+) with (\d{1,9}) RX ring\(s\):"
    r"|(driver): (\S+))[ \t]*$",
    re.MULTILINE,
)

#: Largest number that any setting has (they are u32).
_HIGHEST = (1 << 32) - 1
_COALESCING = ("rx-usecs", "rx-frames", "tx-usecs", "tx-frames")
_PAIR = re.compile(r"^(Adaptive|CQE mode) RX: (\S+)\s+TX: (\S+)\s*$", re.MULTILINE)
_VALUE = re.compile(r"^([A-Za-z][\w /-]*):[ \t]+(\S+)[ \t]*$", re.MULTILINE)
_CURRENT = "Current hardware settings:"


def read_ethtool(where: str, text: str) -> list[Settings]:
    """Return what each output in `text` says. Raises TraceError where one is cut or damaged."""
    starts = list(HEADER.finditer(text))
    found = []
    for match, behind in zip(starts, [*starts[1:], None], strict=True):
        body = text[match.end() : behind.start() if behind else len(text)]
        if match[6]:
            found.append(Settings(where, driver=match[7], device=_bus_device(starts)))
        elif match[3]:
            found.append(_indirection(where, match[4], int(match[5]), body))
        else:
            found.append(_SECTIONS[match[1]](where, match[2], body))
    return found


def read_ethtool_json(where: str, document: Any) -> list[Settings]:
    """Return what `ethtool --json` says: a list with an object a device.

    Raises TraceError where a value is none that can be.
    """
    return [_object(where, item) for item in document if _is_ethtool(item)]


def is_ethtool(document: Any) -> bool:
    """Whether a JSON document is ethtool's."""
    return isinstance(document, list) and bool(document) and all(map(_is_ethtool, document))


def _is_ethtool(item: Any) -> bool:
    known = {"rx-usecs", "tx-usecs", "adaptive-rx", "rx-max", "combined-max", "rss-hash-key"}
    known |= {"rss-indirection-table", "rx", "combined"}
    return isinstance(item, Mapping) and "ifname" in item and not known.isdisjoint(item)


def _coalesce(where: str, device: str, body: str) -> Settings:
    values = {name: text for name, text in _VALUE.findall(body) if text != "n/a"}
    if "rx-usecs:" not in body:
        raise TraceError(f"{where}: cut: coalescing of {device} without rx-usecs")
    found: dict[str, int | bool] = {
        name: _whole(where, f"{device} {name}", values[name])
        for name in _COALESCING
        if name in values
    }
    for what, received, _ in _PAIR.findall(body):
        if received != "n/a":
            found["adaptive-rx" if what == "Adaptive" else "cqe-mode-rx"] = received == "on"
    return Settings(where, device, coalescing=found)


def _ring(where: str, device: str, body: str) -> Settings:
    current = _current(where, device, body)
    if "RX" not in current:
        raise TraceError(f"{where}: the ring of {device} has no receive descriptors")
    return Settings(where, device, ring=_whole(where, f"{device} RX", current["RX"]))


def _channels(where: str, device: str, body: str) -> Settings:
    current = _current(where, device, body)
    counts = [
        _whole(where, f"{device} {it}", current[it]) for it in ("RX", "Combined") if it in current
    ]
    return Settings(where, device, queues=_queues(where, device, sum(counts)))


_SECTIONS: dict[str, Callable[[str, str, str], Settings]] = {
    "Coalesce": _coalesce,
    "Ring": _ring,
    "Channel": _channels,
}


def _current(where: str, device: str, body: str) -> dict[str, str]:
    """Return what stands below `Current hardware settings:`, but for n/a."""
    _, found, after = body.partition(_CURRENT)
    values = {name: text for name, text in _VALUE.findall(after) if text != "n/a"}
    if not found or not values:
        raise TraceError(f"{where}: cut: no current settings of {device}")
    return values


def _indirection(where: str, device: str, rings: int, body: str) -> Settings:
    table: list[int] = []
    for row in re.findall(r"^[ \t]*\d+:((?:[ \t]+\d{1,9})+)[ \t]*$", body, re.MULTILINE):
        table += [int(word) for word in row.split()]
    key = re.search(r"^RSS hash key:[ \t]*\n([0-9a-fA-F:]+)[ \t]*$", body, re.MULTILINE)
    functions = re.findall(r"^[ \t]+(toeplitz|xor|crc32): on[ \t]*$", body, re.MULTILINE)
    transforms = re.findall(r"^[ \t]+(symmetric-\S+): on[ \t]*$", body, re.MULTILINE)
    return Settings(
        where,
        device,
        queues=_queues(where, device, rings),
        indirection=_table(where, device, table),
        key=_key(where, device, bytes.fromhex(key[1].replace(":", "")))
        if key and re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})*", key[1])
        else None,
        hash_function=functions[0] if functions else None,
        transform=transforms[0] if transforms else None,
    )


def _object(where: str, item: Mapping[str, Any]) -> Settings:
    """Return what one object of JSON says."""
    device = str(item["ifname"])
    found = Settings(where, device)
    for name in _COALESCING:
        if name in item:
            found.coalescing[name] = _whole(where, f"{device} {name}", str(item[name]))
    for name in ("adaptive-rx", "cqe-mode-rx"):
        if isinstance(item.get(name), bool):
            found.coalescing[name] = item[name]
    if "combined-max" in item or "combined" in item:
        counts = [_whole(where, device, str(item[it])) for it in ("rx", "combined") if it in item]
        found.queues = _queues(where, device, sum(counts))
    elif "rx-max" in item and "rx" in item:
        found.ring = _whole(where, f"{device} rx", str(item["rx"]))
    table, key = item.get("rss-indirection-table", []), item.get("rss-hash-key", [])
    if not isinstance(table, list) or not isinstance(key, list):
        raise TraceError(f"{where}: indirection table and hash key of {device} are no lists")
    words = [_whole(where, f"{device} indirection", str(word)) for word in table]
    octets = [_whole(where, f"{device} hash key", str(octet)) for octet in key]
    if octets and max(octets) > 255:
        raise TraceError(f"{where}: hash key of {device}: {max(octets)} is outside 0 to 255")
    found.indirection = _table(where, device, words)
    found.key = _key(where, device, bytes(octets)) if octets else None
    found.hash_function = _chosen(item.get("rss-hash-function"))
    found.transform = _chosen(item.get("rss-input-transformation"))
    return found


def _chosen(choice: Any) -> str | None:
    """Return which of several things is on, however it is told."""
    if isinstance(choice, Mapping):  # ethtool 6.2 lists all, with which is on
        choice = next((name for name, on in choice.items() if on in (True, "on")), None)
    return None if choice is None else str(choice)


def _bus_device(starts: list[re.Match[str]]) -> str | None:
    """Return the only device that other outputs of the same file name; -i does not name its own."""
    names = {match[2] or match[4] for match in starts} - {None}
    return names.pop() if len(names) == 1 else None


def _whole(where: str, what: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 10 or int(text) > _HIGHEST:
        raise TraceError(f"{where}: {what} = {text[:40]!r} is no number from 0 to {_HIGHEST}")
    return int(text)


def _queues(where: str, device: str, count: int) -> int:
    if not 1 <= count <= MAX_QUEUES:
        raise TraceError(f"{where}: {count} receive queues of {device}, outside 1 to {MAX_QUEUES}")
    return count


def _table(where: str, device: str, table: list[int]) -> tuple[int, ...]:
    if len(table) > MAX_SIZE or (table and max(table) >= MAX_QUEUES):
        raise TraceError(
            f"{where}: indirection table of {device}: {len(table)} entries of queues up to"
            f" {max(table)}; at most {MAX_SIZE} entries of {MAX_QUEUES} queues are read"
        )
    return tuple(table)


def _key(where: str, device: str, key: bytes) -> bytes:
    if len(key) > MAX_KEY_BYTES:
        raise TraceError(
            f"{where}: hash key of {device} has {len(key)} bytes, at most {MAX_KEY_BYTES}"
        )
    return key
