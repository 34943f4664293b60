"""The server: Debian's memcached with one worker thread, unmodified."""

from __future__ import annotations

import subprocess
import time

from bench import machine, processes
from bench.client import store_the_value
from bench.network import SERVER_ADDRESS, Network, inside

PORT = 11211


class Server:
    """A running memcached that holds the one value the client asks for."""

    def __init__(self, network: Network) -> None:
        command = ["memcached", "-l", SERVER_ADDRESS, "-p", str(PORT), "-U", "0"]
        command += ["-t", "1", "-m", "16", "-o", "no_lru_maintainer,no_lru_crawler"]
        with inside(network.server):
            self._process = processes.start(
                command,
                machine.SERVER_CPU,
                # Whatever else the machine does comes after the server. The NAPI thread does not.
                nice=machine.FIRST,
                user="nobody",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            self._wait_until_it_answers(network)
            self.worker = self._find_worker()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process, not its worker thread."""
        return self._process.pid

    def close(self) -> None:
        """End the server."""
        processes.stop(self._process)

    def version(self) -> str:
        """As the program itself says."""
        done = subprocess.run(["memcached", "-V"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def _wait_until_it_answers(self, network: Network) -> None:
        for _ in range(100):
            if self._process.poll() is not None:
                raise OSError(f"memcached ended at once with status {self._process.returncode}")
            try:
                return store_the_value(network.client, PORT)
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise OSError("memcached did not accept a connection within two seconds")

    def _find_worker(self) -> int:
        names = processes.threads(self.pid)
        workers = [thread for thread, name in names.items() if name == "mc-worker"]
        if len(workers) != 1:
            raise OSError(f"expected one thread mc-worker in memcached, found {names}")
        return workers[0]
