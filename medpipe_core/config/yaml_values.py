"""Values as text and back: YAML with the few plain types that JSON has.

YAML 1.1 reads `no` as false, `3e-4` as a text and `1:30` as ninety; on a command line that is a
trap. Here only null, true, false and decimal numbers are more than text. Anchors, aliases and tags
are refused: a file of ten lines of them can stand for more than a memory holds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
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
_OPENING = ("[", "{", "'", '"')

LONGEST = 128 * 1024
"""The most characters that are read."""
_DEEPEST = 32
_MOST_DIGITS = 400


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        for sign, what in (("anchor", "&name and *name"), ("tag", "tags, such as !name,")):
            if getattr(event, sign, None) is not None:
                raise yaml.YAMLError(f"{what} are not read here; put a text of such in quotes")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_yaml_int(self, node: yaml.Node) -> int:
        digits = str(self.construct_scalar(node))  # type: ignore[arg-type]
        if len(digits) > _MOST_DIGITS:
            raise yaml.YAMLError(f"a number of {len(digits)} digits")
        return int(digits)

    def construct_yaml_float(self, node: Any) -> float:
        text = str(self.construct_scalar(node))
        number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        if math.isinf(number) and "inf" not in text:
            raise yaml.YAMLError(f"{text} is too large for a number")
        return number

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = (str(self.construct_object(key, deep=True)) for key, _ in node.value)
        repeated = sorted(key for key, count in Counter(keys).items() if count > 1)
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
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
for _tag, _pattern, _first in _RESOLVERS:
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
        )


def read(text: str) -> Any:
    """Read a file of values.

    Raises:
        ValueError: The text is no such YAML, is too long or too deep, or gives a key twice.
    """
    return _read(text)[0]


def read_value(text: str) -> Any:
    """Read a value of a command line: what does not begin with a bracket or quote is as it stands.

    So ` #`, `: `, `*` and `&` are signs like any other there.

    Raises:
        ValueError: Brackets or quotes are no YAML, something follows them, or they hold too much.
    """
    if text[:1] not in _OPENING:
        return _plain(text)
    value, end = _read(text)
    if text[end:].strip():
        raise ValueError(
            f"{text[end:].strip()!r} stands behind the end; put a text that begins with "
            f"{text[0]} in quotes"
        )
    return value


def _read(text: str) -> tuple[Any, int]:
    """Return the value of a text, and where in the text it ends."""
    if len(text) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, len(text)
        return loader.construct_document(node), node.end_mark.index
    except yaml.reader.ReaderError as error:
        raise ValueError(f"there is a sign in it that no text may have ({error.reason})") from None
    except yaml.YAMLError as error:
        raise ValueError(_told(error, text)) from None


def _plain(text: str) -> Any:
    special = any(re.fullmatch(pattern, text) for _, pattern, _ in _RESOLVERS)
    return _read(text)[0] if special else text


def _told(error: yaml.YAMLError, text: str) -> str:
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    comment = "; a # behind a space begins a comment, unless it is in quotes"
    return problem + (comment if " #" in text and "\n" not in text else "")


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
