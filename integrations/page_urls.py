"""The addresses of the pages about an organization's Twilio account."""

from django.urls import path

from integrations import views

urlpatterns = [
    path("twilio/", views.twilio, name="twilio"),
    path("twilio/verify/", views.verify, name="twilio-verify"),
    path("twilio/next-token/", views.next_token, name="twilio-next-token"),
    path("twilio/promote/", views.promote, name="twilio-promote"),
]
