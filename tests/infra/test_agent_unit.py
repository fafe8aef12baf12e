"""What puts the agent on a machine: its systemd unit, the drop-ins for each speaker, cloud-init. Nothing is started."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "nva_agent" / "packaging"
UNIT = PACKAGING / "hopkeeper-agent.service"
DROP_INS = {"bird": PACKAGING / "speaker-bird.conf", "frr": PACKAGING / "speaker-frr.conf"}
PROGRAM = "/opt/hopkeeper/bin/hopkeeper-agent"
EXPOSURE_MAX = 2.5  # of 10, as `systemd-analyze security` counts
ANALYZE = shutil.which("systemd-analyze")

# Each with what goes wrong without it.
NEEDED = {
    ("Unit", "StartLimitIntervalSec", "0"): "five quick ends in a row, and it is never started again",
    (
        "Unit",
        "ConditionPathExists",
        "/etc/hopkeeper/agent.toml",
    ): "a machine that is not configured yet shows a failure",
    ("Service", "User", "hopkeeper"): "root",
    ("Service", "Restart", "always"): "an agent that ended is not there for the next command",
    ("Service", "KillMode", "process"): "a restart ends ExaBGP, and every session with it",
    ("Service", "StateDirectory", "hopkeeper"): "nowhere to keep the role",
    ("Service", "StateDirectoryMode", "0700"): "others read the state",
    ("Service", "RuntimeDirectoryPreserve", "yes"): "the witness of the state is gone with each restart",
    ("Service", "NoNewPrivileges", "yes"): "",
    ("Service", "ProtectSystem", "strict"): "",
    ("Service", "CapabilityBoundingSet", ""): "",
    ("Service", "AmbientCapabilities", ""): "",
    ("Install", "WantedBy", "multi-user.target"): "not started with the machine",
}
# Each with the part of the agent that it would break.
HARMFUL = {
    "ProcSubset": "the check 'forwarding' reads /proc/sys",
    "PrivateNetwork": "it listens",
    "DynamicUser": "its key and the speaker's group belong to a user who is always the same",
    "RestrictFileSystems": "the state may lie on any",
}
SECRETS = re.compile(r"passwd|password|PRIVATE KEY|chpasswd", re.IGNORECASE)
KNOWN_TO_CLOUD_INIT = {"package_update", "packages", "ssh_pwauth", "write_files", "runcmd"}


def settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Every line of a unit as section, key, value."""
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield section, key, value


def faults(text: str) -> list[str]:
    given = set(settings(text))
    lacking = [f"{section}: {key}={value} is missing: {why}" for (section, key, value), why in NEEDED.items()
               if (section, key, value) not in given]  # fmt: skip
    harmful = [f"{key}: {HARMFUL[key]}" for _, key, _ in sorted(given) if key in HARMFUL]
    started = [value for _, key, value in sorted(given) if key == "ExecStart"]
    return lacking + harmful + [f"starts {each}" for each in started if not each.startswith(f"{PROGRAM} run ")]


def test_the_unit_keeps_the_role_the_sessions_and_no_privilege() -> None:
    assert faults(UNIT.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("KillMode=process", "KillMode=mixed", "ends ExaBGP"),
        ("StartLimitIntervalSec=0\n", "", "never started again"),
        ("NoNewPrivileges=yes", "NoNewPrivileges=no", "NoNewPrivileges=yes is missing"),
        ("CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_NET_ADMIN\n", "CapabilityBoundingSet= is missing"),
        ("PrivateDevices=yes", "ProcSubset=pid", "reads /proc/sys"),
        ("/opt/hopkeeper/bin/", "/usr/bin/", "starts /usr/bin/"),
    ],
)
def test_a_unit_that_would_lose_them_is_named(old: str, new: str, named: str) -> None:
    assert old in UNIT.read_text()
    assert any(named in fault for fault in faults(UNIT.read_text().replace(old, new)))


@pytest.mark.parametrize("speaker", ["exabgp", *DROP_INS])
def test_no_speaker_needs_a_capability(speaker: str) -> None:
    drop_in = DROP_INS[speaker].read_text() if speaker in DROP_INS else ""
    given = [*settings(UNIT.read_text()), *settings(drop_in)]
    assert {value for _, key, value in given if key.endswith("Capabilities") or key.startswith("Capability")} == {""}
    groups = [value for _, key, value in given if key == "SupplementaryGroups"]
    assert groups == {"exabgp": [], "bird": ["bird"], "frr": ["frrvty"]}[speaker]


def test_a_speaker_that_is_the_operators_is_never_started_or_stopped_with_the_agent() -> None:
    binding = {"Requires", "BindsTo", "PartOf", "Wants"}
    assert [line for path in DROP_INS.values() for line in settings(path.read_text()) if line[1] in binding] == []


def unpacked_unit(folder: Path, text: str, speaker: str) -> Path:
    """The unit where systemd-analyze can look at it: it requires the program, which only an installation has."""
    unit = folder / UNIT.name
    unit.write_text(text.replace(PROGRAM, "/bin/true"))
    if speaker in DROP_INS:
        (folder / f"{UNIT.name}.d").mkdir()
        (folder / f"{UNIT.name}.d" / "speaker.conf").write_text(DROP_INS[speaker].read_text())
    return unit


def analyze(*arguments: str) -> str:
    assert ANALYZE is not None
    done = subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.skipif(
    ANALYZE is None, reason="systemd-analyze is not installed: systemd's own look at the unit was left out"
)
@pytest.mark.parametrize("speaker", ["exabgp", *DROP_INS])
def test_systemd_finds_nothing_wrong_and_the_agent_little_exposed(tmp_path: Path, speaker: str) -> None:
    unit = unpacked_unit(tmp_path, UNIT.read_text(), speaker)
    assert analyze("verify", "--man=no", str(unit)) == ""
    report = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert found is not None, report
    assert float(found[1]) <= EXPOSURE_MAX


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_a_key_that_systemd_does_not_know_is_named(tmp_path: Path) -> None:
    unit = unpacked_unit(tmp_path, UNIT.read_text().replace("NoNewPrivileges", "NoNewPrivilege"), "exabgp")
    assert "NoNewPrivilege" in analyze("verify", "--man=no", str(unit))


# --- cloud-init


def cloud_init(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def cloud_init_faults(text: str) -> list[str]:
    document = cloud_init(text)
    script = next(file["content"] for file in document["write_files"] if file["path"].endswith("first-boot"))
    order = [
        script.find(step)
        for step in ("curl ", "sha256sum --check", "zipfile -e", "install.sh", "agent enroll", "enable")
    ]
    found = [f"cloud-init does not know {key}" for key in sorted(set(document) - KNOWN_TO_CLOUD_INIT)]
    found += [] if text.startswith("#cloud-config\n") else ["it is no cloud-config"]
    found += [f"a secret: {each}" for each in SECRETS.findall(yaml.safe_dump(document))]
    found += [] if order == sorted(order) and -1 not in order else ["what is fetched is used before it is checked"]
    found += [] if "set -eu\n" in script else ["the script goes on after an error"]
    found += [] if script.count("@ARTEFACT_SHA256@") == 2 else ["the artefact is not pinned"]
    found += [] if document["ssh_pwauth"] is False else ["passwords are taken"]
    return found


def test_cloud_init_runs_only_what_it_has_checked_and_holds_no_secret() -> None:
    assert cloud_init_faults((PACKAGING / "cloud-init.yaml").read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ssh_pwauth: false", "ssh_pwauth: true", "passwords"),
        ("ssh_pwauth: false", "ssh_pwauth: false\nchpasswd: {expire: false}", "secret"),
        ("set -eu", "set -u", "goes on"),
        ('echo "@ARTEFACT_SHA256@  $work/agent.pyz" | sha256sum --check --status', "true", "not pinned"),
        ("#cloud-config", "# cloud-config", "no cloud-config"),
        ("runcmd:", "run_cmd:", "does not know run_cmd"),
    ],
)
def test_a_cloud_init_that_would_run_or_tell_too_much_is_named(old: str, new: str, named: str) -> None:
    text = (PACKAGING / "cloud-init.yaml").read_text()
    assert old in text
    assert any(named in fault for fault in cloud_init_faults(text.replace(old, new, 1)))


def test_cloud_inits_values_are_those_that_it_names_at_the_top() -> None:
    text = (PACKAGING / "cloud-init.yaml").read_text()
    explained = set(re.findall(r"^#   (@\w+@)", text, re.M))
    used = set(re.findall(r"@[A-Z0-9_]+@", "\n".join(line for line in text.splitlines() if not line.startswith("#"))))
    assert explained == used
    assert {each for each in explained if each not in (ROOT / "nva_agent" / "README.md").read_text()} == set()


def test_every_shell_script_parses(tmp_path: Path) -> None:
    scripts = [PACKAGING / "install.sh"]
    for file in cloud_init((PACKAGING / "cloud-init.yaml").read_text())["write_files"]:
        if str(file["content"]).startswith("#!/bin/sh"):
            scripts.append(tmp_path / Path(file["path"]).name)
            scripts[-1].write_text(file["content"])
    assert len(scripts) == 2
    for script in scripts:
        done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, timeout=10, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script
