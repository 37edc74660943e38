"""The do-not-call list: a number, a file of them, and whatever else people upload."""

import time
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from crm import tenancy
from crm.do_not_call import MOST_BYTES, MOST_SHOWN
from crm.models import DoNotCall
from tests.conftest import Api, Company


def upload(company: Company, content: bytes, name: str = "list.csv") -> Any:
    """Send a file as an admin."""
    file = SimpleUploadedFile(name, content, content_type="text/csv")
    return Api(company.admin).client.post("/api/v1/do-not-call/import/", {"file": file, "reason": "asked us to"})


def listed(company: Company) -> list[str]:
    """The organization's list."""
    with tenancy.inside(company.id):
        return sorted(DoNotCall.objects.values_list("number", flat=True))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"+5511987654321\n+551132345678\n", ["+551132345678", "+5511987654321"]),
        (b"number\n(11) 98765-4321\n", ["+5511987654321"]),
        ("nome;telefone\r\nJoão;11 98765-4321\r\nZé;(11) 3234-5678\r\n".encode(), ["+551132345678", "+5511987654321"]),
        ("nome;telefone\r\nJoão;11 98765-4321\r\n".encode("latin-1"), ["+5511987654321"]),
        ("\ufeffTelefone,Nome\n+5511987654321,Ação\n".encode(), ["+5511987654321"]),
        (b'a\tphone\nx\t="+5511987654321"\n', ["+5511987654321"]),
        (b"'+5511987654321\n", ["+5511987654321"]),
        (b'"+5511987654321"\n\n\n"+5511987654321"\n', ["+5511987654321"]),
        (b"+14155552671\n", ["+14155552671"]),
        (b"id,Mobile Phone\n11987650000,+5511987654321\n", ["+5511987654321"]),
        (b"sep=;\nname;tel\nx;+5511987654321\n", ["+5511987654321"]),
        (b"My list,,\n,,\nname,phone_number,x\ny,+5511987654321,z\n", ["+5511987654321"]),
        (
            b"name,phone,mobile\nx,+551132345678,+5511987654321\ny,+551132345679,\n",
            ["+551132345678", "+551132345679", "+5511987654321"],
        ),
        (
            b"Phone 1 - Label,Phone 1 - Value,Phone 2 - Value\nwork,+551132345678,+5511987654321\n",
            ["+551132345678", "+5511987654321"],
        ),
        (b"Number of employees;Telefone celular\n1132345678;+5511987654321\n", ["+5511987654321"]),
        (b"customer number;name;phone\n1132345678;x;+5511987654321\n", ["+5511987654321"]),
        (b"phone of whoever;x\n+5511987654321;1\n", ["+5511987654321"]),
        (b"My phone list;\nphone;x\n+5511987654321;1\n", ["+5511987654321"]),
        (b"sep=;\rnumber;x\r+5511987654321;a\r", ["+5511987654321"]),
        (b"name,number\rx,+5511987654321\r", ["+5511987654321"]),
    ],
    ids=[
        "plain",
        "header",
        "semicolons",
        "latin-1",
        "bom",
        "tabs and =",
        "apostrophe",
        "duplicates",
        "abroad",
        "two words",
        "sep",
        "a title",
        "two columns",
        "an address book",
        "a number of something",
        "a number that is none",
        "more words",
        "a title that says phone",
        "an old Mac with sep",
        "an old Mac",
    ],
)
def test_a_file_as_people_have_it(ours: Company, content: bytes, expected: list[str]) -> None:
    answer = upload(ours, content)
    assert answer.status_code == 200, answer.content
    assert listed(ours) == expected
    assert (answer.json()["added"], answer.json()["invalid"]) == (len(expected), 0)
    again = upload(ours, content).json()
    assert again["added"] == 0
    assert again["already"] >= len(expected)
    assert listed(ours) == expected


def test_rows_that_are_no_numbers_are_told_of_and_left_out(ours: Company) -> None:
    bad = ["=1+1", '=HYPERLINK("http://evil.example","x")', "@SUM(A1)", "-12", "twelve", "0" * 60, "<script>"]
    lines = "\n".join(["+5511987654321", *(f'"{one.replace(chr(34), chr(34) * 2)}"' for one in bad)])
    told = upload(ours, lines.encode()).json()
    assert (told["added"], told["invalid"]) == (1, len(bad))
    assert [one["row"] for one in told["first_invalid"]] == list(range(2, 2 + len(bad)))
    assert told["first_invalid"][5]["value"] == "0" * 40
    assert listed(ours) == ["+5511987654321"]


def test_of_many_bad_rows_the_first_are_shown(ours: Company) -> None:
    told = upload(ours, b"x\n" * 5000).json()
    assert told["invalid"] == 5000
    assert len(told["first_invalid"]) == MOST_SHOWN


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"1" * 10 * 1024 * 1024, 413, "file_too_large"),
        (b"1" * (MOST_BYTES + 1), 413, "file_too_large"),
        (b"", 400, None),
        (b" \n \n", 400, "not_a_csv"),
        (b"PK\x03\x04\x00\x00xlsx", 400, "not_a_csv"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", 400, "not_a_csv"),
        (b'"' + b"a" * 200_000 + b'"\n', 400, "not_a_csv"),
        (b'number\n+5511987654321\n"+551132345678\n' + b"+5511987654322\n" * 200, 400, "not_a_csv"),
        (b"a,b\n11987654321,+5511987654321\n", 400, "not_a_csv"),
        (b"tax number,the number of it\n11987654321,+5511987654321\n", 400, "not_a_csv"),
        (b"sep=;\r", 400, "not_a_csv"),
        (b"1\n" * 1024 * 1024, 413, "file_too_large"),
        (b"tel,tel,tel,tel,tel\n" + b"1,1,1,1,1\n" * 20_001, 413, "file_too_large"),
    ],
    ids=[
        *("10 MB", "a byte too much", "empty", "blank", "xlsx", "png", "a huge cell", "an open quote", "which column"),
        *("which of two", "nothing but sep", "a million rows", "rows of many numbers"),
    ],
)
def test_what_is_no_list_gets_a_clear_error_and_changes_nothing(
    ours: Company, content: bytes, status: int, code: str | None
) -> None:
    began = time.monotonic()
    answer = upload(ours, content)
    assert answer.status_code == status, answer.content
    assert time.monotonic() - began < 10, "A million rows took half a minute to read as numbers."
    error = answer.json()["errors"][0]
    assert error["attr"] == "file"
    assert code in (None, error["code"])
    assert listed(ours) == []


def test_no_file_is_an_error(ours: Company) -> None:
    answer = Api(ours.admin).client.post("/api/v1/do-not-call/import/", {"reason": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "file")


def test_a_thousand_numbers_are_one_request(ours: Company, django_assert_max_num_queries: Any) -> None:
    lines = "\n".join(f"+55119{number:08}" for number in range(87_000_000, 87_001_000))
    with django_assert_max_num_queries(20):
        assert upload(ours, lines.encode()).json()["added"] == 1000


def test_everybody_may_list_a_number_and_only_an_admin_takes_one_off(ours: Company, theirs: Company) -> None:
    made = Api(ours.rep).post("do-not-call/", {"number": "(11) 98765-4321", "reason": "asked us to"})
    assert made.status_code == 201, made.content
    assert Api(ours.rep).post("do-not-call/", {"number": "+5511987654321"}).status_code == 200, "It is there already."
    row = made.json()
    assert (row["number"], row["reason"]) == ("+5511987654321", "asked us to")
    assert [one["number"] for one in Api(ours.rep).get("do-not-call/").json()["results"]] == ["+5511987654321"]
    assert Api(theirs.admin).get("do-not-call/").json()["results"] == []
    for who, expected in ((ours.rep, 403), (ours.manager, 403), (theirs.admin, 404), (ours.admin, 204)):
        assert Api(who).delete(f"do-not-call/{row['id']}/").status_code == expected
    assert listed(ours) == []


def test_a_wrong_number_is_refused(ours: Company) -> None:
    answer = Api(ours.rep).post("do-not-call/", {"number": "12"})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "number")
