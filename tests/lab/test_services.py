"""Which servers and policies the bench takes, and how our own server answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.errors import PolicyError
from replay.lab.known_server import ANSWER, QUESTION
from replay.lab.policies import POLICIES, on_the_bench
from replay.lab.requests import poisson
from replay.lab.services import SERVICES, known, service_of


def test_policies_are_those_of_the_package_but_for_the_blocking_server() -> None:
    for name in POLICIES:
        policy = on_the_bench(name)
        assert policy.name == name
        assert policy.epoll_timeout_ns == -1
    assert on_the_bench("suspend20:gro-flush-timeout=30us").gro_flush_timeout_ns == 30_000


@pytest.mark.parametrize("name", ["base:rx-usecs=8", "dim", "threaded", "base:weight=8"])
def test_what_the_bench_cannot_set_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match="the bench cannot set"):
        on_the_bench(name)


def test_servers_by_name(tmp_path: Path) -> None:
    for name, service in SERVICES.items():
        assert service_of(name) is service
        assert service.command(tmp_path)[0] == service.program
    with pytest.raises(PolicyError, match="none of memcached, redis, nginx, known"):
        service_of("apache")


def test_our_own_server_takes_the_time_that_was_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service_ns = 2_000_000
    command = [sys.executable, *known(service_ns).command(Path())[1:]]
    command[command.index("198.18.0.1")] = "127.0.0.1"
    command[command.index("7000")] = str(port)
    with subprocess.Popen(command) as server:
        try:
            link = _connected(port)
            with link:
                link.sendall(bytes(QUESTION))
                assert len(_received(link, ANSWER)) == ANSWER
                start = time.monotonic_ns()
                link.sendall(bytes(3 * QUESTION))
                assert len(_received(link, 3 * ANSWER)) == 3 * ANSWER
                assert time.monotonic_ns() - start >= 3 * service_ns
            again = _connected(port)  # the first one's end is noticed, and others come
            with again:
                again.sendall(bytes(QUESTION))
                assert len(_received(again, ANSWER)) == ANSWER
        finally:
            server.terminate()


def _connected(port: int) -> socket.socket:
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


def _received(link: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size:
        piece = link.recv(size - len(answer))
        if not piece:
            break
        answer += piece
    return answer


def test_requests_are_poisson_and_known_by_connection() -> None:
    requests = poisson(10_000, 2.0, 100, seed=3)
    assert len(requests.intended_ns) == pytest.approx(20_000, rel=0.05)
    assert (requests.intended_ns[1:] >= requests.intended_ns[:-1]).all()
    for connection in (0, 57, 99):
        mine = requests.order[requests.first[connection] : requests.first[connection + 1]]
        assert (requests.connection[mine] == connection).all()
        assert (mine[1:] > mine[:-1]).all()
