"""Several test processes at once, with ``--dist loadfile``: what stays together, what goes first, who gives way."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import PurePosixPath

import pytest

WAITING = (
    "live",
    "virtual_card",
    "bench",
)  # packages whose tests wait for audio, which takes its time, or measure time
_SLOW = (
    *WAITING,
    "test_preparation",
    "fuzz",
    "evaluate",
    "contract",
    "cli",
)  # begun first: nobody is left alone with them
_HOW_NICE = 10
_gives_way = pytest.StashKey[bool]()
_LAW = re.compile(r"/test_laws\.py::\w+\[([^]-]*)")  # of which denoiser: the name of its kind, up to a dash


def package_of(name: str) -> str:
    """The package of a test or a module, by its name."""
    return PurePosixPath(name.partition("::")[0]).parent.name


def group_of(name: str) -> str:
    """What has the same group runs in the same process, one after the other.

    A file is a group, for no two processes shall compile the same.  What waits for audio is two groups: at most two
    live sessions run at once, whatever number of processes there is.  The laws are a group for each kind of denoiser.
    """
    path = name.partition("::")[0]
    if package_of(name) in WAITING:
        return f"waiting {zlib.crc32(path.encode()) % 2}"
    law = _LAW.search(name)
    return f"{path} {law[1]}" if law else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long first."""

    def place(item: pytest.Item) -> int:
        module = PurePosixPath(item.nodeid.partition("::")[0])
        return min(_SLOW.index(name) if name in _SLOW else len(_SLOW) for name in (module.parent.name, module.stem))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give out groups, in the order of the tests."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker, which does not know, that there are groups."""
    node.workerinput["groups"] = node.config.getoption("dist") == "loadfile"  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A process that has none of the waiting tests leaves the processor to those that have."""
    config = item.config
    if package_of(item.nodeid) in WAITING or not hasattr(os, "nice"):
        return
    if getattr(config, "workerinput", {}).get("groups", False) and not config.stash.get(_gives_way, False):
        config.stash[_gives_way] = True
        os.nice(_HOW_NICE)
