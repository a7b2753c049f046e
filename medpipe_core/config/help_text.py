"""The help text: groups with their members, and every key with default and meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.config import dotted_keys as dotted
from medpipe_core.config import yaml_values
from medpipe_core.config.command_line import OPTIONS
from medpipe_core.config.configuration import DEFAULTS, GROUPS, group_keys, preset_keys
from medpipe_core.config.presets import PRESETS, SUMMARIES
from medpipe_core.config.settings import Keys
from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.config.dotted_keys import Key, Model
    from medpipe_core.plugins import Registry

_EXIT_CODES = """\
exit codes: 0 done; 1 the run failed; 2 the command line or configuration is wrong; 3 a plugin that
the run needs failed or is missing; 4 a run folder cannot be used; 75 after SIGUSR1: resume it; 130,
143 after SIGINT, SIGTERM"""


def help_text(registry: Registry, names: Mapping[str, str]) -> str:
    """Return the help, its group keys those of the members in `names`, by default the usual ones.

    Defaults are those of the preset in `names`.
    """
    chosen = {**DEFAULTS, **{k: v for k, v in names.items() if k in DEFAULTS}}
    return "\n".join(
        [
            "medpipe-run [option ...] [group=name ...] [dotted.key=value ...]",
            "",
            "Searches, evaluates the best candidates, retrains the best of them and tests it once.",
            "",
            *_table((name, text) for name, text in OPTIONS.items()),
            "",
            *_groups(registry),
            f"keys, with their defaults under preset={chosen['preset']}:",
            *_table(_rows(registry, chosen)),
            "",
            _EXIT_CODES,
        ]
    )


def _groups(registry: Registry) -> Iterator[str]:
    for group in GROUPS:
        yield f"{group}=   (default {DEFAULTS[group]})"
        names = registry.names(group)
        yield from _table((name, registry.entry(group, name).summary) for name in names)
        yield ""
    yield f"preset=   (default {DEFAULTS['preset']})"
    yield from _table((name, SUMMARIES[name]) for name in PRESETS)
    yield ""


def _rows(registry: Registry, chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    preset = chosen["preset"]
    models = {group: _model(registry, group, chosen[group]) for group in GROUPS}
    core = preset_keys(preset, models.values())
    for key in dotted.walk(Keys):
        yield _row(key, core)
    for group, model in models.items():
        values = getattr(model, "presets", {}).get(preset, {})
        extra = {f"{group}.{key}": value for key, value in values.items()}
        for key in group_keys(registry, group, chosen[group]):
            yield _row(key, extra)


def _model(registry: Registry, group: str, name: str) -> Model | None:
    try:
        return registry.entry(group, name).parameters()
    except MedpipeError:
        return None


def _row(key: Key, preset: Mapping[str, Any]) -> tuple[str, str]:
    value = preset.get(key.name, key.default)
    shown = "" if value is dotted.REQUIRED else _short(value)
    return f"{key.name}={shown}", key.description or ""


def _short(value: Any) -> str:
    text = yaml_values.write(value).replace(", ", ",")
    return text if len(text) <= 44 else f"{text[:43]}…"


def _table(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    held = list(rows)
    width = min(max((len(left) for left, _ in held), default=0), 44)
    for left, right in held:
        yield f"  {left:<{width}}  {right}".rstrip()
