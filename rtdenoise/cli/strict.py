"""Strict option parsing: repeated options and empty values are errors.

The parser that click builds for each command is the only place that sees both; this is the one module that touches it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click

_UNSET_VARIABLE = "is empty; give it a value (is a variable of the shell unset?) or leave it out"


class StrictCommand(click.Command):
    """A command that takes each option once and no empty values."""

    def make_parser(self, ctx: click.Context) -> Any:
        """The parser, with a check in front of everything it stores."""
        return _checked(super().make_parser(ctx))


class StrictGroup(click.Group):
    """A group that takes each of its own options once and no empty values."""

    def make_parser(self, ctx: click.Context) -> Any:
        """The parser, with a check in front of everything it stores."""
        return _checked(super().make_parser(ctx))


def _checked(parser: Any) -> Any:
    for option in {id(o): o for o in (*parser._short_opt.values(), *parser._long_opt.values())}.values():
        if option.action in ("store", "append"):
            option.process = partial(_store_option, option, option.process)
    for argument in parser._args:
        argument.process = partial(_store_argument, argument, argument.process)
    return parser


def _store_option(option: Any, store: Any, value: Any, state: Any) -> None:
    name = max(option.obj.opts, key=len)
    if value == "" and option.obj.default != "":
        raise click.UsageError(f"{name} {_UNSET_VARIABLE}")
    if option.action == "store" and option.dest in state.opts:
        raise click.UsageError(f"{name} is given twice, as {state.opts[option.dest]} and {value}; give it once")
    store(value, state)


def _store_argument(argument: Any, store: Any, value: Any, state: Any) -> None:
    if value == "" or (isinstance(value, (tuple, list)) and "" in value):
        raise click.UsageError(f"{argument.obj.human_readable_name} {_UNSET_VARIABLE}")
    store(value, state)
