"""Recording rules: who decides, what is frozen, how long recordings are kept, who plays and who takes them away."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from calls.models import CallLog, DueCall, Recording
from calls.reconcile.retention import delete_due, delete_recording
from crm import tenancy
from crm.models import AuditEntry
from tests.calls.driving import check
from tests.calls.test_gate import patch, rule
from tests.conftest import Api, Company, World, eventually, read_call
from tests.crm.rows import make_call, make_recording


def start(company: Company, **more: Any) -> Any:
    """Start a call over REST."""
    return Api(company.rep).post("calls/", {"contact": str(company.contact.pk), **more})


def is_recorded(company: Company, answer: Any) -> bool:
    """Whether the call that was started is to be recorded."""
    assert answer.status_code == 201, answer.content
    return read_call(company, answer.json()["id"]).is_recorded


@pytest.mark.parametrize("records_calls", [True, False])
def test_the_organization_decides_and_a_rep_who_decides_otherwise_is_refused(
    world: World, company: Company, records_calls: bool
) -> None:
    company.connect(records_calls=records_calls)
    refused = start(company, record=not records_calls)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "recording_is_fixed")
    assert is_recorded(company, start(company, record=records_calls)) == records_calls


@pytest.mark.parametrize(("asked", "expected"), [(True, True), (False, False), (None, True)])
def test_a_rep_decides_where_it_is_left_to_them(
    world: World, company: Company, asked: bool | None, expected: bool
) -> None:
    rule(company, rep_decides_recording=True)
    answer = start(company, **({} if asked is None else {"record": asked}))
    assert is_recorded(company, answer) == expected


def test_what_was_decided_is_frozen_and_obeyed(running: World, company: Company) -> None:
    rule(company, rep_decides_recording=True)
    call = start(company, record=False).json()
    company.connect(records_calls=True)  # while the phone rings
    eventually(lambda: read_call(company, call["id"]).stage == "ended", what="the call is over")
    with tenancy.inside(company.id):
        assert not Recording.objects.exists()
    assert not [
        one for one in running.twilio.ask("GET", "state")["recordings"] if one["account_sid"] == company.account_sid
    ]


# Retention


def old_recording(company: Company, *, days: int, **fields: Any) -> Recording:
    """A recording with its media that was made so many days ago."""
    call = make_call(company, status="completed", stage="ended")
    recording = make_recording(call, b"RIFF of long ago")
    with tenancy.inside(company.id):
        made = timezone.now() - timedelta(days=days)
        Recording.objects.filter(pk=recording.pk).update(created_at=made, **fields)
        url = f"/api/v1/recordings/{recording.pk}/audio"
        CallLog.objects.filter(pk=call.pk).update(recording_sid=recording.recording_sid, recording_url=url)
        return Recording.objects.get(pk=recording.pk)


def again(recording: Recording) -> Recording:
    """The row as it is now."""
    with tenancy.inside(recording.organization_id):
        return Recording.objects.get(pk=recording.pk)


def test_a_recording_is_deleted_here_and_at_twilio_after_its_days(world: World, company: Company) -> None:
    talked = start(company).json()
    call_id = talked["id"]

    def is_stored() -> bool:
        check(company, call_id)
        with tenancy.inside(company.id):
            DueCall.objects.update(due_at=timezone.now())
            return Recording.objects.filter(stored_at__isnull=False).exists()

    eventually(is_stored, seconds=40, what="the recording is here")
    with tenancy.inside(company.id):
        recording = Recording.objects.get()
        Recording.objects.update(created_at=timezone.now() - timedelta(days=31))
    name = recording.media_name
    rule(company, recording_days=32)
    assert delete_due(seconds=30) == 0
    rule(company, recording_days=30)
    assert delete_due(seconds=30) == 1
    now = again(recording)
    assert now.deleted_at
    assert (now.deleted_why, now.media_name, now.is_playable) == ("retention", "", False)
    assert now.gone_at_twilio_at
    assert not storages["recordings"].exists(name)
    at_twilio = {one["sid"]: one["status"] for one in world.twilio.ask("GET", "state")["recordings"]}
    assert at_twilio[recording.recording_sid] == "deleted"
    gone = Api(company.admin).get(f"recordings/{recording.pk}/audio")
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (410, "recording_deleted")
    shown = Api(company.rep).get(f"recordings/{recording.pk}/").json()
    assert (shown["deleted_why"], shown["url"]) == ("retention", None)
    assert Api(company.rep).get(f"calls/{call_id}/").json()["recording_url"] is None
    assert delete_due(seconds=30) == 0
    check(company, call_id)
    assert again(recording).deleted_at == now.deleted_at, "It is not fetched again."


def test_what_twilio_does_not_delete_now_is_deleted_there_later(world: World, company: Company, settings: Any) -> None:
    recording = old_recording(company, days=10)
    rule(company, recording_days=5)
    address, settings.TWILIO_API_BASE_URL = settings.TWILIO_API_BASE_URL, "http://127.0.0.1:1"
    assert delete_due(seconds=30) == 1
    assert again(recording).deleted_at
    assert again(recording).gone_at_twilio_at is None
    settings.TWILIO_API_BASE_URL = address
    assert delete_due(seconds=30) == 0
    assert again(recording).gone_at_twilio_at, "Twilio knows no such recording: that is as good as deleted."


def test_nothing_is_deleted_where_no_days_are_set_and_no_other_organizations(
    world: World, company: Company, theirs: Company
) -> None:
    kept, foreign = old_recording(company, days=4000), old_recording(theirs, days=4000)
    assert delete_due(seconds=30) == 0
    rule(company, recording_days=5)
    assert delete_due(seconds=30) == 1
    assert again(kept).deleted_at
    assert again(foreign).is_playable


def test_an_admin_deletes_one_and_it_is_said_who(world: World, company: Company, client_of: Any) -> None:
    recording = old_recording(company, days=1)
    for member in (company.rep, company.manager):
        assert Api(member).delete(f"recordings/{recording.pk}/").status_code == 403
    assert again(recording).is_playable
    assert Api(company.admin).delete(f"recordings/{recording.pk}/").status_code == 204
    assert Api(company.admin).delete(f"recordings/{recording.pk}/").status_code == 204
    assert again(recording).deleted_why == "member"
    with tenancy.inside(company.id):
        [said] = AuditEntry.objects.filter(action="recording.deleted")
        assert (said.who, said.details["why"]) == (company.admin.user.email, "member")
    page = client_of(company.rep).get(f"/calls/{recording.call_id}/").content.decode()
    assert "Deleted on" in page
    assert "Deleted by an admin" in page
    assert "<audio" not in page


def test_a_deletion_that_was_cut_short_goes_on(world: World, company: Company) -> None:
    recording = old_recording(company, days=1)
    storages["recordings"].delete(recording.media_name)  # and then the process died
    assert delete_recording(company.id, recording.pk, why="retention") == (True, True)
    assert delete_recording(company.id, recording.pk, why="retention") == (False, True)
    assert again(recording).deleted_at


# Who may


@pytest.mark.parametrize(
    ("may_play", "may_download", "expected"),
    [
        ("rep", "manager", {"rep": (200, 403), "manager": (200, 200), "admin": (200, 200)}),
        ("manager", "admin", {"rep": (403, 403), "manager": (200, 403), "admin": (200, 200)}),
        ("admin", "admin", {"rep": (403, 403), "manager": (403, 403), "admin": (200, 200)}),
        ("rep", "rep", {"rep": (200, 200), "manager": (200, 200), "admin": (200, 200)}),
    ],
)
def test_who_may_play_and_who_may_download_is_a_rule(
    ours: Company, client_of: Any, may_play: str, may_download: str, expected: dict[str, tuple[int, int]]
) -> None:
    recording = old_recording(ours, days=0)
    assert patch(ours, may_play=may_play, may_download=may_download).status_code == 200
    for role, statuses in expected.items():
        api = Api(getattr(ours, role))
        told = []
        for query in ("", "?download=1"):
            answer = api.get(f"recordings/{recording.pk}/audio{query}")
            told.append(answer.status_code)
            if answer.status_code == 200:
                assert ("attachment" in answer["Content-Disposition"]) == bool(query)
            answer.close()
        assert tuple(told) == statuses, role
        page = client_of(getattr(ours, role)).get(f"/calls/{recording.call_id}/").content.decode()
        assert ("<audio" in page) == (statuses[0] == 200)
    with tenancy.inside(ours.id):
        downloads = AuditEntry.objects.filter(action="recording.downloaded").values_list("who", flat=True)
        assert len(downloads) == sum(statuses[1] == 200 for statuses in expected.values())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recording_days": 0}, "recording_days"),
        ({"may_play": "nobody"}, "may_play"),
        ({"recording_days": 10**9}, "recording_days"),
    ],
    ids=str,
)
def test_rules_that_cannot_be_kept(ours: Company, changes: dict[str, Any], field: str) -> None:
    answer = patch(ours, **changes)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, field)
    assert patch(ours, recording_days=None).status_code == 200
