"""The call log, its legs, the journal of facts, recordings and who played them, runs through lists."""

from calls.models.call import (
    LIVE,
    NOT_CONNECTED,
    CallLog,
    CallStatus,
    Direction,
    Disposition,
    Leg,
    LegStatus,
    Party,
    Stage,
)
from calls.models.fence import WEEK, CallCount, CallRules, DaySpend, MinuteRate, money
from calls.models.journal import DueCall, JournalEntry, JournalSource
from calls.models.recording import DeletedWhy, Play, Recording, RecordingStatus
from calls.models.run import EntryState, Run, RunEntry

__all__ = [
    "LIVE",
    "NOT_CONNECTED",
    "WEEK",
    "CallCount",
    "CallLog",
    "CallRules",
    "CallStatus",
    "DaySpend",
    "DeletedWhy",
    "Direction",
    "Disposition",
    "DueCall",
    "EntryState",
    "JournalEntry",
    "JournalSource",
    "Leg",
    "LegStatus",
    "MinuteRate",
    "Party",
    "Play",
    "Recording",
    "RecordingStatus",
    "Run",
    "RunEntry",
    "Stage",
    "money",
]
