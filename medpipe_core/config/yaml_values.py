"""Values as text and back: YAML with the few plain types that JSON has.

YAML 1.1 reads `no` as false, `3e-4` as a text and `1:30` as ninety; on a command line that is a
trap. Here only null, true, false and decimal numbers are more than text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

_RESOLVERS = (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+.0123456789"),
    ),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_yaml_int(self, node: yaml.Node) -> int:
        return int(self.construct_scalar(node))  # type: ignore[arg-type]

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.YAMLError(f"{', '.join(repeated)} given twice")
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    # It keeps the rules of YAML 1.1 beside ours and so quotes what either would misread.

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Only double quotes keep a line break on the line.
    style = '"' if any(sign in text for sign in "\n\r\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _tag, _pattern, _first in _RESOLVERS:
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
        )


def read(text: str) -> Any:
    """Read a value or a file of values.

    Raises:
        ValueError: The text is no YAML, or gives a key twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader with fewer types)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or str(error) or "nested too deeply"
        raise ValueError(" ".join(str(problem).split())) from None


def write(value: Any) -> str:
    """Write a value on one line, as it would stand on a command line."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        width=2**31,
        sort_keys=False,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def write_lines(values: Mapping[str, Any]) -> str:
    """Write one `key: value` a line."""
    return "".join(f"{write(key)}: {write(value)}\n" for key, value in values.items())
