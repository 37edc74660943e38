"""The addresses of the pages about contacts and calls."""

from django.urls import path

from calls import views, views_contacts, views_dashboard, views_history, views_rules

urlpatterns = [
    path("contacts/", views_contacts.contact_list, name="contacts"),
    path("contacts/new/", views_contacts.new_contact, name="new-contact"),
    path("contacts/<uuid:contact_id>/", views_contacts.contact, name="contact"),
    path("contacts/<uuid:contact_id>/edit/", views_contacts.edit_contact, name="edit-contact"),
    path("contacts/<uuid:contact_id>/opportunities/new/", views_contacts.new_opportunity, name="new-opportunity"),
    path("opportunities/<uuid:opportunity_id>/", views_contacts.opportunity, name="opportunity"),
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
    path("calls/<uuid:call_id>/outcome/", views.outcome, name="wrap-up"),
    path("calls/<uuid:call_id>/hangup/", views.hangup, name="hang-up"),
]
