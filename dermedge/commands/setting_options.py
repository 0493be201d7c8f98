"""The settings of a training as options of a command: one option for every field of `config.RequestedSettings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from dermedge.config import AskedSettings, RequestedSettings
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
        def wrapper(context: typer.Context, data: Path | None, **values: Any) -> None:
            names = [setting.option for setting in settings]
            written = {name: values.pop(name) for name in names if _is_written(context, name)}
            others = {name: value for name, value in values.items() if name not in names}
            command(asked=AskedSettings.of(data, written), **others)

        own = inspect.signature(command, eval_str=True).parameters
        made = [_parameter("context", typer.Context), _parameter("data", _DATA, None), *map(_option, settings)]
        parameters = [*made, *(each.replace(kind=each.KEYWORD_ONLY) for name, each in own.items() if name != _ASKED)]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
        wrapper.__name__, wrapper.__doc__, wrapper.__module__ = command.__name__, command.__doc__, command.__module__
        return wrapper

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
