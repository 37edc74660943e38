"""Contacts and opportunities over REST: who writes what, what is refused, and that nothing is lost or half done."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from crm import tenancy
from crm.contacts import NumbersChanged, change_contact
from crm.models import Contact, ContactNumber, Membership, Opportunity
from tests.conftest import Api, Company
from tests.crm.test_every_url import everything_of

ApiOf = Callable[[Membership], Api]
MOBILE, LANDLINE = "+5511987654321", "+551132345678"


def error_of(answer: Any) -> tuple[int, str, str | None]:
    """The status, and the one error's code and field."""
    [error] = answer.json()["errors"]
    assert error["detail"]
    return answer.status_code, error["code"], error["attr"]


def listed(company: Company) -> None:
    """Have the company's contact not be called."""
    with tenancy.inside(company.id):
        Contact.objects.filter(pk=company.contact.pk).update(do_not_call_since=timezone.now())


@pytest.mark.parametrize("role", ["rep", "manager", "admin"])
def test_every_member_makes_a_contact_with_numbers_as_they_write_them(ours: Company, api_of: ApiOf, role: str) -> None:
    api = api_of(getattr(ours, role))
    body = {
        "name": "  Ana Souza ",
        "company": "Padaria Ótima",
        "email": "ana@padaria.example",
        "owner": str(ours.rep2.user_id),
        "time_zone": "America/Manaus",
        "numbers": [{"number": "(11) 98765-4321", "label": "mobile"}, {"number": "011 3234-5678"}],
    }
    answer = api.post("contacts/", body)
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert made["numbers"] == [{"number": MOBILE, "label": "mobile"}, {"number": LANDLINE, "label": ""}]
    assert (made["name"], made["organization"], made["do_not_call_since"]) == ("Ana Souza", str(ours.id), None)
    assert {name: made[name] for name in ("company", "email", "owner", "time_zone")} == {
        name: body[name] for name in ("company", "email", "owner", "time_zone")
    }
    assert api.get(f"contacts/{made['id']}/").json() == made


def test_a_name_is_enough_for_a_contact(ours: Company, api_of: ApiOf) -> None:
    made = api_of(ours.rep).post("contacts/", {"name": "Ana"}).json()
    assert (made["numbers"], made["owner"], made["time_zone"], made["company"]) == ([], None, "", "")


NUMBERS: list[tuple[list[Any], str, str]] = [
    ([{"number": "12"}], "invalid_number", "numbers.0.number"),
    ([{"number": MOBILE}, {"number": "12"}], "invalid_number", "numbers.1.number"),
    ([{"number": MOBILE}, {"number": "(11) 98765-4321"}], "number_twice", "numbers.1.number"),
    ([{"number": f"+5511987650{place:03}"} for place in range(11)], "too_many_numbers", "numbers"),
    ([{"number": ""}], "blank", "numbers.0.number"),
    ([{"label": "mobile"}], "required", "numbers.0.number"),
    ([{"number": MOBILE, "label": "x" * 41}], "max_length", "numbers.0.label"),
    ([{"number": "+55\x0011987654321"}], "null_characters_not_allowed", "numbers.0.number"),
]


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        *(({"numbers": numbers}, code, field) for numbers, code, field in NUMBERS),
        ({"numbers": None}, "null", "numbers"),
        ({"numbers": {"number": MOBILE}}, "not_a_list", "numbers.non_field_errors"),
        ({"name": " "}, "blank", "name"),
        ({"name": "x" * 201}, "max_length", "name"),
        ({"name": "a\x00b"}, "null_characters_not_allowed", "name"),
        ({"name": "\ud83d"}, "surrogate_characters_not_allowed", "name"),
        ({"email": "nobody"}, "invalid", "email"),
        ({"owner": "x"}, "invalid", "owner"),
        ({"time_zone": "Brazil"}, "unknown_time_zone", "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "unknown_time_zone", "time_zone"),
        ({"do_not_call": "perhaps"}, "invalid", "do_not_call"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_bad_input_names_its_field_and_changes_nothing(
    ours: Company, api_of: ApiOf, said: dict[str, Any], code: str, field: str
) -> None:
    api = api_of(ours.rep)
    api.get("me/")  # which notes that the token was used
    before = everything_of(ours)
    for answer in (
        api.post("contacts/", {"name": "Ana"} | said),
        api.patch(f"contacts/{ours.contact.pk}/", {"company": "Not this one"} | said),
    ):
        assert error_of(answer) == (400, code, field)
    assert everything_of(ours) == before


def test_only_what_is_sent_is_changed(ours: Company, api_of: ApiOf) -> None:
    api, path = api_of(ours.rep), f"contacts/{ours.contact.pk}/"
    before = api.get(path).json()
    after = api.patch(path, {"email": "new@example.com"}).json()
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == before | {"email": "new@example.com"}
    cleared = api.patch(path, {"email": "", "company": "", "numbers": []}).json()
    assert (cleared["email"], cleared["company"], cleared["numbers"]) == ("", "", [])
    assert cleared["name"] == before["name"]


def test_numbers_are_replaced_in_the_order_given_and_those_that_stay_are_the_same_rows(
    ours: Company, api_of: ApiOf
) -> None:
    path = f"contacts/{ours.contact.pk}/"
    with tenancy.inside(ours.id):
        kept = ContactNumber.objects.get(contact=ours.contact).pk
    sent = [{"number": MOBILE, "label": "new"}, {"number": ours.contact_number, "label": "old"}]
    assert api_of(ours.rep).patch(path, {"numbers": sent}).json()["numbers"] == sent
    assert api_of(ours.rep).get(path).json()["numbers"] == sent
    with tenancy.inside(ours.id):
        assert ContactNumber.objects.get(number=ours.contact_number).pk == kept


@pytest.mark.parametrize("what", ["stranger", "inactive member", "inactive user", "nobody"])
def test_only_an_active_member_becomes_an_owner(ours: Company, theirs: Company, api_of: ApiOf, what: str) -> None:
    user = {"stranger": theirs.rep.user_id, "nobody": uuid4()}.get(what, ours.rep2.user_id)
    if what == "inactive member":
        with tenancy.inside(ours.id):
            Membership.objects.filter(pk=ours.rep2.pk).update(is_active=False)
    if what == "inactive user":
        type(ours.rep2.user).objects.filter(pk=ours.rep2.user_id).update(is_active=False)
    api = api_of(ours.rep)
    deal = {"contact": str(ours.contact.pk), "title": "Another", "owner": str(user)}
    for answer in (
        api.post("contacts/", {"name": "Ana", "owner": str(user)}),
        api.patch(f"contacts/{ours.contact.pk}/", {"owner": str(user)}),
        api.post("opportunities/", deal),
        api.patch(f"opportunities/{ours.opportunity.pk}/", {"owner": str(user)}),
    ):
        assert error_of(answer) == (400, "not_an_owner", "owner")


def test_an_owner_who_has_left_may_stay_the_owner(ours: Company, api_of: ApiOf) -> None:
    with tenancy.inside(ours.id):
        Contact.objects.filter(pk=ours.contact.pk).update(owner=ours.rep2.user)
        Membership.objects.filter(pk=ours.rep2.pk).update(is_active=False)
    said = {"owner": str(ours.rep2.user_id), "company": "Kept"}
    assert api_of(ours.rep).patch(f"contacts/{ours.contact.pk}/", said).json()["company"] == "Kept"


def test_every_member_says_that_a_contact_is_not_to_be_called_and_only_an_admin_takes_it_back(
    ours: Company, api_of: ApiOf
) -> None:
    path = f"contacts/{ours.contact.pk}/"
    since = api_of(ours.rep).patch(path, {"do_not_call": True}).json()["do_not_call_since"]
    assert since is not None
    assert api_of(ours.rep2).patch(path, {"do_not_call": True}).json()["do_not_call_since"] == since
    for member in (ours.rep, ours.manager):
        answer = api_of(member).patch(path, {"do_not_call": False, "company": "Not this one"})
        assert error_of(answer) == (403, "permission_denied", "do_not_call")
    assert api_of(ours.admin).patch(path, {"do_not_call": False}).json()["do_not_call_since"] is None
    assert api_of(ours.rep).patch(path, {"do_not_call": False}).status_code == 200
    assert api_of(ours.rep).get(path).json()["company"] == "Ours Ltda"


def test_the_numbers_of_who_may_not_be_called_are_taken_away_by_admins_only(ours: Company, api_of: ApiOf) -> None:
    listed(ours)
    path, kept = f"contacts/{ours.contact.pk}/", {"number": ours.contact_number}
    for numbers in ([], [{"number": MOBILE}]):
        answer = api_of(ours.rep).patch(path, {"numbers": numbers})
        assert error_of(answer) == (403, "permission_denied", "numbers")
    assert api_of(ours.rep).patch(path, {"numbers": [{"number": MOBILE}, kept]}).status_code == 200
    assert api_of(ours.admin).patch(path, {"numbers": []}).json()["numbers"] == []


def test_changes_of_two_members_at_once_are_both_kept(ours: Company) -> None:
    together = Barrier(2)

    def change(**said: Any) -> None:
        together.wait()
        change_contact(member=ours.rep, contact_id=ours.contact.pk, **said)
        connection.close()

    changes: list[dict[str, Any]] = [{"company": "One"}, {"email": "two@example.com", "numbers": [{"number": MOBILE}]}]
    threads = [Thread(target=change, kwargs=said) for said in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tenancy.inside(ours.id):
        found = Contact.objects.prefetch_related("numbers").get(pk=ours.contact.pk)
        assert (found.company, found.email) == ("One", "two@example.com")
        assert [one.number for one in found.numbers.all()] == [MOBILE]


def test_numbers_that_somebody_else_has_changed_since_they_were_seen_are_not_overwritten(ours: Company) -> None:
    seen = [{"number": ours.contact_number, "label": ""}]
    said: dict[str, Any] = {"member": ours.rep, "contact_id": ours.contact.pk, "seen": seen}
    change_contact(**said, numbers=[*seen, {"number": MOBILE}])
    for stale in (seen, [{"number": "no number"}]):
        with pytest.raises(NumbersChanged):
            change_contact(**said | {"seen": stale}, numbers=[{"number": LANDLINE}], company="Nor this")
    with tenancy.inside(ours.id):
        assert Contact.objects.get(pk=ours.contact.pk).company == "Ours Ltda"
        assert ContactNumber.objects.filter(contact=ours.contact).count() == 2


# Opportunities


@pytest.mark.parametrize("role", ["rep", "manager", "admin"])
def test_every_member_makes_an_opportunity_and_changes_what_they_send(ours: Company, api_of: ApiOf, role: str) -> None:
    member = getattr(ours, role)
    api = api_of(member)
    body = {"contact": str(ours.contact.pk), "title": " Ovens ", "stage": "proposal", "amount": "12345.60"}
    answer = api.post("opportunities/", body | {"owner": str(member.user_id)})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["title"], made["stage"], made["amount"]) == ("Ovens", "proposal", "12345.60")
    assert (made["contact"], made["owner"], made["organization"]) == (
        *(str(ours.contact.pk), str(member.user_id), str(ours.id)),
    )
    path = f"opportunities/{made['id']}/"
    assert api.get(path).json() == made
    changed = api.patch(path, {"stage": "won", "amount": 0}).json()
    assert changed.pop("updated_at") > made.pop("updated_at")
    assert changed == made | {"stage": "won", "amount": "0.00"}
    emptied = api.patch(path, {"amount": None, "owner": None}).json()
    assert (emptied["amount"], emptied["owner"], emptied["title"]) == (None, None, "Ovens")


@pytest.mark.parametrize(
    ("said", "status", "code", "field"),
    [
        ({"title": ""}, 400, "blank", "title"),
        ({"title": "x" * 201}, 400, "max_length", "title"),
        ({"title": "a\x00b"}, 400, "null_characters_not_allowed", "title"),
        ({"stage": "x" * 61}, 400, "max_length", "stage"),
        ({"amount": "-0.01"}, 400, "min_value", "amount"),
        ({"amount": "1.234"}, 400, "max_decimal_places", "amount"),
        ({"amount": "1" + "0" * 12}, 400, "max_whole_digits", "amount"),
        ({"amount": "NaN"}, 400, "invalid", "amount"),
        ({"amount": "Infinity"}, 400, "invalid", "amount"),
        ({"amount": "1,50"}, 400, "invalid", "amount"),
        ({"contact": None}, 400, "null", "contact"),
        ({"contact": "x"}, 400, "invalid", "contact"),
        ({"contact": "theirs"}, 404, "not_found", "contact"),
        ({"contact": "01890000-0000-7000-8000-000000000000"}, 404, "not_found", "contact"),
    ],
    ids=str,
)
def test_a_bad_opportunity_names_its_field_and_changes_nothing(
    ours: Company, theirs: Company, api_of: ApiOf, said: dict[str, Any], status: int, code: str, field: str
) -> None:
    if said.get("contact") == "theirs":
        said = {"contact": str(theirs.contact.pk)}
    api = api_of(ours.rep)
    api.get("me/")
    before = everything_of(ours), everything_of(theirs)
    right = {"contact": str(ours.contact.pk), "title": "Ovens"}
    assert error_of(api.post("opportunities/", right | said)) == (status, code, field)
    answer = api.patch(f"opportunities/{ours.opportunity.pk}/", {"stage": "Not this one"} | said)
    assert error_of(answer) == (status, code, field)
    assert (everything_of(ours), everything_of(theirs)) == before


def test_opportunities_come_newest_first_in_pages_and_by_contact(ours: Company, theirs: Company, api_of: ApiOf) -> None:
    with tenancy.inside(ours.id):
        other = Contact.objects.create(name="Other")
        for place in range(3):
            Opportunity.objects.create(contact=other, title=f"Deal {place}", amount=Decimal(place))
    api = api_of(ours.rep)
    seen, url = [], "/api/v1/opportunities/?page_size=1"
    while url:
        page = api.client.get(url).json()
        seen += [row["title"] for row in page["results"]]
        url = page["next"]
    assert seen == ["Deal 2", "Deal 1", "Deal 0", "A deal"]
    found = api.get("opportunities/", query_params={"contact": str(ours.contact.pk)}).json()["results"]
    assert [row["title"] for row in found] == ["A deal"]
    assert api.get("opportunities/", query_params={"contact": str(theirs.contact.pk)}).json()["results"] == []
    assert error_of(api.get("opportunities/", query_params={"contact": "x"})) == (400, "invalid", "contact")


def test_an_opportunity_is_given_to_another_contact(ours: Company, api_of: ApiOf) -> None:
    with tenancy.inside(ours.id):
        other = Contact.objects.create(name="Other", updated_at=timezone.now() - timedelta(days=1))
    path = f"opportunities/{ours.opportunity.pk}/"
    assert api_of(ours.rep).patch(path, {"contact": str(other.pk)}).json()["contact"] == str(other.pk)
