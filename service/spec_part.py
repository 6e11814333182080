"""What the parts of a job's schema share: strictness, and their one error."""

from __future__ import annotations

from dataclasses import fields

from pydantic import BaseModel, BeforeValidator, ConfigDict


class SpecError(ValueError):
    """A job that cannot be understood; the message names field, value and valid choices.

    Attributes:
        field: the first field that is wrong, as `limits.macs`; None where it is the whole.
    """

    field: str | None = None


def closed(kind: type) -> BeforeValidator:
    """Refuses unknown keys of a core dataclass, which pydantic would ignore."""
    known = [field.name for field in fields(kind)]

    def check(value: object) -> object:
        if isinstance(value, dict) and (unknown := sorted(set(value) - set(known))):
            raise ValueError(f"unknown key {unknown[0]!r}; valid: {', '.join(known)}")
        if isinstance(value, dict):  # what comes out of here is no JSON any more: lists count not
            return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return value

    return BeforeValidator(check)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
