"""What survives a restart, and which files are not believed."""

from __future__ import annotations

import shutil
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hopkeeper_agent.identity import Identity
from hopkeeper_agent.messages import EPOCH_MAX
from hopkeeper_agent.role import Advertised, Advertisement, Outward, Role, ServiceState, Turn
from hopkeeper_agent.state import StateFile, Trust

HERE, MACHINE = Identity("nva-a", "hub-uksouth"), "machine-1"
ROUTES = Advertised(Turn(5, 3), (Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 2),))
OUTWARD = Outward(Turn(5, 1), (IPv4Network("10.0.0.0/16"), IPv4Network("10.4.0.0/16")), 3)
STATES = {
    "egress": ServiceState(Turn(5, 2), Role.SERVING, ROUTES, OUTWARD, warrant="token"),
    "vip": ServiceState(Turn(1, 0), Role.STANDBY),
}
DISBELIEVED = {"egress": ServiceState(Turn(5, 2), warrant="token"), "vip": ServiceState(Turn(1, 0), Role.STANDBY)}


def test_a_restart_resumes_roles_and_advertisements(tmp_path: Path) -> None:
    StateFile(tmp_path, HERE, MACHINE).save(STATES)
    found = StateFile(tmp_path, HERE, MACHINE).load()
    assert (found.trust, found.states) == (Trust.WHOLE, STATES)


def test_an_epoch_above_the_highest_is_not_believed(tmp_path: Path) -> None:
    for epoch, trust in ((EPOCH_MAX, Trust.WHOLE), (EPOCH_MAX + 1, Trust.CORRUPT)):
        StateFile(tmp_path, HERE, MACHINE).save({"egress": ServiceState(Turn(epoch, 0))})
        assert StateFile(tmp_path, HERE, MACHINE).load().trust is trust


def test_the_first_start_knows_nothing(tmp_path: Path) -> None:
    found = StateFile(tmp_path, HERE, MACHINE).load()
    assert (found.trust, found.states) == (Trust.NEW, {})


@pytest.mark.parametrize(
    ("elsewhere", "machine"),
    [
        (HERE, "machine-2"),
        (Identity("nva-b", "hub-uksouth"), MACHINE),
        (Identity("nva-a", "other"), MACHINE),
    ],
)
def test_a_disk_of_another_machine_agent_or_topology_stands_by(
    tmp_path: Path, elsewhere: Identity, machine: str
) -> None:
    StateFile(tmp_path, elsewhere, machine).save(STATES)
    found = StateFile(tmp_path, HERE, MACHINE).load()
    assert (found.trust, found.states) == (Trust.MOVED, DISBELIEVED)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_torn_file_stands_by_and_is_put_aside(tmp_path: Path, cut: int) -> None:
    file = StateFile(tmp_path, HERE, MACHINE)
    file.save(STATES)
    file.path.write_bytes(file.path.read_bytes()[:cut])
    found = StateFile(tmp_path, HERE, MACHINE).load()
    assert (found.trust, found.states) == (Trust.CORRUPT, {})
    assert file.path.with_suffix(".corrupt").exists()


def test_a_file_with_one_changed_letter_is_not_believed(tmp_path: Path) -> None:
    file = StateFile(tmp_path, HERE, MACHINE)
    file.save(DISBELIEVED)
    file.path.write_text(file.path.read_text().replace("standby", "serving", 1))
    assert StateFile(tmp_path, HERE, MACHINE).load().trust is Trust.CORRUPT


def test_a_state_directory_put_back_to_a_snapshot_stands_by(tmp_path: Path) -> None:
    directory, witness = tmp_path / "state", tmp_path / "witness"
    directory.mkdir()
    file = StateFile(directory, HERE, MACHINE, witness)
    file.save(STATES)
    shutil.copytree(directory, tmp_path / "snapshot")
    file.save(DISBELIEVED)
    shutil.rmtree(directory)
    (tmp_path / "snapshot").rename(directory)
    found = StateFile(directory, HERE, MACHINE, witness).load()
    assert (found.trust, found.states) == (Trust.ROLLED_BACK, DISBELIEVED)


def test_after_a_boot_which_clears_the_witness_every_role_of_a_holder_is_unconfirmed(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    StateFile(tmp_path, HERE, MACHINE, witness).save(STATES)
    witness.unlink()
    found = StateFile(tmp_path, HERE, MACHINE, witness).load()
    assert found.trust is Trust.BOOTED
    assert found.trust.is_whole
    assert {name: state.unconfirmed for name, state in found.states.items()} == {
        name: state.role is Role.SERVING for name, state in STATES.items()
    }


def test_what_is_saved_before_a_role_is_confirmed_leaves_it_unconfirmed_over_a_restart(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    StateFile(tmp_path, HERE, MACHINE, witness).save(STATES)
    witness.unlink()
    file = StateFile(tmp_path, HERE, MACHINE, witness)
    booted = file.load().states
    file.save(booted)
    again = StateFile(tmp_path, HERE, MACHINE, witness).load()
    assert (again.trust, again.states) == (Trust.BOOTED, booted)
    file.save(STATES)
    assert StateFile(tmp_path, HERE, MACHINE, witness).load().trust is Trust.WHOLE


def test_a_restart_of_the_agent_alone_leaves_every_role_as_it_was(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    StateFile(tmp_path, HERE, MACHINE, witness).save(STATES)
    assert StateFile(tmp_path, HERE, MACHINE, witness).load().states == STATES


def test_without_a_witness_no_boot_is_noticed(tmp_path: Path) -> None:
    StateFile(tmp_path, HERE, MACHINE).save(STATES)
    assert StateFile(tmp_path, HERE, MACHINE).load().states == STATES


def test_a_failed_write_leaves_the_old_state(tmp_path: Path) -> None:
    file = StateFile(tmp_path, HERE, MACHINE)
    file.save(STATES)
    file.path.with_suffix(".new").mkdir()
    with pytest.raises(OSError, match="directory"):
        file.save(DISBELIEVED)
    assert StateFile(tmp_path, HERE, MACHINE).load().states == STATES
