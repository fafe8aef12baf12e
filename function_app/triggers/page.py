"""GET /api/: the page of docs/operating.md. It is served to anybody and holds no data: what it shows it requests from the API,
with the key that its reader types in or, below `entra/`, the platform's session.

One document, made of the files in `function_app/page`; its policy names the one style and the one script by their hashes, so
that nothing else runs in it and nothing is fetched from elsewhere.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

import azure.functions as func

from function_app.triggers.answers import foreseen
from function_app.triggers.requests import Parameters, read_query

FOLDER = Path(__file__).resolve().parents[1] / "page"
SCRIPTS = ("elements.js", "api.js", "drawing.js", "services.js", "timeline.js", "orders.js", "page.js")
blueprint = func.Blueprint()


@blueprint.route(
    route="{nothing:maxlength(0)?}",  # an empty one would be the function's name (Azure-Functions issue 2473)
    methods=["GET"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
@foreseen
async def page(req: func.HttpRequest) -> func.HttpResponse:
    read_query(req, Parameters)
    document, policy = made()
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "same-origin",  # by it the platform knows whose page a change with a session comes from
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return func.HttpResponse(document, headers=headers, mimetype="text/html", charset="utf-8")


@cache
def made() -> tuple[str, str]:
    """The document, and its Content-Security-Policy."""
    style = (FOLDER / "page.css").read_text("utf-8")
    script = "".join((FOLDER / name).read_text("utf-8") for name in SCRIPTS)
    document = (FOLDER / "page.html").read_text("utf-8")
    document = document.replace("<style></style>", f"<style>{style}</style>")
    document = document.replace("<script></script>", f"<script>{script}</script>")
    directives = {
        "default-src": "'none'",
        "script-src": _hashed(script),
        "style-src": _hashed(style),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return document, "; ".join(f"{name} {value}" for name, value in directives.items())


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
