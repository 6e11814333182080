"""`Claims`: what a bundle says of its network, so that anyone can hold it to that.

Costs are exact, accuracies and latencies were measured and carry their interval, and the supernet's
estimate is there under its own name, never as an accuracy.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from bundle.manifest import CLAIMS, BundleError, brief, parsed
from latency_tables.table import TableError, Target
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec

Precision = Literal["fp32", "int8"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _one_line(text: str) -> str:
    """Claims are shown in terminals, which obey control characters."""
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


Line = Annotated[str, Field(max_length=400), AfterValidator(_one_line)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Accuracy(_Part):
    """Share of test images classified rightly, with Wilson's 95 % interval."""

    test: Share
    n: int = Field(ge=1)
    lo: Share
    hi: Share


class Interval(_Part):
    """A median with its 95 % interval."""

    median: Positive
    lo: Positive
    hi: Positive


class Latency(_Part):
    """One file on one target; `times_dense` is how many times as fast as the dense network as fp32
    in the same passes."""

    precision: Precision
    target: dict[str, Any]
    ms: Interval
    times_dense: Interval
    flags: tuple[Line, ...] = ()

    @field_validator("target")
    @classmethod
    def _known(cls, target: dict[str, Any]) -> dict[str, Any]:
        """Refuses what is no target, before anything is measured on it."""
        try:
            Target(**target)
        except (TableError, TypeError) as error:
            raise ValueError(f"no target: {error}") from None
        if type(target["batch"]) is not int or type(target["threads"]) is not int:
            raise ValueError("no target: batch and threads must be whole numbers")
        for text in (target["device"], target["runtime"], target["runtime_version"]):
            _one_line(str(text))
        return target


class DataClaim(_Part):
    """Which test images: what `training.data.load` is asked for, and the sha256 of what it read."""

    name: Line
    resolution: int
    channels: int
    validation: int
    limit: int | None
    seed: int
    fingerprint: Line


class TableClaim(_Part):
    """The latency table by which the network was found."""

    fingerprint: Line
    target: Line
    measured: bool


class Claims(_Part):
    """See the module."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[Line, Field(max_length=200)]
    network: dict[str, Any]
    config: dict[str, Any]
    macs: int
    params: int
    data: DataClaim
    accuracy: dict[Precision, Accuracy]
    estimate: Annotated[float, Field(allow_inf_nan=False)] | None
    latency: tuple[Latency, ...]
    table: TableClaim | None

    def spec(self) -> NetworkSpec:
        """The network without its widths."""
        given = {**self.network, "depths": tuple(self.network.get("depths", ()))}
        for key in ("resolution", "channels", "classes"):
            if type(given.get(key, 1)) is not int:
                raise ConfigError(f"{key} must be a whole number")
        return NetworkSpec(**given)

    def widths(self) -> ChannelConfig:
        """Its widths."""
        return ChannelConfig.from_json(self.config)


def read(folder: Path, source: Path) -> Claims:
    """The claims of an opened bundle.

    Raises:
        BundleError: not as this version writes them, or no network.
    """
    parsed(folder / CLAIMS, source)
    try:
        claims = Claims.model_validate_json((folder / CLAIMS).read_bytes())
        spec = claims.spec()
        spec.check(claims.widths())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise BundleError(f"{source}: {CLAIMS}: {place}: {brief(first['msg'])}") from None
    except (ConfigError, TypeError, ValueError, KeyError, OverflowError) as error:
        raise BundleError(f"{source}: {CLAIMS} names no network: {brief(error)}") from None
    images = (claims.data.channels, claims.data.resolution)
    if images != (spec.channels, spec.resolution):
        raise BundleError(f"{source}: {CLAIMS}: its data are other images than the network takes")
    return claims


def text(claims: Claims) -> str:
    """As `read` takes it."""
    return claims.model_dump_json(by_alias=True, indent=1) + "\n"


def identity(target: Target) -> dict[str, Any]:
    """What two targets must share to be compared: all but the details."""
    return {name: value for name, value in asdict(target).items() if name != "details"}
