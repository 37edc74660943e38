"""The CRM core's REST endpoints, and what every endpoint shares: pages of results and the shape of errors."""

from typing import Any

from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import DataError
from django.http import JsonResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework import exceptions, generics, pagination, serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from crm import audit
from crm.doors import in_organization, member_of
from crm.errors import AppError, NotAllowed
from crm.members import change_profile
from crm.models import Membership


class KeysetPages(pagination.CursorPagination):
    """Pages by key: the hundredth costs what the first does, and a new row shifts none."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering: str | tuple[str, ...] = "-id"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        """Return one page. Raises: NotFound for a cursor that was never one of ours, as for one that cannot be read."""
        cursor = self.decode_cursor(request)
        try:
            if cursor is not None and "\x00" in str(cursor.position or ""):  # which PostgreSQL has no text for
                raise ValidationError("NUL")
            return super().paginate_queryset(queryset, request, view)
        except (ValidationError, DataError) as error:  # a position that is no value of the column
            raise exceptions.NotFound(self.invalid_cursor_message) from error


class WhateverIsAccepted(DefaultContentNegotiation):
    """A file has one form, so `Accept` has nothing to choose; errors about it are JSON like all others."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """Take the first, whatever the request accepts."""
        return renderers[0], renderers[0].media_type


class ErrorHandler(ExceptionHandler):
    """Answers an `AppError` with its own status and code."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        """Translate our errors to the framework's; the formatter adds what it has no place for."""
        if isinstance(exc, NotAllowed):
            request: Any = self.context["request"]
            audit.note_refusal(member_of(request), f"{request.method} {request.path}", exc.code)
        if isinstance(exc, AppError):
            answer = exceptions.APIException(detail=str(exc.message), code=exc.code)
            answer.status_code = exc.status
            return answer
        if isinstance(exc, RequestDataTooBig):
            too_large = exceptions.APIException(detail=_("The request is too large."), code="too_large")
            too_large.status_code = 413
            return too_large
        if isinstance(exc, RecursionError):  # JSON nested deeper than Python's own parser goes
            return exceptions.ParseError(detail=_("This JSON is nested too deeply."))
        return super().convert_known_exceptions(exc)

    def report_exception(self, exc: Any, response: Any) -> None:
        """Keep tracebacks and alarms for what nobody foresaw; an `AppError` is an answer, whatever its status."""
        if not isinstance(self.exc, AppError):
            super().report_exception(exc, response)


class ErrorFormatter(ExceptionFormatter):
    """`{"type", "errors": [{"code", "detail", "attr"}]}`, and Twilio's own code when it is Twilio's."""

    def format_error_response(self, error_response: Any) -> Any:
        """Add the field, Twilio's code and the ids of an `AppError`."""
        body = super().format_error_response(error_response)
        for error in body["errors"]:  # which may repeat what was sent, and half a character has no form in UTF-8
            error["detail"] = str(error["detail"]).encode("utf-8", "replace").decode()
        if isinstance(self.original_exc, AppError):
            body["errors"][0] |= {"attr": self.original_exc.field, **self.original_exc.details}
            if self.original_exc.twilio_code:
                body["errors"][0]["twilio_code"] = self.original_exc.twilio_code
        return body


def not_found(request: Any) -> JsonResponse:
    """Answer an address under /api/ that nothing serves, in the shape of every other error."""
    error = {"code": "not_found", "detail": "There is nothing at this address.", "attr": None}
    return JsonResponse({"type": "client_error", "errors": [error]}, status=404)


class MeSerializer(serializers.ModelSerializer[Membership]):
    """The member who is asking."""

    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.name")
    user = serializers.UUIDField(source="user_id")
    organization = serializers.UUIDField(source="organization_id")
    organization_name = serializers.CharField(source="organization.name")

    class Meta:
        model = Membership
        fields = [
            *("id", "user", "email", "name", "organization", "organization_name", "role"),
            *("phone_number", "phone_checked_at"),
        ]
        read_only_fields = fields


class ProfileSerializer(serializers.Serializer[Any]):
    """What a member changes about themselves."""

    name = serializers.CharField(max_length=200)
    phone_number = serializers.CharField(max_length=40, allow_blank=True, help_text="Rung first on every call.")


class Me(generics.GenericAPIView[Membership]):
    """Who am I, and where?"""

    serializer_class = MeSerializer
    pagination_class = None

    @extend_schema(operation_id="me")
    @in_organization
    def get(self, request: Request) -> Response:
        """Return the member whom the token or the session stands for."""
        return Response(MeSerializer(member_of(request)).data)

    @extend_schema(operation_id="me_update", request=ProfileSerializer(partial=True))
    @in_organization
    def patch(self, request: Request) -> Response:
        """Change my name, or the phone that is rung first on my calls."""
        given = ProfileSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        return Response(MeSerializer(change_profile(member=member_of(request), **given.validated_data)).data)
