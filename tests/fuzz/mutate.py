"""Damaged copies of good inputs: what disks, networks, other programs and people do to files."""

from __future__ import annotations

import copy
import random
from typing import Any

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 7.5, -0.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), 2**40, 2**80,
    "", " ", "nan", "-", "..", "/", "WF", "can-small", "\x00", "\ud7ff", "a" * 300, "ä\n€", [], [1], [None], {},
    {"a": 1}, [[[]]],
)  # fmt: skip


def damaged(rng: random.Random, good: bytes, others: list[bytes]) -> bytes:
    """One to four damages, one after the other; more often near the beginning, where headers are."""
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        rng.choice((_bits, _bits, _number, _number, _cut, _cut, _shorten, _insert, _repeat, _splice))(rng, data, others)
    return bytes(data)


def _place(rng: random.Random, data: bytearray) -> int:
    if not data:
        return 0
    reach = rng.choice((16, 64, 256, len(data)))
    return rng.randrange(min(reach, len(data)))


def _bits(rng: random.Random, data: bytearray, _others: list[bytes]) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        if data:
            data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _number(rng: random.Random, data: bytearray, _others: list[bytes]) -> None:
    """Overwrite what may be a length, a rate or a count."""
    at, size = _place(rng, data) & ~1, rng.choice((1, 2, 4, 8))
    value = rng.choice((*_NUMBERS, rng.randrange(1 << 16), len(data)))
    data[at : at + size] = (value % (1 << (8 * size))).to_bytes(size, rng.choice(("little", "big")))


def _cut(rng: random.Random, data: bytearray, _others: list[bytes]) -> None:
    del data[_place(rng, data) if rng.random() < 0.5 else rng.randrange(len(data) + 1) :]


def _shorten(rng: random.Random, data: bytearray, _others: list[bytes]) -> None:
    at = _place(rng, data)
    del data[at : at + rng.choice((1, 2, 4, 100))]


def _insert(rng: random.Random, data: bytearray, _others: list[bytes]) -> None:
    at = _place(rng, data)
    data[at:at] = rng.choice(
        (b"\x00", b"\xff" * 4, b"RIFF", b"data", b"\n", bytes(rng.randbytes(rng.randrange(1, 64))))
    )


def _repeat(rng: random.Random, data: bytearray, _others: list[bytes]) -> None:
    at, size = _place(rng, data), rng.choice((1, 8, 64, 1024))
    data[at:at] = data[at : at + size]


def _splice(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    other = rng.choice(others)
    at = _place(rng, data)
    data[at:] = other[min(at, len(other)) :]


def changed(rng: random.Random, tree: Any) -> Any:
    """A mapping or list with one or two values, keys or members replaced, removed or added."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2))):
        holder, key = rng.choice(list(_places(tree)))
        what = rng.random()
        if what < 0.65:
            holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))
        elif what < 0.8:
            del holder[key]
        elif isinstance(holder, dict):
            holder[rng.choice((*(v for v in ODD_VALUES if v.__hash__), f"{key}s"))] = holder[key]
        else:
            holder.append(copy.deepcopy(rng.choice(ODD_VALUES)))
        if not list(_places(tree)):
            break
    return tree


def _places(tree: Any) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)
