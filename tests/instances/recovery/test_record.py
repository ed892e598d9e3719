"""What was done on a machine stands in the rescue's page and report, as far as one may read it."""

from instances.recovery import record
from tests.instances import rows

SAID = "Pass 1\n<script># not a title"


def damaged(rescue, alice):
    job = rows.job(rescue, "failed", alice, kind="check", stage="apply", problem="check_left",
                   params={"device": "/dev/vdb1"}, problem_args={"device": "/dev/vdb1"},
                   result={"output": SAID})  # fmt: skip
    rows.job(rescue, "planned", alice)
    rows.job(rescue, "done", alice, kind="mount")
    return job


def test_the_report_tells_of_each_repair(client, rescue, alice):
    damaged(rescue, alice)
    rows.job(rescue, "done", alice, kind="fstab", params={"line": 4},
             result={"lines": [["proven", {}]], "kept": {"changed": []}})  # fmt: skip
    client.force_login(alice)
    text = client.get(f"/rescues/{rescue.pk}/report").content.decode()
    assert "### Check a file system: Did not work (Alice)" in text
    assert "- Device: /dev/vdb1\n- /dev/vdb1 still has errors." in text
    assert "\n    Pass 1\n    <script># not a title\n" in text
    assert "- Line: 4\n- Read again from the disk: it is as it should be." in text
    page = client.get(f"/rescues/{rescue.pk}").content.decode()
    assert "&lt;script&gt;# not a title" in page and "Checked a file system" not in page
    assert [piece.title for piece in record.pieces(rescue, alice)] == [
        "Check a file system", "Take a line out of the fstab",
    ]  # fmt: skip


def test_what_the_machine_said_is_for_who_may_work_on_it(client, rescue, alice, carol):
    damaged(rescue, alice)
    client.force_login(carol)
    text = client.get(f"/rescues/{rescue.pk}/report").content.decode()
    assert "still has errors" in text and "Pass 1" not in text
    assert "Pass 1" not in client.get(f"/rescues/{rescue.pk}").content.decode()
    told = {"command": "e2fsck", "status": 8, "said": "/home/secret-name"}
    rows.job(rescue, "failed", alice, kind="check", problem="check_failed", problem_args=told)
    text = client.get(f"/rescues/{rescue.pk}/report").content.decode()
    assert "could not do its work (status 8): …" in text
    client.force_login(alice)
    assert "/home/secret-name" in client.get(f"/rescues/{rescue.pk}/report").content.decode()


def test_acts_on_the_machine_are_told_in_words(client, rescue, alice, bob):
    from instances import driver, report
    from teams.models import User

    driver.record("machine.password", rescue, actor=alice, user="admin")
    driver.record("machine.reveal", rescue, actor=alice, user="admin")
    told = [moment.text for moment in report.timeline(rescue, alice)]
    assert "Set a password on the old system" in told
    assert "Read a password that was set on the old system" in told
    others = [moment.text for moment in report.timeline(rescue, User.objects.get(pk=bob.pk))]
    assert "Set a password on the old system" in others
    assert "Read a password that was set on the old system" not in others
