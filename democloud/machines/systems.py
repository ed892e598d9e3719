"""Plant believable system trees: Debian, Ubuntu and AlmaLinux servers, and rescue systems."""

from dataclasses import dataclass, field

from democloud.machines import keys
from democloud.machines.tree import Node, Owner, folder, plant, plant_folder, plant_link

RELEASES = {
    "debian 12": ("Debian GNU/Linux 12 (bookworm)", "6.1.0-40-cloud-amd64"),
    "debian 13": ("Debian GNU/Linux 13 (trixie)", "6.12.48+deb13-cloud-amd64"),
    "ubuntu 24.04": ("Ubuntu 24.04.3 LTS", "6.8.0-86-generic"),
    "almalinux 9": ("AlmaLinux 9.6 (Sage Margay)", "5.14.0-570.12.1.el9_6.x86_64"),
}
CLOUD_USER = Owner(1000, 1000)
SYSTEM_USERS = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
"""
SYSTEM_GROUPS = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:{user}
mail:x:8:
sudo:x:27:{user}
www-data:x:33:
shadow:x:42:
nogroup:x:65534:
"""
SSHD = """\
# This is the sshd server system-wide configuration file.  See
# sshd_config(5) for more information.

Include /etc/ssh/sshd_config.d/*.conf

#Port 22
#PermitRootLogin prohibit-password
#StrictModes yes
#PubkeyAuthentication yes
AuthorizedKeysFile\t.ssh/authorized_keys
PasswordAuthentication {passwords}
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem\tsftp\t/usr/lib/openssh/sftp-server
"""
INTERFACES = """\
# This file is generated from information provided by the datasource.
auto lo
iface lo inet loopback

auto ens3
iface ens3 inet dhcp
"""
NETPLAN = """\
network:
  version: 2
  ethernets:
    ens3:
      dhcp4: true
      match:
        macaddress: fa:16:3e:00:00:01
      set-name: ens3
"""
CONNECTION = """\
[connection]
id=cloud-init ens3
type=ethernet
interface-name=ens3

[ipv4]
method=auto
"""
MOTD = """\

The programs included with the {system} system are free software;
the exact distribution terms for each program are described in the
individual files in /usr/share/doc/*/copyright.
"""
SELINUX = """\
# This file controls the state of SELinux on the system.
SELINUX=enforcing
SELINUXTYPE=targeted
"""


@dataclass
class System:
    """What a system is to be like."""

    distro: str = "debian"
    version: str = "12"
    hostname: str = "server"
    user: str = "debian"
    fstab: str = ""
    #: the lines of the user's authorized_keys; None for no such file
    keys: list[str] | None = None
    passwords: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def release(self) -> tuple[str, str]:
        """Return the name of the release and its kernel's version."""
        return RELEASES.get(f"{self.distro} {self.version}", RELEASES["debian 12"])

    @property
    def has_selinux(self) -> bool:
        """Tell whether it labels its files."""
        return self.distro == "almalinux"


def tree_of(system: System) -> Node:
    """Return the root of a system's tree."""
    root = folder()
    _plant_bones(root, system)
    _plant_people(root, system)
    _plant_settings(root, system)
    _plant_logs(root, system)
    for path, text in system.extra.items():
        plant(root, path, text)
    if system.has_selinux:
        label(root)
    return root


def _plant_bones(root: Node, system: System) -> None:
    for path in ("boot", "dev", "etc", "home", "media", "mnt", "opt", "proc", "run", "srv", "sys"):
        plant_folder(root, path)
    for path in ("usr/bin", "usr/lib", "usr/sbin", "usr/local/bin", "var/lib", "var/www/html"):
        plant_folder(root, path)
    for path in ("bin", "lib", "sbin"):
        plant_link(root, path, f"usr/{path}")
    plant_folder(root, "tmp", 0o1777, Owner())
    plant_folder(root, "root", 0o700, Owner())
    for name in ("bash", "ls", "cat", "mount", "passwd", "sudo", "systemctl"):
        plant(root, f"usr/bin/{name}", b"\x7fELF\x02\x01\x01" + bytes(57), 0o755)
    kernel = system.release[1]
    plant(root, f"boot/vmlinuz-{kernel}", b"MZ" + bytes(62)).bulk = 8 << 20
    plant(root, f"boot/initrd.img-{kernel}", b"\x1f\x8b" + bytes(62), 0o600).bulk = 30 << 20
    plant(root, f"boot/config-{kernel}", "CONFIG_64BIT=y\n")
    plant(root, "boot/grub/grub.cfg", f"# Linux {kernel}\nset timeout=0\n", 0o600)


def _plant_people(root: Node, system: System) -> None:
    user, home = system.user, f"/home/{system.user}"
    full = f"{user}:x:1000:1000:{user.title()}:{home}:/bin/bash\n"
    plant(root, "etc/passwd", SYSTEM_USERS + full)
    groups = SYSTEM_GROUPS.format(user=user) + f"{user}:x:1000:\n"
    plant(root, "etc/group", groups)
    locked = [line.split(":")[0] for line in SYSTEM_USERS.splitlines()]
    shadow = "".join(f"{name}:*:20300:0:99999:7:::\n" for name in locked)
    plant(root, "etc/shadow", shadow + f"{user}:!:20310:0:99999:7:::\n", 0o640).gid = 42
    plant(root, "etc/sudoers.d/90-cloud-init-users", f"{user} ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    plant_folder(root, home, 0o755, CLOUD_USER)
    plant(root, f"{home}/.bashrc", "# ~/.bashrc: executed by bash(1)\n", 0o644, CLOUD_USER)
    plant(root, f"{home}/.profile", "# ~/.profile\n", 0o644, CLOUD_USER)
    plant(root, "root/.bashrc", "# ~/.bashrc\n")
    if system.keys is not None:
        plant_folder(root, f"{home}/.ssh", 0o700, CLOUD_USER)
        text = "".join(f"{one}\n" for one in system.keys)
        plant(root, f"{home}/.ssh/authorized_keys", text, 0o600, CLOUD_USER)


def _plant_settings(root: Node, system: System) -> None:
    name = system.release[0]
    words = {"ID": system.distro, "VERSION_ID": f'"{system.version}"', "PRETTY_NAME": f'"{name}"'}
    plant(root, "usr/lib/os-release", "".join(f"{key}={word}\n" for key, word in words.items()))
    plant_link(root, "etc/os-release", "../usr/lib/os-release")
    plant(root, "etc/hostname", f"{system.hostname}\n")
    plant(root, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {system.hostname}\n")
    plant(root, "etc/fstab", system.fstab)
    plant(root, "etc/motd", MOTD.format(system=name))
    plant(root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444)
    plant(root, "etc/ssh/sshd_config", SSHD.format(passwords="yes" if system.passwords else "no"))
    plant_folder(root, "etc/ssh/sshd_config.d")
    plant(root, "etc/default/grub", 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX=""\n')
    _plant_network(root, system.distro)
    if system.distro == "debian":
        plant(root, "etc/debian_version", f"{system.version}.11\n")
    if system.has_selinux:
        plant(root, "etc/selinux/config", SELINUX)


def _plant_network(root: Node, distro: str) -> None:
    if distro == "ubuntu":
        plant(root, "etc/netplan/50-cloud-init.yaml", NETPLAN, 0o600)
    elif distro == "almalinux":
        place = "etc/NetworkManager/system-connections/cloud-init-ens3.nmconnection"
        plant(root, place, CONNECTION, 0o600)
    else:
        plant(root, "etc/network/interfaces", "source /etc/network/interfaces.d/*\n")
        plant(root, "etc/network/interfaces.d/50-cloud-init", INTERFACES)


def _plant_logs(root: Node, system: System) -> None:
    name = system.hostname
    plant_folder(root, "var/log/journal", 0o2755, Owner())
    syslog = f"Nov 20 06:25:01 {name} systemd[1]: Started cron.service.\n"
    plant(root, "var/log/syslog", syslog, 0o640).gid = 4
    auth = f"Nov 20 08:11:40 {name} sshd[811]: Connection closed by authenticating user root\n"
    plant(root, "var/log/auth.log", auth, 0o640).gid = 4
    plant(root, "var/log/cloud-init.log", "finish: modules-final: SUCCESS\n").gid = 4
    plant(root, "var/log/dpkg.log", "2026-10-02 06:12:11 startup archives unpack\n")


def label(root: Node, path: str = "") -> None:
    """Give each file the SELinux context its place calls for, as a relabelling boot does."""
    root.context = f"system_u:object_r:{_context(path)}:s0"
    for name, child in root.children.items():
        label(child, f"{path}/{name}")


def _context(path: str) -> str:
    if "/.ssh" in path:
        return "ssh_home_t"
    kinds = {"/etc/shadow": "shadow_t", "/etc": "etc_t", "/var/log": "var_log_t", "/boot": "boot_t"}
    kinds |= {"/home/": "user_home_t", "/home": "home_root_t", "/root": "admin_home_t"}
    return next((kind for start, kind in kinds.items() if path.startswith(start)), "usr_t")


def rescue_tree(name: str, user: str, keys_of_user: list[str] | None) -> Node:
    """Return the tree of a rescue system: a Debian's, that takes passwords."""
    fstab = "LABEL=rescue / ext4 defaults 0 1\n"
    system = System(hostname="rescue", user=user, fstab=fstab, keys=keys_of_user, passwords=True)
    root = tree_of(system)
    hint = "Your old disk is not mounted: see lsblk, then mount it on /mnt.\n"
    plant(root, "etc/motd", f"\n{name}\n{hint}")
    return root


def wrong_key() -> str:
    """Return a public key whose private half nobody here has."""
    return keys.line(keys.made_from("a laptop that was sold"), "former-colleague@old-laptop")
