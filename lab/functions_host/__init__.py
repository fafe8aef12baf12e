"""A Functions host for one machine: what the platform gives a Function App, over the production worker's own library.

    python -m lab.functions_host --root DIR [--port 7071]

It gives HTTP routes with keys, the Event Grid webhook, timers, queue triggers and queue outputs, and the part of the
admin API that people use. It is not for production and knows nothing of the app it serves.
One process serves one app: the worker library registers functions in a module.
"""
