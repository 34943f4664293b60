"""`grep . /sys/class/net/DEV/...`: the knobs of deferral and NAPI threads of a whole device."""

from __future__ import annotations

import re

from replay.ingest.settings import Settings

#: A line with one of the values, by which the output is known.
LINE = re.compile(
    r"^(?:/sys/class/net/([^/\s:]+)/)?"
    r"(napi_defer_hard_irqs|gro_flush_timeout|threaded)[:=][ \t]*(\d{1,18})[ \t]*$",
    re.MULTILINE,
)

_NAMES = {"napi_defer_hard_irqs": "defer-hard-irqs", "gro_flush_timeout": "gro-flush-timeout"}


def read_sysfs(where: str, text: str) -> list[Settings]:
    """Return what the lines say, one of Settings a device."""
    found: dict[str, Settings] = {}
    for device, name, value in LINE.findall(text):
        one = found.setdefault(device, Settings(where, device or None))
        if name == "threaded":
            one.deferral["threaded"] = value != "0"
        else:
            one.deferral[_NAMES[name]] = int(value)
    return list(found.values())
