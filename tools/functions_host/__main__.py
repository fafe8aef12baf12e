"""python -m tools.functions_host: serve one Function App on loopback until SIGTERM or SIGINT.

Exit status: 0 after a stop, 1 when the app cannot be served, 2 for wrong arguments.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from tools.functions_host import logs, settings, sign_in
from tools.functions_host.errors import HostError
from tools.functions_host.host import Host, Options
from tools.functions_host.settings import DIRECTORY_SCHEME, STORAGE_SETTING
from tools.functions_host.timer_lock import PERIOD

log = logging.getLogger("tools.functions_host")


def main() -> int:
    arguments = _arguments()
    logs.configure(arguments.log_level)
    root = arguments.root.resolve()
    try:
        _set_environment(root, arguments.settings)
        _say_whether_it_signs_in(arguments.sign_in is not None)
        state = _state_directory(arguments.state)
        key_file = arguments.keys.resolve() if arguments.keys else state / "keys.json"
        signs_in = sign_in.load(arguments.sign_in) if arguments.sign_in else None
        lock = timedelta(seconds=arguments.timer_lock)
        options = Options(root, arguments.port, key_file, state, arguments.placeholder, signs_in, lock)
        left = asyncio.run(_serve(options))
    except HostError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 1
    if left:
        log.warning("stopped while still running, and cut off: %s", ", ".join(left))
    return 0


async def _serve(options: Options) -> list[str]:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    host = Host(options)
    try:
        await host.start()
        _announce(host)
        waits = [asyncio.create_task(stopped.wait()), asyncio.create_task(host.failed_loop())]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()
    finally:
        left = await host.stop()
    return left


def _announce(host: Host) -> None:
    lines = [f"ready {host.url}"]
    for function in host.functions:
        methods = ",".join(str(method) for method in function.trigger.options.get("methods") or ["any"])
        where = {
            "httpTrigger": f"[{methods}] {host.routes.get(function.name, '')}",
            "timerTrigger": function.trigger.text("schedule"),
            "queueTrigger": function.trigger.text("queueName"),
            "eventGridTrigger": f"{host.url}/runtime/webhooks/EventGrid?functionName={function.name}",
        }[function.trigger.kind]
        lines.append(f"  {function.name}: {function.trigger.kind} {'disabled' if function.disabled else where}")
    print("\n".join(lines), flush=True)


def _set_environment(root: Path, file: Path | None) -> None:
    """Settings become environment variables unless they are there already, as Core Tools do it."""
    chosen = file.resolve() if file else root / "local.settings.json"
    values = settings.local_values(chosen) if file or chosen.exists() else {}
    platform = {"AZURE_FUNCTIONS_ENVIRONMENT": "Development", "AzureWebJobsScriptRoot": str(root)}
    for name, value in (values | platform).items():
        os.environ.setdefault(name, value)


def _say_whether_it_signs_in(on: bool) -> None:
    """The platform alone sets it, whatever the settings hold."""
    os.environ.pop("WEBSITE_AUTH_ENABLED", None)
    if on:
        os.environ["WEBSITE_AUTH_ENABLED"] = "True"


def _state_directory(given: Path | None) -> Path:
    storage = os.environ.get(STORAGE_SETTING, "")
    if given is not None:
        return given.resolve()
    if storage.startswith(DIRECTORY_SCHEME):
        return Path(storage.removeprefix(DIRECTORY_SCHEME)).absolute()
    return Path("build/functions-host").absolute()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.functions_host", description="Serve a Function App on loopback."
    )
    parser.add_argument("--root", type=Path, required=True, help="the app's directory: host.json and the script file")
    parser.add_argument("--port", type=int, default=7071, help="on 127.0.0.1; 0 takes any free one (default 7071)")
    parser.add_argument("--settings", type=Path, help="default: local.settings.json in the root, where there is one")
    parser.add_argument(
        "--keys", type=Path, help="key file, made when missing (default: keys.json in the state directory)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        help="timers' status and keys (default: the directory of AzureWebJobsStorage=directory:PATH, "
        "else build/functions-host)",
    )
    parser.add_argument(
        "--placeholder",
        action="store_true",
        help="enter the app as the platform does: a worker that waited in another folder without its settings",
    )
    parser.add_argument(
        "--sign-in",
        type=Path,
        metavar="FILE",
        help="the platform's authentication is on, for the issuer that FILE names; without it headers pass as they came",
    )
    parser.add_argument(
        "--timer-lock",
        type=float,
        default=PERIOD.total_seconds(),
        metavar="SECONDS",
        help="how long the timers of a host that was killed fire nowhere (default 60, as on the platform)",
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
