"""A certificate authority and a server certificate for loopback, made afresh in a directory."""

import ssl
from pathlib import Path

import trustme


def make_server_context(directory: Path) -> ssl.SSLContext:
    """A server's TLS context; `ca.pem` in the directory is what its clients trust."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(organization_name="Simulated Azure")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context
