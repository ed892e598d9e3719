from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("teams", "0002_portal")]

    operations = [
        migrations.AddField(
            model_name="webhook",
            name="failing_since",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
