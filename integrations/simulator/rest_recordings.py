"""REST handlers for recordings and their media, and for the numbers of an account."""

import re
from typing import Any

from aiohttp import web

from .audio import Wave
from .engine import Engine
from .errors import error, not_found
from .paging import date_filter, page
from .represent import account_json, caller_id_json, incoming_number_json, recording_json
from .rest_calls import method_of, recording_callback, text_of
from .state import Account, Recording, World

VOICE_FIELDS = {
    "FriendlyName": "friendly_name",
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
}


class RecordingHandlers:
    """Recordings, under a call and under the account, and their audio."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world = world
        self.engine = engine

    def find(self, request: web.Request, account: Account, *, deleted: bool = False) -> Recording:
        """The recording in the path. Raises TwilioError 20404."""
        sid, call_sid = request.match_info["recording"], request.match_info.get("sid")
        if sid == "Twilio.CURRENT" and call_sid in self.world.calls:
            running = self.engine.recorder.running(self.world.calls[call_sid])
            sid = running[-1].sid if running else ""
        recording = self.world.recordings.get(sid)
        if (
            recording is None
            or recording.account is not account
            or (recording.deleted and not deleted)
            or call_sid not in (None, recording.call_sid)
        ):
            raise not_found(request.path)
        return recording

    async def list(self, request: web.Request, account: Account) -> web.Response:
        """GET recordings of the account or of one call."""
        call_sid = request.match_info.get("sid")
        wanted = call_sid or request.query.get("CallSid")
        if call_sid is not None and not any(
            call_sid in (r.call_sid, *self.world.calls) and r.account is account for r in self.world.recordings.values()
        ):
            call = self.world.calls.get(call_sid)
            if call is None or call.account is not account:
                raise not_found(request.path)
        with_deleted = call_sid is None and request.query.get("IncludeSoftDeleted", "").lower() == "true"
        found = [
            recording
            for recording in self.world.recordings.values()
            if recording.account is account
            and wanted in (None, "", recording.call_sid)
            and (with_deleted or not recording.deleted)
            and date_filter(request.query, "DateCreated", recording.created_at)
        ]
        of_call = call_sid is not None
        return page(
            request, self.world, "recordings", found, "RE", lambda r: recording_json(self.world, r, of_call=of_call)
        )

    async def fetch(self, request: web.Request, account: Account) -> web.Response:
        """GET one recording's metadata."""
        deleted = request.query.get("IncludeSoftDeleted", "").lower() == "true"
        recording = self.find(request, account, deleted=deleted)
        return web.json_response(recording_json(self.world, recording, of_call="sid" in request.match_info))

    async def create(self, request: web.Request, account: Account) -> web.Response:
        """POST a recording of a call that is in progress."""
        call = self.world.calls.get(request.match_info["sid"])
        if call is None or call.account is not account:
            raise not_found(request.path)
        if call.status != "in-progress":
            raise error(21220, "Requested resource is not eligible for recording")
        form = await request.post()
        recording = self.engine.recorder.start(
            call,
            channels=2 if text_of(form, "RecordingChannels") == "dual" else 1,
            source="StartCallRecordingAPI",
            track=text_of(form, "RecordingTrack") or "both",
            callback=recording_callback(form),
        )
        return web.json_response(recording_json(self.world, recording, of_call=True), status=201)

    async def update(self, request: web.Request, account: Account) -> web.Response:
        """POST one recording of a call: pause it, go on, or stop it."""
        recording = self.find(request, account)
        form = await request.post()
        recorder = self.engine.recorder
        status = text_of(form, "Status")
        if status not in ("paused", "in-progress", "stopped"):
            raise error(20001, f"Invalid Status: {status}")
        if recording.status not in ("in-progress", "paused"):
            raise error(21220, "The recording is over.")
        if status == "paused":
            recorder.pause(recording, text_of(form, "PauseBehavior") or "silence")
        elif status == "in-progress":
            recorder.resume(recording)
        else:
            recorder.stop(recording)
        return web.json_response(recording_json(self.world, recording, of_call=True))

    async def delete(self, request: web.Request, account: Account) -> web.Response:
        """DELETE a recording: its media is gone, its metadata stays for IncludeSoftDeleted."""
        recording = self.find(request, account)
        if recording.status in ("in-progress", "paused"):
            raise error(20001, "A recording cannot be deleted while it is in progress.")
        recording.deleted = True
        self.world.touch()
        return web.Response(status=204)

    async def media(self, request: web.Request, account: Account) -> web.StreamResponse:
        """GET the audio: WAV with or without `.wav`.

        `.mp3` is 404, as this Twilio has no MP3 encoder and would not pass off other bytes as MP3. The media of a
        recording that is not completed, or deleted, is 404. `RequestedChannels=2` is 400 if it has one track only.
        """
        recording = self.find(request, account)
        if request.match_info["extension"] == ".mp3" or recording.status != "completed":
            raise not_found(request.path)
        asked = request.query.get("RequestedChannels", "")
        if asked not in ("", "1", "2"):
            raise error(20001, f"Invalid RequestedChannels: {asked}")
        if asked == "2" and recording.track != "both":
            raise error(20001, "The recording has one channel only.")
        wave = Wave(recording.duration or 0, int(asked or recording.channels))
        start, stop, status = 0, wave.size, 200
        headers = {"Content-Type": "audio/x-wav", "Content-Disposition": f'inline; filename="{recording.sid}.wav"'}
        if self.world.switches["media_range"] == "range":
            headers |= {"Accept-Ranges": "bytes", "ETag": f'"{recording.sid}-{wave.size}"'}
            same = request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
            span = byte_range(request.headers.get("Range", ""), wave.size) if same else None
            if span == (0, 0):
                return web.Response(status=416, headers={"Content-Range": f"bytes */{wave.size}"})
            if span is not None:
                start, stop = span
                status = 206
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{wave.size}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = stop - start
        await response.prepare(request)
        if request.method != "HEAD":
            for chunk in wave.chunks(start, stop):
                await response.write(chunk)
        await response.write_eof()
        return response


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """One `Range: bytes=…` as (start, stop); None if absent or not understood, (0, 0) if it cannot be satisfied."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    return (start, stop) if start < stop else (0, 0)


class NumberHandlers:
    """The account itself, its bought numbers and its verified caller IDs."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def account(self, request: web.Request, account: Account) -> web.Response:
        """GET the account."""
        return web.json_response(account_json(account))

    async def accounts(self, request: web.Request, account: Account) -> web.Response:
        """GET the list of accounts, which is this one."""
        return page(request, self.world, "accounts", [account], "", account_json)

    async def incoming(self, request: web.Request, account: Account) -> web.Response:
        """GET the bought numbers; `PhoneNumber` matches exactly or with `*`, or part of it."""
        found = _matching(account.numbers.values(), request)
        return page(
            request, self.world, "incoming_phone_numbers", found, "", lambda n: incoming_number_json(account, n)
        )

    async def incoming_one(self, request: web.Request, account: Account) -> web.Response:
        """GET, or POST changes to, one bought number."""
        number = _by_sid(account.numbers, request)
        if request.method == "POST":
            form = await request.post()
            for name, field in VOICE_FIELDS.items():
                if name in form:
                    value = method_of(form, name) if name.endswith("Method") else text_of(form, name)
                    setattr(number, field, value)
            self.world.touch()
        return web.json_response(incoming_number_json(account, number))

    async def caller_ids(self, request: web.Request, account: Account) -> web.Response:
        """GET the verified caller IDs."""
        found = _matching(account.verified.values(), request)
        return page(request, self.world, "outgoing_caller_ids", found, "", lambda n: caller_id_json(account, n))

    async def caller_id(self, request: web.Request, account: Account) -> web.Response:
        """GET or DELETE one verified caller ID."""
        number = _by_sid(account.verified, request)
        if request.method == "DELETE":
            del account.verified[number.number]
            return web.Response(status=204)
        return web.json_response(caller_id_json(account, number))


def _matching(numbers: Any, request: web.Request) -> list[Any]:
    part = request.query.get("PhoneNumber", "").replace("*", "")
    name = request.query.get("FriendlyName")
    return [n for n in numbers if part in n.number and name in (None, "", n.friendly_name)]


def _by_sid(numbers: dict[str, Any], request: web.Request) -> Any:
    for number in numbers.values():
        if number.sid == request.match_info["number"]:
            return number
    raise not_found(request.path)
