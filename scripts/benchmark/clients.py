"""WebSocket clients that are cheap enough to load two nodes from one core, and check what they see.

Every text begins with the number of its customer and a counter, so that a receiver finds out by
slicing bytes what is missing, doubled or out of order; JSON is never parsed. In a fresh
conversation that only its customer writes, the seq given by the database is the same counter.
"""

from __future__ import annotations

from collections.abc import Callable

import picows

from scripts.benchmark.servers import ServerFailed

TEXT = picows.WSMsgType.TEXT
PROTOCOL = "zmqchat.v1"
DESK = "super_admin"
PROBE = 0  # the number of a customer who only finds out whether the mesh is up; others begin at 1
CUSTOMER_DIGITS = 4
COUNTER_DIGITS = 8
_MESSAGE = b'{"key":3,'
_ACK = b'{"key":5,'
_ERROR = b'{"key":6,'
_MSG = b'"msg":"'
_SEQ = b'"seq":'
_CONNECT_TIMEOUT_S = 20.0

Arrived = Callable[[int, int], None]  # customer, counter


class Stream:
    """Counters that ought to come as 1, 2, 3 …, as one receiver saw them."""

    def __init__(self) -> None:
        self.next = 1
        self.doubled = 0
        self.out_of_order = 0
        self._missing: set[int] = set()

    def see(self, counter: int) -> None:
        """Take note of the next counter received."""
        if counter == self.next:
            self.next = counter + 1
        elif counter > self.next:
            self._missing.update(range(self.next, counter))
            self.next = counter + 1
        elif counter in self._missing:
            self._missing.remove(counter)
            self.out_of_order += 1
        else:
            self.doubled += 1

    def lost(self, sent: int) -> int:
        """How many of the counters 1 to ``sent`` were never seen."""
        return len(self._missing) + sent - (self.next - 1)


def customer_name(number: int) -> str:
    """The account name of a customer, always of the same length."""
    return f"c{number:0{CUSTOMER_DIGITS}d}"


def message_template(number: int, *, client_ids: bool) -> bytes:
    """What a customer sends, with ``%`` places for the counter: two with client ids, else one."""
    counter = f"%0{COUNTER_DIGITS}d"
    text = f"{number:0{CUSTOMER_DIGITS}d}{counter} is my order on its way?"
    fields = f'"msg":"{text}","sender":"{customer_name(number)}","receiver":"{DESK}"'
    if client_ids:
        # As long as the UUID a page would make.
        fields += f',"clientId":"00000000-0000-4000-8000-{number:0{CUSTOMER_DIGITS}d}{counter}"'
    return f"{{{fields}}}".encode()


def read_message(payload: bytes) -> tuple[int, int, bool]:
    """Customer, counter, and whether the seq agrees with the counter, of a MESSAGE."""
    text = payload.index(_MSG) + len(_MSG)
    middle = text + CUSTOMER_DIGITS
    counter = int(payload[middle : middle + COUNTER_DIGITS])
    seq = payload.index(_SEQ) + len(_SEQ)
    agrees = int(payload[seq : payload.index(b",", seq)]) == counter
    return int(payload[text:middle]), counter, agrees


class Client(picows.WSListener):
    """One session; subclasses say what a message does."""

    def __init__(self) -> None:
        self.errors: list[bytes] = []  # ERROR events as received
        self.connected = False
        self.transport: picows.WSTransport

    async def connect(self, url: str) -> None:
        """Open the session; raise `ServerFailed` when that does not succeed."""
        try:
            await picows.ws_connect(
                lambda: self,
                url,
                websocket_handshake_timeout=_CONNECT_TIMEOUT_S,
                extra_headers={"Sec-WebSocket-Protocol": PROTOCOL},
            )
        except (picows.WSError, OSError) as error:
            raise ServerFailed(f"cannot open a session at {url}: {error}") from error

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Called by picows after the handshake."""
        self.transport = transport
        self.connected = True

    def on_ws_disconnected(self, _transport: picows.WSTransport) -> None:
        """Called by picows when the connection is gone, whoever ended it."""
        self.connected = False

    def on_ws_frame(self, _transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Called by picows for each frame but pings, which it answers itself."""
        payload = frame.get_payload_as_bytes()
        if payload.startswith(_MESSAGE):
            self.on_message(payload)
        elif payload.startswith(_ACK):
            self.on_ack()
        elif payload.startswith(_ERROR):
            self.errors.append(payload)

    def on_message(self, payload: bytes) -> None:
        """Take a MESSAGE (key 3)."""

    def on_ack(self) -> None:
        """Take an ACK (key 5)."""


class Customer(Client):
    """Writes to the desk and sees its own messages come back."""

    def __init__(self, number: int, *, client_ids: bool, echoed: Arrived | None = None) -> None:
        super().__init__()
        self.number = number
        self.sent = 0
        self.acks = 0
        self.echoes = Stream()
        self.client_ids = client_ids
        self._template = message_template(number, client_ids=client_ids)
        self._echoed = echoed

    def send_next(self) -> int:
        """Send the next message; return its counter."""
        self.sent = counter = self.sent + 1
        values = (counter, counter) if self.client_ids else counter
        self.transport.send(TEXT, self._template % values)
        return counter

    def on_message(self, payload: bytes) -> None:
        """Check the echo and pass it on."""
        _, counter, agrees = read_message(payload)
        self.echoes.see(counter)
        self.echoes.out_of_order += not agrees
        if self._echoed is not None:
            self._echoed(self.number, counter)

    def on_ack(self) -> None:
        """Count it."""
        self.acks += 1

    def unacknowledged(self) -> int:
        """Messages that asked for an ACK and got none; below zero when one got two."""
        return self.sent - self.acks if self.client_ids else 0

    def missing(self) -> int:
        """Echoes and ACKs that have not come yet."""
        return max(0, self.sent + 1 - self.echoes.next) + max(0, self.unacknowledged())


class Desk(Client):
    """One session of the desk: sees what all customers write."""

    def __init__(self, customers: int, arrived: Arrived | None = None) -> None:
        super().__init__()
        self.received = 0
        self.probed = False
        self.streams = [Stream() for _ in range(customers + 1)]  # by number; PROBE's stays empty
        self._arrived = arrived

    def on_message(self, payload: bytes) -> None:
        """Check the message and pass it on."""
        customer, counter, agrees = read_message(payload)
        if customer == PROBE:
            self.probed = True
            return
        stream = self.streams[customer]
        stream.see(counter)
        stream.out_of_order += not agrees
        self.received += 1
        if self._arrived is not None:
            self._arrived(customer, counter)


class EchoClient(Client):
    """Keeps messages going back and forth with a server that echoes."""

    def __init__(self, number: int, echoed: Arrived) -> None:
        super().__init__()
        self.number = number
        self.sent = 0
        self.echoes = Stream()
        self._template = message_template(number, client_ids=False)
        self._echoed = echoed

    def send_next(self) -> int:
        """Send the next message; return its counter."""
        self.sent += 1
        self.transport.send(TEXT, self._template % self.sent)
        return self.sent

    def on_ws_frame(self, _transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Every frame is an echo."""
        payload = frame.get_payload_as_bytes()
        middle = payload.index(_MSG) + len(_MSG) + CUSTOMER_DIGITS
        counter = int(payload[middle : middle + COUNTER_DIGITS])
        self.echoes.see(counter)
        self._echoed(self.number, counter)
