"""The registry: (kind, name) to what a plugin registered under it."""

from __future__ import annotations

import difflib
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from medpipe_core.errors import did_you_mean
from medpipe_core.plugins.distribution_names import normal
from medpipe_core.plugins.errors import (
    MissingPluginError,
    ParameterError,
    PluginError,
    UnknownNameError,
)
from medpipe_core.plugins.operation_settings import settings_problems
from medpipe_core.plugins.registered_name import REGISTRY
from medpipe_core.plugins.registry_entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import BaseModel

KINDS = (
    "augmentation",
    "block",
    "space",
    "searcher",
    "estimator",
    "dataset",
    "model",
    "executor",
    "reader",
    "preparation",
)
THIS_PROCESS = "this process"
"""The distribution of what `Registry.adding` added."""
MODEL_GIVEN = ("in_channels", "num_classes")
# So alike that a misspelling is likelier than a name of a plugin that is not there.
_MISSPELT = 0.8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class PluginRecord:
    """What became of one plugin.

    Attributes:
        name: Name of its entry point.
        distribution: The distribution it came from.
        version: Its version.
        entry_point: The object that the entry point names.
        status: `"loaded"`, `"failed"` or `"disabled"`.
        registered: What it registered, as `kind/name`.
        error: Who, where and what to do, if it failed.
    """

    name: str
    distribution: str
    version: str
    entry_point: str
    status: Literal["loaded", "failed", "disabled"]
    registered: tuple[str, ...] = ()
    error: str = ""


class Registrar:
    """Collects what one plugin registers; nothing counts until the plugin is through."""

    def __init__(self, record: PluginRecord, known: Registry) -> None:
        self._record = record
        self._known = known
        self.entries: dict[tuple[str, str], Entry] = {}

    def register(
        self,
        kind: str,
        name: str,
        factory: Callable[..., Any] | str,
        *,
        parameters: type[BaseModel] | str | None = None,
        summary: str = "",
    ) -> None:
        """Register a factory under a name.

        Args:
            kind: One of `KINDS`.
            name: Its name; each name lives once within its kind.
            factory: A callable, or an import string `"package.module:attribute"` that is imported
                on first use.
            parameters: The pydantic model of its settings, or an import string of one. By default
                it follows from the factory's signature, which then has to be imported for help.
            summary: One line for listings.

        Raises:
            PluginError: The kind is unknown, the name is taken, or the factory is neither callable
                nor an import string.
        """
        who = f"{self._record.distribution} {self._record.version}"
        if kind not in KINDS:
            raise PluginError(f"{who} registers unknown kind {kind!r}.{did_you_mean(kind, KINDS)}")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(
                f"{who}: {name!r} cannot name a {kind}; use letters, digits, '_', '-' and '.', "
                "beginning with a letter or digit"
            )
        _check_target(who, name, "factory", factory)
        if parameters is not None:
            _check_target(who, name, "parameters", parameters)
        taken = self.entries.get((kind, name)) or self._known.find(kind, name)
        if taken is not None:
            raise PluginError(
                f"{who} registers {kind} {name!r}, which {taken.distribution} {taken.version} has "
                "already; one of the two has to rename it, or disable one of the plugins"
            )
        self.entries[kind, name] = Entry(
            kind,
            name,
            self._record.distribution,
            self._record.version,
            self._record.name,
            summary,
            factory,
            parameters,
        )


class Registry:
    """Everything that loaded plugins registered; it is also the catalogue of operations."""

    def __init__(
        self, entries: Mapping[tuple[str, str], Entry], plugins: Iterable[PluginRecord]
    ) -> None:
        self._entries = dict(entries)
        self.plugins = tuple(plugins)

    def __deepcopy__(self, memo: dict[int, Any]) -> Registry:
        return self  # nothing about it changes

    def names(self, kind: str) -> list[str]:
        """Return the registered names of a kind, sorted."""
        self._check_kind(kind)
        return sorted(name for known, name in self._entries if known == kind)

    def find(self, kind: str, name: str) -> Entry | None:
        """Return the entry under `name` or `distribution:name`, or None."""
        distribution, colon, short = name.rpartition(":")
        entry = self._entries.get((kind, short))
        if entry is None or (colon and normal(entry.distribution) != normal(distribution)):
            return None
        return entry

    def entry(self, kind: str, name: str) -> Entry:
        """Return the entry under `name` or `distribution:name`.

        Raises:
            UnknownNameError: No loaded plugin registered it.
            MissingPluginError: The same, while a plugin that may have it failed, is disabled or is
                not installed.
        """
        self._check_kind(kind)
        entry = self.find(kind, name)
        if entry is not None:
            return entry
        text = f"there is no {kind} {name!r}.{self._hint(kind, name)}"
        absent = [plugin for plugin in self.plugins if plugin.status != "loaded"]
        reasons = [f"{p.name} is disabled" if not p.error else p.error for p in absent]
        distribution, colon, short = name.rpartition(":")
        known = {normal(plugin.distribution) for plugin in self.plugins}
        known |= {normal(entry.distribution) for entry in self._entries.values()}
        if distribution.strip(":") and normal(distribution) not in known:
            reasons.insert(0, f"no plugin of {distribution} is installed")
        if not reasons:
            raise UnknownNameError(text)
        near = difflib.get_close_matches(short, self.names(kind), 1, _MISSPELT)
        raise MissingPluginError(
            f"{text} It may belong to a plugin that is not there: {'; '.join(reasons)}",
            misspelt=any(not colon or self.find(kind, f"{distribution}:{one}") for one in near),
        )

    def factory(self, kind: str, name: str) -> Callable[..., Any]:
        """Return the factory of an entry."""
        return self.entry(kind, name).load()

    def origin(self, kind: str, name: str) -> tuple[str, str]:
        """Return the distribution of an entry, and its version."""
        entry = self.entry(kind, name)
        return entry.distribution, entry.version

    def versions(self) -> dict[str, str]:
        """Return distribution → version of everything registered."""
        return {entry.distribution: entry.version for entry in self._entries.values()}

    def settings_problems(
        self, kind: str, name: str, settings: Mapping[str, Sequence[Any]]
    ) -> list[str]:
        """Return what is wrong with settings of an entry: name → each value it may be given."""
        entry = self.entry(kind, name)
        if (
            kind == "model"
        ):  # one read from its signature has among its parameters what it is handed
            fields = entry.parameters().model_fields
            settings = {**settings, **{what: (1,) for what in MODEL_GIVEN if what in fields}}
        return settings_problems(entry, settings, {REGISTRY: self})

    def create(self, kind: str, name: str, /, *args: Any, **parameters: Any) -> Any:
        """Check parameters and call the factory: `factory(*args, **checked parameters)`.

        Raises:
            ParameterError: Parameters do not fit; it lists every mistake.
            PluginError: The factory cannot be imported, or raised an error of its own.
        """
        entry = self.entry(kind, name)
        return entry.make(*args, **entry.arguments(parameters, {REGISTRY: self}))

    def model_arguments(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return checked parameters of a registered model, without those that it is handed.

        Raises:
            ParameterError: Parameters do not fit; it lists every mistake.
        """
        entry = self.entry("model", name)
        # A model read from a signature has them among its parameters, a registered one has not.
        handed = {what: 1 for what in MODEL_GIVEN if what in entry.parameters().model_fields}
        taken = [f"{what} is the framework's to give" for what in parameters if what in MODEL_GIVEN]
        if taken:
            raise ParameterError(f"model {name!r}", taken)
        arguments = entry.arguments({**parameters, **handed}, {REGISTRY: self})
        return {what: value for what, value in arguments.items() if what not in handed}

    def model(self, name: str, *, in_channels: int, num_classes: int, **parameters: Any) -> Any:
        """Return a registered model, a network from volumes to logits.

        Args:
            name: Its name.
            in_channels: Channels of a volume.
            num_classes: Logits of a volume.
            parameters: The model's own.

        Raises:
            ParameterError: Parameters do not fit; it lists every mistake.
            PluginError: It cannot be imported, raised an error of its own, or is no network.
        """
        entry = self.entry("model", name)
        arguments = self.model_arguments(name, parameters)
        model = entry.make(in_channels=in_channels, num_classes=num_classes, **arguments)
        if not callable(getattr(model, "parameters", None)):
            raise PluginError(f"{entry.who} made a {type(model).__name__}, not a torch.nn.Module")
        return model

    def space(self, name: str, **parameters: Any) -> Any:
        """Return a registered search space, its operations made by this registry if by no other.

        A factory that wants to look operations up has one positional parameter, and is handed the
        registry.

        Raises:
            PluginError: What the plugin makes is no search space.
        """
        handed = (self,) if _takes_positional(self.factory("space", name)) else ()
        space = self.create("space", name, *handed, **parameters)
        if not hasattr(space, "with_catalogue"):
            who = self.entry("space", name).who
            raise PluginError(f"{who} made a {type(space).__name__}, not a SearchSpace")
        # A space composed in this process may know its own catalogue.
        return space if space.catalogue is not None else space.with_catalogue(self)

    def adding(
        self,
        kind: str,
        name: str,
        factory: Callable[..., Any] | str,
        *,
        parameters: type[BaseModel] | str | None = None,
    ) -> Registry:
        """Return a registry that knows one thing more, for this process only.

        Args:
            kind: One of `KINDS`.
            name: Its name, not yet taken.
            factory: A callable, or an import string.
            parameters: As `Registrar.register`.

        Raises:
            PluginError: As `Registrar.register`.
        """
        record = PluginRecord(THIS_PROCESS, THIS_PROCESS, "-", "adding", "loaded")
        registrar = Registrar(record, self)
        registrar.register(kind, name, factory, parameters=parameters)
        return Registry({**self._entries, **registrar.entries}, self.plugins)

    def _hint(self, kind: str, name: str) -> str:
        _, colon, short = name.rpartition(":")
        entry = self.find(kind, short)
        if colon and entry is not None:
            return f" {short!r} is of {entry.distribution} {entry.version}."
        return did_you_mean(short, self.names(kind))

    def _check_kind(self, kind: str) -> None:
        if kind not in KINDS:
            raise UnknownNameError(f"there is no kind {kind!r}.{did_you_mean(kind, KINDS)}")


def _takes_positional(factory: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # something callable that does not tell
        return False
    return any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
        for parameter in parameters
    )


def _check_target(who: str, name: str, what: str, target: object) -> None:
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        if module and attribute:
            return
        raise PluginError(
            f"{who}: {what} of {name!r} is {target!r}, not 'package.module:attribute'"
        )
    if not callable(target):
        raise PluginError(
            f"{who}: {what} of {name!r} is a {type(target).__name__}; give a callable or an "
            "import string"
        )
