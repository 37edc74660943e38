"""The REST addresses of an organization's Twilio account, under /api/v1/."""

from django.urls import path

from integrations import api

urlpatterns = [
    path("twilio/", api.Twilio.as_view(), name="api-twilio"),
    path("twilio/verify/", api.Verify.as_view(), name="api-twilio-verify"),
    path("twilio/next-token/", api.NextToken.as_view(), name="api-twilio-next-token"),
    path("twilio/promote/", api.Promote.as_view(), name="api-twilio-promote"),
    path("twilio/numbers/", api.Numbers.as_view(), name="api-twilio-numbers"),
]
