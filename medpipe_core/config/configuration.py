"""The configuration of a run: from keys and values to something checked, and back to text.

A configuration file is a list of the same keys that a command line takes, one a line; so a run
folder's `config.yaml` and the words that made it say the same.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from medpipe_core.config import dotted_keys as dotted
from medpipe_core.config import yaml_values
from medpipe_core.config.dataset_keys import not_taken
from medpipe_core.config.errors import BROKEN_PLUGIN, WRONG_WORDS, ConfigurationError
from medpipe_core.config.plain_values import impossible, misread
from medpipe_core.config.presets import PRESETS
from medpipe_core.config.settings import Keys
from medpipe_core.config.validation_messages import validation_messages
from medpipe_core.errors import MedpipeError, did_you_mean
from medpipe_core.plugins import REGISTRY, MissingPluginError, broken_files, not_there

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from medpipe_core.config.dotted_keys import Key, Model
    from medpipe_core.plugins import Registry

GROUPS = ("space", "searcher", "dataset", "executor")
DEFAULTS = {
    "space": "medpipe-joint",
    "searcher": "gumbel",
    "dataset": "phantom3d",
    "executor": "local",
    "preset": "quick",
}
# Parameters that are the run's to give, not the user's; a stand-in for each while checking.
GIVEN: Mapping[str, Mapping[str, Any]] = {
    "space": {},
    "searcher": {"seed": 0, "steps": 1, "admit": None},
    "dataset": {
        "root": None,
        "manifest": None,
        "download": False,
        "strict": False,
        "fold": None,
        "folds": 5,
    },
    "executor": {},
}


@dataclass(frozen=True)
class Configuration:
    """A run's configuration, checked.

    Attributes:
        space: Name of the space in the registry.
        searcher: Name of the searcher.
        dataset: Name of the dataset.
        executor: Name of the executor.
        preset: Name of the preset that the values started from.
        keys: Every other key of the run.
        parameters: Group → the parameters of its member, as keyword arguments.
        plain_parameters: The same as plain data with dotted keys.
    """

    space: str
    searcher: str
    dataset: str
    executor: str
    preset: str
    keys: Keys
    parameters: Mapping[str, Mapping[str, Any]]
    plain_parameters: Mapping[str, Mapping[str, Any]]

    def flat(self) -> dict[str, Any]:
        """Return every key with its value, as plain data."""
        flat: dict[str, Any] = {
            name: getattr(self, name) for name in (*GROUPS, "preset")
        } | dotted.flatten(self.keys.model_dump(mode="json"))
        for group in GROUPS:
            flat |= {f"{group}.{key}": v for key, v in self.plain_parameters[group].items()}
        return flat

    def to_yaml(self) -> str:
        """Return it as the text of a configuration file."""
        return yaml_values.write_lines(self.flat())


def resolve(
    given: Mapping[str, Any], registry: Registry, *, base: Mapping[str, Any] | None = None
) -> Configuration:
    """Check keys and values, and fill in all others.

    Defaults come first, then the preset, then what suits the groups' members (the `run_keys` and
    `run_presets` of their parameter models), then `base`, then `given`.

    Args:
        given: Dotted key → value; the user's own words.
        registry: Who knows the groups' members and their parameters.
        base: The same from a configuration file.

    Raises:
        ConfigurationError: Something is wrong; the text tells all of it.
    """
    return _Resolver(registry, given, base or {}).resolve()


def read_file(text: str, name: str) -> dict[str, Any]:
    """Read a configuration file: dotted keys, or the same nested.

    Raises:
        ConfigurationError: It is no such file.
    """
    try:
        content = yaml_values.read(text)
    except ValueError as error:
        raise ConfigurationError([f"{name}: {error}"]) from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigurationError([f"{name}: expected one `key: value` a line"])
    return dotted.flatten(content)


class _Resolver:
    """Collects what is wrong while it puts a configuration together."""

    def __init__(
        self, registry: Registry, given: Mapping[str, Any], base: Mapping[str, Any]
    ) -> None:
        self.registry = registry
        self.problems: list[str] = []
        self.plugin_problems: list[str] = []
        self.given = self._possible(given)
        self.base = self._fitting(self._possible(base))
        self.names = {
            group: self._name(group, self.given.get(group, self.base.get(group, default)))
            for group, default in DEFAULTS.items()
        }

    def resolve(self) -> Configuration:
        self._check_preset()
        models = {group: self._model(group) for group in GROUPS}
        user = {**self.base, **self.given}
        own = {k: v for k, v in user.items() if k not in DEFAULTS and _group(k) not in GROUPS}
        preset = preset_keys(self.names["preset"], models.values())
        preset = {key: value for key, value in preset.items() if not _outdone(key, own)}
        settings = self._validated(Keys, "", preset, own)
        parameters: dict[str, BaseModel] = {}
        for group, model in models.items():
            asked = {k.removeprefix(f"{group}."): v for k, v in user.items() if _group(k) == group}
            if model is not None:
                checked = self._parameters(group, model, asked)
                parameters |= {group: checked} if checked is not None else {}
        if isinstance(settings, Keys):
            self._check_data_keys(settings)
            self.problems.extend(not_there(settings.plugins.disable, self.registry.plugins))
        self.plugin_problems.extend(broken_files(self.registry.plugins))
        self._refuse()
        if not isinstance(settings, Keys):
            raise AssertionError(settings)
        return Configuration(
            **self.names,
            keys=settings,
            parameters={g: _own(g, dict(m)) for g, m in parameters.items()},
            plain_parameters={
                g: dotted.flatten(_own(g, m.model_dump(mode="json"))) for g, m in parameters.items()
            },
        )

    def _possible(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Tell of values that no key takes, and go on without them."""
        problems = {key: impossible(key, value) for key, value in values.items()}
        self.problems.extend(filter(None, problems.values()))
        return {key: value for key, value in values.items() if not problems[key]}

    def _name(self, group: str, given: Any) -> str:
        """Return the name of a group's member, or the default where what is given is none."""
        if isinstance(given, str):
            distribution, colon, name = given.rpartition(":")
            if name and bool(distribution) == bool(colon):
                return given
        self.problems.append(f"{group}: give a name, or distribution:name (given {given!r})")
        return DEFAULTS[group]

    def _fitting(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Drop the file's parameters of a member that the command line replaces."""
        replaced = {
            group
            for group in GROUPS
            if group in self.given and self.given[group] != base.get(group, DEFAULTS[group])
        }
        return {key: value for key, value in base.items() if _group(key) not in replaced}

    def _check_preset(self) -> None:
        preset = self.names["preset"]
        if preset not in PRESETS:
            self.problems.append(f"no preset {preset!r}.{did_you_mean(preset, PRESETS)}")
        elif "preset" in self.base and self.base["preset"] != preset:
            self.problems.append(
                f"preset={preset} changes nothing: the configuration file, made with preset "
                f"{self.base['preset']!r}, already gives every key; leave one of the two out"
            )

    def _check_data_keys(self, settings: Keys) -> None:
        """Refuse keys `data.*` that the dataset does not take; a replaced one's may stand."""
        replaced = self.given.get("dataset", self.base.get("dataset")) != self.base.get("dataset")
        given = self.given if replaced else {**self.base, **self.given}
        with contextlib.suppress(MedpipeError):  # a dataset that is not there has been told
            entry = self.registry.entry("dataset", self.names["dataset"])
            self.problems.extend(not_taken(entry, given, settings.data))

    def _model(self, group: str) -> Model | None:
        name = self.names[group]
        try:
            entry = self.registry.entry(group, name)
        except MedpipeError as error:
            self._unknown_member(group, name, error)
            return None
        try:
            return entry.parameters()
        except MedpipeError as error:
            self.plugin_problems.append(str(error))
            return None

    def _unknown_member(self, group: str, name: str, error: MedpipeError) -> None:
        if isinstance(error, MissingPluginError) and not error.misspelt:
            self.plugin_problems.append(f"{group}={name}: {error}")
        elif ":" in name:
            self.problems.append(f"{group}={name}: {error}")
        else:
            hint = did_you_mean(name, self.registry.names(group))
            self.problems.append(f"{group}={name}: there is no such {group}.{hint}")

    def _parameters(self, group: str, model: Model, asked: dict[str, Any]) -> BaseModel | None:
        extra = getattr(model, "presets", {}).get(self.names["preset"], {})
        for key in [key for key in asked if key in GIVEN[group]]:
            instead = f"; give data.{key} instead" if group == "dataset" else ""
            self.problems.append(f"{group}.{key} is the run's to give{instead}")
            del asked[key]
        stand_ins = {k: v for k, v in GIVEN[group].items() if k in model.model_fields}
        return self._validated(model, f"{group}.", {**extra, **stand_ins}, asked)

    def _validated(
        self, model: Model, prefix: str, preset: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> BaseModel | None:
        unknown = [key for key in asked if not dotted.knows(model, key)]
        for key in unknown:
            self.problems.append(f"no key {prefix + key!r}.{self._near(prefix, key)}")
        values = {key: value for key, value in asked.items() if key not in unknown}
        laid = {k: v for k, v in preset.items() if not dotted.shadowed(k, values)}
        try:
            nested = dotted.nest({**laid, **values})
            checked = model.model_validate(nested, context={REGISTRY: self.registry})
            self.problems.extend(f"{prefix}{text}" for text in misread(nested, checked))
            return checked
        except MissingPluginError as error:
            self.plugin_problems.append(f"{prefix.removesuffix('.')}: {error}")
        except ValidationError as error:
            self.problems.extend(validation_messages(error, prefix, model))
        except ValueError as error:
            self.problems.append(f"{prefix}{error}")
        return None

    def _near(self, prefix: str, key: str) -> str:
        group = prefix.removesuffix(".")
        if not group:
            return did_you_mean(key, self._all_keys())
        name = self.names[group]
        own = [known.name for known in group_keys(self.registry, group, name)]
        return dotted.hint(f"{prefix}{key}", own, self._all_keys(), f"{group}={name}")

    def _all_keys(self) -> Iterable[str]:
        yield from DEFAULTS
        yield from (key.name for key in dotted.walk(Keys))
        for group in GROUPS:
            yield from (key.name for key in group_keys(self.registry, group, self.names[group]))

    def _refuse(self) -> None:
        problems = list(dict.fromkeys([*self.problems, *self.plugin_problems]))
        if problems:
            code = WRONG_WORDS if self.problems else BROKEN_PLUGIN
            raise ConfigurationError(problems, exit_code=code)


def group_keys(registry: Registry, group: str, name: str) -> Iterator[Key]:
    """Iterate over the keys of a group's member; none where the member cannot be loaded."""
    try:
        model = registry.entry(group, name).parameters()
    except MedpipeError:
        return
    for key in dotted.walk(model, f"{group}."):
        if key.name.removeprefix(f"{group}.") not in GIVEN[group]:
            yield key


def _outdone(key: str, own: Mapping[str, Any]) -> bool:
    """Say whether a preset's least steps give way to a number of epochs that the user gave."""
    section, _, name = key.rpartition(".")
    return name == "min_steps" and f"{section}.epochs" in own


def preset_keys(preset: str, models: Iterable[Model | None]) -> dict[str, Any]:
    """Return the keys of a run that a preset and what suits its members give: dotted key → value.

    Args:
        preset: The run's preset.
        models: The members' parameter models, the later before the earlier ones; None for one that
            cannot be loaded.
    """
    keys = dict(PRESETS.get(preset, {}))
    for model in models:
        keys |= getattr(model, "run_keys", {})
        keys |= getattr(model, "run_presets", {}).get(preset, {})
    return keys


def _group(key: str) -> str:
    group, dot, _ = key.partition(".")
    return group if dot else ""


def _own(group: str, values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k not in GIVEN[group]}
