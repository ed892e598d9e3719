from django.db import migrations, models


def hold(apps, schema_editor):
    """Whoever asked for a rescue holds it."""
    apps.get_model("instances", "Rescue").objects.update(holder=models.F("requested_by"))



class Migration(migrations.Migration):
    dependencies = [("instances", "0003_portal")]
    operations = [migrations.RunPython(hold, migrations.RunPython.noop)]
