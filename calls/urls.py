"""The REST addresses of calls and recordings, under /api/v1/."""

from django.urls import path

from calls import api, api_export, api_recordings, api_rules

urlpatterns = [
    path("organization/rules/", api_rules.Rules.as_view(), name="api-rules"),
    path("organization/spend/", api_rules.Spend.as_view(), name="api-spend"),
    path("me/test-call/", api.TestCall.as_view(), name="api-test-call"),
    path("calls/", api.CallList.as_view(), name="api-calls"),
    path("calls/export.csv", api_export.CallExport.as_view(), name="api-calls-export"),
    path("calls/<uuid:call_id>/", api.CallDetail.as_view(), name="api-call"),
    path("calls/<uuid:call_id>/hangup/", api.CallHangup.as_view(), name="api-hangup"),
    path("calls/<uuid:call_id>/callbacks/", api_recordings.CallCallbacks.as_view(), name="api-callbacks"),
    path("calls/<uuid:call_id>/recordings/", api_recordings.CallRecordings.as_view(), name="api-recordings"),
    path("recordings/<uuid:recording_id>/", api_recordings.RecordingDetail.as_view(), name="api-recording"),
    path("recordings/<uuid:recording_id>/audio", api_recordings.RecordingAudio.as_view(), name="api-audio"),
]
