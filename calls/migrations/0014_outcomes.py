"""The outcomes that a rep chooses from; the database takes any word, as before."""

from django.db import migrations, models

OUTCOMES = [
    ("no_answer", "No answer"),
    ("busy", "Busy"),
    ("voicemail", "Left voicemail"),
    ("wrong_number", "Wrong number"),
    ("interested", "Interested"),
    ("not_interested", "Not interested"),
    ("call_back", "Call back"),
    ("meeting", "Meeting booked"),
    ("do_not_call", "Do not call"),
]


class Migration(migrations.Migration):
    dependencies = [("calls", "0013_test_calls")]

    operations = [
        migrations.AlterField(
            model_name="calllog",
            name="disposition",
            field=models.CharField(blank=True, choices=OUTCOMES, max_length=40, verbose_name="outcome"),
        ),
    ]
