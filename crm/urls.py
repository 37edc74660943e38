"""Every address of the project."""

from allauth.account.decorators import secure_admin_login
from csp.constants import SELF
from csp.decorators import csp_update
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from crm import (
    api,
    api_audit,
    api_contacts,
    api_do_not_call,
    api_follow_ups,
    api_imports,
    api_members,
    views,
    views_audit,
    views_do_not_call,
    views_follow_ups,
    views_imports,
    views_members,
    views_saved,
)

# The few inline lines of drf-spectacular's page.
DOCS_STYLE = "'sha256-MMpT0iDxyjALd9PdfepImGX3DBfJPXZ4IlDWdPAgtn0='"


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; a load balancer asks."""
    return HttpResponse("ok\n", content_type="text/plain")


rest: list[URLPattern | URLResolver] = [
    path("schema/", SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[]), name="schema"),
    path(
        "docs/",
        csp_update({"style-src": [SELF, DOCS_STYLE]})(
            SpectacularSwaggerSplitView.as_view(url_name="schema", authentication_classes=[], permission_classes=[])
        ),
        name="docs",
    ),
    path("me/", api.Me.as_view(), name="me"),
    path("organization/", api_members.OrganizationDetail.as_view(), name="api-organization"),
    path("members/", api_members.MemberList.as_view(), name="api-members"),
    path("members/<uuid:member_id>/", api_members.MemberDetail.as_view(), name="api-member"),
    path("invitations/", api_members.InvitationList.as_view(), name="api-invitations"),
    path("invitations/<uuid:invitation_id>/", api_members.InvitationDetail.as_view(), name="api-invitation"),
    path("invitations/<uuid:invitation_id>/send/", api_members.InvitationSend.as_view(), name="api-invitation-send"),
    path("contacts/", api_contacts.ContactList.as_view(), name="api-contacts"),
    path("contacts/imports/", api_imports.ImportList.as_view(), name="api-contact-imports"),
    path("contacts/imports/<uuid:import_id>/", api_imports.ImportDetail.as_view(), name="api-contact-import"),
    path("contacts/imports/<uuid:import_id>/start/", api_imports.ImportStart.as_view(), name="api-start-import"),
    path("contacts/imports/<uuid:import_id>/refused.csv", api_imports.ImportRefused.as_view(), name="api-refused-rows"),
    path("contacts/export.csv", api_imports.ContactExport.as_view(), name="api-export-contacts"),
    path("opportunities/", api_contacts.OpportunityList.as_view(), name="api-opportunities"),
    path("opportunities/<uuid:opportunity_id>/", api_contacts.OpportunityDetail.as_view(), name="api-opportunity"),
    path("follow-ups/", api_follow_ups.FollowUpList.as_view(), name="api-follow-ups"),
    path("follow-ups/<uuid:follow_up_id>/", api_follow_ups.FollowUpDetail.as_view(), name="api-follow-up"),
    path("notes/", api_follow_ups.NoteList.as_view(), name="api-notes"),
    path("notes/<uuid:note_id>/", api_follow_ups.NoteDetail.as_view(), name="api-note"),
    path("audit/", api_audit.AuditList.as_view(), name="api-audit"),
    path("audit/export.csv", api_audit.AuditExport.as_view(), name="api-audit-export"),
    path("do-not-call/", api_do_not_call.DoNotCallList.as_view(), name="api-do-not-call"),
    path("do-not-call/import/", api_do_not_call.DoNotCallImport.as_view(), name="api-do-not-call-import"),
    path("do-not-call/<uuid:listed_id>/", api_do_not_call.DoNotCallDetail.as_view(), name="api-do-not-call-one"),
    path("contacts/<uuid:contact_id>/", api_contacts.ContactDetail.as_view(), name="api-contact"),
    path("", include("integrations.urls")),
    path("", include("calls.urls")),
    re_path(r"", csrf_exempt(login_not_required(api.not_found))),
]

# pages
pages: list[URLPattern | URLResolver] = [
    path("", include("crm.account_urls")),
    path("profile/", views_members.profile, name="profile"),
    path("profile/leave/", views_members.leave, name="leave"),
    path("organization/", views_members.organization, name="organization"),
    path("organization/switch/", views.switch_organization, name="switch-organization"),
    path("members/", views_members.members, name="members"),
    path("members/<uuid:member_id>/", views_members.member, name="member"),
    path("members/invitations/<uuid:invitation_id>/", views_members.invitation, name="change-invitation"),
    path("invitations/<str:token>/", views_members.accept, name="invitation"),
    path("language/", views.switch_language, name="set_language"),
    path("do-not-call/", views_do_not_call.listed, name="do-not-call"),
    path("do-not-call/import/", views_do_not_call.import_file, name="do-not-call-import"),
    path("do-not-call/<uuid:listed_id>/remove/", views_do_not_call.remove, name="do-not-call-remove"),
    path("contacts/<uuid:contact_id>/follow-ups/new/", views_follow_ups.new_follow_up, name="new-follow-up"),
    path("contacts/<uuid:contact_id>/notes/new/", views_follow_ups.new_note, name="new-note"),
    path("follow-ups/<uuid:follow_up_id>/", views_follow_ups.follow_up, name="follow-up"),
    path("follow-ups/<uuid:follow_up_id>/done/", views_follow_ups.follow_up_done, name="follow-up-done"),
    path("follow-ups/<uuid:follow_up_id>/delete/", views_follow_ups.delete_follow_up, name="delete-follow-up"),
    path("notes/<uuid:note_id>/", views_follow_ups.note, name="note"),
    path("notes/<uuid:note_id>/delete/", views_follow_ups.delete_note, name="delete-note"),
    path("audit/", views_audit.entries, name="audit"),
    path("contacts/import/", views_imports.imports_page, name="import-contacts"),
    path("contacts/import/<uuid:import_id>/", views_imports.one_import, name="contact-import"),
    path("contacts/import/<uuid:import_id>/cancel/", views_imports.cancel, name="cancel-import"),
    path("contacts/import/<uuid:import_id>/continue/", views_imports.go_on, name="continue-import"),
    path("contacts/import/<uuid:import_id>/refused.csv", views_imports.refused_rows, name="refused-rows"),
    path("saved-views/", views_saved.save, name="save-view"),
    path("saved-views/<uuid:view_id>/delete/", views_saved.delete, name="delete-view"),
    path("", include("integrations.page_urls")),
    path("", include("calls.page_urls")),
]

# The operator logs in as everybody does: with what keeps guesses and stolen passwords out.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/v1/", include(rest)),
    re_path(r"^api(?:/|$)", csrf_exempt(login_not_required(api.not_found))),
    path("webhooks/twilio/", include("calls.webhook_urls")),
    path("admin/", admin.site.urls),
    *pages,
]
