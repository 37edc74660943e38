"""The sound of a conversation that never was: two voices, each in a channel of its own, that take turns."""

import array
import io
import math
import sys
import wave
from functools import cache

RATE = 8000
SYLLABLES = 4  # in a second
LOUDNESS = 6000
VOICES = ((196.0, 220.0, 247.0), (294.0, 330.0, 392.0))  # Hz: the rep's, lower, and the contact's


def conversation(seconds: int) -> bytes:
    """Return a WAV file of two channels and this length: the rep speaks for two seconds, then the contact for three."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for second in range(seconds):
            file.writeframes(_second(0 if second % 5 < 2 else 1, second % 3))
    return sound.getvalue()


@cache
def _second(speaker: int, turn: int) -> bytes:
    """One second in which one speaks, in syllables that swell and fade, and the other is silent."""
    frames, length = array.array("h", bytes(4 * RATE)), RATE // SYLLABLES
    for index in range(RATE):
        syllable, place = divmod(index, length)
        pitch = VOICES[speaker][(syllable + turn) % 3]
        swell = math.sin(math.pi * place / length) ** 2
        frames[2 * index + speaker] = round(LOUDNESS * swell * math.sin(2 * math.pi * pitch * index / RATE))
    if sys.byteorder == "big":
        frames.byteswap()
    return frames.tobytes()
