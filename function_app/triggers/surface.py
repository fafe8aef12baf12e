"""The HTTP surface: each endpoint with its path, who may, what it takes and what it gives. `openapi` describes it from these."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import azure.functions as func

from function_app.reconcile.documents.error import ErrorAnswer
from function_app.triggers.answers import foreseen
from function_app.triggers.requests import Parameters, read_query

JSON = "application/json"


class AppRole(StrEnum):
    """Who may: whoever has a function key of that name, or the application role."""

    READ = "read"
    ALERT = "alert"
    REPORT = "report"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Endpoint[Q: Parameters]:
    """One method of one path. `gives` is the document of the good answer; None where it is `media` alone."""

    method: str
    route: str
    role: AppRole
    gives: Any
    query: type[Q]
    status: int = 200
    media: str = JSON
    also: str = ""
    """Another media type, by `Accept`."""
    takes: str = ""
    """The media type of the body."""
    body: tuple[Any, ...] = ()
    """The types of which a JSON body is one; whatever where there are none."""
    refusal: Any = ErrorAnswer
    """What 409 gives."""
    refuses: tuple[int, ...] = ()
    """Statuses besides those that every endpoint may give: 400, 401, 503."""


@dataclass(frozen=True, slots=True)
class Call[Q: Parameters]:
    """A request whose query parameters are read."""

    request: func.HttpRequest
    query: Q

    def named(self, part: str) -> str:
        """A part of the path that is always there."""
        return str(self.request.route_params[part])

    def topology(self) -> str | None:
        """The one in the path, where one is."""
        return self.request.route_params.get("topology") or None


class Served(NamedTuple):
    """An endpoint, under the name and with the description of its function."""

    name: str
    about: str
    endpoint: Endpoint[Any]


type Handler[Q: Parameters] = Callable[[Call[Q]], Awaitable[func.HttpResponse]]


class Surface(func.Blueprint):
    """A blueprint whose HTTP functions are described."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.served: list[Served] = []

    def serves[Q: Parameters](self, endpoint: Endpoint[Q]) -> Callable[[Handler[Q]], Any]:
        """Registers a handler: bounded, with its query read strictly, and with Hopkeeper's errors turned into answers."""

        def register(handler: Handler[Q]) -> Any:
            async def handle(req: func.HttpRequest) -> func.HttpResponse:
                return await handler(Call(req, read_query(req, endpoint.query)))

            handle.__name__ = handler.__name__
            self.served.append(Served(handler.__name__, handler.__doc__ or "", endpoint))
            made = self.route(route=endpoint.route, methods=[endpoint.method], auth_level=func.AuthLevel.FUNCTION)
            return made(foreseen(handle))

        return register
