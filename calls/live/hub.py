"""Who listens, and what each of them is still to be told; runs in one event loop and waits for nobody."""

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

logger = logging.getLogger(__name__)

SYNC, LOST, BEAT = b"event: sync\ndata:\n\n", b"event: lost\ndata:\n\n", b"event: beat\ndata:\n\n"
# A browser that is so many events behind is told to fetch everything instead.
MOST_WAITING = 50
MOST_OF_A_MEMBER = 20
# Below granian's default for requests at a time (1,024), so that the health check is always answered.
MOST_IN_ALL = 1000


class Full(Exception):
    """There is no place for another stream; the argument says for whom: the member, or anybody."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A member as far as streams care: in which organization, who, and whether the whole team's calls are theirs."""

    organization_id: UUID
    user_id: UUID
    sees_whole_team: bool


class Stream:
    """What one browser is still to be told."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._waiting: list[bytes] = []
        self._filled = asyncio.Event()

    def put(self, event: bytes) -> None:
        """Add an event; the same one twice is one, and too many are one `sync`."""
        if event in self._waiting or SYNC in self._waiting:
            return
        if event == SYNC or len(self._waiting) >= MOST_WAITING:
            self._waiting = [SYNC]
        else:
            self._waiting.append(event)
        self._filled.set()

    async def filled(self) -> None:
        """Return when there is something to tell."""
        await self._filled.wait()

    def take(self) -> list[bytes]:
        """Return what is to be told, and forget it."""
        taken, self._waiting = self._waiting, []
        self._filled.clear()
        return taken


class Hub:
    """Hands each change to the streams that may hear of it: its rep's, and those of who sees the whole team."""

    def __init__(self) -> None:
        self.is_listening = False
        self._streams: dict[UUID, set[Stream]] = {}
        self._of_a_member: Counter[tuple[UUID, UUID]] = Counter()

    def add(self, listener: Listener) -> Stream:
        """Open a stream, whose first event is `sync`: what came before it was missed. Raises: Full."""
        member = (listener.organization_id, listener.user_id)
        if self._of_a_member[member] >= MOST_OF_A_MEMBER:
            raise Full("member")
        if self._of_a_member.total() >= MOST_IN_ALL:
            raise Full("anybody")
        stream = Stream(listener)
        self._streams.setdefault(listener.organization_id, set()).add(stream)
        self._of_a_member[member] += 1
        stream.put(SYNC)
        return stream

    def remove(self, stream: Stream) -> None:
        """Close a stream."""
        listener = stream.listener
        streams = self._streams[listener.organization_id]
        streams.discard(stream)
        if not streams:
            del self._streams[listener.organization_id]
        member = (listener.organization_id, listener.user_id)
        self._of_a_member[member] -= 1
        if not self._of_a_member[member]:
            del self._of_a_member[member]

    def publish(self, payload: str) -> None:
        """Hand on one notification of the database; one that is no such thing, as another version's, is left alone."""
        try:
            said = json.loads(payload)
            organization_id, user_id = UUID(said["organization"]), said["user"] and UUID(said["user"])
            call_id = UUID(said["call"])
        except (ValueError, LookupError, TypeError, AttributeError):
            logger.warning("A notification says nothing that is known here")
            return
        for stream in self._streams.get(organization_id, ()):
            mine = stream.listener.user_id == user_id
            if mine or stream.listener.sees_whole_team:
                data = json.dumps({"call": str(call_id), "mine": mine})
                stream.put(f"event: call\ndata: {data}\n\n".encode())

    def resume(self) -> None:
        """The database is heard, again: whatever changed meanwhile was missed."""
        self.is_listening = True
        self._tell_all(SYNC)

    def pause(self) -> None:
        """The database is not heard: pages must ask by themselves."""
        self.is_listening = False
        self._tell_all(LOST)

    def _tell_all(self, event: bytes) -> None:
        for streams in self._streams.values():
            for stream in streams:
                stream.put(event)
