"""Read the parts of a recording's media, each a file in our storage, as the one file that they amount to."""

import hashlib
import io
from collections.abc import Sequence
from typing import Any

from django.core.files.storage import Storage


class Joined(io.RawIOBase):
    """The parts one after the other, read as they are asked for: no more than a read's bytes are ever in memory.

    Whoever reads it to its end leaves the digest of the whole behind, also where some of it was read twice, as
    storages may. Raises FileNotFoundError while reading when a part is gone.
    """

    def __init__(self, storage: Storage, parts: Sequence[tuple[str, int]]) -> None:
        super().__init__()
        self.size = sum(size for _, size in parts)
        self.digest = hashlib.sha256()
        self.digested = 0
        self._storage, self._parts = storage, parts
        self._at = 0
        self._part: Any = None
        self._next_at = 0  # where the open part's next byte belongs

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def seekable(self) -> bool:
        """A storage may begin again."""
        return True

    def tell(self) -> int:
        """How many bytes come before the next one."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to `offset` bytes from the beginning, from here or from the end; return how far from the beginning."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the part that the place is in; 0 at the end of the last one, or of one cut short."""
        if self._part is None or self._next_at != self._at:
            self._open()
        data = b"" if self._part is None else self._part.read(len(buffer))
        if not data and self._part is not None:
            self._open()  # the next part
            data = b"" if self._part is None else self._part.read(len(buffer))
        self._digest(data)
        buffer[: len(data)] = data
        self._at = self._next_at = self._at + len(data)
        return len(data)

    def close(self) -> None:
        """Close the part that is open."""
        if self._part is not None:
            self._part.close()
            self._part = None
        super().close()

    def _open(self) -> None:
        """Open the part that the place is in, there; none beyond the end."""
        if self._part is not None:
            self._part.close()
            self._part = None
        start = 0
        for name, size in self._parts:
            if start <= self._at < start + size:
                self._part = self._storage.open(name, "rb")
                self._part.seek(self._at - start)
                self._next_at = self._at
                return
            start += size

    def _digest(self, data: bytes) -> None:
        fresh = self.digested - self._at
        if 0 <= fresh < len(data):
            self.digest.update(data[fresh:])
            self.digested += len(data) - fresh
