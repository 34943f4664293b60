"""What tools say of a device's settings: read from their output, merged, and said in our words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from replay.errors import TraceError


@dataclass
class Settings:
    """Settings of one device; what nobody said is None or empty."""

    where: str  # the file that said so
    device: str | None = None
    driver: str | None = None
    coalescing: dict[str, int | bool] = field(default_factory=dict)  # as ethtool -C names them
    ring: int | None = None  # receive descriptors
    queues: int | None = None  # that receive
    indirection: tuple[int, ...] = ()
    key: bytes | None = None
    hash_function: str | None = None
    transform: str | None = None  # of the hash's input, as ethtool names it
    napis: list[dict[str, Any]] = field(default_factory=list)  # as netdev-genl names things
    links: list[dict[str, Any]] = field(default_factory=list)  # its queues' NAPIs, the same way
    deferral: dict[str, int | bool] = field(default_factory=dict)  # of the whole device (sysfs)


_MERGED = ("device", "driver", "ring", "queues", "indirection", "key", "hash_function", "transform")


def merged(parts: Iterable[Settings], device: str | None) -> Settings | None:
    """Return what all files say together of `device`, or of the only one that they name.

    None where nothing is said of it. Raises TraceError where they name several devices and none is
    chosen, or where two of them contradict each other.
    """
    said = list(parts)
    names = sorted({part.device for part in said if part.device})
    if device is None and len(names) > 1:
        raise TraceError(
            f"settings of {len(names)} devices ({', '.join(names[:8])}): choose one with --device"
        )
    chosen = device or (names[0] if names else None)
    mine = [part for part in said if part.device in (None, chosen)]
    if not mine:
        return None
    whole = Settings(mine[0].where)
    for part in mine:
        for name in _MERGED:
            one, other = getattr(whole, name), getattr(part, name)
            if other in (None, ()):
                continue
            if one not in (None, (), other):
                raise TraceError(
                    f"{part.where}: its {name.replace('_', ' ')} is not that of another file:"
                    " give the settings of one time"
                )
            setattr(whole, name, other)
        whole.coalescing |= part.coalescing
        whole.deferral |= part.deferral
        whole.napis += part.napis
        whole.links += part.links
    return whole
