"""What the Functions worker imports (PYTHON_SCRIPT_FILE_NAME=main.py): the app and its blueprints, nothing else."""

import azure.functions as func

from function_app.triggers import (
    agent_reports,
    changing,
    described,
    health_alerts,
    operator,
    page,
    reading,
    resource_events,
    sweep,
    wakeups,
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

app.register_functions(resource_events.blueprint)
app.register_functions(health_alerts.blueprint)
app.register_functions(agent_reports.blueprint)
app.register_functions(operator.blueprint)
app.register_functions(page.blueprint)
app.register_functions(reading.blueprint)
app.register_functions(changing.blueprint)
app.register_functions(described.blueprint)
app.register_functions(sweep.blueprint)
app.register_functions(wakeups.blueprint)
