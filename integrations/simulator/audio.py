"""The sound of a recording: real WAV, 8 kHz 16-bit PCM, one tone pattern per channel, made while it is sent."""

import array
import functools
import math
import struct
import sys
from collections.abc import Iterator

RATE = 8000
# Channel 1 (parent) beeps low in the first half of each second, channel 2 (child) high in the second half.
TONES = ((440.0, 0.05, 0.45), (660.0, 0.55, 0.95))
LOUDNESS = 9000
HEADER = 44


@functools.cache
def second_of(channel: int | None) -> bytes:
    """One second of `channel` (0 or 1) as little-endian PCM; None mixes both channels into one."""
    samples = array.array("h", bytes(2 * RATE))
    for number, (pitch, start, stop) in enumerate(TONES):
        if channel not in (None, number):
            continue
        for index in range(int(start * RATE), int(stop * RATE)):
            samples[index] += round(LOUDNESS * math.sin(2 * math.pi * pitch * index / RATE))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


@functools.cache
def stereo_second() -> bytes:
    """One second of both channels, interleaved."""
    left, right = second_of(0), second_of(1)
    return b"".join(left[i : i + 2] + right[i : i + 2] for i in range(0, len(left), 2))


class Wave:
    """A WAV file of `seconds` seconds and `channels` (1 or 2) that is never held in memory as a whole."""

    def __init__(self, seconds: int, channels: int) -> None:
        self.second = stereo_second() if channels == 2 else second_of(None)
        data = seconds * len(self.second)
        frame = 2 * channels
        self.size = HEADER + data
        self.header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            b"RIFF",
            36 + data,
            b"WAVE",
            b"fmt ",
            16,
            1,
            channels,
            RATE,
            RATE * frame,
            frame,
            16,
            b"data",
            data,
        )

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to, not including, `stop`."""
        if start < HEADER:
            yield self.header[start : min(stop, HEADER)]
            start = HEADER
        length = len(self.second)
        while start < stop:
            offset = (start - HEADER) % length
            piece = self.second[offset : offset + stop - start]
            yield piece
            start += len(piece)
