"""A deployer's machine: the hooks of azure.yaml run as azd runs them, with twins of `azd` and `az` on the PATH.

Run as a program, this file is any of the twins: `deployer.py TOOL ARGUMENTS...`. They keep to what the tools do:

- azd runs an inline hook as `#!/bin/sh`, `set -e` and the text, in the project's directory, with the values of
  `.azure/NAME/.env` in the environment; a hook that fails ends the command. Source: cli/azd/pkg/tools/bash/bash.go and
  pkg/ext/hooks_runner.go of Azure/azure-dev (ae35809f4, 2026-08).
- azd takes flags anywhere before `--` (cobra, interspersed). What begins with a dash and is none of its flags is refused
  and *printed* (pflag: "unknown flag", "bad flag syntax: %s"). Source: cmd/env.go there; seen with cobra 1.6.1, pflag 1.0.6.
- azd keeps values in plain text, and takes `NAME VALUE` or `NAME=VALUE ...`. Source: cmd/env.go there, envSetAction.Run.
- az prints arguments that it does not know, exit status 2 (argparse). `--body @-` is read from standard input. Source:
  azure-cli 2.91, azure/cli/core/commands/__init__.py, _load_file; both seen with the tool (tests/lab/test_hooks.py).
- The list of a vault's secrets has their tags, and never a value. Source: Microsoft.KeyVault 2024-11-01.

What JMESPath makes of an answer is not computed here: the four questions that hooks ask are known by their shape. That az
answers them so is what tests/lab/test_hooks.py runs the real one for.
"""

# ruff: noqa: T201 (the twins are programs, and say what the tools say)
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Container
from pathlib import Path
from typing import Any

ENVIRONMENT = "test"
GIVEN = {
    "AZURE_ENV_NAME": ENVIRONMENT,
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
    "AZURE_RESOURCE_GROUP": "rg-hopkeeper",
    "KEY_VAULT_NAME": "kv-hopkeeper",
    "FUNCTION_APP_NAME": "func-hopkeeper",
    "FUNCTION_APP_URI": "https://func-hopkeeper.invalid",
}
VAULT = "/providers/Microsoft.KeyVault/vaults/kv-hopkeeper/secrets"
REFERENCES = "/providers/Microsoft.Web/sites/func-hopkeeper/config/configreferences/appsettings"
TOOLS = ("az", "azd", "openssl", "sleep", "make")
AZD_FLAGS = {"--debug": 0, "--no-prompt": 0, "--docs": 0, "--help": 0, "-h": 0}
AZD_FLAGS |= {"--environment": 1, "-e": 1, "--cwd": 1, "-C": 1, "--file": 1, "--output": 1, "-o": 1}
AZ = {
    "account show": {"--subscription", "--output"},
    "provider register": {"--subscription", "--namespace", "--wait"},
    "rest": {"--method", "--url", "--body", "--query", "--output"},
    "functionapp function list": {"--subscription", "--resource-group", "--name", "--query", "--output"},
}


class Deployer:
    """`home` holds the project's part that azd needs and everything that hooks may leave; `state` is Azure's side."""

    def __init__(self, project: Path, place: Path, functions: list[str]) -> None:
        self.home, self.state, self._bin = place / "home", place / "azure.json", place / "bin"
        self._calls = place / "calls.jsonl"
        self.said = ""
        shutil.copytree(project / "infra" / "hooks", self.home / "infra" / "hooks")
        (self.home / "tmp").mkdir()
        self._bin.mkdir(parents=True)
        for tool in TOOLS:
            self.install(tool)
        self.change(functions=functions, secrets={}, status="Resolved", deployed=None, fails=None, reads=0)
        self.environment = dict(GIVEN)

    def install(self, tool: str) -> None:
        real = shutil.which(tool) or ""
        (self._bin / tool).write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{__file__}" "{real}" {tool} "$@"\n')
        (self._bin / tool).chmod(0o755)

    def replace(self, tool: str, real: Path, settings: dict[str, str]) -> None:
        """By the real one, which runs with `settings` more; what it is called with is kept all the same."""
        exports = "".join(f"export {name}='{value}'\n" for name, value in settings.items())
        (self._bin / tool).write_text(
            f'#!/bin/sh\n"{sys.executable}" -I -S "{__file__}" /bin/true note {tool} "$@"\n{exports}'
            f'PATH=/usr/bin:/bin exec "{real}" "$@"\n'
        )

    def remove(self, tool: str) -> None:
        """Off the PATH, which has nothing of the real machine's but what a shell script may count on (POSIX)."""
        (self._bin / tool).unlink()

    @property
    def environment(self) -> dict[str, str]:
        return dict(json.loads((self.home / ".azure" / ENVIRONMENT / ".env").read_text()))

    @environment.setter
    def environment(self, values: dict[str, str]) -> None:
        (self.home / ".azure" / ENVIRONMENT).mkdir(parents=True, exist_ok=True)
        (self.home / ".azure" / ENVIRONMENT / ".env").write_text(json.dumps(values))

    def azure(self) -> dict[str, Any]:
        return dict(json.loads(self.state.read_text()))

    def change(self, **values: Any) -> None:
        before = self.azure() if self.state.exists() else {}
        self.state.write_text(json.dumps(before | values))

    def calls(self, beginning: str = "") -> list[str]:
        """What was called, as one would type it, and begins so."""
        calls = [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []
        return [" ".join(each["argv"]) for each in calls if " ".join(each["argv"]).startswith(beginning)]

    def run(self, hook: str) -> subprocess.CompletedProcess[str]:
        """One hook's text, as azd runs it."""
        path = self.home.parent / "bin-posix"
        if not path.exists():
            path.mkdir()
            for tool in ("sh", "sed", "awk", "tr", "fold", "cat", "mkdir", "grep", "env"):
                (path / tool).symlink_to(shutil.which(tool) or tool)
        variables = {
            **self.environment,
            "PATH": f"{self._bin}:{path}",
            "TMPDIR": str(self.home / "tmp"),
            "DEPLOYER": str(self.home.parent),
        }
        done = subprocess.run(
            ["/bin/sh", "-c", f"set -e\n\n{hook}"],
            cwd=self.home,
            env=variables,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        self.said += done.stdout + done.stderr
        return done

    def traces(self, secret: str) -> list[str]:
        """Where any part of a PEM `secret` is to be found, or was when a tool ran: said, an argument, a file."""
        parts = [line for line in secret.splitlines() if line and not line.startswith("-----")]
        found = ["said"] if _holds(self.said, parts) else []
        for call in map(json.loads, self._calls.read_text().splitlines()):
            if _holds("\n".join([*call["argv"], *call["environment"], *call["files"]]), parts):
                found.append(f"at {call['argv'][:3]}")
        files = [path for path in self.home.rglob("*") if path.is_file()]
        return found + [str(f.relative_to(self.home)) for f in files if _holds(f.read_text(errors="replace"), parts)]


def _holds(text: str, parts: list[str]) -> bool:
    return any(part in text for part in parts)


def twin(real: str, tool: str, arguments: list[str]) -> int:
    place = Path(os.environ["DEPLOYER"])
    files = [path.read_text(errors="replace") for path in (place / "home").rglob("*") if path.is_file()]
    call = {
        "argv": [tool, *arguments] if tool != "note" else arguments,
        "environment": list(os.environ.values()),
        "files": files,
    }
    with (place / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(call) + "\n")
    azure = json.loads((place / "azure.json").read_text())
    if azure["fails"] is not None and azure["fails"] in " ".join([tool, *arguments]):
        sys.stdin.read() if "@-" in arguments else None
        print(f"{tool}: it failed", file=sys.stderr)
        return 1
    if tool == "note":
        return 0
    if tool == "openssl":
        os.execv(real, [tool, *arguments])
    code = {"az": az, "azd": azd}.get(tool, lambda *_: 0)(arguments, azure, place)
    (place / "azure.json").write_text(json.dumps(azure))
    return code


def azd_words(arguments: list[str]) -> list[str] | None:
    """The arguments without azd's flags; None for a flag that it does not know, with azd's message on stderr."""
    words, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
        elif (name := word.partition("=")[0]) in AZD_FLAGS:
            del rest[: AZD_FLAGS[name] if "=" not in word else 0]
        else:
            kind = "bad flag syntax" if word.startswith(("---", "--=")) else "unknown flag"
            print(f"\nERROR: {kind}: {word}", file=sys.stderr)
            return None
    return words


def azd(arguments: list[str], azure: dict[str, Any], place: Path) -> int:
    words = azd_words(arguments)
    if words is None:
        return 1
    match words:
        case ["env", "set", *given] if given:
            pairs = [given] if len(given) == 2 and "=" not in given[0] else [each.split("=", 1) for each in given]
            if any(len(pair) != 2 for pair in pairs):
                print(f"\nERROR: invalid key=value format: {given}", file=sys.stderr)
                return 1
            file = place / "home" / ".azure" / ENVIRONMENT / ".env"
            file.write_text(json.dumps(json.loads(file.read_text()) | dict(pairs)))
        case ["provision"]:
            azure["deployed"] = json.loads((place / "home" / ".azure" / ENVIRONMENT / ".env").read_text()).get(
                "HOPKEEPER_IS_DEPLOYED"
            )
        case _:
            print(f"\nERROR: unknown command {words}", file=sys.stderr)
            return 1
    return 0


def az_options(known: Container[str], rest: list[str]) -> dict[str, str] | None:
    """By name; None for one that is not known or lacks its value, with az's message on stderr."""
    options: dict[str, str] = {}
    while rest:
        name = rest.pop(0)
        if name not in known or (rest and rest[0].startswith("-") and name != "--wait"):
            print(f"az: unrecognized arguments: {name} {' '.join(rest)}", file=sys.stderr)
            return None
        options[name] = rest.pop(0) if rest and not rest[0].startswith("--") else ""
    return options


def az(arguments: list[str], azure: dict[str, Any], _: Path) -> int:
    command = next((name for name in AZ if arguments[: len(name.split())] == name.split()), "")
    options = az_options(AZ.get(command, ()), arguments[len(command.split()) :])
    if options is None:
        return 2
    if command == "functionapp function list":
        azure["reads"] += 1
        print("\n".join(f"func-hopkeeper/{name}" for name in azure["functions"]))
    if command == "rest":
        return arm(options, azure)
    return 0


def arm(options: dict[str, str], azure: dict[str, Any]) -> int:
    path = options["--url"].partition("?")[0].partition("/resourceGroups/rg-hopkeeper")[2]
    query = options.get("--query", "")
    ours = list(azure["secrets"].values())
    match options["--method"], path:
        case "get", p if p == VAULT and query == "length(value[?name=='signing-key'])":
            print(len(ours))
        case "get", p if p == VAULT and query == "value[?name=='signing-key'] | [0].tags.publicKey":
            print(next((one["tags"]["publicKey"] for one in ours if "tags" in one), ""), end="")
        case "put", p if p == f"{VAULT}/signing-key" and options["--body"] == "@-":
            azure["secrets"]["signing-key"] = json.loads(sys.stdin.read())
        case "post", p if p == f"{REFERENCES}/refresh":
            pass
        case "get", p if p == f"{REFERENCES}/HOPKEEPER_SIGNING_KEY" and query == "properties.status":
            print(azure["status"])
        case _:
            print(f"Not Found({options['--method']} {options['--url']})", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(twin(sys.argv[1], sys.argv[2], sys.argv[3:]))
