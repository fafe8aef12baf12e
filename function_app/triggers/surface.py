"""The HTTP surface: each endpoint with its path, who may, what it takes and what it gives. `openapi` describes it from these.

Each is served twice: under its path, by a function of its name, for who shows a function key, which the platform's host checks;
and below `entra/`, by a function `entra_NAME` that the host leaves open, for who signs in with Entra ID. One function for both
would have to be left open, too, and nothing would check keys any more (ADR 18).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import azure.functions as func

from function_app import wiring
from function_app.reconcile.documents.error import ErrorAnswer
from function_app.triggers.answers import foreseen
from function_app.triggers.caller import KEY_HOLDER, AppRole, Caller, signed_in
from function_app.triggers.requests import Parameters, read_query

JSON = "application/json"
ENTRA = "entra"
"""First part of the paths, and of the names of functions, of those who sign in."""


@dataclass(frozen=True, slots=True)
class Endpoint[Q: Parameters]:
    """One method of one path. `role`: who signs in and has not this one is refused; what a request wants besides, its handler
    requires of the caller. `gives` is the document of the good answer; None where it is `media` alone."""

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
    """Statuses besides those that every endpoint may give: 400, 401, 403, 503."""


@dataclass(frozen=True, slots=True)
class Call[Q: Parameters]:
    """A request of a caller who may, whose query parameters are read."""

    request: func.HttpRequest
    query: Q
    caller: Caller

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
        """Registers a handler for both ways in: bounded, with its query read strictly, and with Hopkeeper's errors turned into
        answers."""

        def register(handler: Handler[Q]) -> Any:
            async def by_key(req: func.HttpRequest) -> func.HttpResponse:
                return await handler(Call(req, read_query(req, endpoint.query), KEY_HOLDER))

            async def by_role(req: func.HttpRequest) -> func.HttpResponse:
                caller = signed_in(endpoint.method, req.headers, wiring.sign_in())
                caller.require(endpoint.role)
                return await handler(Call(req, read_query(req, endpoint.query), caller))

            self.served.append(Served(handler.__name__, handler.__doc__ or "", endpoint))
            by_key.__name__, by_role.__name__ = handler.__name__, f"{ENTRA}_{handler.__name__}"
            methods = [endpoint.method]
            keyed = self.route(route=endpoint.route, methods=methods, auth_level=func.AuthLevel.FUNCTION)
            opened = self.route(route=f"{ENTRA}/{endpoint.route}", methods=methods, auth_level=func.AuthLevel.ANONYMOUS)
            opened(foreseen(by_role))
            return keyed(foreseen(by_key))

        return register
