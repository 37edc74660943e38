"""Contacts from a file: what is read, merged and refused, who may, and what survives when a worker dies."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.utils import timezone

from crm import contacts, tenancy
from crm.imports import begin, merge, run
from crm.models import (
    AuditEntry,
    Contact,
    ContactImport,
    ContactNumber,
    DueImport,
    ImportedContact,
    ImportPart,
    ImportStatus,
    Membership,
)
from tests.conftest import Api, Company, at_once

Sessions = Callable[[Membership], Client]
NUMBER, OTHER = "+5511987654321", "+551132345678"
FILE = "Name;Phone;E-mail\nAna;(11) 98765-4321;Ana@Example.com\nBia;11 3234-5678;\n"


def upload(company: Company, content: str | bytes, *, name: str = "list.csv", as_: Membership | None = None) -> Any:
    """Send a file."""
    file = SimpleUploadedFile(name, content.encode() if isinstance(content, str) else content)
    return Api(as_ or company.manager).client.post("/api/v1/contacts/imports/", {"file": file})


def finish(company: Company) -> None:
    """Be the worker until nothing of this company is left to do."""
    while DueImport.objects.filter(organization_id=company.id, due_at__lte=timezone.now()).exists():
        assert run._step(company.id, DueImport.objects.filter(organization_id=company.id).earliest("due_at").pk)


def imported(company: Company, content: str | bytes, **said: Any) -> dict[str, Any]:
    """Upload, say how it is read, import it all; return what became of it."""
    made = upload(company, content)
    assert made.status_code == 201, made.content
    api, path = Api(company.manager), f"contacts/imports/{made.json()['id']}/"
    if said:
        changed = api.patch(path, said)
        assert changed.status_code == 200, changed.content
    assert api.post(f"{path}start/").status_code == 202
    finish(company)
    told: dict[str, Any] = api.get(path).json()
    assert told["status"] == "done"
    assert told["processed"] == told["total"]
    return told


def counts(told: dict[str, Any]) -> tuple[int, int, int, int]:
    """Made, merged, unchanged, refused."""
    return told["made"], told["merged"], told["unchanged"], told["refused"]


def book(company: Company) -> dict[str, list[tuple[str, str]]]:
    """The organization's contacts but its first: their names, and their numbers with labels."""
    with tenancy.inside(company.id):
        rows = Contact.objects.exclude(pk=company.contact.pk).prefetch_related("numbers").order_by("name")
        return {one.name: [(number.number, number.label) for number in one.numbers.all()] for one in rows}


def the(company: Company, name: str) -> Contact:
    """The contact of this name."""
    with tenancy.inside(company.id):
        return Contact.objects.get(name=name)


def refused(company: Company, import_id: str, language: str = "en") -> list[list[str]]:
    """The report's rows."""
    answer = Api(company.manager).get(
        f"contacts/imports/{import_id}/refused.csv", headers={"Accept-Language": language}
    )
    assert answer.status_code == 200
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode().removeprefix("\ufeff"))))


# Reading


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (FILE, ["name", "phone", "email"]),
        ("First Name,Last Name,Mobile\nAna,Reis,11987654321\n", ["first_name", "last_name", "phone"]),
        (
            "Nome\tSobrenome\tEmpresa\tCelular\tResponsável\tFuso horário\tNão ligar\nAna\tReis\tPão\t11987654321\n",
            ["name", "last_name", "company", "phone", "owner", "time_zone", "do_not_call"],
        ),
        ("NOME COMPLETO;WhatsApp;E-mail\nAna;11987654321;\n".encode("latin-1"), ["name", "phone", "email"]),
        ("Nome;Telefone\nJoão;11987654321\n".encode("cp1252"), ["name", "phone"]),
        ("\ufeffNome;Telefone\nJoão;11987654321\n", ["name", "phone"]),
        ("Nome\tTelefone\nJoão\t11987654321\n".encode("utf-16"), ["name", "phone"]),
        ("sep=;\nname;tel\nAna;11987654321\n", ["name", "phone"]),
        ("My contacts\n\nName;Phone;Address;Number\nAna;11987654321;Rua A;12\n", ["name", "phone", "", ""]),
        ("Ana;11987654321;ana@example.com\nBia;1132345678;bia@example.com\n", ["name", "phone", "email"]),
        ('Name,Notes,Phone\nAna,"two\nlines",11987654321\n', ["name", "", "phone"]),
        ("Name,Phone 1 - Label,Phone 1 - Value\nAna,Home,11987654321\n", ["name", "phone_label", "phone"]),
        ("Name,Email,Email\nAna,a@example.com,b@example.com\n", ["name", "email", ""]),
    ],
    ids=[
        *("english", "first and last", "portuguese", "latin-1", "windows", "bom", "utf-16", "sep", "a title"),
        *("no header", "line breaks", "an address book", "two e-mails"),
    ],
)
def test_columns_are_recognized_in_files_as_people_have_them(
    ours: Company, content: str | bytes, columns: list[str]
) -> None:
    answer = upload(ours, content)
    assert answer.status_code == 201, answer.content
    assert answer.json()["columns"] == columns
    assert imported(ours, content)["refused"] == 0


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, None),
        (b" \n \n", 400, "not_a_csv"),
        (b"PK\x03\x04\x00\x00xlsx", 400, "not_a_csv"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", 400, "not_a_csv"),
        (b"Name,Phone\nAna\x00,11987654321\n", 400, "not_a_csv"),
        (b"Name,Phone\n", 400, "no_rows"),
        (b"Name,Phone\n,\n , \n", 400, "no_rows"),
        (b"Name,Phone\nAna,11987654321\n" + b"x" * begin.MOST_BYTES, 413, "file_too_large"),
        (b"Name,Phone\n" + b"A,1\n" * (begin.MOST_ROWS + 1), 413, "too_many_rows"),
        (b",".join(b"c%d" % number for number in range(201)) + b"\n", 400, "not_a_csv"),
        (b'Name,Phone\n"' + b"a" * 200_000 + b'",1\n', 400, "not_a_csv"),
        (b'Name,Phone,Notes\nAna,11987654321,"never\nBia,1132345678,closed\n', 400, "not_a_csv"),
    ],
    ids=[
        *("empty", "blank", "xlsx", "png", "NUL", "header only", "empty rows", "32 MB", "too many rows", "201 columns"),
        *("a huge cell", "an open quote"),
    ],
)
def test_what_is_no_file_of_contacts_gets_a_clear_error_and_leaves_nothing(
    ours: Company, content: bytes, status: int, code: str | None
) -> None:
    answer = upload(ours, content)
    assert answer.status_code == status, answer.content
    error = answer.json()["errors"][0]
    assert error["attr"] == "file"
    assert code in (None, error["code"])
    with tenancy.inside(ours.id):
        assert not ContactImport.objects.exists()
        assert not ImportPart.objects.exists()
    assert not DueImport.objects.filter(organization_id=ours.id).exists()


def test_a_row_becomes_a_contact_with_all_that_it_says(ours: Company) -> None:
    content = (
        "First name,Last name,Company,E-mail,Phone,Mobile,Owner,Time zone,Do not call\n"
        f'Ana,Reis,Pão Ltda,ANA@Example.com,="1132345678",11 98765-4321,{ours.rep.user.email},America/Recife,yes\n'
        ",,Pão Ltda,,+1 415 555 2671,,,,no\n"
        ",,,bia@example.com,,,,,\n"
        ",,,,'11 3234-5679;11 3234-5680,,,,\n"
    )
    assert counts(imported(ours, content)) == (4, 0, 0, 0)
    assert book(ours) == {
        "+55 11 3234-5679": [("+551132345679", ""), ("+551132345680", "")],
        "Ana Reis": [(OTHER, ""), (NUMBER, "Mobile")],
        "Pão Ltda": [("+14155552671", "")],
        "bia@example.com": [],
    }
    ana = the(ours, "Ana Reis")
    assert (ana.company, ana.email, ana.owner_id, ana.time_zone) == (
        "Pão Ltda",
        "ana@example.com",
        ours.rep.user_id,
        "America/Recife",
    )
    assert ana.do_not_call_since is not None
    assert the(ours, "Pão Ltda").do_not_call_since is None


def test_numbers_are_read_in_the_country_that_is_said(ours: Company) -> None:
    content = "Name,Phone\nAna,(201) 555-0123\nBia,+55 11 3234-5678\n"
    assert counts(imported(ours, content)) == (1, 0, 0, 1)
    assert counts(imported(ours, content, columns=["name", "phone"], region="US")) == (1, 0, 1, 0)
    assert book(ours) == {"Ana": [("+12015550123", "")], "Bia": [(OTHER, "")]}


def test_refused_rows_come_back_as_they_were_with_the_reason_in_the_readers_language(
    ours: Company, theirs: Company
) -> None:
    lines = [
        "Nome;Telefone;E-mail;Responsável;Fuso horário;Nota",
        "Ana;12;;;;=1+1",
        "Bia;11987654321;nobody;;;",
        f"Cid;11987654322;;{theirs.rep.user.email};;",
        "Dora;11987654323;;;Mars/Base;",
        "Eva;;;;;nothing",
        f"{'x' * 201};11987654324;;;;",
        "Gil;" + ",".join(f"119876543{number}" for number in range(30, 41)) + ";;;;",
        "",
        "Hugo;11987654325;;;;fine",
    ]
    told = imported(ours, "\n".join(lines))
    assert counts(told) == (1, 0, 0, 7)
    heading, *rows = refused(ours, told["id"])
    assert heading == ["Row", "Why it was refused", "Nome", "Telefone", "E-mail", "Responsável", "Fuso horário", "Nota"]
    assert [(row[0], row[1]) for row in rows] == [
        ("2", "Telefone: This is not a valid phone number."),
        ("3", "E-mail: This is not a valid e-mail address."),
        ("4", "Responsável: No active member of your organization has this e-mail."),
        ("5", "Fuso horário: There is no such time zone. Write one as America/Sao_Paulo, or leave it empty."),
        ("6", "There is neither a phone number nor an e-mail."),
        ("7", "Nome: This is too long."),
        ("8", "A contact has ten numbers at most. Remove those that nobody calls."),
    ]
    assert rows[0][2:] == ["Ana", "12", "", "", "", "'=1+1"], "A formula is a text to a spreadsheet."
    assert book(ours) == {"Hugo": [("+5511987654325", "")]}
    with tenancy.inside(ours.id):
        assert ImportPart.objects.get(contact_import=told["id"]).rows == [], "What was read is deleted."


def test_the_report_can_be_corrected_and_imported_again(ours: Company) -> None:
    told = imported(ours, "Name,Phone\nAna,12\n")
    answer = Api(ours.manager).get(f"contacts/imports/{told['id']}/refused.csv")
    report = b"".join(answer.streaming_content).decode().replace("12", "11987654321")
    assert counts(imported(ours, report)) == (1, 0, 0, 0)
    assert book(ours) == {"Ana": [(NUMBER, "")]}


# Merging


def test_the_same_file_twice_makes_nothing_new(ours: Company) -> None:
    assert counts(imported(ours, FILE)) == (2, 0, 0, 0)
    before = book(ours)
    for rule in ("skip", "fill", "overwrite"):
        assert counts(imported(ours, FILE, rule=rule)) == (0, 0, 2, 0)
    assert book(ours) == before


@pytest.mark.parametrize(
    ("rule", "expected", "name", "company", "numbers"),
    [
        ("skip", (0, 0, 1, 0), "Ana", "", [(NUMBER, "")]),
        ("fill", (0, 1, 0, 0), "Ana", "Pão Ltda", [(NUMBER, "Celular"), (OTHER, "Telefone comercial")]),
        ("overwrite", (0, 1, 0, 0), "Ana Reis", "Pão Ltda", [(NUMBER, "Celular"), (OTHER, "Telefone comercial")]),
    ],
)
def test_who_is_there_already_is_merged_by_the_rule(
    ours: Company,
    rule: str,
    expected: tuple[int, int, int, int],
    name: str,
    company: str,
    numbers: list[tuple[str, str]],
) -> None:
    contacts.create_contact(member=ours.rep, name="Ana", numbers=[{"number": NUMBER}], email="Ana@example.com")
    content = f"Nome;Empresa;Celular;Telefone comercial;E-mail\nAna Reis;Pão Ltda;{NUMBER};{OTHER};other@example.com\n"
    assert counts(imported(ours, content, rule=rule)) == expected
    assert book(ours) == {name: numbers}
    ana = the(ours, name)
    assert (ana.company, ana.email) == (
        company,
        "other@example.com" if rule == "overwrite" else "ana@example.com",
    )


def test_an_e_mail_finds_a_contact_too_whatever_its_case(ours: Company) -> None:
    contacts.create_contact(member=ours.rep, name="Ana", email="Ana@Example.com")
    assert counts(imported(ours, f"Name,E-mail,Phone\nx,aNA@example.com,{NUMBER}\n")) == (0, 1, 0, 0)
    assert book(ours) == {"Ana": [(NUMBER, "")]}


@pytest.mark.parametrize("part_rows", [1, 500], ids=["two parts", "one part"])
def test_a_number_on_two_rows_is_one_contact(ours: Company, monkeypatch: Any, part_rows: int) -> None:
    monkeypatch.setattr(begin, "PART_ROWS", part_rows)
    content = f"Name,Company,Phone,Phone\nAna,,{NUMBER},\nAna R,Pão,{NUMBER},{OTHER}\nBia,,{OTHER},\n"
    assert counts(imported(ours, content)) == (1, 1, 1, 0)
    assert book(ours) == {"Ana": [(NUMBER, ""), (OTHER, "")]}
    assert the(ours, "Ana").company == "Pão"


def test_a_full_contact_takes_no_eleventh_number(ours: Company) -> None:
    full = [{"number": f"+55119876543{number}"} for number in range(10, 20)]
    contacts.create_contact(member=ours.rep, name="Full", numbers=full)
    told = imported(ours, f"Name,Phone,Mobile\nFull,{full[0]['number']},{NUMBER}\n")
    assert counts(told) == (0, 0, 0, 1)
    assert len(book(ours)["Full"]) == 10


@pytest.mark.parametrize("rule", ["skip", "fill", "overwrite"])
def test_do_not_call_is_set_under_every_rule_and_lifted_by_none(ours: Company, rule: str) -> None:
    contacts.create_contact(member=ours.rep, name="Ana", numbers=[{"number": NUMBER}])
    content = f"Name,Phone,Do not call\nAna,{NUMBER},%s\n"
    assert counts(imported(ours, content % "sim", rule=rule)) == (0, 1, 0, 0)
    since = the(ours, "Ana").do_not_call_since
    assert since is not None
    for said in ("no", "não", "", "2020-01-01"):
        assert counts(imported(ours, content % said, rule=rule)) == (0, 0, 1, 0)
    assert the(ours, "Ana").do_not_call_since == since


def test_who_has_left_stays_an_owner_and_becomes_none(ours: Company) -> None:
    made = contacts.create_contact(member=ours.rep, name="Ana", numbers=[{"number": NUMBER}], owner=ours.rep2.user_id)
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep2.pk).update(is_active=False)
    content = f"Name,Phone,Owner\nAna,{NUMBER},{ours.rep2.user.email}\nBia,{OTHER},{ours.rep2.user.email}\n"
    told = imported(ours, content, rule="overwrite")
    assert counts(told) == (0, 0, 1, 1)
    assert refused(ours, told["id"])[1][0] == "3"
    with tenancy.inside(ours.id):
        assert Contact.objects.get(pk=made.pk).owner_id == ours.rep2.user_id


def test_what_a_member_changes_meanwhile_is_kept(ours: Company, monkeypatch: Any) -> None:
    made = contacts.create_contact(member=ours.rep, name="Ana", numbers=[{"number": NUMBER}])
    known = merge.known

    def and_then_somebody_is_faster(people: Any) -> Any:
        found = known(people)
        change = {"company": "By hand", "numbers": [{"number": NUMBER}, {"number": OTHER}]}
        assert at_once(lambda: contacts.change_contact(member=ours.rep, contact_id=made.pk, **change)) == []
        return found

    monkeypatch.setattr(merge, "known", and_then_somebody_is_faster)
    content = f"Name,Company,E-mail,Phone,Mobile\nAna,File,ana@example.com,{NUMBER},{OTHER}\n"
    assert counts(imported(ours, content)) == (0, 1, 0, 0)
    ana = the(ours, "Ana")
    assert (ana.company, ana.email) == ("By hand", "ana@example.com")
    assert [number for number, _label in book(ours)["Ana"]] == [NUMBER, OTHER]


def test_two_imports_at_once_make_no_contact_twice(ours: Company, monkeypatch: Any) -> None:
    monkeypatch.setattr(begin, "PART_ROWS", 5)
    lines = "".join(f"Person {number},+55119876{number:05}\n" for number in range(60))
    for _ in range(2):
        made = upload(ours, "Name,Phone\n" + lines).json()
        begin.start(member=ours.manager, import_id=made["id"])
    assert at_once(*[lambda: finish_quietly(ours)] * 3) == []
    finish(ours)
    assert len(book(ours)) == 60
    with tenancy.inside(ours.id):
        told = list(ContactImport.objects.order_by("id"))
        assert ContactNumber.objects.count() == 61
    assert [one.status for one in told] == [ImportStatus.DONE] * 2
    assert sum(one.made for one in told) == 60
    assert sum(one.unchanged for one in told) == 60


def finish_quietly(company: Company) -> None:
    """Be one of several workers."""
    while DueImport.objects.filter(organization_id=company.id, due_at__lte=timezone.now()).exists():
        for due in DueImport.objects.filter(organization_id=company.id, due_at__lte=timezone.now()):
            run._step(company.id, due.pk)


# Running


def test_an_import_that_dies_in_a_part_goes_on_where_it_was(ours: Company, monkeypatch: Any) -> None:
    monkeypatch.setattr(begin, "PART_ROWS", 2)
    made = upload(ours, "Name,Phone\n" + "".join(f"P{n},+551198765430{n}\n" for n in range(6))).json()
    begin.start(member=ours.manager, import_id=made["id"])
    assert run._step(ours.id, made["id"])
    write = merge._Merger.write

    def die(self: Any) -> None:
        write(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(merge._Merger, "write", die)
        with pytest.raises(KeyboardInterrupt):
            run._step(ours.id, made["id"])
    with tenancy.inside(ours.id):
        assert ContactImport.objects.get().processed == 2
    assert len(book(ours)) == 2, "What the dying part wrote is gone with its progress."
    finish(ours)
    assert len(book(ours)) == 6
    with tenancy.inside(ours.id):
        told = ContactImport.objects.get()
        assert (told.status, told.made, told.merged, told.unchanged) == ("done", 6, 0, 0)


def test_a_part_that_fails_again_and_again_stops_the_import_and_no_other(ours: Company, monkeypatch: Any) -> None:
    made = upload(ours, FILE).json()
    begin.start(member=ours.manager, import_id=made["id"])

    def fail(self: Any) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(merge._Merger, "write", fail)
        for _ in range(run.MOST_FAILURES):
            assert not run._attempt(ours.id, made["id"])
            DueImport.objects.filter(pk=made["id"]).update(due_at=timezone.now())
    api, path = Api(ours.manager), f"contacts/imports/{made['id']}/"
    assert api.get(path).json()["status"] == "failed"
    begin.go_on(member=ours.manager, import_id=made["id"])
    finish(ours)
    assert counts(api.get(path).json()) == (2, 0, 0, 0)


def test_a_canceled_import_keeps_what_it_did_and_forgets_the_rest(ours: Company, monkeypatch: Any) -> None:
    monkeypatch.setattr(begin, "PART_ROWS", 1)
    made = upload(ours, FILE).json()
    begin.start(member=ours.manager, import_id=made["id"])
    assert run._step(ours.id, made["id"])
    assert Api(ours.admin).delete(f"contacts/imports/{made['id']}/").status_code == 204
    assert not run._step(ours.id, made["id"])
    told = Api(ours.manager).get(f"contacts/imports/{made['id']}/").json()
    assert (told["status"], counts(told)) == ("canceled", (1, 0, 0, 0))
    assert list(book(ours)) == ["Ana"]
    with tenancy.inside(ours.id):
        assert not ImportPart.objects.filter(done_at=None).exists()


def test_what_nobody_starts_is_deleted_and_refused_rows_are_forgotten(ours: Company) -> None:
    abandoned = upload(ours, FILE).json()
    told = imported(ours, "Name,Phone\nAna,12\n")
    for import_id, after in ((abandoned["id"], timedelta(days=1)), (told["id"], timedelta(days=30))):
        due = DueImport.objects.get(pk=import_id)
        assert abs(due.due_at - timezone.now() - after) < timedelta(minutes=1)
        DueImport.objects.filter(pk=import_id).update(due_at=timezone.now())
    finish(ours)
    with tenancy.inside(ours.id):
        [left] = ContactImport.objects.all()
        assert (str(left.pk), left.refused) == (told["id"], 1)
        assert left.forgotten_at is not None
        assert not ImportPart.objects.exists()
    assert not DueImport.objects.filter(organization_id=ours.id).exists()
    assert len(refused(ours, told["id"])) == 1


def test_one_organizations_import_waits_for_no_other(ours: Company, theirs: Company, monkeypatch: Any) -> None:
    monkeypatch.setattr(begin, "PART_ROWS", 1)
    monkeypatch.setattr(run, "TURN", 60)
    DueImport.objects.all().delete()  # what other tests left
    served: list[Any] = []
    step = run._step

    def note(organization_id: Any, import_id: Any) -> bool:
        served.append(organization_id)
        return step(organization_id, import_id)

    monkeypatch.setattr(run, "_step", note)
    lines = "Name,Phone\n" + "".join(f"P{n},+551198765430{n}\n" for n in range(4))
    for company in (ours, ours, theirs):
        begin.start(member=company.manager, import_id=upload(company, lines).json()["id"])
    run.import_due()
    assert served[:8].count(theirs.id) == 4, "One part of each in turn, however many imports one of them has."
    assert len(served) == 12


# Who may, and what is written down


def test_reps_neither_import_nor_export(ours: Company, client_of: Sessions) -> None:
    told = imported(ours, FILE)
    assert upload(ours, FILE, as_=ours.rep).status_code == 403
    api, path = Api(ours.rep), f"contacts/imports/{told['id']}/"
    for answer in (api.get("contacts/imports/"), api.get(path), api.get(f"{path}refused.csv")):
        assert answer.status_code == 403
    for answer in (api.post(f"{path}start/"), api.patch(path), api.delete(path)):
        assert answer.status_code == 403
    assert api.get("contacts/export.csv").status_code == 403
    browser = client_of(ours.rep)
    page = browser.get("/contacts/").content.decode()
    assert "/contacts/import/" not in page
    assert "export.csv" not in page
    assert "Ana" in browser.get(f"/contacts/?import={told['id']}").content.decode(), "The list to call is everybody's."


def test_an_import_is_the_organizations_own(ours: Company, theirs: Company, client_of: Sessions) -> None:
    told = imported(ours, FILE)
    api, path = Api(theirs.admin), f"contacts/imports/{told['id']}/"
    assert api.get("contacts/imports/").json()["results"] == []
    for answer in (api.get(path), api.patch(path), api.delete(path), api.post(f"{path}start/")):
        assert answer.status_code == 404
    assert api.get(f"{path}refused.csv").status_code == 404
    assert api.get(f"contacts/export.csv?import={told['id']}").status_code == 404
    assert client_of(theirs.admin).get(f"/contacts/?import={told['id']}").status_code == 404


def test_the_contacts_of_an_import_are_a_list(ours: Company, client_of: Sessions) -> None:
    told = imported(ours, FILE + f"Contact again;{ours.contact_number};\n")
    page = client_of(ours.rep).get(f"/contacts/?import={told['id']}").content.decode()
    assert "list.csv" in page
    for name in ("Ana", "Bia", "Contact of Ours"):
        assert name in page
    found = client_of(ours.rep).get("/contacts/", {"import": told["id"], "q": "Bia"}).content.decode()
    assert "Bia" in found
    assert "Ana" not in found
    contacts.create_contact(member=ours.rep, name="Somebody else")
    assert "Somebody else" not in client_of(ours.rep).get(f"/contacts/?import={told['id']}").content.decode()
    with tenancy.inside(ours.id):
        assert ImportedContact.objects.filter(contact_import=told["id"]).count() == 3


def test_imports_and_exports_are_audited(ours: Company) -> None:
    told = imported(ours, FILE)
    b"".join(Api(ours.admin).get(f"contacts/export.csv?search=Ana&import={told['id']}").streaming_content)
    with tenancy.inside(ours.id):
        rows = {one.action: (one.who, one.details) for one in AuditEntry.objects.all()}
    numbers = {"made": 2, "merged": 0, "unchanged": 0, "refused": 0}
    assert rows["contacts.imported"] == (
        ours.manager.user.email,
        {"file": "list.csv", "status": "done"} | numbers,
    )
    assert rows["contacts.exported"] == (ours.admin.user.email, {"search": "Ana", "import": told["id"]})
    bad = imported(ours, "Name,Phone\nAna,none\n")
    refused(ours, bad["id"])
    with tenancy.inside(ours.id):
        last = AuditEntry.objects.filter(action="contacts.exported").latest("pk")
    said = {"refused_rows_of": "list.csv", "import": bad["id"], "count": 1}
    assert (last.who, last.details) == (ours.manager.user.email, said)


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"columns": ["name"]}, "wrong_columns", "columns"),
        ({"columns": ["name", "name", "phone"]}, "column_twice", "columns"),
        ({"columns": ["name", "nonsense", "phone"]}, "invalid_choice", "columns.1"),
        ({"region": "XX"}, "invalid_choice", "region"),
        ({"rule": "guess"}, "invalid_choice", "rule"),
    ],
    ids=str,
)
def test_what_cannot_be_said_of_a_file(ours: Company, said: dict[str, Any], code: str, field: str) -> None:
    made = upload(ours, FILE).json()
    answer = Api(ours.manager).patch(f"contacts/imports/{made['id']}/", said)
    assert answer.status_code == 400
    assert (answer.json()["errors"][0]["code"], answer.json()["errors"][0]["attr"]) == (code, field)


def test_a_file_without_numbers_and_e_mails_does_not_start_and_none_starts_twice(ours: Company) -> None:
    api, made = Api(ours.manager), upload(ours, FILE).json()
    path = f"contacts/imports/{made['id']}/"
    assert api.patch(path, {"columns": ["name", "", ""]}).status_code == 200
    assert api.post(f"{path}start/").json()["errors"][0]["code"] == "no_phone_or_email"
    assert api.patch(path, {"columns": ["name", "phone", ""]}).status_code == 200
    assert api.post(f"{path}start/").status_code == 202
    for answer in (api.post(f"{path}start/"), api.patch(path, {"rule": "skip"})):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "import_started")


# Export


@pytest.mark.parametrize("language", ["en", "pt-br"])
def test_an_export_is_imported_into_the_same_contacts(ours: Company, theirs: Company, language: str) -> None:
    odd = ["=1+1", "+Ana", "-x", "@you", "'quoted'", "'=x", "'t Hooft", '="x"', 'a "b", c;d', "two words"]
    for place, name in enumerate(odd):
        numbers = [{"number": f"+55119876543{place}0", "label": "Casa"}, {"number": f"+55119876543{place}1"}]
        contacts.create_contact(
            member=ours.rep,
            name=name,
            company="=HYPERLINK()",
            email=f"odd{place}@example.com",
            owner=ours.rep.user_id,
            time_zone="America/Recife",
            do_not_call=place == 0,
            numbers=numbers[: 1 + place % 2],
        )
    for one in (ours, theirs):
        with tenancy.inside(one.id):
            Contact.objects.filter(pk=one.contact.pk).update(owner=None)
    answer = Api(ours.manager).get("contacts/export.csv", headers={"Accept-Language": language})
    content = b"".join(answer.streaming_content)
    assert content.decode().startswith("\ufeffNome,Empresa" if language == "pt-br" else "\ufeffName,Company")
    cells = [cell for row in csv.reader(io.StringIO(content.decode().removeprefix("\ufeff"))) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))], "A spreadsheet would run it."
    assert counts(imported(ours, content, rule="overwrite")) == (0, 0, len(odd) + 1, 0)
    with tenancy.inside(theirs.id):
        Contact.objects.filter(pk=theirs.contact.pk).update(do_not_call_since=None)
    moved = content.replace(ours.rep.user.email.encode(), theirs.rep.user.email.encode())
    assert counts(imported(theirs, moved)) == (len(odd) + 1, 0, 0, 0)
    assert book(theirs) == book(ours) | {"Contact of Ours": [(ours.contact_number, "")]}
    with tenancy.inside(theirs.id):
        first = Contact.objects.get(email="odd0@example.com")
    assert (first.company, first.time_zone, first.do_not_call_since is not None) == (
        "=HYPERLINK()",
        "America/Recife",
        True,
    )


def test_an_export_has_what_the_page_shows_in_chunks_without_a_gap(
    ours: Company, client_of: Sessions, monkeypatch: Any
) -> None:
    monkeypatch.setattr("crm.exports.CHUNK", 2)
    for place in range(5):
        contacts.create_contact(member=ours.rep, name=f"Ana {place}", numbers=[{"number": f"+551198765432{place}"}])
    browser = client_of(ours.manager)
    page = browser.get("/contacts/?q=Ana").content.decode()
    assert '/contacts/export.csv?q=Ana"' in page
    answer = browser.get("/contacts/export.csv?q=Ana")
    assert answer["Content-Disposition"] == 'attachment; filename="contacts.csv"'
    lines = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert [line.partition(",")[0] for line in lines[1:]] == [f"Ana {place}" for place in range(5)]


def test_postgresql_knows_of_the_new_rows_at_once(ours: Company) -> None:
    lines = "".join(f"Person {number},+55119877{number:05}\n" for number in range(300))
    assert imported(ours, "Name,Phone\n" + lines)["made"] == 300
    with connections["owner"].cursor() as cursor:
        for table in tenancy.FILLED_AT_ONCE:
            cursor.execute(
                f"SELECT reltuples, (SELECT count(*) FROM {table}) FROM pg_class WHERE relname = %s", [table]
            )
            believed, true = cursor.fetchone()
            assert believed == true, table
