"""The bad network is as bad as it says: else a chaos run would prove nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.chaos import proxy

Talk = Callable[[proxy.Link, int, list[bytes]], Awaitable[Any]]


def played(talk: Talk) -> Any:
    """Run a talk through a link to a server that answers each request with it, twice."""

    async def play() -> Any:
        heard: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                heard.append(data)
                writer.write(data * 2)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        link = proxy.Link(server.sockets[0].getsockname()[1])
        front = await asyncio.start_server(lambda r, w: proxy.serve(link, r, w), "127.0.0.1", 0)
        async with asyncio.timeout(5), server, front:
            return await talk(link, front.sockets[0].getsockname()[1], heard)

    return asyncio.run(play())


async def said(port: int, heard: list[bytes], of: int = 8) -> bytes | str:
    """Send a request; return the answer, or what became of it."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"open")
        got = await reader.read(of)
    except ConnectionError:
        got = b""
    else:
        writer.close()
    return got or ("reset, heard" if heard else "reset, unheard")


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [
        ("pass", b"openopen"),
        ("lag", b"openopen"),
        ("refuse", "reset, unheard"),
        ("reset before", "reset, unheard"),
        ("reset after", "reset, heard"),
        ("cut", b"open"),
    ],
)
def test_a_request_meets(mode: str, becomes: bytes | str) -> None:
    async def talk(link: proxy.Link, port: int, heard: list[bytes]) -> bytes | str:
        link.set(mode, 1.0)
        return await said(port, heard)

    assert played(talk) == becomes


def test_what_a_black_hole_held_comes_late() -> None:
    async def talk(link: proxy.Link, port: int, heard: list[bytes]) -> tuple[list[bytes], bytes]:
        link.set("hold", 1.0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"open")
        await asyncio.sleep(0.3)
        before = list(heard)
        link.set("pass", 1.0)
        return before, await reader.read(8)

    assert played(talk) == ([], b"openopen")


def test_it_happens_to_a_share_of_the_connections() -> None:
    async def talk(link: proxy.Link, port: int, heard: list[bytes]) -> set[bytes | str]:
        link.set("reset before", 0.5)
        return {await said(port, []) for _one in range(40)}

    assert played(talk) == {b"openopen", "reset, unheard"}
