"""Hosts: what each step of the receive path costs on a machine, and where the numbers come from."""

from replay.host.model import GENERIC, Cost, Host
from replay.host.toml import read_host, write_host

__all__ = ["GENERIC", "Cost", "Host", "read_host", "write_host"]
