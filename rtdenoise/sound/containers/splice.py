"""A virtual file spliced from pieces of another: header corrected, damage left out, no copy on disk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from pathlib import Path
from typing import Any

Piece = bytes | tuple[int, int]
"""Bytes as they are, or the first and the end position of a stretch of the underlying file."""


class Splice(RawIOBase):
    """Pieces, one after the other, as one file that can be read and sought.

    Parameters
    ----------
    path : Path
        The file that stretches refer to.
    pieces : sequence of Piece
    """

    def __init__(self, path: Path, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._pieces = [piece for piece in pieces if _length(piece) > 0]
        self._starts = [0]
        for piece in self._pieces:
            self._starts.append(self._starts[-1] + _length(piece))
        self._at = 0
        self._file = path.open("rb", buffering=1 << 16)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Go to a position in bytes, also behind the end."""
        base = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` as far as there are bytes; returns how many."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view):
            data = self._some(len(view) - done)
            if not data:
                break
            view[done : done + len(data)] = data
            done += len(data)
            self._at += len(data)
        return done

    def _some(self, size: int) -> bytes:
        """Up to `size` bytes of the piece that the position is in."""
        index = bisect_right(self._starts, self._at) - 1
        if index >= len(self._pieces):
            return b""
        piece, inside = self._pieces[index], self._at - self._starts[index]
        size = min(size, _length(piece) - inside)
        if isinstance(piece, bytes):
            return piece[inside : inside + size]
        self._file.seek(piece[0] + inside)
        return self._file.read(size)

    def close(self) -> None:
        """Close the underlying file, too."""
        if not self.closed:
            self._file.close()
        super().close()


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
