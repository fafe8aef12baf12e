"""The hooks of azure.yaml with the real `az`, against a loopback Resource Manager that answers as Azure's is documented to."""

import json
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.certificates import make_server_context
from simulator.identity import TENANT, token
from tests.infra.deployer import GIVEN, REFERENCES, VAULT, Deployer

ROOT = Path(__file__).resolve().parents[2]
AZ = ROOT / "build" / "az" / "bin" / "az"
SUBSCRIPTION = GIVEN["AZURE_SUBSCRIPTION_ID"]
FUNCTIONS = re.findall(r'(?m)^functions="([\w ]+)"', (ROOT / "infra/hooks/postdeploy.sh").read_text())[0].split()
# As docs/operating.md has it for the walk; and with az's own log kept, which an operator may have switched on.
LOGIN = """
az cloud register --name test --skip-endpoint-discovery --endpoint-resource-manager "$ARM" --endpoint-management "$ARM" \
  --endpoint-active-directory "$ARM" --endpoint-active-directory-resource-id https://management.core.windows.net/ \
  --endpoint-active-directory-graph-resource-id "$ARM" --endpoint-microsoft-graph-resource-id "$ARM"
az cloud set --name test
az config set core.instance_discovery=false core.collect_telemetry=false logging.enable_log_file=true --only-show-errors
az login --service-principal --username test --password test --tenant 00000000-0000-0000-0000-000000000001 --output none
"""


class ResourceManager(BaseHTTPRequestHandler):
    """What the hooks request of Azure. `secrets` and `requests` are the class's own: one test, one class."""

    secrets: dict[str, Any]
    requests: list[str]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Nothing: `requests` has them."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        base = f"https://{self.headers['Host']}"
        if "/oauth2/" in path or ".well-known" in path:
            answer: Any = {
                "token_type": "Bearer",
                "expires_in": 3600,
                "access_token": token("https://management.azure.com/", datetime.now(UTC), base),
                "issuer": f"{base}/{TENANT}/v2.0",
                "authorization_endpoint": f"{base}/{TENANT}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/{TENANT}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/{TENANT}/oauth2/v2.0/devicecode",
            }
        else:
            self.requests.append(f"{self.command} {path.partition('/providers/')[2] or path}")
            assert self.headers["Authorization"].startswith("Bearer ")
            assert "api-version=" in query
            answer = self._resource(path.rstrip("/"), body)
        self.send_response(200 if answer is not None else 404)
        content = json.dumps(
            answer if answer is not None else {"error": {"code": "NotFound", "message": path}}
        ).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _resource(self, path: str, body: bytes) -> Any:
        subscription = {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "tenantId": TENANT}
        match self.command, path.partition("/resourceGroups/rg-hopkeeper")[2] or path:
            case "GET", "/subscriptions":
                return {"value": [subscription | {"displayName": "test", "state": "Enabled"}]}
            case _, p if "/providers/Microsoft.App" in p:
                return {"namespace": "Microsoft.App", "registrationState": "Registered", "resourceTypes": []}
            case "GET", p if p == VAULT:
                # SecretListResult: properties never have the value.
                listed = [{**one, "properties": {**one["properties"], "value": None}} for one in self.secrets.values()]
                return {"value": listed}
            case "PUT", p if p == f"{VAULT}/signing-key":
                self.secrets["signing-key"] = {"name": "signing-key", **json.loads(body)}
                return {"name": "signing-key", "properties": {}}
            case "POST", p if p == f"{REFERENCES}/refresh":
                return {"value": []}
            case "GET", p if p == f"{REFERENCES}/HOPKEEPER_SIGNING_KEY":
                return {"properties": {"status": "Resolved", "reference": "@Microsoft.KeyVault(...)"}}
            case "GET", p if p == "/providers/Microsoft.Web/sites/func-hopkeeper/functions":
                return {"value": [{"name": f"func-hopkeeper/{name}", "properties": {}} for name in FUNCTIONS]}
        return None


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[tuple[type[ResourceManager], dict[str, str]]]:
    """The server, and what a shell must have set to reach it."""
    kind = type("Own", (ResourceManager,), {"secrets": {}, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    context: ssl.SSLContext = make_server_context(tmp_path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    arm = f"https://127.0.0.1:{server.server_address[1]}"
    yield kind, {"ARM": arm, "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem")}
    server.shutdown()
    server.server_close()
    thread.join()


def run_hooks(machine: Deployer) -> None:
    hooks = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]
    for name in ("preprovision", "postprovision", "postdeploy", "postprovision"):
        assert machine.run(hooks[name]["run"]).returncode == 0, machine.said


@pytest.mark.timeout(300)
def test_the_hooks_work_with_the_real_az(tmp_path: Path, azure: tuple[type[ResourceManager], dict[str, str]]) -> None:
    if not AZ.exists():
        pytest.skip("Azure's command line is not installed (make az installs it): the hooks were not tried with it")
    kind, settings = azure
    machine = Deployer(ROOT, tmp_path / "machine", FUNCTIONS)
    machine.replace("az", AZ, settings | {"AZURE_CONFIG_DIR": str(machine.home / "az")})
    logged_in = machine.run(LOGIN.replace("$ARM", settings.pop("ARM")))
    assert logged_in.returncode == 0, logged_in.stderr
    run_hooks(machine)
    made = [each for each in kind.requests if each.startswith("PUT")]
    assert made == ["PUT Microsoft.KeyVault/vaults/kv-hopkeeper/secrets/signing-key"]
    assert "POST Microsoft.App/register" in kind.requests
    key = kind.secrets["signing-key"]["properties"]["value"]
    public = subprocess.run(
        ["openssl", "pkey", "-pubout"], input=key, capture_output=True, text=True, check=True
    ).stdout
    assert (machine.home / ".azure" / "test" / "app.pub").read_text() == public
    assert machine.traces(key) == []
    assert list((machine.home / "az" / "logs").iterdir()) != []
    assert shutil.which("az", path=str(AZ.parent)), sys.path
