"""The addresses of the pages about contacts and calls."""

from django.urls import path

from calls import (
    views,
    views_contacts,
    views_dashboard,
    views_history,
    views_home,
    views_rules,
    views_runs,
    views_wrap_up,
)

urlpatterns = [
    path("", views_home.home, name="home"),
    path("contacts/", views_contacts.contact_list, name="contacts"),
    path("contacts/export.csv", views_contacts.export, name="export-contacts"),
    path("contacts/new/", views_contacts.new_contact, name="new-contact"),
    path("contacts/<uuid:contact_id>/", views_contacts.contact, name="contact"),
    path("contacts/<uuid:contact_id>/edit/", views_contacts.edit_contact, name="edit-contact"),
    path("contacts/<uuid:contact_id>/opportunities/new/", views_contacts.new_opportunity, name="new-opportunity"),
    path("opportunities/<uuid:opportunity_id>/", views_contacts.opportunity, name="opportunity"),
    path("opportunities/<uuid:opportunity_id>/edit/", views_contacts.edit_opportunity, name="edit-opportunity"),
    path("rules/", views_rules.rules, name="rules"),
    path("calls/", views_history.calls, name="calls"),
    path("dashboard/", views_dashboard.dashboard, name="dashboard"),
    path("board/", views_dashboard.live_board, name="live-board"),
    path("calls/start/", views.start, name="start-call"),
    path("phone/test/", views.test_phone, name="test-call"),
    path("calls/live/", views.live, name="live-call"),
    path("calls/live/dismiss/", views.dismiss, name="dismiss-call"),
    path("calls/<uuid:call_id>/", views_history.call, name="call"),
    path("calls/<uuid:call_id>/player/", views_history.player, name="call-player"),
    path("calls/<uuid:call_id>/outcome/", views_wrap_up.outcome, name="wrap-up"),
    path("calls/<uuid:call_id>/note/", views_wrap_up.note, name="call-note"),
    path("runs/", views_runs.begin, name="begin-run"),
    path("runs/<uuid:run_id>/", views_runs.run, name="run"),
    path("runs/<uuid:run_id>/next/", views_runs.next_call, name="run-next"),
    path("runs/<uuid:run_id>/skip/", views_runs.skip_one, name="run-skip"),
    path("runs/<uuid:run_id>/end/", views_runs.end, name="run-end"),
    path("calls/<uuid:call_id>/hangup/", views.hangup, name="hang-up"),
]
