"""What tests of rehearsals have in common."""

import pytest

from tests.unit.reconcile.rehearsing import ordered_only
from tests.unit.reconcile.scene import Scene


@pytest.fixture
async def settled() -> Scene:
    """Three members at rest, none of which is rehearsed without an order."""
    scene = ordered_only()
    await scene.settle()
    return scene
