"""Every address of the project."""

from csp.constants import SELF
from csp.decorators import csp_update
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from crm import api, api_audit, api_do_not_call, views

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
    path("contacts/", api.ContactList.as_view(), name="api-contacts"),
    path("audit/", api_audit.AuditList.as_view(), name="api-audit"),
    path("audit/export.csv", api_audit.AuditExport.as_view(), name="api-audit-export"),
    path("do-not-call/", api_do_not_call.DoNotCallList.as_view(), name="api-do-not-call"),
    path("do-not-call/import/", api_do_not_call.DoNotCallImport.as_view(), name="api-do-not-call-import"),
    path("do-not-call/<uuid:listed_id>/", api_do_not_call.DoNotCallDetail.as_view(), name="api-do-not-call-one"),
    path("contacts/<uuid:contact_id>/", api.ContactDetail.as_view(), name="api-contact"),
    path("", include("integrations.urls")),
    path("", include("calls.urls")),
    re_path(r"", csrf_exempt(login_not_required(api.not_found))),
]

# pages
pages: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("login/", require_http_methods(["GET", "HEAD", "POST"])(views.LogIn.as_view()), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("organization/", views.switch_organization, name="switch-organization"),
    path("language/", views.switch_language, name="set_language"),
    path("", include("integrations.page_urls")),
    path("", include("calls.page_urls")),
]

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/v1/", include(rest)),
    re_path(r"^api(?:/|$)", csrf_exempt(login_not_required(api.not_found))),
    path("webhooks/twilio/", include("calls.webhook_urls")),
    path("admin/", admin.site.urls),
    *pages,
]
