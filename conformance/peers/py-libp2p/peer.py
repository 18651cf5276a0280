#!/usr/bin/env python3
"""A yamuxspec peer around the yamux of py-libp2p: every mode of docs/yamuxspec.md that its API can do, over its own TCP
stream and raw connection, without security. It cannot drain a session or choose an id.

  peer.py --mode echo --address tcp://127.0.0.1:4000 [--role server]"""
import argparse
import logging

import trio
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamEOF, MuxedStreamReset
from libp2p.stream_muxer.yamux.yamux import Yamux

PATTERN = bytes(i % 251 for i in range(251 * 256))
AT_ONCE = 32768
notes = {}  # label -> (bytes, how it ended)


def note(label, count, end):
    """What was seen of a labelled stream."""
    if label != "-":
        notes[label] = (count, end)


class Input:
    """The bytes of a stream: with a first line, and an end that is no exception."""

    def __init__(self, stream):
        self.stream = stream
        self.rest = b""

    async def read(self):
        """Some bytes; b"" at the end of input."""
        if self.rest:
            taken, self.rest = self.rest, b""
            return taken
        try:
            return await self.stream.read(AT_ONCE)
        except MuxedStreamEOF:
            return b""

    async def line(self):
        """The words of the first line."""
        text = b""
        while b"\n" not in text:
            more = await self.read()
            if not more:
                raise EOFError("no command")
            text += more
        first, self.rest = text.split(b"\n", 1)
        return first.decode("latin-1").split(" ")

    async def count(self, add=lambda count: None):
        """Reads to the end."""
        while taken := await self.read():
            add(len(taken))


async def pattern(stream, count):
    """Byte i is i mod 251."""
    while count > 0:
        await stream.write(PATTERN[:count])
        count -= len(PATTERN)


async def echo(stream, source, add=lambda count: None):
    """Copies back, then finishes."""
    while taken := await source.read():
        add(len(taken))
        await stream.write(taken)
    await stream.close()


async def noted(label, function, *arguments):
    """Runs function(*arguments, add) and notes how it came to its end."""
    seen = [0]

    def add(count):
        seen[0] += count

    note(label, 0, "open")
    try:
        await function(*arguments, add)
        note(label, seen[0], "eof")
    except Exception as error:
        note(label, seen[0], "reset" if isinstance(error, MuxedStreamReset) else "error")
        raise


async def behave(stream, source, mode):
    """The modes that read no command."""
    if mode == "echo":
        await echo(stream, source)
    elif mode == "sink":
        await source.count()
        await stream.close()
    elif mode == "source":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.count)
            nursery.start_soon(pattern, stream, 1 << 62)


async def answer(stream, text):
    """One line, and the end."""
    await stream.write(text.encode())
    await stream.close()


async def command(session, nursery, stream, source):
    """What the first line says."""
    words = await source.line()
    name, more = words[0], words[1:]
    if name in ("echo", "sink", "hold", "source"):
        await behave(stream, source, name)
    elif name == "open":
        await open_streams(session, nursery, stream, source, more)
    elif name in ("watch", "finish"):
        if name == "finish":
            await stream.close()
        await trio.sleep(int(more[1]) / 1000 if len(more) > 1 else 0)
        await noted(more[0] if more else "-", source.count)
        await stream.close()
    elif name == "report":
        await answer(stream, "%d %s\n" % notes.get(more[0], (0, "unknown")))
    elif name == "write":
        await pattern(stream, int(more[0]))
        await stream.close()
        await source.count()
    elif name == "close":
        await stream.close()
    elif name == "reset":
        await stream.reset()
    elif name == "shutdown":
        await shutdown(session, nursery, stream, source, more)
    else:
        await answer(stream, "unsupported\n")


async def shutdown(session, nursery, stream, source, more):
    """Closes the session, with or without a writer in it."""
    if more:
        nursery.start_soon(quietly, pattern, stream, int(more[0]))
        await trio.sleep(0.2)
    else:
        await stream.close()
        await source.count()
    await session.close()


async def open_streams(session, nursery, stream, source, more):
    """open COUNT BYTES THEN LABEL."""
    for index in range(int(more[0])):
        try:
            opened = await session.open_stream()
        except Exception as error:
            return await answer(stream, "failed %s\n" % error)
        label = more[3] if index == 0 else "-"
        note(label, 0, "open")
        nursery.start_soon(quietly, serve_opened, opened, int(more[1]), more[2], label)
    await stream.write(b"opened %s\n" % more[0].encode())
    await source.count()
    await stream.close()


async def serve_opened(stream, count, then, label):
    """The rest of open."""
    source = Input(stream)
    await noted(label, lambda add: pattern(stream, count))
    if then == "reset":
        await stream.reset()
    elif then == "watch":
        await noted(label, source.count)
        await stream.close()
    else:
        await noted(label, echo, stream, source)


async def quietly(function, *arguments):
    """A stream that fails ends its own application alone."""
    try:
        await function(*arguments)
    except Exception as error:
        logging.debug("ended: %r", error)


async def serve(tcp, mode, client):
    """One connection."""
    session = Yamux(RawConnection(TrioTCPStream(tcp), client), ID(b"peer"), is_initiator=client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, session.start)
        while mode != "noaccept":
            try:
                stream = await session.accept_stream()
            except MuxedConnUnavailable:
                break
            source = Input(stream)
            if mode in ("app", "opener"):
                nursery.start_soon(quietly, command, session, nursery, stream, source)
            else:
                nursery.start_soon(quietly, behave, stream, source, mode)
        await session.event_closed.wait()
        nursery.cancel_scope.cancel()


async def main():
    """Listens until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="echo")
    parser.add_argument("--role", default="server")
    parser.add_argument("--address", required=True)
    options = parser.parse_args()
    host, port = options.address.removeprefix("tcp://").rsplit(":", 1)
    logging.disable(logging.CRITICAL)
    await trio.serve_tcp(lambda tcp: quietly(serve, tcp, options.mode, options.role == "client"), int(port), host=host)


trio.run(main)
