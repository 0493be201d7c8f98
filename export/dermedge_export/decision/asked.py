"""What a decision is to reach. Light: the command line reads it for its help."""

from __future__ import annotations

from dataclasses import dataclass

from dermedge_runtime.errors import UsageError

DEFAULT_SENSITIVITY, DEFAULT_COVERAGE = 0.95, 0.9


@dataclass(frozen=True, slots=True)
class Asked:
    """What a decision rule is to reach, on lesions like those of the validation split."""

    sensitivity: float = DEFAULT_SENSITIVITY
    """Share of photographs of urgent lesions that are referred, in (0, 1)."""
    coverage: float = DEFAULT_COVERAGE
    """Share of photographs, of every class, whose prediction set holds their diagnosis, in (0, 1)."""

    def __post_init__(self) -> None:
        for name, value in (("sensitivity", self.sensitivity), ("coverage", self.coverage)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
                raise UsageError(f"The {name} must be a share between 0 and 1, such as 0.95, got {value!r}.")
