"""Routes: which address is answered by which handler."""

from __future__ import annotations

from tornado.web import Application

from zmqchat.web import api
from zmqchat.web.answers import NothingHere
from zmqchat.web.services import Services
from zmqchat.web.socket import ChatSocket
from zmqchat.web.sockets import Sockets
from zmqchat.web.static import FOLDER, PageFileHandler, PageHandler

PREFIX = r"(?:/test/mq)?"  # the original's servlet context, which its clients may send


def make_app(services: Services, sockets: Sockets) -> Application:
    """Build the application of one node."""
    shared = {"services": services}
    socket = {"services": services, "sockets": sockets}
    return Application(
        [
            (rf"{PREFIX}/websocket/(?:mq/)?chat/([^/]+)", ChatSocket, socket),
            (rf"{PREFIX}/chatMsg/getWebSocketAddress/([^/]+)", api.WebSocketAddress, shared),
            (rf"{PREFIX}/chatMsg/getHistoryChat/([^/]+)", api.History, shared),
            (rf"{PREFIX}/chatMsg/getUserList", api.UserList, shared),
            (r"/api/online", api.Online, shared),
            (r"/api/conversations", api.Conversations, shared),
            (r"/livez", api.Live, shared),
            (r"/readyz", api.Ready, shared),
            (r"/metrics", api.Metrics, shared),
            (r"/", PageHandler, {**shared, "page": "customer.html"}),
            (r"/desk", PageHandler, {**shared, "page": "desk.html"}),
            (r"/pages/(.+)", PageFileHandler, {"path": str(FOLDER)}),
        ],
        default_handler_class=NothingHere,
        default_handler_args=shared,
        compress_response=True,
        log_function=lambda _handler: None,  # requests are counted, not logged
    )
