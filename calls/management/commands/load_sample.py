"""`manage.py load_sample`: two organizations with people and contacts to try the project with."""

import json
import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from calls.sample.history import load_history
from crm import tenancy
from crm.accounts import vouch_for_email
from crm.models import ApiToken, Contact, ContactNumber, Membership, Opportunity, Organization, Role, User
from crm.services import create_token
from integrations.services.connect import connect_twilio

PASSWORD = "click-to-call"  # noqa: S105 - of the sample's log-ins, printed by `make demo`
TOKEN_NAME = "sample"  # noqa: S105 - what the sample's tokens are for

# Numbers that no one has: Brazilian ones with an area code's fictitious-looking 5550 block, and US 555-01xx.
ORGANIZATIONS: list[dict[str, Any]] = [
    {
        "slug": "aurora",
        "name": "Aurora Móveis",
        "region": "BR",
        "caller_id": "+551135550100",
        "members": [
            ("rep@aurora.example", "Rita Rep", Role.REP, "+5511955500101"),
            ("rep2@aurora.example", "Raul Rep", Role.REP, "+5511955500102"),
            ("manager@aurora.example", "Marta Manager", Role.MANAGER, "+5511955500103"),
            ("admin@aurora.example", "Ada Admin", Role.ADMIN, "+5511955500104"),
        ],
        "contacts": [
            ("Ana Souza", "Padaria Sol", ["+5521955500201"]),
            ("Bruno Lima", "Construtora Lima", ["+5511955500202", "+551135550202"]),
            ("Carla Dias", "Clínica Vida", ["+5531955500203"]),
            ("Diego Alves", "Oficina Alves", ["+5541955500204"]),
            ("Elisa Rocha", "Livraria Rocha", ["+5551955500205"]),
            ("Fábio Nunes", "", ["+5571955500206"]),
        ],
    },
    {
        "slug": "harbor",
        "name": "Harbor Supplies",
        "region": "US",
        "caller_id": "+12025550100",
        "members": [
            ("rep@harbor.example", "Robin Rep", Role.REP, "+12025550101"),
            ("admin@harbor.example", "Alex Admin", Role.ADMIN, "+12025550102"),
        ],
        "contacts": [
            ("Casey Green", "Green Cafe", ["+12025550151"]),
            ("Drew Hill", "Hill & Sons", ["+12025550152"]),
            ("Emery Stone", "Stone Works", ["+12025550153"]),
        ],
    },
]


class Command(BaseCommand):
    """Make or refresh the sample; a second run changes nothing but renews tokens and Twilio credentials."""

    help = (
        "Make two sample organizations with members, contacts, a Twilio account each and API tokens, and print them "
        "as one JSON object. For demos only: every log-in has the same password."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the command line's options."""
        parser.add_argument(
            "--history", action="store_true", help="add contacts, opportunities and 90 days of calls, once"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the rows and print what a demo needs to know."""
        sample: dict[str, list[Any]] = {"organizations": [], "members": [], "contacts": []}
        for wanted in ORGANIZATIONS:
            organization, _ = Organization.objects.get_or_create(
                slug=wanted["slug"], defaults={"name": wanted["name"], "region": wanted["region"]}
            )
            users = [self._user(email, name) for email, name, _role, _phone in wanted["members"]]
            account_sid, auth_token = f"AC{secrets.token_hex(16)}", secrets.token_hex(16)
            connect_twilio(
                organization=organization,
                account_sid=account_sid,
                auth_token=auth_token,
                default_caller_id=wanted["caller_id"],
            )
            sample["organizations"].append(
                {
                    "id": str(organization.pk),
                    "name": organization.name,
                    "slug": organization.slug,
                    "account_sid": account_sid,
                    "auth_token": auth_token,
                    "numbers": [wanted["caller_id"]],
                }
            )
            with tenancy.inside(organization.pk):
                ApiToken.objects.filter(name=TOKEN_NAME, revoked_at=None).update(revoked_at=timezone.now())
                members = [
                    self._member(user, role, phone)
                    for user, (_email, _name, role, phone) in zip(users, wanted["members"], strict=True)
                ]
                contacts = [self._contact(*row) for row in wanted["contacts"]]
                sample["contacts"] += [
                    {"id": str(c.pk), "organization": str(organization.pk), "name": c.name, "numbers": numbers}
                    for c, (_name, _company, numbers) in zip(contacts, wanted["contacts"], strict=True)
                ]
            for member in members:
                sample["members"].append(
                    {
                        "email": member.user.email,
                        "password": PASSWORD,
                        "organization": str(organization.pk),
                        "role": member.role,
                        "phone": member.phone_number,
                        "api_token": create_token(member=member, name=TOKEN_NAME),
                    }
                )
            if options["history"]:
                load_history(organization)
        self.stdout.write(json.dumps(sample))

    def _user(self, email: str, name: str) -> User:
        user = User.objects.filter(email=email).first() or User.objects.create_user(email, PASSWORD, name=name)
        vouch_for_email(user)
        return user

    def _member(self, user: User, role: str, phone: str) -> Membership:
        member, _ = Membership.objects.get_or_create(user=user, defaults={"role": role, "phone_number": phone})
        return member

    def _contact(self, name: str, company: str, numbers: list[str]) -> Contact:
        contact, created = Contact.objects.get_or_create(name=name, company=company)
        if created:
            for position, number in enumerate(numbers):
                ContactNumber.objects.create(contact=contact, number=number, position=position)
            Opportunity.objects.create(contact=contact, title=company or name)
        return contact
