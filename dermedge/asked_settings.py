"""Settings that somebody has asked for, told from those that are defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import UsageError

from .config import Augmentation, RequestedSettings
from .setting_fields import sentence, settings_of

_Settings = TypeVar("_Settings", bound=RequestedSettings)


@dataclass(frozen=True, slots=True)
class AskedSettings:
    """Settings with the names of those that somebody has really asked for; the others are defaults."""

    values: RequestedSettings
    given: frozenset[str]
    """Names as `Setting.name` has them, such as `epochs` and `augmentation.noise`."""

    @classmethod
    def of(cls, data: Path | None, given: Mapping[str, Any]) -> Self:
        """Take settings by the names of their options.

        :param data: the data folder, if one is named.
        :param given: values by `Setting.option`, such as epochs and rotation.
        :raises UsageError: a name that is no setting, or a value that does not fit; one sentence names it.
        """
        known = {setting.option: setting for setting in settings_of(RequestedSettings)}
        for name in given:
            if name not in known:
                raise UsageError(f"There is no setting {name}{nearest(name, list(known))}")
        paths = {known[name].path: value for name, value in given.items()}
        try:
            augmentation = Augmentation(**{path[-1]: value for path, value in paths.items() if len(path) == 2})
            plain = {path[0]: value for path, value in paths.items() if len(path) == 1}
            folder = "" if data is None else str(data.resolve())
            values = RequestedSettings(data=folder, augmentation=augmentation, **plain)
        except ValidationError as error:
            text = sentence(error, RequestedSettings)
            raise UsageError(f"{text[0].upper()}{text[1:]}.") from error
        names = {known[name].name for name in given}
        return cls(values, frozenset(names if data is None else {*names, "data"}))

    def put_into(self, settings: _Settings, **decided: Any) -> _Settings:
        """Give other settings with what was asked for in their place; nothing else of them is changed.

        :param decided: values of settings that were asked for, where they are no longer `auto`.
        """
        names = {name.partition(".")[::2] for name in self.given}
        strengths = {inner: getattr(self.values.augmentation, inner) for _, inner in names if inner}
        values = {name: getattr(self.values, name) for name, inner in names if not inner}
        augmentation: Augmentation = replace(settings.augmentation, **strengths)
        return replace(settings, augmentation=augmentation, **{**values, **decided})

    def over(self, base: AskedSettings) -> AskedSettings:
        """Put what was given here over what was given before."""
        return AskedSettings(self.put_into(base.values), base.given | self.given)

    def to_record(self) -> dict[str, Any]:
        """Give what was given, JSON-ready, by the names of the settings; the data folder is nobody else's."""
        every = {setting.name: setting.path for setting in settings_of(RequestedSettings)}
        found: dict[str, Any] = {}
        for name in sorted(self.given & set(every)):
            value: Any = self.values
            for part in every[name]:
                value = getattr(value, part)
            found[name] = value
        return found
