"""Why a connection failed, in words: what the libraries write about it names their own objects.

| what failed                      | is called                                     |
|----------------------------------|-----------------------------------------------|
| the name                         | there is no host HOST                         |
| a certificate                    | HOST:PORT has a certificate that is not trusted |
| the connection                   | HOST:PORT: what the system says               |
| the time for it                  | no answer in time                             |
| the identity                     | what azure-identity says of `az login`, or all that it says |
| anything else                    | as the library writes it, in one line         |
"""

import importlib
from collections.abc import Iterator

from azure.core.exceptions import ClientAuthenticationError


def why(error: BaseException) -> str:
    """Of an error, or of the one that it was made of."""
    if isinstance(error, ClientAuthenticationError):
        return login(str(error))
    aiohttp = importlib.import_module("aiohttp")  # it is there already where it raised
    chain = tuple(_chain(error))
    for each in chain:
        if isinstance(each, aiohttp.ClientConnectorDNSError):
            return f"there is no host {each.host}"
        if isinstance(each, aiohttp.ClientConnectorCertificateError):
            return f"{each.host}:{each.port} has a certificate that is not trusted"
        if isinstance(each, aiohttp.ClientConnectorError):
            refused = isinstance(each.os_error, ConnectionRefusedError)
            failed = each.os_error.strerror or str(each.os_error)
            return f"{each.host}:{each.port}: {'the connection was refused' if refused else failed}"
    if any(isinstance(each, TimeoutError) for each in chain):
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def login(message: str) -> str:
    """Why there is no identity to ask with. Of all that azure-identity tries one after the other, a person has `az login`."""
    tried = dict(line.strip().partition(": ")[::2] for line in message.splitlines())
    of_az = tried.get("AzureCliCredential")
    return " ".join(message.split()) if of_az is None else f"no login to Azure, az login makes one ({of_az})"
