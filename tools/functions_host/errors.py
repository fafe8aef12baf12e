"""What can go wrong in the host, as one tree.

HostError
├── ConfigurationError    a setting, host.json, a key file or a binding that cannot be served
├── IndexingError         the worker could not load the app, or found no function in it
├── WorkerGoneError       the worker process ended, with everything in it
└── FunctionFailedError   one invocation raised
"""


class HostError(Exception):
    """The base of everything the host raises; its text is written for the person at the terminal."""


class ConfigurationError(HostError):
    pass


class IndexingError(HostError):
    pass


class WorkerGoneError(HostError):
    pass


class FunctionFailedError(HostError):
    """`message` is the worker's one-line account (`ValueError: ...`), `stack_trace` its traceback."""

    def __init__(self, function: str, message: str, stack_trace: str) -> None:
        super().__init__(f"{function}: {message}")
        self.message = message
        self.stack_trace = stack_trace
