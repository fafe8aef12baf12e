"""`hopkeeper status` as an operator runs it at night: no key of the app on this machine, and an end that a script can use."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml

from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.domain.topology.laws import Place
from function_app.reconcile.documents.look import LastLook
from function_app.reconcile.store import keys
from function_app.reconcile.store.journal import keep
from function_app.reconcile.store.topologies import Topologies
from tests.builders import document, text, topology
from tests.contract.test_verify_command import ROOT, hopkeeper
from tests.unit.preflight_world import clean_document
from tests.unit.test_explain import entry

LOOK = msgspec.json.decode(
    (ROOT / "contracts" / "documents" / "examples" / "status-stable.json").read_bytes(), type=dict[str, object]
)["lastLook"]


SIGNED = "agents take only commands that are signed with it"


@pytest.fixture
async def environment(tmp_path: Path) -> dict[str, str]:
    """Storage alone: neither ARM nor the app's key."""
    await Topologies(DocumentsInDirectory(tmp_path), Place()).apply(yaml.safe_dump(document()))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOPKEEPER_")}
    return kept | {"AzureWebJobsStorage": f"directory:{tmp_path}"}


async def test_it_needs_no_signing_key_and_ends_with_3_where_nothing_has_looked(environment: dict[str, str]) -> None:
    code, lines = await hopkeeper(environment, "status", "hub")
    assert (code, lines[:2]) == (3, ["hub: UNKNOWN", "  no look that can be read is on record"])
    assert await hopkeeper(environment, "status") == (
        3,
        ["hub: UNKNOWN; fw; no look yet", "what is wrong, and why: `hopkeeper status hub`", "no sweep came yet"],
    )


async def test_it_ends_with_1_in_trouble_and_shows_all_of_it_as_json(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A look of just now that was well; the record is not there, so nothing shows who serves."""
    look = msgspec.convert(LOOK, LastLook)
    fresh = msgspec.structs.replace(look, at=datetime.now(UTC) - timedelta(seconds=3))
    await DocumentsInDirectory(tmp_path).put(keys.status("hub"), msgspec.json.encode(fresh))
    code, lines = await hopkeeper(environment, "status", "hub")
    assert (code, lines[:2]) == (1, ["hub: TROUBLE", "  fw: no member is known to serve"])
    code, lines = await hopkeeper(environment, "status", "hub", "--json")
    assert (code, msgspec.json.decode("\n".join(lines))["verdict"]) == (1, "trouble")


@pytest.mark.parametrize(
    "words", [("reconcile", "hub"), ("plan", "hub"), ("switchover", "hub", "fw", "--to", "nva-b", "--yes")]
)
async def test_what_reaches_agents_is_refused_without_the_key_and_none_is_taken_for_unreachable(
    environment: dict[str, str], words: tuple[str, ...]
) -> None:
    code, lines = await hopkeeper(environment, *words)
    assert (code, lines) == (
        2,
        [f"hopkeeper: HOPKEEPER_SIGNING_KEY: must be set, file:PATH or the key in PEM: {SIGNED}"],
    )


async def test_a_setting_that_is_missing_is_named_as_the_guide_names_it(environment: dict[str, str]) -> None:
    without = {name: value for name, value in environment.items() if name != "AzureWebJobsStorage"}
    code, (line,) = await hopkeeper(without, "status", "hub")
    assert (code, line[:79]) == (2, "hopkeeper: AzureWebJobsStorage__accountName: must be set, the name of the stora")


async def test_a_history_has_as_many_lines_as_are_wanted_however_many_passes_held_the_same(
    environment: dict[str, str], tmp_path: Path
) -> None:
    began, desired = datetime(2026, 11, 28, 3, tzinfo=UTC), topology()
    for n in range(12):
        held = entry(
            "slow", began + timedelta(seconds=n), began + timedelta(seconds=n), "no proof" if n else "nva-b serves"
        )
        await keep(DocumentsInDirectory(tmp_path), desired, held)
    code, lines = await hopkeeper(environment, "history", "hub", "fw", "--most", "2")
    assert (code, [line for line in lines if line.startswith("    nva-b") or "times" in line]) == (
        0,
        [
            "    nva-b serves",
            "2026-11-28 03:00:01Z  pending     0.0 s  fencing → granted, epoch 2 (11 times, until 2026-11-28 03:00:11Z)",
        ],
    )


async def test_what_is_in_force_is_printed_and_compared_and_a_misspelt_service_is_no_empty_answer(
    environment: dict[str, str], tmp_path: Path
) -> None:
    code, lines = await hopkeeper(environment, "get", "hub")
    mine = tmp_path / "mine.yaml"
    mine.write_text("\n".join(lines) + "\n")
    assert (code, await hopkeeper(environment, "diff", str(mine))) == (0, (0, []))
    mine.write_text(mine.read_text().replace("asn: 65001", "asn: 65009", 1))
    code, lines = await hopkeeper(environment, "diff", str(mine))
    assert (code, [line for line in lines if line[0] in "+-"][2:]) == (1, ["-  asn: 65001", "+  asn: 65009"])
    for verb in ("history", "explain"):
        code, lines = await hopkeeper(environment, verb, "hub", "fv")
        assert (code, lines) == (
            2,
            ["hopkeeper: service: topology 'hub' has no service 'fv' (there are fw)"],
        )
    assert await hopkeeper(environment, "history", "hub", "fw") == (0, ["nothing was decided yet"])
    code, lines = await hopkeeper(environment, "explain", "hub", "fw", "--at", "teatime")
    assert (code, "03:00 and -10m are" in "".join(lines)) == (2, True)


async def test_apply_shows_what_it_changes_and_refuses_what_cannot_work_unless_it_is_ordered(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A relay that does not put its own ASN in the place of 65515: Route Servers drop what it passes on."""
    file, doc = tmp_path / "mine.yaml", clean_document()
    file.write_text(text(doc))
    code, lines = await hopkeeper(environment, "apply", str(file))
    assert code == 0
    assert lines[-2].startswith("what a pass would do is not known: HOPKEEPER_SIGNING_KEY: must be set")
    assert lines[-1] == f"{file}: topology {doc['name']!r} is in force"
    del doc["speakers"][6]["asOverride"]
    file.write_text(text(doc))
    code, lines = await hopkeeper(environment, "apply", "--anyway", str(file), mixed=True)
    assert code == 0
    assert [line.strip() for line in lines if line[:1] == "-"][1:] == ["-  asOverride: true"]
    doc["speakers"][6]["priority"] = 50
    file.write_text(text(doc))
    code, lines = await hopkeeper(environment, "apply", str(file), mixed=True)
    assert (code, lines[-1]) == (1, f"{file}: not put in force, as it cannot work: mend it, or --anyway")
    assert any(line.startswith("error") and " as-override " in line for line in lines)
    assert "priority: 50" not in "\n".join((await hopkeeper(environment, "get", doc["name"]))[1])


async def test_the_document_before_is_put_back_and_shown(environment: dict[str, str], tmp_path: Path) -> None:
    first = (await hopkeeper(environment, "get", "hub"))[1]
    code, lines = await hopkeeper(environment, "apply", "--previous", "hub")
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith(
        "hopkeeper: $.name: there is no document of topology 'hub' before the one in force; where"
    )
    file = tmp_path / "mine.yaml"
    file.write_text("\n".join(first).replace("asn: 65001", "asn: 65009", 1))
    assert (await hopkeeper(environment, "apply", str(file)))[0] == 0
    code, lines = await hopkeeper(environment, "apply", "--previous", "hub")
    assert (code, lines[-1]) == (0, "hub, the document before: topology 'hub' is in force")
    assert [line for line in lines if line[0] in "+-"][2:] == ["-  asn: 65009", "+  asn: 65001"]
    assert (await hopkeeper(environment, "get", "hub"))[1] == first
    code, lines = await hopkeeper(environment, "apply", "hub")
    assert (code, "'hub' is no file; apply --previous TOPOLOGY puts back" in lines[-1]) == (2, True)


async def test_a_topology_is_taken_away_after_a_yes_and_can_be_put_back(environment: dict[str, str]) -> None:
    """No service of it is on record; ARM is out of reach, so that only `--anyway` does not mind peerings."""
    unreachable = environment | {"HOPKEEPER_ARM_ENDPOINT": "https://127.0.0.1:1"}
    code, lines = await hopkeeper(unreachable, "delete", "hub")
    assert (code, "delete takes topology 'hub' away: give --yes" in lines[-1]) == (2, True)
    code, lines = await hopkeeper(unreachable, "delete", "hub", "--yes")
    assert (code, "whether peerings would stay behind on rs is not known" in "\n".join(lines)) == (1, True), lines
    assert await hopkeeper(unreachable, "delete", "hub", "--yes", "--anyway") == (
        0,
        ["topology 'hub' is taken away; hopkeeper apply --previous hub puts it back"],
    )
    assert (await hopkeeper(environment, "get", "hub"))[0] == 2
    assert (await hopkeeper(environment, "delete", "hub", "--yes"))[0] == 2
    assert (await hopkeeper(environment, "apply", "--previous", "hub"))[0] == 0
