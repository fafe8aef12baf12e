"""The agent as it is handed out: a wheel, and one file that runs; installed, promoted, upgraded, with the role kept.

The programs run as on an NVA: by an interpreter that has nothing but what the system or pip gave it.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from packaging.requirements import Requirement

from tests.machines import built_wheel, environment, machine, pip_install
from tests.unit.agent.bgp_receiver import ASN, PORT, receiving
from tests.unit.agent.stage import SERVICE, Member, advertise, fresh_address, new_signer, promote, until
from tools.processes import ToolError
from tools.release import agent

NEXT = "0.1.0+next"
DEFAULT = "0.0.0.0/0"
LONG = 40.0


# --- artefacts


def next_version(tmp: Path) -> Path:
    """The agent's source with another version: what an upgrade brings."""
    copy = tmp / "source"
    shutil.copytree(agent.SOURCE, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    init = copy / "hopkeeper_agent" / "__init__.py"
    assert '"0.1.0"' in init.read_text()
    init.write_text(init.read_text().replace('"0.1.0"', f'"{NEXT}"'))
    return copy


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The one file of this version and of the next."""
    folder = tmp_path_factory.mktemp("artefacts")
    later = agent.zipapp(folder / "later.pyz", next_version(folder))
    return {"now": agent.zipapp(folder / "now.pyz"), "later": later}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"), agent.SOURCE)


def names(artefact: Path) -> list[str]:
    with zipfile.ZipFile(artefact) as content:
        return [name for name in content.namelist() if not name.endswith("/")]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_library_of_the_agent_comes_in_the_file_or_from_the_system() -> None:
    own = distribution("hopkeeper-agent")
    direct = {Requirement(one).name.lower() for one in own.requires or ()}
    assert direct <= {*agent.BUNDLED, *agent.FROM_SYSTEM}
    brought = [Requirement(one) for name in agent.BUNDLED for one in distribution(name).requires or ()]
    needed = {one.name for one in brought if one.marker is None or one.marker.evaluate({"extra": "crypto"})}
    assert needed <= set(agent.FROM_SYSTEM)


def test_the_file_holds_the_agent_its_speaker_and_what_installs_it_and_nothing_of_the_app(
    files: dict[str, Path],
) -> None:
    found = names(files["now"])
    tops = {name.split("/")[0] for name in found if ".dist-info" not in name}
    assert tops == {"__main__.py", "hopkeeper_agent", "install", "exabgp", "jwt"}
    assert {"install/install.sh", "install/hopkeeper-agent.service"} <= set(found)
    assert [name for name in found if name.endswith((".so", ".pyc"))] == []
    # Whoever hands them on hands their licences on.
    assert len([name for name in found if "licenses/LICEN" in name]) == len(agent.BUNDLED)


def test_the_same_source_gives_the_same_file(files: dict[str, Path], tmp_path: Path) -> None:
    assert sha256(agent.zipapp(tmp_path / "again.pyz")) == sha256(files["now"]) != sha256(files["later"])


@pytest.mark.timeout(300)
def test_both_artefacts_are_the_same_whoever_builds_them(files: dict[str, Path], wheel: Path, tmp_path: Path) -> None:
    """Another umask, order of sets, place, and modes of the source's files."""
    source = tmp_path / "elsewhere"
    shutil.copytree(agent.SOURCE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    for path in source.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    build = (
        "import pathlib as p, sys; from tools.release import agent, wheels; out, source = map(p.Path, sys.argv[1:]); "
        "agent.zipapp(out / 'agent.pyz', source); wheels.wheel(out, source)"
    )
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path), str(source)],
        env=os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(agent.ROOT)},
        umask=0o077,
        timeout=240,
        check=True,
    )
    assert sha256(tmp_path / "agent.pyz") == sha256(files["now"])
    assert sha256(tmp_path / wheel.name) == sha256(wheel)


def test_a_library_that_is_compiled_is_refused(tmp_path: Path) -> None:
    metadata = tmp_path / "part-1.0.dist-info"
    metadata.mkdir()
    (metadata / "WHEEL").write_text("Tag: cp313-cp313-manylinux2014_x86_64\n")
    with pytest.raises(ToolError, match=r"part-1\.0\.dist-info is not pure Python"):
        list(agent._libraries(tmp_path))


def test_the_wheel_holds_the_agent_and_its_command(wheel: Path) -> None:
    found = names(wheel)
    assert {name.split("/")[0] for name in found if ".dist-info" not in name} == {"hopkeeper_agent"}
    modules = {path.relative_to(agent.SOURCE).as_posix() for path in (agent.SOURCE / "hopkeeper_agent").rglob("*.py")}
    assert modules <= set(found)
    with zipfile.ZipFile(wheel) as content:
        points = next(name for name in found if name.endswith("entry_points.txt"))
        assert b"hopkeeper-agent = hopkeeper_agent.main:main" in content.read(points)


# --- machines


@dataclass
class Running:
    """An agent as a process; `command` starts it."""

    member: Member
    command: list[str]
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.member.folder / "agent.toml"
        self.config.write_text(self.member.toml())

    def call(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        given = arguments or (str(self.config),)
        return subprocess.run(
            [*self.command, verb, *given], env=environment(), capture_output=True, text=True, timeout=60, check=False
        )

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Until it answers; ended as systemd does it, by SIGTERM to this process alone."""
        log = self.member.folder / "agent.log"
        with log.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                *self.command, "run", str(self.config), env=environment(), cwd="/", stdout=sink, stderr=sink
            )
        try:
            async with asyncio.timeout(LONG):
                while not await self.answers():
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.05)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(LONG):
                await process.wait()
        assert process.returncode == 0, log.read_text()

    async def answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            return await self.member.probe() in (200, 503)
        return False

    async def status(self) -> dict[str, Any]:
        _, reply = await self.member.send({"kind": "status"})
        status: dict[str, Any] = reply["status"]
        return status


def role(status: dict[str, Any]) -> tuple[str, int, bool]:
    service = status["services"][SERVICE]
    return service["role"], service["epoch"], service["answering"]


async def test_an_upgrade_of_the_wheel_keeps_the_role(wheel: Path, tmp_path: Path) -> None:
    python = machine(tmp_path / "machine", "aiohttp", "pyjwt", "cryptography")
    pip_install(python, wheel)
    running = Running(Member("nva-a", tmp_path / "nva-a", new_signer()), [str(python.with_name("hopkeeper-agent"))])
    async with running.up():
        before = await running.status()
        assert before["version"] == "0.1.0"
        await running.member.send(promote(6, before["boot_id"]))
        pip_install(python, bumped(wheel, tmp_path))
        assert role(await running.status()) == ("serving", 6, True)
    async with running.up():
        after = await running.status()
        assert after["version"] == NEXT
        assert role(after) == ("serving", 6, True)
        assert after["boot_id"] != before["boot_id"]
        assert await running.member.probe() == 200


def bumped(wheel: Path, folder: Path) -> Path:
    """The wheel with another version, without building it again."""
    later = folder / wheel.name.replace("0.1.0", NEXT)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(later, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name.endswith(("METADATA", "RECORD", "hopkeeper_agent/__init__.py")):
                text = text.replace(b"0.1.0", NEXT.encode())
            new.writestr(name.replace("0.1.0", NEXT), text)
    return later


# --- the one file, installed as install.sh does


def install(file: Path, root: Path, digest: str | None = None) -> subprocess.CompletedProcess[str]:
    content = root.parent / f"content-{file.stem}"
    with zipfile.ZipFile(file) as archive:
        archive.extract("install/install.sh", content)
    script = [shutil.which("sh") or "sh", str(content / "install" / "install.sh"), str(file), digest or sha256(file)]
    return subprocess.run(
        script,
        env={**environment(), "DESTDIR": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_file_and_its_sum_it_says_how_it_is_used() -> None:
    done = subprocess.run(
        ["sh", str(agent.SOURCE / "packaging" / "install.sh")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "usage")


def test_a_file_that_is_not_the_pinned_one_is_not_installed(files: dict[str, Path], tmp_path: Path) -> None:
    done = install(files["now"], tmp_path / "root", sha256(files["later"]))
    assert done.returncode == 1
    assert "nothing is installed" in done.stderr
    assert not (tmp_path / "root").exists()


def test_an_installation_is_the_file_its_link_and_the_unit(files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("now", "later"):
        done = install(files[name], tmp_path / "root")
        assert done.returncode == 0, done.stderr
    found = {
        path.relative_to(tmp_path / "root").as_posix() for path in (tmp_path / "root").rglob("*") if path.is_file()
    }
    versions = {f"opt/hopkeeper/agent-{sha256(files[name])[:12]}.pyz" for name in ("now", "later")}
    unit = "etc/systemd/system/hopkeeper-agent.service"
    # The older one stays: an ExaBGP may be running from it.
    assert found == {"opt/hopkeeper/bin/hopkeeper-agent", unit} | versions
    program = tmp_path / "root" / "opt" / "hopkeeper" / "bin" / "hopkeeper-agent"
    assert sha256(program) == sha256(files["later"])
    assert (tmp_path / "root" / unit).read_text() == (
        agent.SOURCE / "packaging" / "hopkeeper-agent.service"
    ).read_text()


@pytest.fixture
def site(files: dict[str, Path], tmp_path: Path) -> Iterator[tuple[Running, list[Any]]]:
    """An installed agent with its own ExaBGP, and both instances of a Route Server."""
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    instances = [(tmp_path / f"rs{number}", fresh_address()) for number in range(2)]
    neighbours = "".join(f'[[speaker.neighbors]]\naddress = "{address}"\nasn = {ASN}\n' for _, address in instances)
    member.extra = f"""
[speaker]
kind = "exabgp"
address = "{member.address}"
asn = 65001
port = {PORT}
hold_time = 30
{neighbours}
"""
    python = machine(tmp_path / "machine", *agent.FROM_SYSTEM)
    assert install(files["now"], tmp_path / "root").returncode == 0
    program = tmp_path / "root" / "opt" / "hopkeeper" / "bin" / "hopkeeper-agent"
    running = Running(member, [str(python), str(program)])
    with ExitStack() as stack:
        receivers = [stack.enter_context(receiving(folder, address, member.address)) for folder, address in instances]
        try:
            yield running, receivers
        finally:
            assert running.call("stop-speaker").returncode == 0


async def test_an_upgrade_of_the_file_keeps_role_sessions_and_routes(
    site: tuple[Running, list[Any]], files: dict[str, Path], tmp_path: Path
) -> None:
    running, receivers = site
    pid_file = running.member.folder / "state" / "exabgp.pid"
    async with running.up():
        await established(running)
        before = await running.status()
        await running.member.send(promote(6, before["boot_id"]))
        assert (await running.member.send(advertise(6, [(DEFAULT, "10.0.1.100", 0)])))[1]["reason"] is None
        pid = int(pid_file.read_text())
        assert install(files["later"], tmp_path / "root").returncode == 0
    async with running.up():
        await established(running)
        after = await running.status()
        assert (before["version"], after["version"]) == ("0.1.0", NEXT)
        assert (role(after), int(pid_file.read_text())) == (("serving", 6, True), pid)
        # ExaBGP runs on from the version that it was started from.
        ran = f"agent-{sha256(files['now'])[:12]}.pyz".encode()
        assert ran in Path(f"/proc/{pid}/environ").read_bytes()
        for receiver in receivers:
            assert (receiver.states(), receiver.routes()) == (["up"], {DEFAULT: ("10.0.1.100", [65001])})
    assert is_running(pid)
    assert running.call("stop-speaker").returncode == 0
    assert not is_running(pid)
    for receiver in receivers:
        await until(lambda receiver=receiver: receiver.states()[-1] == "down", LONG)  # type: ignore[misc]


def is_running(pid: int) -> bool:
    """One that has ended and was not waited for has no command line any more."""
    command_line = Path(f"/proc/{pid}/cmdline")
    return command_line.exists() and command_line.read_bytes() != b""


async def established(running: Running) -> None:
    async with asyncio.timeout(LONG):
        while True:
            states = {one["state"] for one in (await running.status())["sessions"].values()}
            if states == {"established"}:
                return
            await asyncio.sleep(0.05)


def test_a_key_is_enrolled_by_the_file_and_never_overwritten(files: dict[str, Path], tmp_path: Path) -> None:
    python = machine(tmp_path / "machine", *agent.FROM_SYSTEM)
    running = Running(Member("nva-a", tmp_path / "nva-a", new_signer()), [str(python), str(files["now"])])
    keys = str(tmp_path / "keys")
    first, again = (running.call("enroll", keys, "--name", "nva-b") for _ in range(2))
    assert "BEGIN CERTIFICATE" in first.stdout
    assert first.stdout == again.stdout
    assert oct(os.stat(tmp_path / "keys" / "agent.key").st_mode)[-3:] == "600"
