"""The pages and what they load, served from the package.

The HTML is read once; the desk's account and the nodes' urls are filled in at each request, since
nodes come and go.
"""

from __future__ import annotations

import functools
import html
from pathlib import Path

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler, StaticFileHandler

from zmqchat.web.services import Services

FOLDER = Path(__file__).parent / "pages"


class PageHandler(RequestHandler):
    """One HTML page."""

    def __init__(
        self,
        application: Application,
        request: HTTPServerRequest,
        *,
        services: Services,
        page: str,
    ) -> None:
        super().__init__(application, request)
        self._services = services
        self._text = _page(page)

    async def get(self) -> None:
        """Answer with the page."""
        services = self._services
        connect = " ".join(services.origins.connect_sources())
        self.set_header(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' {connect}; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'self'",
        )
        _protect(self)
        urls = " ".join(services.peers.all_urls())
        text = self._text.replace("{{desk}}", html.escape(services.desk))
        self.finish(text.replace("{{nodes}}", html.escape(urls)))


class PageFileHandler(StaticFileHandler):
    """A script or style of the pages."""

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002 - Tornado's signature
        """Let browsers ask again each time: an upgrade must not mix old and new modules."""
        self.set_header("Cache-Control", "no-cache")
        _protect(self)


@functools.cache
def _page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _protect(handler: RequestHandler) -> None:
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header("Referrer-Policy", "no-referrer")
