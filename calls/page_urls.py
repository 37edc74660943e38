"""The addresses of the pages about contacts and calls."""

from django.urls import path

from calls import views

urlpatterns = [
    path("contacts/", views.contacts, name="contacts"),
    path("contacts/<uuid:contact_id>/", views.contact, name="contact"),
    path("calls/", views.calls, name="calls"),
    path("calls/start/", views.start, name="start-call"),
    path("calls/live/", views.live, name="live-call"),
    path("calls/live/dismiss/", views.dismiss, name="dismiss-call"),
    path("calls/<uuid:call_id>/", views.call, name="call"),
    path("calls/<uuid:call_id>/hangup/", views.hangup, name="hang-up"),
]
