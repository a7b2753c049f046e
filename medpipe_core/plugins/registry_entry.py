"""One registered name: where it comes from, what makes it, and what parameters that takes."""

from __future__ import annotations

import pkgutil
import types
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from medpipe_core.errors import MedpipeError, place_of
from medpipe_core.plugins.errors import PluginError
from medpipe_core.plugins.import_isolation import isolated_import
from medpipe_core.plugins.parameters import check, keywords_of, model_of
from medpipe_core.plugins.signature_defaults import wrong_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True)
class Entry:
    """One registered name.

    Attributes:
        kind: augmentation, block, space, searcher, estimator, dataset or model.
        name: The name, unique within its kind.
        distribution: The installed distribution that registered it.
        version: Its version.
        entry_point: Name of the entry point.
        summary: One line about it.
    """

    kind: str
    name: str
    distribution: str
    version: str
    entry_point: str
    summary: str = ""
    _factory: Callable[..., Any] | str = field(default="", repr=False)
    _parameters: type[BaseModel] | str | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        made = ("_model", "_loaded")  # again where it arrives
        travelling = {name: value for name, value in vars(self).items() if name not in made}
        for name in ("_factory", "_parameters"):
            travelling[name] = _to_travel(travelling[name])
        return travelling

    def __deepcopy__(self, memo: dict[int, Any]) -> Entry:
        return self  # nothing about it changes

    @property
    def who(self) -> str:
        """The entry with its origin, for messages."""
        return f"{self.kind} {self.name!r} of {self.distribution} {self.version}"

    def load(self) -> Callable[..., Any]:
        """Return the factory, imported now if it was given as a string.

        Raises:
            PluginError: It cannot be imported or called.
        """
        return self._loaded

    def parameters(self) -> type[BaseModel]:
        """Return the model of its parameters: the registered one, or one from its signature.

        Raises:
            PluginError: The model or the factory cannot be imported, its signature cannot be read,
                or has defaults that its annotations refuse.
        """
        return self._model

    def arguments(
        self, parameters: Mapping[str, Any], context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return checked parameters as the keyword arguments of the factory.

        Raises:
            ParameterError: They do not fit; it lists every mistake.
        """
        checked = self.checked(parameters, context)
        if self._parameters is not None:
            return dict(checked)
        # The factory knows its own defaults; a copy of one may not be the same object.
        return {k: value for k, value in checked if k in checked.model_fields_set}

    def checked(
        self, parameters: Mapping[str, Any], context: Mapping[str, Any] | None = None
    ) -> BaseModel:
        """Return parameters as the model has them.

        Raises:
            ParameterError: They do not fit; it lists every mistake.
        """
        return check(self.parameters(), parameters, f"{self.kind} {self.name!r}", context)

    def takes(self, names: Iterable[str]) -> frozenset[str]:
        """Return which of these keyword arguments its factory takes, as settings or beside them.

        A registered model need not hold what the framework hands over: a keyword that stands by
        its name in the factory's signature counts, too. `**settings` takes what the model has.
        """
        asked = frozenset(names)
        found = asked & set(self.parameters().model_fields)
        return found if found == asked else found | (asked & keywords_of(self.load()))

    def make(self, *args: Any, **arguments: Any) -> Any:
        """Call the factory with arguments that were checked.

        Raises:
            PluginError: The factory cannot be imported, or raised an error of its own.
        """
        return self._guarded("could not be made", self.load(), *args, **arguments)

    def check_space(
        self,
        space: Any,
        parameters: Mapping[str, Any],
        context: Mapping[str, Any] | None = None,
        *,
        seed: int,
    ) -> None:
        """Have a searcher's settings refuse what the space has not, if they have `check_space`.

        Raises:
            MedpipeError: They refuse it.
            PluginError: They raised an error of their own.
        """
        check_space = getattr(self.checked(parameters, context), "check_space", None)
        if check_space is not None:
            self._guarded("could not check the space", check_space, space, seed=seed)

    def _guarded(
        self, failed: str, function: Callable[..., Any], *args: Any, **arguments: Any
    ) -> Any:
        try:
            return function(*args, **arguments)
        except MedpipeError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it may raise anything, or exit
            raise PluginError(
                f"{self.who} {failed}: {type(error).__name__}: {error}{place_of(error)}"
            ) from error

    @cached_property
    def _loaded(self) -> Callable[..., Any]:
        factory = self._resolve(self._factory)
        if not callable(factory):
            raise PluginError(
                f"{self.who}: its factory is a {type(factory).__name__}, not callable"
            )
        return factory  # type: ignore[no-any-return]

    @cached_property
    def _model(self) -> type[BaseModel]:
        if self._parameters is None:
            return self._model_of_signature()
        model = self._resolve(self._parameters)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise PluginError(f"{self.who}: its parameters are {model!r}, not a pydantic model")
        return model

    def _model_of_signature(self) -> type[BaseModel]:
        factory = self.load()
        try:
            model = model_of(factory, f"Parameters of {self.name}")
        except Exception as error:
            raise PluginError(
                f"{self.who}: parameters cannot be read from the signature of its factory "
                f"({type(error).__name__}: {error}); its author has to register a pydantic model "
                "with parameters="
            ) from error
        wrong = wrong_defaults(model)
        if wrong:
            raise PluginError(
                f"{self.who}: the signature of its factory has defaults that its annotations "
                f"refuse: {'; '.join(wrong)}; its author has to mend one or the other"
            )
        return model

    def _resolve(self, target: Any) -> Any:
        if isinstance(target, _StayedBehind):
            raise PluginError(
                f"{self.who}: {target.name} was made inside a function of another process and "
                "cannot be found here; its author has to register what a module has by name, or "
                "load_plugins() has to be called here, too"
            )
        if not isinstance(target, str):
            return target
        try:
            with isolated_import():
                return pkgutil.resolve_name(target)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an import may raise anything, or exit
            raise PluginError(
                f"{self.who}: {target!r} cannot be imported ({type(error).__name__}: {error}"
                f"{place_of(error)}); reinstall or update {self.distribution}, or disable it "
                f"(plugins.disable=[{self.entry_point}])"
            ) from error


@dataclass(frozen=True)
class _StayedBehind:
    """Stands for what cannot be found by name, so that all else can travel."""

    name: str


def _to_travel(target: Any) -> Any:
    """Return a function or class as an import string, as which another process finds it."""
    if not isinstance(target, type | types.FunctionType):
        return target
    name = f"{target.__module__}:{target.__qualname__}"
    try:
        return name if pkgutil.resolve_name(name) is target else _StayedBehind(name)
    except (ImportError, AttributeError, ValueError):
        return _StayedBehind(name)
