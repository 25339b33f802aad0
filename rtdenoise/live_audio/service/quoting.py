"""Words of a command in the files that start programs: systemd units, desktop entries, batch files of Windows."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rtdenoise.errors import ConfigError

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are no text, separators of lines


def systemd_line(words: Sequence[str]) -> str:
    """A command for ``ExecStart=``: no specifier and no variable is expanded in it.

    Raises
    ------
    ConfigError
        If systemd would refuse the name of the program.
    """
    if any(character in words[0] for character in "\"'\\"):
        raise ConfigError(
            f"{words[0]}: systemd starts no program whose path has quotes or backslashes; rename a folder"
        )
    program, *arguments = (_plain(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") for word in words)
    return " ".join(f'"{word}"' for word in (program, *(word.replace("$", "$$") for word in arguments)))


def desktop_line(words: Sequence[str]) -> str:
    """A command for ``Exec=``: quoted as an argument, then escaped as a string, as the specification has it."""
    if "%" in words[0]:  # GLib looks for the program before it reads %% as %
        words = ["env", *words]
    return " ".join(f'"{_desktop_word(_plain(word))}"' for word in words)


def _desktop_word(word: str) -> str:
    for character in '\\"`$':
        word = word.replace(character, f"\\{character}")
    return word.replace("\\", "\\\\").replace("%", "%%")


def batch_line(words: Sequence[str]) -> str:
    """A command for a batch file.

    Raises
    ------
    ConfigError
        If a word holds a double quote, which names on Windows cannot.
    """
    for word in words:
        if '"' in word:
            raise ConfigError(f"{word}: a double quote cannot be written into a batch file; leave it out")
    return " ".join(f'"{_ended(_plain(word)).replace("%", "%%")}"' for word in words)


def _ended(word: str) -> str:
    """Double the backslashes at the end, which would escape the quote behind them."""
    return word + "\\" * (len(word) - len(word.rstrip("\\")))


def _plain(word: str) -> str:
    if any(unicodedata.category(character) in _UNSEEN for character in word):
        raise ConfigError(
            f"{word!r} holds a line break or a byte that is no text; rename it, or install from elsewhere"
        )
    return word
