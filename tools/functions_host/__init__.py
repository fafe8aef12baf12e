"""A Functions host for one machine: what the platform gives a Function App, over the production worker's own library.

    python -m tools.functions_host --root DIR [--port 7071] [--placeholder]

The host is one process and its worker another, as on the platform: the worker can be killed alone. By itself it is entered
as Core Tools do, with `--placeholder` as Azure does (ADR 9).

It gives HTTP routes with keys, the Event Grid webhook, timers, queue triggers and queue outputs, and the part of the
admin API that people use. It is not for production and knows nothing of the app it serves.
One host serves one app: the worker's library registers functions in a module.
"""
