from datetime import UTC, datetime, timedelta

from function_app.adapters.clock import SystemClock


def test_now_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)

    now = SystemClock().now()

    assert now.utcoffset() == timedelta(0)
    assert before <= now <= datetime.now(UTC)


async def test_sleeping_no_time_or_less_returns() -> None:
    await SystemClock().sleep(timedelta(0))
    await SystemClock().sleep(timedelta(seconds=-1))
