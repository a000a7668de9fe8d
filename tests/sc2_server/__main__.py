"""The stand-in's process: ``python -m tests.sc2_server`` with the game's command line."""

import argparse
import json
import os
import socket
import sys
import time
from pathlib import Path

from s2clientprotocol import sc2api_pb2 as sc

from tests.sc2_server.faults import Faults
from tests.sc2_server.protocol import Game
from tests.sc2_server.websocket_server import Disconnected, WebSocketConnection


def command_line() -> argparse.Namespace:
    """The game's options that pysc2 uses on Linux; others are ignored, as the game does."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--home", type=Path, required=True, help="the stand-in's own directory")
    parser.add_argument("-listen", default="127.0.0.1")
    parser.add_argument("-port", type=int, required=True)
    parser.add_argument("-dataDir", type=Path, required=True)
    parser.add_argument("-tempDir", type=Path)
    return parser.parse_known_args()[0]


def listen(address: str, port: int) -> socket.socket:
    """The listening socket.

    Raises:
        OSError: the port is taken.
    """
    server = socket.socket()
    server.bind((address, port))
    server.listen(1)
    return server


def corrupt(connection: WebSocketConnection, form: str, response: sc.Response) -> None:
    """Send a broken response."""
    if form == "garbage":
        connection.send(b"\xff" * 40)
    elif form == "no_status":
        response.ClearField("status")
        connection.send(response.SerializeToString())
    elif form == "wrong_id":
        response.id += 1
        connection.send(response.SerializeToString())
    elif form == "bad_frame":
        connection.send_raw(b"\xff\xff" + bytes(40))
    else:
        raise ValueError(f"form={form!r} of a malformed reply is unknown.")


def serve(connection: WebSocketConnection, game: Game, faults: Faults) -> None:
    """Answer until the client quits or leaves."""
    while game.status != sc.quit:
        request = sc.Request.FromString(connection.receive())
        name = request.WhichOneof("request")
        fault = faults.at_request(name)
        kind = fault and fault["kind"]
        if kind == "die":
            os._exit(1)
        if kind == "delay":
            time.sleep(fault["seconds"])
        response = game.respond(request)
        if kind == "malformed":
            corrupt(connection, fault["form"], response)
        else:
            connection.send(response.SerializeToString())


def main() -> int:
    """Run the server; 1 where the port is taken."""
    options = command_line()
    with open(options.home / "pids", "a") as file:
        file.write(f"{os.getpid()}\n")
    print("This is NOT StarCraft II: a stand-in with a toy battle, for tests.", flush=True)
    faults = Faults(options.home)
    try:
        if faults.at_start():
            taken = listen(options.listen, options.port)  # noqa: F841 - holds the port
        server = listen(options.listen, options.port)
    except OSError as error:
        print(f"Cannot listen on port {options.port}: {error}", file=sys.stderr, flush=True)
        return 1
    settings = json.loads((options.home / "control.json").read_text())
    game = Game(settings["opponents"])
    # A client that leaves without a word does not end the process: the caller has to.
    while game.status != sc.quit:
        connection, _ = server.accept()
        try:
            serve(WebSocketConnection(connection), game, faults)
        except Disconnected:
            continue
        finally:
            connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
