"""The pages that a browser is shown: whole in themselves, without a script, nothing loaded."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from starlette.responses import HTMLResponse

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;margin:10vh auto;max-width:38rem;padding:0 1rem;"
    "color:#1b1f24;background:#fff}dt{color:#57606a}dd{margin:0 0 .5rem;overflow-wrap:anywhere}"
    "textarea{box-sizing:border-box;width:100%;font:inherit}button{font:inherit;margin-top:1rem;"
    "padding:.5rem 1.5rem;color:#fff;background:#1a7f37;border:0;border-radius:.4rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'"
    ),
    "X-Robots-Tag": "noindex",
}
LONGEST_COMMENT = 1000


def said(status: int, title: str, *sentences: str) -> HTMLResponse:
    """Tell something."""
    return _page(status, title, "".join(f"<p>{escape(each)}</p>" for each in sentences))


def asked(title: str, facts: Iterable[tuple[str, str]], question: str) -> HTMLResponse:
    """Ask something that a button answers; nothing happens before it is pressed."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts)
    form = (
        f'<form method="post"><p><label>Comment, if any: <textarea name="comment" rows="2"'
        f' maxlength="{LONGEST_COMMENT}"></textarea></label></p><p>{escape(question)}</p>'
        '<button type="submit">Approve</button></form>'
    )
    return _page(200, title, f"<dl>{rows}</dl>{form}")


def _page(status: int, title: str, body: str) -> HTMLResponse:
    title = escape(title)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>\n",
        status,
        _HEADERS,
    )
