"""What a person types on the demo's machines, without SSH: the disks, and each of the commands."""

import subprocess
from types import SimpleNamespace

import pytest

from democloud.machines import boots, commands, layouts, people
from democloud.machines.run import COMMANDS, Session
from democloud.machines.shell import Streams, run_line
from democloud.seed import make_seed
from democloud.seed_images import image_id
from instances import disks
from instances.disks import Role

assert commands
PASSWORD_IMAGE = "Debian Rescue (temporary password)"


class Shell:
    """A root shell on one machine."""

    def __init__(self, machine):
        self.machine = machine
        user = machine.users()["root"]
        self.session = Session(machine, user, machine.who(user), cwd="/root", env={"HOME": "/root"})

    def raw(self, line, stdin=b""):
        out, err = bytearray(), bytearray()
        left = [stdin]
        streams = Streams(lambda: left.pop() if left else b"", out.extend, err.extend)
        status = run_line(self.session, line, streams)
        return SimpleNamespace(status=status, out=bytes(out), err=err.decode())

    def __call__(self, line, stdin=b"", status=0):
        done = self.raw(line, stdin)
        assert done.status == status, (line, done)
        return done.out.decode() if status == 0 else done.err

    def seen(self, *, rescue_last=False):
        lsblk = self.raw(f"lsblk --json --bytes --output {disks.COLUMNS}").out
        findmnt = self.raw("findmnt --json --list --output SOURCE,TARGET,FSTYPE,OPTIONS").out
        blkid = self.raw("blkid -c /dev/null -o export").out
        return disks.understand(lsblk, findmnt, blkid=blkid, rescue_last=rescue_last)


class Place:
    """One server of the demo's seed, its disk as wanted."""

    def __init__(self, kind="sound", name="cache-1", image=PASSWORD_IMAGE):
        self.region = make_seed("demo").regions[0]
        self.server = next(one for one in self.region.servers.values() if one.name == name)
        self.server.disk, self.image = kind, image_id("gra", image)

    def rescue(self):
        self.server.rescue_image_id, self.server.rescue_password = self.image, "secret"
        machine = boots.rescue_machine(self.server, self.region).machine
        assert machine is not None
        return Shell(machine)

    def boot(self):
        return boots.own_machine(self.server, self.region)


# The disks, read by the panel ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", layouts.KINDS)
def test_the_panel_tells_the_disks_apart(kind):
    seen = Place(kind).rescue().seen()
    assert [one.role for one in seen.disks] == [Role.RESCUE, Role.OLD]
    assert seen.booted_old is (kind == "clash") and not seen.kinds_unknown
    inside = {volume.fstype for volume in seen.disks[1].volume.walk()}
    expected = {"lvm": "LVM2_member", "luks": "crypto_LUKS", "xfs": "xfs", "ntfs": "ntfs"}
    assert expected.get(kind, "ext4") in inside
    assert seen.mounted_below("/mnt") == [] and seen.mountable


def test_an_image_that_keeps_the_disks_comes_last():
    place = Place(image="Distribution Rescue Made-in-Demo", name="db-primary")
    seen = place.rescue().seen(rescue_last=True)
    assert [one.role for one in seen.disks] == [Role.OLD, Role.OLD, Role.RESCUE]
    assert seen.mounted_at("/").source == "/dev/vdc1" and not seen.booted_old


def test_its_own_image_boots_the_broken_disk():
    seen = Place(image="Debian 12").rescue().seen()
    assert seen.booted_old and seen.mounted_at("/").source == "/dev/vdb1"


@pytest.mark.parametrize("image", ["netboot.xyz", "Windows Server 2022"])
def test_some_images_answer_no_ssh(image):
    place = Place(image=image)
    place.server.rescue_image_id = place.image
    assert boots.rescue_machine(place.server, place.region).machine is None


def test_logical_volumes_are_switched_on():
    shell = Place("lvm").rescue()
    assert "/dev/mapper/vg0-root" not in {v.path for v in shell.seen().mountable}
    assert shell("lvs --noheadings -o lv_name,lv_size --units b --nosuffix").split()[0] == "root"
    assert "3 logical volume(s)" in shell("vgchange --activate y")
    assert shell.seen().mountable[0].path == "/dev/mapper/vg0-root"
    shell("mount /dev/vg0/root /mnt && ls /mnt/etc/fstab && mount /dev/vg0/var /mnt/var")
    assert "in use" in shell("vgchange -an vg0", status=5)
    shell("umount /mnt/var /mnt; vgchange -an vg0")
    assert "vg0-root" not in shell("lsblk")


def test_an_encrypted_disk_opens_with_its_pass_phrase():
    shell = Place("luks").rescue()
    shell("cryptsetup open /dev/vdb2 old", b"wrong\n", status=2)
    shell("cryptsetup open /dev/vdb2 old", b"demo\n")
    shell("mount /dev/mapper/old /mnt && cat /mnt/etc/crypttab")
    assert "still in use" in shell("cryptsetup close old", status=5)
    shell("umount /mnt && cryptsetup close old")


def test_a_password_reaches_by_the_config_drive_alone():
    place = Place()
    image = place.region.images[place.image]
    place.rescue()
    assert boots.password_of(place.server, image) == "secret"
    image.properties["hw_rescue_bus"] = "virtio"  # Nova attaches the drive of the creation
    assert boots.password_of(place.server, image) == ""
    del image.properties["hw_rescue_bus"]
    place.server.config_drive = False
    assert boots.password_of(place.server, image) == ""


def test_a_hash_in_the_metadata_comes_before_any_drive():
    place = Place()
    image = place.region.images[place.image]
    place.server.metadata = {"rescue_password_hash": "$6$salt$hash"}
    image.properties.pop("rescue_password_metadata", None)
    assert boots.entry_of(place.server, image) != "$6$salt$hash"
    image.properties["rescue_password_metadata"] = "true"
    assert boots.entry_of(place.server, image) == "$6$salt$hash"
    place.server.metadata = {}
    place.server.config_drive = False
    assert boots.entry_of(place.server, image) == "*"


# Mounting -----------------------------------------------------------------------------------------


def test_a_mount_is_there_until_it_is_not():
    shell = Place().rescue()
    assert "does not exist" in shell("mount /dev/vdz1 /mnt", status=32)
    assert "mount point" in shell("mount /dev/vdb1 /nowhere", status=32)
    assert "wrong fs type" in shell("mount -t xfs /dev/vdb1 /mnt", status=32)
    shell("mount -t ext4 -o ro,noload,nosuid,nodev,noexec /dev/vdb1 /mnt")
    mount = shell.seen().mounted_at("/mnt")
    assert (mount.source, mount.writable) == ("/dev/vdb1", False) and "noload" in mount.options
    assert "Read-only" in shell("touch /mnt/x", status=1)
    assert "Read-only" in shell("echo x > /mnt/x", status=1)
    assert "already mounted" in shell("mount /dev/vdb1 /mnt", status=32)
    shell("mount -o remount,rw /mnt && echo x > /mnt/x")
    shell.session.cwd = "/mnt/etc"
    shell.session.hold()
    assert "busy" in shell("umount /mnt", status=32)
    shell("cd /; umount /mnt")
    assert shell("ls /mnt") == "" and "not mounted" in shell("umount /mnt", status=32)
    shell("mount /dev/disk/by-label/cloudimg-rootfs /mnt; cat /mnt/x")


def test_what_is_below_keeps_a_mount_busy():
    shell = Place("swap-home").rescue()
    shell("mount LABEL=cloudimg-rootfs /mnt && mount LABEL=home /mnt/home && ls /mnt/home/debian")
    shell("for", status=127)
    shell("mount --bind /dev /mnt/dev && ls /mnt/dev/vdb1")
    assert "busy" in shell("umount /mnt", status=32)
    shell("umount -R /mnt")
    assert shell.seen().mounted_below("/mnt") == []


def test_a_damaged_file_system_is_checked_first():
    place = Place("damaged")
    assert "fsck" in place.boot().problem
    shell = place.rescue()
    assert "needs cleaning" in shell("mount /dev/vdb1 /mnt", status=32)
    shell("mount -o ro,noload /dev/vdb1 /mnt")
    assert "is mounted" in shell("e2fsck -y /dev/vdb1", status=8)
    shell("umount /mnt")
    assert "errors" in shell.raw("e2fsck -n /dev/vdb1").out.decode()
    assert place.boot().machine is None
    shell("fsck -y /dev/vdb1", status=1)
    shell("fsck -n /dev/vdb1; mount /dev/vdb1 /mnt")
    assert place.boot().machine is not None


def test_a_full_disk_takes_nothing():
    shell = Place("full").rescue()
    shell("mount /dev/vdb1 /mnt")
    assert "No space" in shell("echo x > /mnt/root/x", status=1)
    shell("rm /mnt/var/log/app/debug.log && echo x > /mnt/root/x && df -h /mnt")


# What boots ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", layouts.KINDS)
def test_a_disk_boots_or_tells_why_not(kind):
    boot = Place(kind).boot()
    whys = {"bad-fstab": "Timed out waiting for device", "damaged": "fsck", "ntfs": ""}
    if kind in whys:
        assert boot.machine is None and boot.problem.startswith(whys[kind])
    else:
        assert boot.machine is not None and Shell(boot.machine)("findmnt -no FSTYPE /").strip()


def test_a_mended_fstab_boots():
    place = Place("bad-fstab")
    shell = place.rescue()
    shell("mount /dev/vdb1 /mnt && sed -i '/srv/s/^/#/' /mnt/etc/fstab && umount /mnt")
    boot = place.boot()
    assert boot.machine is not None
    assert "#UUID=3c9d5b1e" in Shell(boot.machine)("grep srv /etc/fstab")


def test_selinux_wants_its_labels_back():
    place = Place("xfs", name="mail")
    shell = place.rescue()
    shell("mount /dev/vdb4 /mnt && echo new > /mnt/home/almalinux/.bashrc.new")
    listed = "ls -Z -l /home/almalinux/.bashrc.new"
    assert " ? " in shell(f"chroot /mnt {listed}")
    shell("touch /mnt/.autorelabel && umount /mnt")
    booted = Shell(place.boot().machine)
    assert "user_home_t" in booted(listed)
    booted("ls /.autorelabel", status=2)


# The shell ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("echo 'a  b' c\\ d \"$HOME\" '$HOME'", "a  b c d /root $HOME\n"),
        ("false || echo no; true && echo yes", "no\nyes\n"),
        ("false && echo never; echo $?", "1\n"),
        ("echo one > f; echo two >> f; cat < f | head -n 1", "one\n"),
        ("nosuch 2>/dev/null; echo $?", "127\n"),
        ("echo a2>f; cat f", "a2\n"),
        ("ls -d /etc/host*", "/etc/hostname\n/etc/hosts\n"),
        ("ls -d '/etc/host*' 2>/dev/null; echo no # a remark", "no\n"),
        ("mkdir -p a/b; touch a/b/c; cp -a a d; mv d/b/c d/e; ls -R d", "d:\nb\ne\n\nd/b:\n"),
        ("touch f; chmod 640 f; chown 7:www-data f; stat -c '%a %u %G' f", "640 7 www-data\n"),
        ("ln -s /etc/hostname l; readlink l; cat l", "/etc/hostname\nrescue\n"),
        ("echo b | tee -a f; cat f", "b\nb\n"),
        ("printf 2>/dev/null; [ -d /etc ] && test ! -e /x && echo there", "there\n"),
        ("echo a b | sed -e 's/a \\(b\\)/\\1-&/'", "b-a b\n"),
        ("cat /etc/hosts | sed -n 2p | grep -c rescue", "1\n"),
        ("env LC_ALL=C whoami; id -un; hostname; pwd", "root\nroot\nrescue\n/root\n"),
        ("cd /etc && cd - && pwd", "/root\n"),
        ("rm -rf nothing; rmdir nothing 2>/dev/null; echo $?", "1\n"),
        ("env A=b env | grep A=", "A=b\n"),
    ],
)  # fmt: skip
def test_a_line_does_what_a_shell_does(line, out):
    assert Place().rescue().raw(line).out.decode() == out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("echo 'open", "matching"),
        ("| cat", "syntax error"),
        ("echo >", "syntax error"),
        ("cat /etc/nothing", "No such file"),
        ("cat /etc", "Is a directory"),
        ("lsblk -o NOTHING", "unknown column"),
        ("mkdir", "missing operand"),
        ("nano x", "echo 'a line' >> x"),
        ("rm /etc", "Is a directory"),
        ("chown nobody-here /etc/hosts", "invalid user"),
    ],
)
def test_what_goes_wrong_is_said(line, says):
    done = Place().rescue().raw(line)
    assert done.status and says in done.err


def test_chroot_shows_the_old_system():
    shell = Place("sound").rescue()
    shell("mount /dev/vdb1 /mnt")
    assert shell("chroot /mnt cat /etc/hostname; hostname") == "cache-1\nrescue\n"
    assert shell("chroot /mnt; cat ../../../etc/hostname; echo in > /in; pwd") == "cache-1\n/\n"
    assert shell("exit; cat /mnt/in; ls /in", status=2)
    shell("chroot /mnt chpasswd", b"debian:new one\n")
    assert shell("chroot /mnt passwd -S debian").startswith("debian P")
    shell("chroot /mnt passwd -l debian && chroot /mnt passwd -S debian | grep -q L")
    shell("chroot /mnt passwd root", b"a\nb\n", status=10)
    shell("chroot /mnt passwd nobody-here", b"a\na\n", status=1)


def test_people_may_less_than_root():
    shell = Shell(Place("sound").boot().machine)
    user = shell.machine.users()["debian"]
    shell.session.user, shell.session.who = user, shell.machine.who(user)
    assert "denied" in shell("cat /etc/shadow", status=1)
    assert "root" in shell("mount /dev/vda1 /mnt", status=1)
    assert shell("sudo whoami") == "root\n"
    assert "denied" in shell("touch /etc/x", status=1)


def test_help_names_what_there_is():
    shown = Place().rescue()("help")
    assert all(name in shown for name in ("lsblk", "mount", "passwd", "sed"))
    assert len(COMMANDS) < 100


def test_a_repair_may_run_apart_from_its_connection():
    shell = Place("damaged").rescue()
    shell("mkdir -m 700 /run/check")
    check = "e2fsck -f -n -C 1 /dev/vdb1 > /run/check/said 2>&1 < /dev/null"
    shell(f"sh -c \"setsid sh -c '{check}; echo \\$? > /run/check/status' > /dev/null 2>&1 &\"")
    assert shell("cat /run/check/status") == "4\n"
    assert "Pass 5" in shell("sh -c 'grep -avE ^Pass.1 /run/check/said | tail -c 4000'")
    assert "only this works" in shell("sh script", status=1)
    assert "no command" in shell("setsid", status=1)


def test_passwords_are_hashed_as_crypt_does():
    shell = Place().rescue()
    made = shell("openssl passwd -6 -stdin", b"p\xc3\xa4ss\n").strip()
    salt = made.split("$")[2]
    asked = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    real = subprocess.run(asked, input=b"p\xc3\xa4ss\n", capture_output=True, check=True)
    assert made == real.stdout.decode().strip()
    people.set_password(shell.machine.root, "root", made)
    assert people.is_password(shell.machine, "root", "päss")
    assert not people.is_password(shell.machine, "root", "pass")
    assert "only this works" in shell("openssl version", status=1)


def test_what_a_file_is_can_be_copied_without_its_content():
    shell = Place().rescue()
    shell("echo new > /root/a; echo old > /root/b; chmod 640 /root/b")
    shell("cp --attributes-only --preserve=mode,xattr /root/b /root/a")
    assert shell("cat /root/a") == "new\n"
    assert shell("stat -c %a /root/a") == "640\n"
