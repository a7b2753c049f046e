"""The words of a command line: which are options, which are keys with values."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medpipe_core.config import yaml_values
from medpipe_core.config.configuration import DEFAULTS
from medpipe_core.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPTIONS = {
    "--help": "this text; with space=, searcher= or dataset= the keys of that one",
    "--version": "the version of medpipe",
    "--cfg": "print the resolved configuration as YAML and stop",
    "--config": "start from a file such as a run folder's config.yaml: --config FILE",
    "--trust-plugins": "load the files that a configuration file names in plugins.load: code, "
    "which then runs as you",
    "--resume": "go on with a run that was stopped: --resume FOLDER",
    "-m": "a sweep: seed=0,1,2 searcher=gumbel,random runs the product, one after another",
}
MOST_RUNS = 1000
"""The most runs of a sweep."""
_SHORT = {"-h": "--help", "--multirun": "-m"}
_PATHS = {"--config": "file", "--resume": "folder"}
_OPENING, _CLOSING = "[{", "]}"


@dataclass
class CommandLine:
    """A command line, read but not yet checked against what exists.

    Attributes:
        options: The options that stand in it.
        file: The configuration file to start from, or None.
        resumed: The folder of the run to go on with, or None.
        values: Dotted key → texts of the values; more than one in a sweep. Keys whose values
            cannot be read are left out.
        problems: What is wrong with the words themselves.
    """

    options: set[str] = field(default_factory=set)
    file: str | None = None
    resumed: str | None = None
    values: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def runs(self) -> Iterator[dict[str, Any]]:
        """Iterate over the values of each run: one, or the product of a sweep."""
        for texts in itertools.product(*self.values.values()):
            yield {
                key: text if key in DEFAULTS else yaml_values.read_value(text)
                for key, text in zip(self.values, texts, strict=True)
            }

    @property
    def swept(self) -> tuple[str, ...]:
        """The keys that have more than one value."""
        return tuple(key for key, texts in self.values.items() if len(texts) > 1)


def read_command_line(argv: Sequence[str]) -> CommandLine:
    """Read a command line; what is wrong with it is in the result's `problems`."""
    words = CommandLine()
    waiting = iter(argv)
    for word in waiting:
        if word.startswith("-"):
            _option(words, word, waiting)
        elif "=" in word:
            _value(words, word)
        elif word.endswith((".yaml", ".yml")):
            _file(words, word)
        else:
            words.problems.append(_unplaced(word))
    beside = words.options & {"-m", "--cfg"}
    if words.resumed is not None and beside:
        words.problems.append(f"--resume goes on with one run; leave {min(beside)} out")
    for key, texts in list(words.values.items()):
        _check_texts(words, key, texts)
    runs = math.prod(map(len, words.values.values()))
    if runs > MOST_RUNS:
        words.problems.append(f"a sweep of {runs:,} runs; at most {MOST_RUNS:,} at a time")
        words.values = {key: texts[:1] for key, texts in words.values.items()}
    return words


def split_list(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        depth += 0 if quote else (letter in _OPENING) - (letter in _CLOSING)
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _option(words: CommandLine, word: str, waiting: Iterator[str]) -> None:
    name, equals, value = word.partition("=")
    name = _SHORT.get(name, name)
    if name not in OPTIONS:
        words.problems.append(f"no option {name!r}.{did_you_mean(name, OPTIONS)}")
    elif name in _PATHS:
        found = value if equals else next(waiting, "")
        if not found:
            words.problems.append(f"{name}: say which {_PATHS[name]}")
        else:
            _file(words, found)
            words.resumed = found if name == "--resume" else words.resumed
    elif equals:
        words.problems.append(f"{name} takes no value, but was given {value!r}")
    else:
        words.options.add(name)


def _file(words: CommandLine, path: str) -> None:
    if words.file is not None:
        words.problems.append(f"two configuration files, {words.file} and {path}; give one")
    words.file = path


def _value(words: CommandLine, word: str) -> None:
    key, _, text = word.partition("=")
    key = key.strip()
    if not key or not all(key.split(".")):
        words.problems.append(f"{word!r}: expected group=name or dotted.key=value")
    elif key in words.values:
        words.problems.append(f"{key} is given twice")
    else:
        words.values[key] = [text.strip()]


def _check_texts(words: CommandLine, key: str, texts: list[str]) -> None:
    if "-m" in words.options:
        texts[:] = split_list(texts[0])
        if len(texts) > 1 and not all(texts):
            words.problems.append(f"{key}: an empty value in the list")
        if len(set(texts)) < len(texts):
            words.problems.append(f"{key}: the same value twice in the list")
    for text in texts:
        if key in DEFAULTS:
            if not text:
                words.problems.append(f"{key}: say which")
            continue
        try:
            yaml_values.read_value(text)
        except ValueError as error:
            words.problems.append(f"{key}: {text!r} cannot be read: {error}")
            words.values.pop(key, None)


def _unplaced(word: str) -> str:
    hint = did_you_mean(word, DEFAULTS) if word.isidentifier() else ""
    return f"{word!r}: expected group=name, dotted.key=value or an option.{hint}"
