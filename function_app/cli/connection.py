"""Which Hopkeeper a command speaks to: the app that is named, or without one, or with --direct, storage and ARM themselves."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from function_app import settings as environment
from function_app import wiring
from function_app.cli.app import App, Direct
from function_app.cli.ends import run
from function_app.cli.files import FUNCTION_KEY, key_in
from function_app.domain.base.errors import BadInput

URL, KEY, DIRECT = "hopkeeper.app", "hopkeeper.key-file", "hopkeeper.direct"
"""Where the options are kept for the command's `reach`."""


def _kept(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        context.meta[name] = value

    return keep


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--app",
        metavar="URL",
        expose_value=False,
        callback=_kept(URL),
        help="Of the app to use, https://NAME.azurewebsites.net; also HOPKEEPER_APP, ~/.config/hopkeeper/config.toml.",
    ),
    click.option(
        "--key-file",
        type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
        expose_value=False,
        callback=_kept(KEY),
        help="Holds a function key of the app; also HOPKEEPER_KEY_FILE. Without one, the token of az login.",
    ),
    click.option(
        "--direct",
        is_flag=True,
        expose_value=False,
        callback=_kept(DIRECT),
        help="Over storage and ARM, though an app is named: for the night in which it is dead.",
    ),
)


def reaching[F: Callable[..., Any]](command: F) -> F:
    """Gives a command the options that say which Hopkeeper it speaks to."""
    for option in reversed(OPTIONS):
        option(command)
    return command


def reach[T](work: Callable[[App], Coroutine[Any, Any, T]], file: Path | None = None) -> T:
    """`file` is what is said to be wrong, where it is."""

    async def request() -> T:
        async with _chosen() as app:
            return await work(app)

    return run(request(), file)


def is_app_named() -> bool:
    """Whether there is an app to use. Ends with 2 for settings that cannot be used."""

    async def is_named() -> bool:
        return _named() is not None

    return run(is_named())


def _named() -> environment.NamedApp | None:
    meta = click.get_current_context().meta
    if meta.get(DIRECT):
        if meta.get(URL):
            raise click.UsageError("--app URL or --direct, not both")
        return None
    return environment.named_app(meta.get(URL), meta.get(KEY))


@asynccontextmanager
async def _chosen() -> AsyncIterator[App]:
    app = _opened(_named())
    try:
        yield app
    finally:
        await app.close()


def _opened(named: environment.NamedApp | None) -> App:
    if named is None:
        _say_direct()
        return Direct()
    key = None if named.key_file is None else _key(named.key_file)
    return wiring.running_app(named.url, key, named.audience)


def _say_direct() -> None:
    root = click.get_current_context().find_root()
    if root.meta.setdefault("hopkeeper.said", False) is False:
        root.meta["hopkeeper.said"] = True
        click.echo("direct: over storage and ARM; --app URL uses a running app", err=True)


def _key(file: Path) -> str:
    try:
        with click.open_file(str(file), "rb") as opened:
            return key_in(opened, FUNCTION_KEY)
    except OSError as error:
        raise BadInput.of("--key-file", f"{file} cannot be read: {error.strerror}") from error
