"""The servers that can stand on the bench: how each is started, asked, and recognised."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from replay.errors import PolicyError, nearest
from replay.lab.network import SERVER_ADDRESS
from replay.units import MICROSECOND

_VALUE = b"0123456789abcdef" * 2

#: What one request of our own server takes, ns, where nobody says.
KNOWN_SERVICE_NS = 8_000
_LONGEST_US = 10_000


@dataclass(frozen=True)
class Service:
    """A server with one thread that waits in epoll_wait, and one question to ask it.

    All answers to the question have one length. `before` is asked once, to give it what the
    question wants. `command` takes a folder for the server's own files.
    """

    name: str
    port: int
    program: str
    package: str  # Debian's
    command: Callable[[Path], list[str]]
    worker: str  # the name of that thread
    question: bytes
    before: bytes = b""
    rates: tuple[int, ...] = (10_000, 30_000, 60_000)  # up to where one CPU is full, requests/s
    user: str | None = "nobody"
    version: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return what the program says of itself."""
        if not self.version:
            return self.name
        done = subprocess.run(self.version, capture_output=True, text=True, check=True)
        return (done.stdout or done.stderr).strip().splitlines()[0]


def _memcached(_: Path) -> list[str]:
    return [
        *("memcached", "-l", SERVER_ADDRESS, "-p", "11211", "-U", "0"),
        *("-t", "1", "-m", "16", "-o", "no_lru_maintainer,no_lru_crawler"),
    ]


def _redis(folder: Path) -> list[str]:
    return [
        *("redis-server", "--bind", SERVER_ADDRESS, "--port", "6379", "--dir", str(folder)),
        *("--save", "", "--appendonly", "no", "--daemonize", "no", "--protected-mode", "no"),
    ]


_NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ use epoll; worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:8080;
        location / {{ return 200 "{value}"; }}
    }}
}}
"""


def _nginx(folder: Path) -> list[str]:
    text = _NGINX.format(folder=folder, address=SERVER_ADDRESS, value=_VALUE.decode())
    (folder / "nginx.conf").write_text(text)
    return ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")]


def known(service_ns: int) -> Service:
    """Return our own server, whose service time is known: it watches the clock that long."""
    return Service(
        name="known",
        rates=(10_000, 20_000, 36_000),
        port=7000,
        program=sys.executable,
        package="python3",
        command=lambda _: [
            *(sys.executable, "-m", "replay.lab.known_server", SERVER_ADDRESS, "7000"),
            str(service_ns),
        ],
        worker="known-server",
        question=b"?" * 16,
        user=None,
    )


SERVICES: dict[str, Service] = {
    it.name: it
    for it in (
        Service(
            name="memcached",
            port=11211,
            program="memcached",
            package="memcached",
            command=_memcached,
            worker="mc-worker",
            question=b"get key\r\n",
            before=b"set key 0 0 %d\r\n%s\r\n" % (len(_VALUE), _VALUE),
            version=("memcached", "-V"),
        ),
        Service(
            name="redis",
            rates=(10_000, 25_000, 45_000),
            port=6379,
            program="redis-server",
            package="redis-server",
            command=_redis,
            worker="redis-server",
            question=b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
            before=b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n%s\r\n" % (len(_VALUE), _VALUE),
            version=("redis-server", "--version"),
        ),
        Service(
            name="nginx",
            rates=(10_000, 30_000, 50_000),
            port=8080,
            program="nginx",
            package="nginx-light",
            command=_nginx,
            worker="nginx",
            question=b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n",
            version=("nginx", "-v"),
        ),
        known(KNOWN_SERVICE_NS),
    )
}


def service_of(name: str, service_us: float | None = None) -> Service:
    """Return the server of that name; our own takes `service_us` for each request.

    Raises PolicyError where there is none, or the time is not its own to choose.
    """
    if name not in SERVICES:
        raise PolicyError(
            f"server {name!r} is none of {', '.join(SERVICES)}{nearest(name, SERVICES)}"
        )
    if service_us is None:
        return SERVICES[name]
    if name != "known":
        raise PolicyError(f"server {name!r} takes the time it takes: service-us is for known")
    if not 0 <= service_us <= _LONGEST_US:
        raise PolicyError(f"service-us = {service_us:g} is outside 0 to {_LONGEST_US} us")
    return known(round(service_us * MICROSECOND))
