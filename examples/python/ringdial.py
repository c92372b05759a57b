"""A client of Ringdial in one file: asyncio, httpx for the lookup, websockets for the connection.

    async with Client("http://127.0.0.1:7000/lookup", print, user="alice") as client:
        await client.join("lobby")
        await client.send({"group": "lobby"}, {"text": "hello"})

It does what docs/PROTOCOL.md asks of a client: a lookup and a ticket for each attempt, positions in topics so that every
durable message is given once and in order, unanswered sends repeated with their keys, moves without a moment offline.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

LOOKUP_S, OPEN_S, DETACH_S, PROBE_S = 10, 8, 2, 3  # how long is waited for each; `welcome` alone may take 2 s
SLACK_S = 10  # beyond two heartbeats of silence
HEALTHY_S = 30  # a connection that held for so long clears the count of failures
UNANSWERED_MAX = 64  # sends under way: what a node takes at once (`sends_burst`). More callers wait
FRAME_MAX = 16 * 2**20  # bytes of a frame
TEMPORARY = {"unavailable", "log_unavailable", "overloaded", "rate_limited"}  # refusals of a topic after which it is joined again
PONG, DETACH = {"op": "pong"}, {"op": "detach"}
PROBE = {"op": "send", "ref": "probe", "to": {"users": []}, "data": None}  # is always answered

Json = dict[str, Any]
Token = str | Callable[[bool], Awaitable[str]] | None  # a function is told whether the last token was rejected


@dataclass(frozen=True)
class Message:
    topic: str
    sender: str
    data: Any
    time: int
    epoch: str | None = None  # of a durable message, with its offset
    offset: int | None = None


@dataclass(frozen=True)
class Gap:
    """Messages that will never come: fetch your state anew."""

    topic: str
    after: int
    before: int
    reason: str


@dataclass(frozen=True)
class Presence:
    group: str
    count: int
    users: list[str] | None  # everybody; otherwise who came and went
    joined: list[str]
    left: list[str]


@dataclass(frozen=True)
class Status:
    state: str  # connected, moved, reconnecting, closed, refused (a topic that is not followed: the detail names it)
    detail: str


Event = Message | Gap | Presence | Status


class RingdialError(Exception):
    """What a lookup service, a node or this client refused. `temporary`: the same may succeed later."""

    def __init__(self, code: str, message: str = "", temporary: bool = True, retry_after_ms: float | None = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code, self.temporary, self.retry_after_ms = code, temporary, retry_after_ms


class Failure(RingdialError):
    """Why an attempt or a connection is over. `policy`: now, later, lost, refresh (a newer token, once) or stop."""

    def __init__(self, policy: str, error: RingdialError) -> None:
        super().__init__(error.code, "", error.temporary, error.retry_after_ms)
        self.args, self.policy = error.args, policy


@dataclass
class Topic:
    """What is wanted of a topic, and where the client stands in it. All connections share it."""

    asked: Json | None = None  # where to begin, as long as there is no position
    position: tuple[str, int] | None = None  # epoch, offset
    presence: bool = False
    lost_by: Link | None = None  # whose gap brought the position into its epoch
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    refused: str | None = None

    @staticmethod
    def since(since: Json | None) -> Topic:
        return Topic(since, (since["epoch"], since["offset"]) if since and "epoch" in since else None)

    def stands(self) -> Json | None:
        return {"epoch": self.position[0], "offset": self.position[1]} if self.position else self.asked


@dataclass(eq=False)
class Request:
    frame: Json
    answer: asyncio.Future[Json]
    repeat: bool  # on the next connection, if this one ends before the answer
    link: Link | None = None  # the last one that it was written to


@dataclass(eq=False)
class Link:
    """One connection that has been welcomed."""

    socket: ClientConnection
    node: str
    welcome: Json
    since: float = field(default_factory=time.monotonic)
    pending: set[str] = field(default_factory=set)  # topics that are not known to be complete here yet
    joins: dict[int, str] = field(default_factory=dict)  # ref -> topic
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    said: Json = field(default_factory=dict)  # the error that announced the end
    failure: Failure | None = None

    async def write(self, frame: Json) -> None:
        with suppress(ConnectionClosed):  # its reader notices the end
            await self.socket.send(json.dumps(frame, ensure_ascii=False))

    def settle(self, topic: str, pending: bool = False) -> None:
        (self.pending.add if pending else self.pending.discard)(topic)
        (self.settled.clear if self.pending else self.settled.set)()


def close_policy(code: int) -> str:
    """By the hundreds, so that an old client handles new codes."""
    return "refresh" if code == 4401 else {40: "now", 41: "later", 44: "stop"}.get(code // 100, "lost")


class Client:
    def __init__(self, lookup: str, on_event: Callable[[Event], object], *, user: str | None = None, token: Token = None,
                 service: str | None = None, since: Json | None = None) -> None:
        """`user` is needed without a token only. `since`: where to begin in one's own inbox; {"offset": 0} is all of it."""
        self._lookup, self._on_event, self._user, self._token, self._service = lookup, on_event, user, token, service
        self._http = httpx.AsyncClient(timeout=LOOKUP_S)
        self._inbox = Topic.since(since)
        self._topics: dict[str, Topic] = {}
        self._seen: dict[tuple[str, str], int] = {}  # topic and origin of ephemeral messages -> the last counter
        self._requests: dict[int, Request] = {}  # by ref, and so in their order
        self._more = asyncio.Event()
        self._room = asyncio.Semaphore(UNANSWERED_MAX)
        self._steady = asyncio.Lock()  # held from the hello of a move until it is used: joins wait
        self._refs = 0
        self._link: Link | None = None
        self._session: str | None = None
        self._move: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._advice = {"base_ms": 500, "max_ms": 30_000}
        self._over: RingdialError | None = None

    async def __aenter__(self) -> Client:
        self._spawn(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop(RingdialError("closed", temporary=False))
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # readers close their sockets
        await self._http.aclose()

    # === What the application calls ===

    async def send(self, to: Json, data: Any, *, key: str | None = None, ephemeral: bool = False, timeout: float = 30) -> Json:
        """The node's ack. A durable send is stored once, however often it is repeated here; after an error of this method
        it may have been stored, and may be sent again with the same `key`. Sends keep their order as long as the first is not refused."""
        frame: Json = {"op": "send", "to": to, "data": data}
        frame |= {"ephemeral": True} if ephemeral else {"key": key or uuid.uuid4().hex}
        async with asyncio.timeout(timeout), self._room:
            for tries in range(1_000_000):
                try:
                    return await self._request(frame, repeat=not ephemeral)
                except RingdialError as error:
                    if ephemeral or not error.temporary:
                        raise
                    await asyncio.sleep(self._delay(Failure("later", error), tries))
        raise AssertionError("unreachable")

    async def join(self, group: str, *, since: Json | None = None, presence: bool = False) -> None:
        """Joins it now and on every later connection. Its messages come as events from `since`, or from now on."""
        name = f"g:{group}"
        async with self._steady:
            topic = self._topics.setdefault(name, Topic.since(since))
            topic.presence |= presence
            if self._link:
                await self._join(self._link, name, topic)
        await topic.joined.wait()
        if topic.refused:
            raise RingdialError(topic.refused, name, False)

    async def leave(self, group: str) -> None:
        async with self._steady:
            if self._topics.pop(f"g:{group}", None) and self._link:
                await self._link.write({"op": "leave", "group": group})

    async def request(self, op: str, **fields: Any) -> Json:
        """`history`, `presence` or `online`, with the fields of the protocol."""
        async with asyncio.timeout(30):
            return await self._request({"op": op, **fields}, repeat=True)

    # === Looking up, and the loop ===

    async def _run(self) -> None:
        failures, rejected, avoid = 0, False, list[str]()
        while True:
            node = None
            try:
                grant = await self._look_up(avoid, rejected)
                node = grant["node"]
                link = await self._open(node, grant["url"], grant["protocols"])
                avoid.clear()
                await self._use(link, "connected")
                link, failure = await self._until_lost(link)
                if time.monotonic() - link.since > HEALTHY_S:
                    failures, rejected = 0, False
            except Failure as error:
                failure = error
                if node and failure.policy == "lost":  # it could not be reached
                    avoid.append(node)
            except Exception as error:  # what nobody thought of is no reason to give up
                logging.exception("an attempt to connect")
                failure = Failure("later", RingdialError("failed", repr(error)))
            self._link = None
            if failure.policy == "stop" or failure.policy == "refresh" and (rejected or not callable(self._token)):
                return self._stop(failure)
            rejected |= failure.policy == "refresh"
            self._emit(Status("reconnecting", str(failure)))
            await asyncio.sleep(self._delay(failure, failures))
            failures += 1

    def _delay(self, failure: Failure, failures: int) -> float:
        """Seconds. `failures`: those in a row before this one."""
        base, cap = self._advice["base_ms"], self._advice["max_ms"]
        if failure.retry_after_ms is not None:
            return (failure.retry_after_ms + random.random() * base) / 1000
        if failures == 0 and failure.policy in ("now", "refresh"):
            return 0
        if failures == 0 and failure.policy == "lost":  # the clients of a whole node may come back
            return random.random() * self._advice.get("spread_ms", base) / 1000
        return random.random() * min(cap, base * 2 ** min(failures, 30)) / 1000

    async def _look_up(self, avoid: list[str], rejected: bool) -> Json:
        try:
            token = await self._token(rejected) if callable(self._token) else self._token
        except Exception as error:
            raise Failure("later", RingdialError("token_failed", repr(error))) from error
        query = [("id", self._user), ("service", self._service), *(("avoid", node) for node in avoid[-16:])]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = await self._http.get(self._lookup, params=[(name, value) for name, value in query if value], headers=headers)
            body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        except (httpx.HTTPError, ValueError) as error:
            raise Failure("later", RingdialError("lookup_failed", repr(error))) from error
        # What stands in between may answer anything: a page to sign in to the network, say.
        body = body if isinstance(body, dict) else {}
        if answer.status_code == 200 and {"id", "node", "url", "protocols", "retry"} <= body.keys():
            self._advice |= body["retry"]
            self._user = body["id"]
            self._topics.setdefault(f"u:{self._user}", self._inbox)
            return body
        policy = "refresh" if answer.status_code == 401 else "stop" if body.get("temporary") is False else "later"
        seconds = answer.headers.get("retry-after", "")  # or a date, which is left
        advice = body.get("retry_after_ms", 1000 * int(seconds) if seconds.isdecimal() else None)
        raise Failure(policy, RingdialError(body.get("code", f"http_{answer.status_code}"), body.get("detail", ""), policy == "later", advice))

    async def _open(self, node: str, url: str, protocols: list[str]) -> Link:
        """Connects, says hello with the positions, and waits for the welcome."""
        stands = {name: topic.stands() for name, topic in self._topics.items()}
        hello: Json = {"op": "hello", "resume": {name: since for name, since in stands.items() if since},
                       "groups": [name[2:] for name, since in stands.items() if not since and name.startswith("g:")]}
        if self._session:
            hello["replaces"] = self._session
        socket, said = None, Json()
        try:
            async with asyncio.timeout(OPEN_S):
                socket = await connect(url, subprotocols=protocols, compression=None, max_size=FRAME_MAX, ping_interval=None, close_timeout=DETACH_S)
                await socket.send(json.dumps(hello))
                while True:
                    frame = json.loads(await socket.recv())
                    if frame["op"] == "welcome":
                        return Link(socket, node, frame)
                    said = frame if frame["op"] == "error" else said
        except ConnectionClosed as closed:
            raise ended(closed, said) from None
        except (OSError, WebSocketException, TimeoutError, ValueError, KeyError) as error:
            if socket:
                self._spawn(socket.close())
            raise Failure("lost", RingdialError("unreachable", f"{node}: {error!r}")) from error

    async def _until_lost(self, link: Link) -> tuple[Link, Failure]:
        while True:
            await link.ended.wait()
            if self._move and not self._move.done():  # the way out may be open already
                await asyncio.wait([self._move])
            if self._link is link or self._link is None:
                return link, link.failure or Failure("lost", RingdialError("connection_lost"))
            link = self._link

    # === A connection ===

    async def _use(self, link: Link, state: str) -> None:
        """From here on `link` is the one that is written to. What has no answer yet is repeated on it, in order."""
        welcome, self._link, self._session = link.welcome, link, link.welcome["session"]
        self._advice["spread_ms"] = welcome["retry_spread_ms"]
        for name, head in welcome["topics"].items():
            if "error" in head:
                self._refuse(link, name, head["error"])
            else:
                self._stand(link, name, head)
        for name, topic in list(self._topics.items()):  # hello knows no presence, and not what was joined since
            if name.startswith("g:") and (topic.presence or name not in welcome["topics"]):
                await self._join(link, name, topic)
        link.settle("")
        self._spawn(self._read(link))
        if self._writer:
            self._writer.cancel()
        self._writer = self._spawn(self._write(link))
        self._emit(Status(state, link.node))

    async def _move_to(self, old: Link, offer: Json) -> None:
        """Make before break. If it fails nothing has changed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(random.random() * offer["spread_ms"] / 1000):
                await old.ended.wait()
        async with self._steady:
            while old.joins and not old.ended.is_set():
                await asyncio.sleep(0.05)
            if old.failure and old.failure.policy in ("stop", "refresh"):
                return
            try:
                new = await self._open(offer["node"], offer["url"], offer["protocols"])
            except Failure as failure:
                return self._emit(Status("move failed", str(failure)))
            await self._use(new, "moved")
        waits = [asyncio.create_task(event.wait()) for event in (new.settled, old.ended)]
        _, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        await old.write(DETACH)
        with suppress(TimeoutError):
            async with asyncio.timeout(DETACH_S):
                await old.ended.wait()
        await old.socket.close()

    async def _read(self, link: Link) -> None:
        silence = 2 * link.welcome["heartbeat_ms"] / 1000 + SLACK_S
        try:
            while True:
                try:
                    text = await asyncio.wait_for(link.socket.recv(), silence)
                except TimeoutError:
                    await link.write(PROBE)
                    text = await asyncio.wait_for(link.socket.recv(), PROBE_S)
                await self._on_frame(link, json.loads(text))
        except ConnectionClosed as closed:
            link.failure = ended(closed, link.said)
        except TimeoutError:
            link.failure = Failure("now", RingdialError("silent"))
        finally:
            link.ended.set()
            link.settled.set()
            if self._link is link and self._writer:
                self._writer.cancel()
            for request in self._requests.values():
                if request.link is link and not request.repeat and not request.answer.done():
                    request.answer.set_exception(RingdialError("unconfirmed", "the connection ended before the answer"))
            await link.socket.close()

    async def _write(self, link: Link) -> None:
        written = 0
        while True:
            self._more.clear()
            for ref, request in list(self._requests.items()):
                if ref > written and (request.repeat or request.link is None):
                    written, request.link = ref, link
                    await link.write(request.frame)
            await self._more.wait()

    async def _request(self, frame: Json, repeat: bool) -> Json:
        if self._over:
            raise self._over
        self._refs += 1
        request = self._requests[ref] = Request(frame | {"ref": (ref := self._refs)}, asyncio.get_running_loop().create_future(), repeat)
        self._more.set()
        try:
            return await request.answer
        finally:
            self._requests.pop(ref, None)

    async def _join(self, link: Link, name: str, topic: Topic) -> None:
        self._refs += 1
        link.joins[self._refs] = name
        link.settle(name, pending=True)
        since = {"since": topic.stands()} if topic.stands() else {}
        await link.write({"op": "join", "ref": self._refs, "group": name[2:], "presence": topic.presence, **since})

    # === Frames ===

    async def _on_frame(self, link: Link, frame: Json) -> None:
        name, ref = frame.get("topic", ""), frame.get("ref")
        match frame["op"]:
            case "message":
                self._message(frame)
            case "gap":
                self._gap(link, frame)
            case "ack" if ref in link.joins:
                self._stand(link, link.joins.pop(ref), frame)
            case "error" if ref in link.joins:
                self._refuse(link, link.joins.pop(ref), frame["code"])
            case "ack" | "error" if request := self._requests.get(ref):
                self._answered(request, frame)
            case "error" if ref is None:
                link.said = frame  # the close follows
            case "recovered" if name in self._topics or name not in link.pending:
                self._stand(link, name, frame)
            case "removed":
                self._refuse(link, name, "removed")
            case "presence" if link is self._link:
                self._emit(Presence(frame["group"], frame["count"], frame.get("users"), frame.get("joined", []), frame.get("left", [])))
            case "moved" if link is self._link and (self._move is None or self._move.done()):
                self._move = self._spawn(self._move_to(link, frame))
            case "ping":
                await link.write(PONG)

    def _answered(self, request: Request, frame: Json) -> None:
        if request.answer.done():
            return  # the same answer by another connection
        if frame["op"] == "ack":
            request.answer.set_result(frame)
        else:
            request.answer.set_exception(RingdialError(frame["code"], frame["message"], frame["temporary"], frame.get("retry_after_ms")))

    def _stand(self, link: Link, name: str, head: Json) -> None:
        """`welcome`, `ack` of a join and `recovered` tell where a topic stands."""
        topic = self._topics.setdefault(name, Topic())
        pending = head["recovered"] == "pending"
        link.settle(name, pending=pending)
        if pending:
            return  # its head may be another one by the time it has recovered
        if topic.position is None and "epoch" in head and (topic.asked is None or head["offset"] == 0):
            topic.position = head["epoch"], head["offset"]
        topic.joined.set()

    def _refuse(self, link: Link, name: str, code: str) -> None:
        link.settle(name)
        if code in TEMPORARY:
            self._spawn(self._join_later(link, name))
        elif topic := self._topics.pop(name, None):
            topic.refused = code
            topic.joined.set()
            self._emit(Status("refused", f"{name}: {code}"))

    async def _join_later(self, link: Link, name: str) -> None:
        await asyncio.sleep(1 + random.random())
        if (topic := self._topics.get(name)) and self._link is link:
            await self._join(link, name, topic)

    def _message(self, frame: Json) -> None:
        name, topic = frame["topic"], self._topics.get(frame["topic"])
        if "offset" in frame:
            place = frame["epoch"], frame["offset"]
            if topic is None or topic.position and (topic.position[0] != place[0] or topic.position[1] >= place[1]):
                return  # it was left, or another connection brought it
            topic.position = place
        elif "id" in frame:
            origin, _, counter = frame["id"].rpartition("-")
            if self._seen.get((name, origin), -1) >= int(counter):
                return
            self._seen[name, origin] = int(counter)
        self._emit(Message(name, frame["from"], frame["data"], frame["time"], frame.get("epoch"), frame.get("offset")))

    def _gap(self, link: Link, frame: Json) -> None:
        topic, place = self._topics.get(frame["topic"]), (frame["epoch"], frame["before"] - 1)
        if topic is None:
            return
        same = topic.position is not None and topic.position[0] == place[0]
        if frame["reason"] == "log_lost":
            if same and topic.lost_by not in (None, link):
                return  # another connection's gap brought it there
            topic.lost_by = link
        elif not same or topic.position and topic.position[1] >= place[1]:
            return
        topic.position = place
        self._emit(Gap(frame["topic"], frame["after"], frame["before"], frame["reason"]))

    # === Small things ===

    def _emit(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            logging.exception("on_event failed")

    def _stop(self, error: RingdialError) -> None:
        if not self._over:
            self._over = error
            self._emit(Status("closed", str(error)))
        for request in self._requests.values():
            if not request.answer.done():
                request.answer.set_exception(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def ended(closed: ConnectionClosed, said: Json) -> Failure:
    """What a close asks for, with the error frame that came before it."""
    code = closed.rcvd.code if closed.rcvd else 1006
    return Failure(close_policy(code), RingdialError(said.get("code", f"close_{code}"), said.get("message", ""), retry_after_ms=said.get("retry_after_ms")))
