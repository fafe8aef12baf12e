"""`hopkeeper lint` as a person meets it: lines, JSON, and the way it ends."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from function_app.cli import main
from tests.builders import text
from tests.unit.preflight_world import clean_document

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))


def lint(*words: str) -> tuple[int, list[str]]:
    done = CliRunner().invoke(main, ["lint", "--offline", *words])
    return done.exit_code, done.output.splitlines()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_no_example_has_an_error(example: Path) -> None:
    status, lines = lint(str(example))
    assert status == 0
    assert lines[-1].startswith(("0 error", "nothing found"))


def test_a_finding_says_where_what_and_where_to_read_on(tmp_path: Path) -> None:
    doc = clean_document()
    doc["services"][2]["prefixes"] = ["10.0.15.15/32"]
    file = tmp_path / "hub.yaml"
    file.write_text(text(doc))
    status, lines = lint(str(file))
    assert status == 0
    assert lines[0].startswith(
        "warning  prefix-in-network  $.services[2].prefixes: 10.0.15.15/32 lies inside 10.0.0.0/16"
    )
    assert re.fullmatch(r" {28}announce an address .* \(see: Virtual network traffic routing\)", lines[1])
    assert lines[-1] == "0 error, 1 warning, 0 info"


def test_what_was_not_looked_at_is_named(tmp_path: Path) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(text(clean_document()))
    status, lines = lint(str(file))
    assert (status, lines[-1]) == (0, "nothing found")
    assert "not judged, ARM of hub unknown: it was not read (not-found, permission)" in lines
    assert any(
        line.startswith("not judged, load balancer of fw, transit unknown: it was not read (same-region, probe,")
        for line in lines
    )


def test_an_error_ends_with_one_and_a_broken_law_is_one(tmp_path: Path) -> None:
    doc = clean_document()
    doc["speakers"][0]["asn"] = 65515
    file = tmp_path / "hub.yaml"
    file.write_text(text(doc))
    status, lines = lint(str(file))
    assert status == 1
    assert lines[0].startswith("error    law  $.speakers[0].asn: ")


def test_the_report_is_json_where_a_program_requests_it(tmp_path: Path) -> None:
    doc = clean_document()
    del doc["speakers"][6]["asOverride"]
    file = tmp_path / "hub.yaml"
    file.write_text(text(doc))
    done = CliRunner().invoke(main, ["lint", "--offline", "--json", str(file)])
    report = json.loads(done.output)
    assert done.exit_code == 1
    assert [(f["rule"], f["severity"], f["path"]) for f in report["findings"]] == [
        ("as-override", "error", "$.speakers[6].asOverride")
    ]
    assert {"rule": "permission", "needs": "ARM", "of": ["hub"], "why": ["it was not read"]} in report["unjudged"]


def test_without_settings_it_stays_offline_unless_azure_is_ordered(tmp_path: Path) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(text(clean_document()))
    bare = {"AzureWebJobsStorage": None, "AzureWebJobsStorage__accountName": None, "HOPKEEPER_SIGNING_KEY": None}
    assert CliRunner(env=bare).invoke(main, ["lint", str(file)]).exit_code == 0
    refused = CliRunner(env=bare).invoke(main, ["lint", "--azure", str(file)])
    assert refused.exit_code == 2
    assert "HOPKEEPER_SIGNING_KEY" in refused.output


def test_an_app_that_is_named_wrongly_is_said_before_anything_is_judged(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text(clean_document()))
    done = CliRunner(env={"HOPKEEPER_APP": "http://app", "HOME": str(tmp_path)}).invoke(main, ["lint", str(file)])
    assert (done.exit_code, "is no https URL" in done.output) == (2, True)


def test_what_is_wrong_with_a_document_is_json_for_a_program(tmp_path: Path) -> None:
    file, doc = tmp_path / "hub.yaml", clean_document()
    file.write_text(text(doc))
    well = CliRunner().invoke(main, ["check", "--json", str(file)])
    assert (well.exit_code, json.loads(well.output)["findings"]) == (0, [])
    doc["speakers"][0]["asn"] = 65515
    file.write_text(text(doc))
    wrong = CliRunner().invoke(main, ["check", "--json", str(file)])
    report = json.loads(wrong.output)
    assert (wrong.exit_code, report["schema"]) == (2, "hopkeeper/preflight/1")
    assert [found["path"] for found in report["findings"]] == ["$.speakers[0].asn"]


def test_a_file_without_a_key_says_where_a_key_of_a_function_is_from(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" ")
    named = ["--app", "http://127.0.0.1:9", "--key-file", str(tmp_path / "key")]
    done = CliRunner(env={"HOME": str(tmp_path)}).invoke(main, ["status", *named])
    assert (done.exit_code, "is empty: az functionapp function keys list --function-name" in done.output) == (2, True)
    assert "masterKey" not in done.output
