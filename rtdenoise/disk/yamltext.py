"""Load YAML text into plain values; duplicate keys are an error."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rtdenoise.errors import ConfigError

_MERGE = "tag:yaml.org,2002:merge"  # "<<" may be repeated


class NotYamlError(Exception):
    """Text that is not YAML."""


class _TwiceError(Exception):
    """A duplicate key in a mapping."""


def load_yaml(text: str, where: str) -> Any:
    """Load a YAML document.

    Parameters
    ----------
    text : str
    where : str
        Name of the document, for error messages.

    Raises
    ------
    ConfigError
        If a key occurs twice in one mapping.
    NotYamlError
        If the text is not YAML, or holds a date that does not exist.
    """
    import yaml

    try:
        return yaml.load(text, _loader())
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such a date
        raise NotYamlError(str(error)) from error
    except _TwiceError as error:
        key, first, second = error.args
        raise ConfigError(f"{where}: {key!r} stands twice, in lines {first} and {second}; keep one") from None


@lru_cache(maxsize=1)
def _loader() -> Any:
    """The safe loader, except that it rejects duplicate keys in a mapping."""
    import yaml

    class OnceLoader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            lines: dict[tuple[str, str], int] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                    continue
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    raise _TwiceError(key.value, lines[name], line)
                lines[name] = line
            return node

    return OnceLoader
