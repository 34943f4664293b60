"""NICs as their Linux drivers set them up: coalescing, ring, and how descriptors come back.

Each is what the driver does where nobody ran ethtool (Linux 6.18; facts read in the drivers). A
NIC replaces these settings of a host and none of its costs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from replay.errors import PolicyError, nearest
from replay.host.model import Host
from replay.policy.model import Adaptive, Coalescing


@dataclass(frozen=True)
class Nic:
    """The settings of a host that come with its NIC, under the host's names; see `Host`."""

    about: str
    coalescing: Coalescing = "timer"
    adaptive: Adaptive = "off"
    rx_usecs: int = 0
    rx_frames: int = 0
    tx_usecs: int = 0
    tx_frames: int = 0
    ring: int = 256
    repost_every: int = 1
    repost_above: int = 0
    extra_irq: bool = False
    looks_again: bool = False
    tx_completions: bool = True  # the vector is that of a queue pair


#: By name. Where moderation is adaptive, usecs and frames are what the hardware starts with.
NICS: dict[str, Nic] = {
    "mlx5": Nic(
        "ConnectX: CQE mode, DIM from its profile 1",
        coalescing="cqe",
        adaptive="dim",
        rx_usecs=8,
        rx_frames=128,
        tx_usecs=8,
        tx_frames=128,
        ring=1024,
        repost_every=0,  # mlx5e_napi_poll posts after the poll's completions
    ),
    "ice": Nic(
        "E810: minimum gap, DIM over 2, 8, 16, 62, 126 us from 8",
        coalescing="gap",
        adaptive="dim",
        rx_usecs=8,
        tx_usecs=8,
        ring=2048,
        repost_every=0,  # ice_clean_rx_irq gives back once, after its loop
        extra_irq=True,
    ),
    "i40e": Nic(
        "X710: minimum gap, moved by the driver from 50 us",
        coalescing="gap",
        adaptive="itr",
        rx_usecs=50,
        tx_usecs=50,
        ring=512,
        repost_every=256,  # half the ring, wherever a poll reaches it, and never at its end
        repost_above=-1,
        extra_irq=True,
    ),
    "ixgbe": Nic(
        "82599, X540, X550: minimum gap, moved by the driver from 50 us",
        coalescing="gap",
        adaptive="itr",
        rx_usecs=50,
        tx_usecs=50,
        ring=512,
        repost_every=16,
        repost_above=-1,
    ),
    "igb": Nic(
        "82576, I350: minimum gap of 20,000 a second (its mode 3 stays there for small packets)",
        coalescing="gap",
        rx_usecs=50,
        tx_usecs=50,
        repost_every=16,
    ),
    "e1000e": Nic(
        "82574: minimum gap of 20,000 a second (its mode 3 where traffic is neither bulk nor rare)",
        coalescing="gap",
        rx_usecs=50,
        tx_usecs=50,
        repost_every=16,
    ),
    "e1000-2005": Nic(
        "e1000 of 2005: descriptors come back after a whole poll; 8,000 interrupts a second",
        coalescing="gap",
        rx_usecs=125,
        tx_usecs=125,
        repost_every=0,
    ),
    "virtio": Nic(
        "virtio-net: an interrupt at once; a queue of 256, as QEMU's; transmissions have their own",
        repost_every=0,
        repost_above=32,  # virtnet_receive: half the poll's budget
        looks_again=True,  # virtqueue_napi_complete
        tx_completions=False,
    ),
    "ena": Nic(
        "Amazon's: 20 us after the first packet; its DIM is off until asked for",
        rx_usecs=20,
        tx_usecs=64,
        ring=1024,
        repost_every=0,
        repost_above=128,  # ena_clean_rx_irq: an eighth of the ring, at most 256
    ),
    "veth": Nic(
        "a pair of virtual devices: polled at once",
        looks_again=True,  # veth_poll
        tx_completions=False,
    ),
}


#: NICs by the name of their Linux driver, where that is another one.
_DRIVERS = {"mlx5_core": "mlx5", "virtio_net": "virtio"}


def nic_of_driver(driver: str | None) -> str | None:
    """Return the NIC of NICS that a Linux driver runs; None where it is not known."""
    name = _DRIVERS.get(driver or "", driver)
    return name if name in NICS else None


def with_nic(host: Host, name: str) -> Host:
    """Return `host` with the NIC of that name. Raises PolicyError naming the nearest known."""
    nic = NICS.get(name)
    if nic is None:
        raise PolicyError(f"nic = {name!r} is none of {', '.join(NICS)}{nearest(name, NICS)}")
    return replace(host, **{key: value for key, value in asdict(nic).items() if key != "about"})


def nic_settings(nic: Nic) -> dict[str, str]:
    """Return the settings of a NIC as text, those that every NIC here has in common left out."""
    found = {}
    for field in fields(Nic):
        value = getattr(nic, field.name)
        if field.name == "ring" or value not in (field.default, nic.about):
            text = ("off", "on")[value] if isinstance(value, bool) else str(value)
            found[field.name.replace("_", "-")] = text
    return found
