from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from replay.errors import PolicyError
from replay.host import GENERIC, NICS, read_host, with_nic, write_host
from replay.host.nics import nic_settings


@pytest.mark.parametrize("name", NICS)
def test_a_nic_changes_its_settings_and_no_costs(name: str, tmp_path: Path) -> None:
    host, nic = with_nic(GENERIC, name), NICS[name]
    changed = {
        item.name
        for item in fields(host)
        if getattr(host, item.name) != getattr(GENERIC, item.name)
    }
    assert changed <= {item.name for item in fields(nic)}
    assert (host.ring, host.coalescing) == (nic.ring, nic.coalescing)
    write_host(tmp_path / "host.toml", host)  # what is read back gives its descriptors back
    assert read_host(tmp_path / "host.toml") == host


def test_what_the_drivers_do() -> None:
    mlx5, i40e, e1000 = (with_nic(GENERIC, name) for name in ("mlx5", "i40e", "e1000-2005"))
    assert (mlx5.coalescing, mlx5.adaptive, mlx5.rx_usecs, mlx5.rx_frames) == ("cqe", "dim", 8, 128)
    assert (i40e.repost_every, i40e.repost_above, i40e.extra_irq) == (256, -1, True)
    assert (e1000.ring, e1000.repost_every, e1000.repost_above) == (256, 0, 0)
    assert with_nic(GENERIC, "virtio").repost_above == 32
    assert [name for name in NICS if NICS[name].looks_again] == ["virtio", "veth"]
    assert with_nic(GENERIC, "ena").repost_above == min(1024 // 8, 256)


def test_settings_as_text() -> None:
    veth = {"ring": "256", "looks-again": "on", "tx-completions": "off"}
    assert nic_settings(NICS["veth"]) == veth
    assert nic_settings(NICS["ice"])["extra-irq"] == "on"


def test_a_nic_that_is_not_there() -> None:
    with pytest.raises(PolicyError, match=r"nic = 'mlx4' is none of mlx5, .*; did you mean mlx5\?"):
        with_nic(GENERIC, "mlx4")
