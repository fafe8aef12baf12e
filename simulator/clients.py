"""What clients need to find the simulator: variables of a shell, the commands that register it with `az`, the way to its page."""

import shlex
from pathlib import Path

from simulator.identity import TENANT

CLIENT = ("me", "secret")  # any name and secret will do
TRUSTING = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")  # az and requests; Python, Go; curl


def environment(url: str, directory: Path, certificate: Path | None, subscription: str) -> dict[str, str]:
    """What a shell exports. `az` gets a configuration of its own: the one that it has of Azure stays as it is."""
    trust = {} if certificate is None else dict.fromkeys(TRUSTING, str(certificate))
    return {
        "ARM": url,
        **trust,
        "AZURE_CONFIG_DIR": str(directory / "az"),
        "AZURE_AUTHORITY_HOST": url,
        "AZURE_SUBSCRIPTION_ID": subscription,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT[0],
        "AZURE_CLIENT_SECRET": CLIENT[1],
    }


def exports(variables: dict[str, str]) -> str:
    """For `.` of a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def register(url: str) -> tuple[str, ...]:
    """The commands after which `az` speaks to the simulator."""
    name, secret = CLIENT
    return (
        f"az cloud register --name simulator --endpoint-resource-manager {url}",
        "az cloud set --name simulator",
        "az config set core.instance_discovery=false core.collect_telemetry=false --only-show-errors",
        f"az login --service-principal --username {name} --password {secret} --tenant {TENANT} --output none",
    )


def directions(url: str, shell: Path, certificate: Path | None) -> str:
    """What is said below `ready`."""
    trusted = f"certificate  {certificate}\n" if certificate is not None else ""
    commands = "".join(f"  {command}\n" for command in register(url))
    return f"page         {url}/simulator/\n{trusted}for a shell  . {shlex.quote(str(shell))}\nthen once, for az:\n{commands}"
