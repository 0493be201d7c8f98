"""The settings of a training as options of a command: one option for every field of `config.RequestedSettings`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from dermedge.asked_settings import AskedSettings
from dermedge.config import RequestedSettings
from dermedge.setting_fields import Group, Setting, settings_of

from .option_values import of_setting, option, path

_ASKED = "asked"
_DATA = Annotated[Path | None, option(Group.DATA.value, "Data folder.", "--data", **path("folder"))]


def with_settings(without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command `--data` and the options of the settings; it gets them as its parameter `asked`.

    :param without: names of settings that the command chooses itself.
    """
    settings = [setting for setting in settings_of(RequestedSettings) if setting.name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_options(context: typer.Context, data: Path | None, **values: Any) -> None:
            chosen = {setting.option: values.pop(setting.option) for setting in settings}
            written = {name: value for name, value in chosen.items() if _is_written(context, name)}
            command(asked=AskedSettings.of(data, written), **values)

        own = inspect.signature(command, eval_str=True).parameters
        made = [_parameter("context", typer.Context), _parameter("data", _DATA, None), *map(_option, settings)]
        kept = [_parameter(name, each.annotation, each.default) for name, each in own.items() if name != _ASKED]
        # Typer reads a command's options from its signature, and their types from its annotations.
        with_options.__signature__ = inspect.Signature([*made, *kept])  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in (*made, *kept)}
        return with_options

    return decorate


def _option(setting: Setting) -> inspect.Parameter:
    name = f"--{setting.option.replace('_', '-')}"
    if setting.kind is bool and setting.default:
        name = f"{name}/--no-{name[2:]}"
    made = option(setting.group.value, setting.help, name, **of_setting(setting))
    return _parameter(setting.option, Annotated[setting.kind, made], setting.default)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _is_written(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
