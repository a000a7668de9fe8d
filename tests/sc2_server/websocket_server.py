"""The server's half of the websocket protocol (RFC 6455), for one client, on plain sockets."""

import base64
import hashlib
import socket
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Disconnected(Exception):
    """The client has gone."""


class WebSocketConnection:
    """One connection, after its handshake.

    Args:
        connection: a freshly accepted socket.
        path: the path that the client must ask for.
    """

    def __init__(self, connection: socket.socket, path: str = "/sc2api"):
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._handshake(path)

    def _handshake(self, path: str) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += self._some(4096)
        first, *lines = request.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        if first.split()[1] != path or "sec-websocket-key" not in headers:
            self._socket.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            raise Disconnected(f"not a request for {path}: {first}")
        digest = hashlib.sha1((headers["sec-websocket-key"] + GUID).encode()).digest()
        answer = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
        ]
        self._socket.sendall(("\r\n".join(answer) + "\r\n\r\n").encode())

    def _some(self, size: int) -> bytes:
        try:
            data = self._socket.recv(size)
        except ConnectionError as error:
            raise Disconnected from error
        if not data:
            raise Disconnected
        return data

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            data += self._some(size - len(data))
        return bytes(data)

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._exactly(8))
        if not second & 0x80:
            raise Disconnected("a client's frames must be masked (section 5.1)")
        mask = self._exactly(4)
        payload = self._exactly(size)
        repeated = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        return bool(first & 0x80), first & 0x0F, plain.to_bytes(size, "big")

    def receive(self) -> bytes:
        """The next message. pysc2 sends its protobuf messages in frames marked as text."""
        message = b""
        while True:
            final, opcode, payload = self._frame()
            if opcode == CLOSE:
                self.send(payload, CLOSE)
                raise Disconnected("closed by the client")
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode in (CONTINUATION, TEXT, BINARY):
                message += payload
                if final:
                    return message

    def send(self, payload: bytes, opcode: int = BINARY) -> None:
        """Send one message, unmasked, in one frame."""
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, size)
        elif size < 2**16:
            head = struct.pack(">BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
        self.send_raw(head + payload)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._socket.sendall(data)
        except ConnectionError as error:
            raise Disconnected from error
