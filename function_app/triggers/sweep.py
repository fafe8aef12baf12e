"""The timer: a look at every topology even when no event came. It may fire twice or late; that costs one look."""

import azure.functions as func

from function_app import wiring
from function_app.triggers.limit import bounded

blueprint = func.Blueprint()


@blueprint.timer_trigger(schedule="%HOPKEEPER_SWEEP_SCHEDULE%", arg_name="timer", run_on_startup=False)
@bounded
async def sweep(timer: func.TimerRequest) -> None:
    await wiring.use_cases().wake_all()
