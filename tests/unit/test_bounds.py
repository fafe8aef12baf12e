"""The worst failover times come from the configuration, part by part."""

from datetime import timedelta

from msgspec.structs import replace

from function_app.domain.base.timing import Timing
from function_app.domain.service.bounds import PATHS, Detection, Fence, Probe, bounds, worst


def total(timing: Timing, detection: Detection, fence: Fence, probe: Probe | None = None) -> float:
    found = [b for b in bounds(timing, probe or Probe()) if (b.detection, b.fence) == (detection, fence)]
    return found[0].total.total_seconds()


def test_every_path_has_a_bound_that_is_the_sum_of_its_parts() -> None:
    found = bounds(Timing(), Probe())
    assert [(b.detection, b.fence) for b in found] == list(PATHS)
    assert all(b.total == sum((t for _, t in b.parts), timedelta(0)) for b in found)


def test_a_setting_moves_exactly_the_bounds_that_it_is_part_of() -> None:
    slower = replace(Timing(), fence_timeout=timedelta(seconds=100))
    assert total(slower, Detection.SILENT, Fence.BALANCER) == total(Timing(), Detection.SILENT, Fence.BALANCER) + 40
    assert total(slower, Detection.SAYS, Fence.AGENT) == total(Timing(), Detection.SAYS, Fence.AGENT)


def test_a_slower_probe_is_counted_where_it_detects_and_where_it_sees_the_new_holder() -> None:
    slow = Probe(timedelta(seconds=10), 2)
    assert total(Timing(), Detection.SAYS, Fence.AGENT, slow) == total(Timing(), Detection.SAYS, Fence.AGENT) + 15
    assert total(Timing(), Detection.PROBE, Fence.AGENT, slow) == total(Timing(), Detection.PROBE, Fence.AGENT) + 30


def test_the_worst_is_the_one_that_only_the_probe_can_tell() -> None:
    assert worst(Timing(), Probe()).total_seconds() == total(Timing(), Detection.UNTOLD, Fence.BALANCER)
