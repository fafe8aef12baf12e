"""What a pass can do without and did not get is in the log: an operator sees that it is missing, and why."""

import logging

import pytest

from function_app.domain.base.errors import Unavailable
from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.outcome import Ending
from function_app.reconcile.store.topologies import Topologies
from tests.builders import document, text
from tests.fakes import FakeDocuments
from tests.unit.reconcile.scene import Scene


class Partial(FakeDocuments):
    """Refuses every write under one prefix."""

    def __init__(self, refused: str) -> None:
        super().__init__()
        self.refused = refused

    async def put(self, key: str, body: bytes) -> None:
        if key.startswith(self.refused):
            raise Unavailable("503")
        await super().put(key, body)


@pytest.mark.parametrize(
    ("refused", "line"),
    [
        ("history/", "the journal of a pass is lost"),
        ("preflight/", "what preflight reads of ARM was not loaded or stored"),
    ],
)
async def test_a_document_for_people_that_is_lost_is_logged_and_spoils_no_pass(
    refused: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(documents=Partial(refused))
    with caplog.at_level(logging.WARNING, "hopkeeper"):
        assert (await scene.settle()).ending is Ending.CONVERGED
    lost = [record for record in caplog.records if record.getMessage().startswith(line)]
    assert {record.__dict__["error"] for record in lost} == {"503"}


async def test_a_topology_that_cannot_be_used_is_logged_and_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    documents = FakeDocuments()
    await documents.put("topologies/broken.yaml", b"schema: [")
    await documents.put("topologies/hub.yaml", text(document()).encode())
    with caplog.at_level(logging.WARNING, "hopkeeper"):
        found = await Topologies(documents, Place()).all_in_force()
    assert [in_force.topology.name for in_force in found] == ["hub"]
    assert [record.__dict__["topology"] for record in caplog.records] == ["broken"]
