"""The kinds of values that commands take."""

import re
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

import click

from function_app.domain.base.moments import moment_of
from function_app.render import LANGUAGES, did_you_mean


class Addresses(click.ParamType[tuple[str, tuple[IPv4Address, ...]]]):
    """NAME=ADDRESS, or NAME=ADDRESS,ADDRESS: a name and so many IPv4 addresses."""

    name = "NAME=ADDRESS"

    def __init__(self, count: int) -> None:
        self.count = count

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, _, listed = str(value).partition("=")
        try:
            addresses = tuple(IPv4Address(text) for text in listed.split(","))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not name or len(addresses) != self.count:
            self.fail(f"{value!r} is not a name, = and {self.count} address{'es' * (self.count > 1)}", param, ctx)
        return name, addresses


class Moment(click.ParamType[datetime]):
    """A time in UTC: a date and a time as they are printed, a time of day that was last, or how long ago."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, datetime):
            return value
        try:
            return moment_of(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Length(click.ParamType[float]):
    """How long: in minutes, or with a unit."""

    name = "MINUTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is no time: 30 (minutes), 30m, 2h and 1d are", param, ctx)
        return float(found[1]) * {"": 1, "m": 1, "h": 60, "d": 1440}[found[2]]


class Language(click.Choice[str]):
    """The name of a vendor, or `agent`; where it is none, the nearest one is suggested."""

    def __init__(self) -> None:
        super().__init__(LANGUAGES, case_sensitive=False)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return super().get_invalid_choice_message(value, ctx).rstrip(".") + did_you_mean(str(value))
