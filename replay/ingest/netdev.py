"""netdev-genl's `napi-get` and `queue-get`, as the kernel's ynl tools print them.

They print Python's own notation, or JSON with --output-json: a list of dictionaries, or one alone.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from replay.errors import TraceError
from replay.ingest.settings import Settings

#: Longest output taken for one of these tools', bytes: 4,096 queues have less than 1 MB.
_LONGEST = 4 << 20

_TIMES = ("defer-hard-irqs", "gro-flush-timeout", "irq-suspend-timeout")
#: Words of `threaded` (enum netdev napi-threaded; a number before Linux 6.17).
_THREADED = {
    "disabled": False,
    "enabled": True,
    "enable": True,
    "busy-poll": True,
    0: False,
    1: True,
}


def document_of(text: str) -> Any:
    """Return what `text` writes in JSON or in Python's notation; None where it is neither."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if len(text) > _LONGEST:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def is_netdev(document: Any) -> bool:
    """Whether a document is the answer to napi-get or queue-get."""
    items = document if isinstance(document, list) else [document]
    return bool(items) and all(
        isinstance(item, Mapping)
        and "id" in item
        and "ifindex" in item
        and not {"irq", "napi-id", *_TIMES}.isdisjoint(item)
        for item in items
    )


def read_netdev(where: str, document: Any) -> list[Settings]:
    """Return what a document says of NAPI instances and queues, all of one device.

    Raises TraceError where it holds several devices, or a value is none that can be.
    """
    items: list[Mapping[str, Any]] = document if isinstance(document, list) else [document]
    devices = sorted({_whole(where, item, "ifindex") for item in items})
    if len(devices) > 1:
        listed = ", ".join(map(str, devices[:8]))
        raise TraceError(
            f"{where}: NAPI instances of {len(devices)} devices (ifindex {listed}): dump one with"
            " --json '{\"ifindex\": N}'"
        )
    found = Settings(where)
    for item in items:
        if "napi-id" in item or "type" in item:
            number = _whole(where, item, "id")
            link: dict[str, Any] = {"queue": number, "type": str(item.get("type", "rx"))}
            if "napi-id" in item:
                link["napi"] = _whole(where, item, "napi-id")
            found.links.append(link)
            continue
        napi: dict[str, Any] = {
            name: _whole(where, item, name) for name in ("id", "irq", *_TIMES) if name in item
        }
        if "threaded" in item:
            said = item["threaded"]
            if not isinstance(said, str | int) or said not in _THREADED:
                raise TraceError(f"{where}: NAPI {napi['id']}: threaded = {said!r} is not known")
            napi["threaded"] = _THREADED[said]
        found.napis.append(napi)
    return [found]


def _whole(where: str, item: Mapping[str, Any], name: str) -> int:
    value = item[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise TraceError(f"{where}: {name} = {value!r} is no number from 0 on")
    return value
