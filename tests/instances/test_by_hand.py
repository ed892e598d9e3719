"""Commands for who works by hand: with this machine's names, for this person, goal by goal."""

import shlex

import pytest

from instances.by_hand import GOALS, Facts, place_of, recipe
from instances.by_hand.place import USUAL, USUAL_KEPT, Part
from instances.disks import understand
from instances.recovery.known import facts_of
from teams.models import SSHKey
from tests.instances import rows
from tests.instances.machines import (
    DEBIAN,
    GIB,
    IN_RESCUE,
    ON_MNT,
    RESCUE,
    device,
    findmnt,
    lsblk,
)

ALMA = device(
    "/dev/vdb", "disk",
    device("/dev/vdb1", size=1 << 20),
    device("/dev/vdb2", fstype="vfat", parttypename="EFI System", size=200 << 20),
    device("/dev/vdb3", fstype="xfs", label="BOOT"),
    device("/dev/vdb4", fstype="xfs", label="root", size=48 * GIB),
    size=50 * GIB,
)  # fmt: skip
LVM = device(
    "/dev/vdb", "disk",
    device("/dev/vdb1", fstype="ext4", label="boot"),
    device("/dev/vdb2", "part", device("/dev/mapper/vg0-var", "lvm", fstype="ext4", size=GIB),
           device("/dev/mapper/vg0-root", "lvm", fstype="ext4", size=9 * GIB),
           fstype="LVM2_member"),
)  # fmt: skip
SLEEPING = device("/dev/vdb", "disk", device("/dev/vdb2", fstype="LVM2_member"))
LUKS = device(
    "/dev/vdb", "disk",
    device("/dev/vdb1", fstype="ext4", label="boot"),
    device("/dev/vdb2", fstype="crypto_LUKS"),
)  # fmt: skip
LOCKED_DATA = device(
    "/dev/vdb", "disk",
    device("/dev/vdb1", fstype="ext4", size=9 * GIB),
    device("/dev/vdb2", fstype="crypto_LUKS", size=90 * GIB),
)  # fmt: skip
WINDOWS = device("/dev/vdb", "disk", device("/dev/vdb3", fstype="ntfs", size=49 * GIB))
EMPTY = device("/dev/vdb", "disk")
RAID = device("/dev/vdb", "disk", device("/dev/vdb1", fstype="linux_raid_member"))
#: as Debian's installer makes it: /boot without a label, before what has to be opened
GUIDED = device(
    "/dev/vdb", "disk",
    device("/dev/vdb1", fstype="ext4", size=GIB),
    device("/dev/vdb5", fstype="crypto_LUKS", size=9 * GIB),
    size=10 * GIB,
)  # fmt: skip


def place(disk, mounts=IN_RESCUE, layout=()):
    return place_of(understand(lsblk(RESCUE, disk), mounts, rescue_last=False), layout=layout)


def commands(goal, facts):
    steps = [step for _title, steps in recipe(GOALS[goal], facts) for step in steps]
    return [command for step in steps for command in step.commands]


@pytest.mark.parametrize(
    ("disk", "root", "boot", "efi"),
    [
        (DEBIAN, "/dev/vdb1", "", "/dev/vdb15"),
        (ALMA, "/dev/vdb4", "/dev/vdb3", "/dev/vdb2"),
        (LVM, "/dev/mapper/vg0-root", "/dev/vdb1", ""),
        (SLEEPING, "", "", ""),
        (LUKS, "/dev/mapper/old", "/dev/vdb1", ""),
        (WINDOWS, "/dev/vdb3", "", ""),
        (RAID, "", "", ""),
        (GUIDED, "/dev/mapper/old", "", ""),
        (LOCKED_DATA, "/dev/vdb1", "", ""),
        (device("/dev/vdb", "disk", device("/dev/vdb1", fstype="ext4")), "/dev/vdb1", "", ""),
    ],
)
def test_the_devices_are_those_seen(disk, root, boot, efi):
    found = place(disk)
    assert (found.root, found.boot, found.efi, found.disk) == (root, boot, efi, "/dev/vdb")
    assert found.seen


def test_without_a_system_to_be_seen_the_usual_names_stand():
    assert place(EMPTY) == USUAL


def test_nothing_seen_says_where_nova_puts_the_old_disk():
    assert place_of(None) == USUAL
    assert place_of(None, keeps_disks=True) == USUAL_KEPT
    told = commands("fstab", Facts())
    assert "lsblk -o NAME,SIZE,FSTYPE,LABEL,MOUNTPOINT" in told
    assert "mount /dev/vdb1 /mnt" in told and "vgchange --activate y" in told


def test_what_lies_deeper_is_opened_first():
    luks, sleeping = (
        commands("fstab", Facts(place(LUKS))),
        commands("fstab", Facts(place(SLEEPING))),
    )
    assert luks.index("cryptsetup open /dev/vdb2 old") < luks.index("mount /dev/mapper/old /mnt")
    assert luks.index("cd / && sync && umount -R /mnt") < luks.index("cryptsetup close old")
    assert sleeping.index("vgchange --activate y") < sleeping.index("mount /dev/VOLUMES/ROOT /mnt")
    raid = commands("fstab", Facts(place(RAID)))
    together, looked = raid.index("mdadm --assemble --scan"), raid.index("cat /proc/mdstat")
    assert together < looked < raid.index("vgchange --activate y")  # LVM on RAID
    assert raid.index("vgchange --activate y") < raid.index("mount /dev/md/NAME /mnt")
    plain = " ".join(commands("fstab", Facts(place(DEBIAN))))
    assert "cryptsetup" not in plain and "vgchange" not in plain and "lsblk" not in plain


def test_looking_and_copying_change_nothing_on_the_disk():
    for goal in ("logs", "copy-out"):
        assert "mount -o ro,noload /dev/vdb1 /mnt" in commands(goal, Facts(place(DEBIAN)))
        assert "mount -o ro,norecovery /dev/vdb4 /mnt" in commands(goal, Facts(place(ALMA)))
        assert "mount -o ro /dev/vdb1 /mnt" in commands(goal, Facts())


BTRFS = device(
    "/dev/vdb", "disk",
    device("/dev/vdb1", fstype="vfat", label="EFI"),
    device("/dev/vdb2", fstype="ext4", size=GIB),
    device("/dev/vdb3", fstype="btrfs", size=48 * GIB),
    device("/dev/vdb4", fstype="xfs", size=9 * GIB),
    size=50 * GIB,
)  # fmt: skip
LAYOUT = (
    Part("/dev/vdb3", "/", "@"), Part("/dev/vdb2", "/boot"), Part("/dev/vdb3", "/home", "@home"),
    Part("/dev/vdb4", "/srv"), Part("/dev/vdz1", "/opt"),
)  # fmt: skip


def test_the_subvolume_with_the_system_is_looked_for_where_nobody_knows_it():
    found = place(BTRFS)
    assert (found.root, found.subvolume) == ("/dev/vdb3", None)
    told = commands("fstab", Facts(found, distro="debian"))
    look = [
        "mount -o ro,rescue=nologreplay /dev/vdb3 /mnt", "find /mnt -maxdepth 2 -name etc",
        "umount /mnt", "mount -o subvol=@rootfs /dev/vdb3 /mnt",
    ]  # fmt: skip
    assert told[told.index(look[0]) :][:4] == look
    assert "mount -o subvol=root /dev/vdb3 /mnt" in commands("fstab", Facts(found, distro="fedora"))
    only = "mount -o ro,rescue=nologreplay,subvol=@ /dev/vdb3 /mnt"
    assert only in commands("logs", Facts(found))


def test_what_the_panel_mounted_once_is_known_from_then_on():
    found = place(BTRFS, layout=LAYOUT)
    told = commands("lost-key", Facts(found))
    want = [
        "mount -o subvol=@ /dev/vdb3 /mnt", "mount -o subvol=@home /dev/vdb3 /mnt/home",
        "mount /dev/vdb4 /mnt/srv",
    ]  # fmt: skip
    assert [one for one in told if one.startswith("mount")] == want
    assert [one for one in commands("logs", Facts(found)) if one.startswith("mount")] == [
        "mount -o ro,rescue=nologreplay,subvol=@ /dev/vdb3 /mnt",
        "mount -o ro,rescue=nologreplay,subvol=@home /dev/vdb3 /mnt/home",
        "mount -o ro,norecovery /dev/vdb4 /mnt/srv",
    ]
    assert [one for one in commands("boot", Facts(found)) if one.startswith("mount")] == [
        *want, "mount /dev/vdb2 /mnt/boot", "mount /dev/vdb1 /mnt/boot/efi",
    ]  # fmt: skip
    another = (Part("/dev/vdb15", "/"), Part("/dev/vdb1", "/srv"))  # not the system was mounted
    for layout in (LAYOUT, another):
        assert place(DEBIAN, layout=layout).apart == ()


def test_what_somebody_mounted_by_hand_tells_the_subvolume_too():
    here = findmnt(
        ("/dev/vda1", "/", "ext4", "rw"), ("/dev/vdb3", "/mnt", "btrfs", "rw,subvol=/@x")
    )
    told = commands("fstab", Facts(place(BTRFS, here)))
    assert told.index("cd / && umount -R /mnt") < told.index("mount -o subvol=@x /dev/vdb3 /mnt")
    top = findmnt(("/dev/vdb3", "/mnt", "btrfs", "rw,subvolid=5,subvol=/"))
    assert "mount /dev/vdb3 /mnt" in commands("fstab", Facts(place(BTRFS, top)))
    evil = findmnt(("/dev/vdb3", "/mnt", "btrfs", "rw,subvol=/$(reboot)"))
    assert not [one for one in commands("fstab", Facts(place(BTRFS, evil))) if "reboot" in one]


def test_what_the_panel_mounted_is_not_enough_for_changes():
    facts = Facts(place(DEBIAN, ON_MNT))
    assert not [one for one in commands("logs", facts) if one.startswith("mount")]
    told = commands("lost-password", facts)
    assert told.index("cd / && umount -R /mnt") < told.index("mount /dev/vdb1 /mnt")


def test_the_check_follows_the_kind_of_the_file_system():
    assert "fsck -f /dev/vdb1" in commands("check-disk", Facts(place(DEBIAN)))
    assert "xfs_repair /dev/vdb4" in commands("check-disk", Facts(place(ALMA)))
    assert not [c for c in commands("check-disk", Facts(place(DEBIAN))) if c.startswith("mount")]


def test_the_boot_is_repaired_from_within_with_all_it_needs():
    told = commands("boot", Facts(place(ALMA), distro="almalinux"))
    order = [
        "mount /dev/vdb4 /mnt",
        "mount /dev/vdb3 /mnt/boot",
        "mount /dev/vdb2 /mnt/boot/efi",
        "for part in dev dev/pts proc sys run; do mount --bind /$part /mnt/$part; done",
        "chroot /mnt /bin/bash",
        "dracut --force --regenerate-all",
        "grub2-install /dev/vdb",
        "cd / && sync && umount -R /mnt",
    ]
    places = [told.index(one) for one in order]
    assert places == sorted(places)
    assert "update-grub" in commands("boot", Facts(distro="debian"))
    both = commands("boot", Facts())
    assert "update-grub" in both and "dracut --force --regenerate-all" in both


@pytest.mark.parametrize("distro", ["debian", "almalinux", ""])
def test_selinux_is_minded_where_it_may_be(distro):
    told = " ".join(commands("lost-key", Facts(distro=distro)))
    assert (".autorelabel" in told) == (distro != "debian")


def test_a_hostile_name_stays_one_word():
    name = "x'; reboot #"
    for goal in GOALS:
        for command in commands(goal, Facts(user=name, public_key=name)):
            if "reboot" in command:
                words = shlex.split(command.replace(">>", " "))
                assert any(word.endswith(name) or name in word for word in words), command


# The pages ----------------------------------------------------------------------------------------


@pytest.fixture
def web(teams, bob):
    account = rows.account(teams.acme)
    rows.images(account)
    account.images.create(
        image_id="debian", name="Debian 12", status="active", visibility="public",
        disk_format="qcow2", properties={"os_distro": "Debian"},
    )  # fmt: skip
    return rows.rescued(account)


def text(client, instance, goal=""):
    answer = client.get(f"/instances/{instance.pk}/by-hand{goal and '/' + goal}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_goal_has_a_page_in_both_languages(web, client, carol):
    client.force_login(carol)
    index = text(client, web)
    for goal in GOALS:
        assert f"/instances/{web.pk}/by-hand/{goal}" in index
        for language in ("en", "fr"):
            client.cookies["django_language"] = language
            page = text(client, web, goal)
            assert "openstack server unrescue" in page and "data-copy=" in page
    assert client.get(f"/instances/{web.pk}/by-hand/nonsense").status_code == 404


def test_it_names_this_machine_and_this_persons_key(web, client, bob):
    SSHKey.objects.create(user=bob, name="l", fingerprint="SHA256:b", key_type="ssh-ed25519",
                          public_key="ssh-ed25519 AAAAbob")  # fmt: skip
    rows.machine(rows.rescue(web, "READY", bob))
    client.force_login(bob)
    page = text(client, web, "lost-key")
    assert "/mnt/home/debian/.ssh/authorized_keys" in page
    assert "ssh-ed25519 AAAAbob" in page and "root@203.0.113.7" in page
    assert "mount /dev/vdb1 /mnt" in page and "those the panel saw" in page
    assert f"/instances/{web.pk}/exit" in page and "<script>" not in page


def test_staff_see_no_keys_and_a_team_lends_its_own(web, teams, bob, sam):
    SSHKey.objects.create(team=teams.acme, name="t", fingerprint="SHA256:t", public_key="ssh-rsa t")
    assert facts_of(web, bob).public_key == "ssh-rsa t"
    bob.acted_by = sam
    assert facts_of(web, bob).public_key == ""


def test_before_the_rescue_it_says_so_and_leads_there(web, client, bob, carol):
    client.force_login(bob)
    page = text(client, web, "fstab")
    assert "not in rescue mode" in page and f"/instances/{web.pk}/rescue" in page
    assert "StrictHostKeyChecking" not in page and "/exit" not in page
    client.force_login(carol)
    assert f"/instances/{web.pk}/rescue" not in text(client, web, "fstab")


def test_users_of_the_old_system_are_for_who_may_work_on_it(web, bob, carol):
    rescue = rows.rescue(web, "READY", bob)
    rows.job(rescue, "done", kind="mount", result={"kept": {"users": ["admin", "root"]}})
    assert facts_of(web, bob).user == "admin"
    assert facts_of(web, carol).user == "debian"
    rescue.jobs.update(result={"kept": {"users": ["eve", "debian"]}})
    assert facts_of(web, bob).user == "debian"


def test_who_logs_in_with_a_key_becomes_root(web, bob):
    rows.rescue(web, "READY", bob)
    web.rescues.update(access="key", access_user="debian")
    facts = facts_of(web, bob)
    told = commands("copy-out", facts)
    assert facts.sudo and "sudo -i" in told
    assert any("'sudo tar -C /mnt" in one for one in told)


def test_the_notification_and_the_repairs_lead_there(web, client, bob):
    rescue = rows.rescue(web, "READY", bob)
    client.force_login(bob)
    for address in ("/", f"/rescues/{rescue.pk}/machine"):
        assert f'href="/instances/{web.pk}/by-hand"' in client.get(address).content.decode()


def test_a_file_on_the_persons_computer_gets_a_plain_name(web, bob):
    web.name = "../ü; <b>x"
    assert facts_of(web, bob).name == "b-x"
    web.name = "…"
    assert facts_of(web, bob).name == "instance"
