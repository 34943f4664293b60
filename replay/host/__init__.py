"""Hosts: what each step of the receive path costs on a machine, and where the numbers come from."""

from replay.host.costs import arming_ns, costs_of, suspending_ns
from replay.host.model import GENERIC, Cost, Host
from replay.host.nics import NICS, nic_of_driver, with_nic
from replay.host.shipped import host_of, shipped_names
from replay.host.toml import read_host, write_host

__all__ = [
    "GENERIC",
    "NICS",
    "Cost",
    "Host",
    "arming_ns",
    "costs_of",
    "host_of",
    "nic_of_driver",
    "read_host",
    "shipped_names",
    "suspending_ns",
    "with_nic",
    "write_host",
]
