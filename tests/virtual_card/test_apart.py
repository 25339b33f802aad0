"""Two servers whose clients have equal names: apart, they do not take each other's sockets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.virtual_card.apart import own_shared_memory
from tests.virtual_card.server import missing

CLIENTS = """
import jack
from tests.virtual_card.server import Server
with Server(realtime=False, name=f"apart-{__import__('os').getpid()}") as server:
    for _ in range(80):
        client = jack.Client("PortAudio", no_start_server=True, servername=server.name)
        client.activate()
        client.close()
"""


@pytest.mark.skipif(missing() != "", reason=missing())
def test_clients_of_equal_names_are_not_refused():
    if not own_shared_memory():
        pytest.skip("this user may have no /dev/shm of its own")
    command = [sys.executable, "-c", CLIENTS]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said[-2000:]
