# ruff: noqa: E501  lines as machines write them
"""What consoles show, as kernels, systemd, initramfs-tools, dracut, GRUB and cloud-init write it."""

KERNEL = """\
SeaBIOS (version 1.16.2-debian-1.16.2-1)
Booting from Hard Disk...
[    0.000000] Linux version 6.1.0-37-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz-6.1.0-37-cloud-amd64 root=PARTUUID=7f1a4f5c-01 ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200
[    0.594128] virtio_blk virtio1: [vda] 20971520 512-byte logical blocks (10.7 GB/10.0 GiB)
"""
MOUNTED = (
    "[    1.731004] EXT4-fs (vda1): mounted filesystem with ordered data mode. Quota mode: none.\n"
)
LOGIN = """
Debian GNU/Linux 12 web-1 ttyS0

web-1 login: """

HEALTHY = (
    KERNEL
    + MOUNTED
    + """\
[  OK  ] Reached target network-online.target - Network is Online.
[  OK  ] Started ssh.service - OpenBSD Secure Shell server.
[    6.402218] cloud-init[612]: Cloud-init v. 22.4.2 finished at Tue, 24 Nov 2026 09:00:04 +0000. Datasource DataSourceOpenStackLocal [net,ver=2].  Up 6.39 seconds
"""
    + LOGIN
)
#: systemd 252 on Debian 12, a volume of the fstab that is no longer attached
FSTAB = (
    KERNEL
    + MOUNTED
    + """\
[ TIME ] Timed out waiting for device dev-disk-by\\x2duuid-5a9f0c6e\\x2d31c2.device - /dev/disk/by-uuid/5a9f0c6e-31c2.
[DEPEND] Dependency failed for srv-data.mount - /srv/data.
[DEPEND] Dependency failed for local-fs.target - Local File Systems.
[  OK  ] Stopped systemd-ask-password-console.path - Dispatch Password Requests to Console Directory Watch.
[  OK  ] Started emergency.service - Emergency Shell.
[  OK  ] Reached target emergency.target - Emergency Mode.
You are in emergency mode. After logging in, type "journalctl -xb" to view
system logs, "systemctl reboot" to reboot, "systemctl default" or "exit"
to boot into default mode.

Cannot open access to console, the root account is locked.
See sulogin(8) man page for more details.

Press Enter to continue.
"""
)
#: Ubuntu 20.04, in colour, an option that ext4 does not know
FSTAB_COLOUR = KERNEL + (
    "[\x1b[0;1;31mFAILED\x1b[0m] Failed to mount \x1b[0;1;39m/srv/backup\x1b[0m.\r\n"
    "See 'systemctl status srv-backup.mount' for details.\r\n"
    "[\x1b[0;1;33mDEPEND\x1b[0m] Dependency failed for \x1b[0;1;39mLocal File Systems\x1b[0m.\r\n"
)
PANIC = (
    KERNEL
    + """\
[    2.118223] Run /init as init process
[    2.124441] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00
[    2.125101] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-37-cloud-amd64 #1  Debian 6.1.140-1
[    2.126512] Kernel Offset: 0x1e000000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)
[    2.127244] ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00 ]---
"""
)
#: a kernel whose initramfs was never written
NO_INITRAMFS = (
    KERNEL
    + """\
[    1.014428] List of all partitions:
[    1.016031] No filesystem could mount root, tried:
[    1.016722] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
"""
)
#: initramfs-tools
INITRAMFS = (
    KERNEL
    + """\
Begin: Running /scripts/local-block ... done.
done.
Gave up waiting for root file system device.  Common problems:
 - Boot args (cat /proc/cmdline)
   - Check rootdelay= (did the system wait long enough?)
 - Missing modules (cat /proc/modules; ls /dev)
ALERT!  UUID=0bad0bad-0000-4000-8000-000000000000 does not exist.  Dropping to a shell!


BusyBox v1.35.0 (Debian 1:1.35.0-4+b4) built-in shell (ash)
Enter 'help' for a list of built-in commands.

(initramfs) """
)
#: dracut on AlmaLinux 9
DRACUT = (
    KERNEL
    + """\
[  188.442871] dracut-initqueue[376]: Warning: dracut-initqueue: timeout, still waiting for following initqueue hooks:
[  188.451013] dracut-initqueue[376]: Warning: /dev/disk/by-uuid/0bad0bad-0000-4000-8000-000000000000 does not exist

Generating "/run/initramfs/rdsosreport.txt"

Entering emergency mode. Exit the shell to continue.
Type "journalctl" to view system logs.

dracut:/# """
)
GRUB_RESCUE = """\
SeaBIOS (version rel-1.16.3-0-ga6ed6b701f0a-prebuilt.qemu.org)
Booting from Hard Disk...
GRUB loading.
Welcome to GRUB!

error: no such device: 0bad0bad-0000-4000-8000-000000000000.
error: unknown filesystem.
Entering rescue mode...
grub rescue> """
GRUB_PROMPT = """\
BdsDxe: starting Boot0002 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x2,0x3)/Pci(0x0,0x0)
                             GNU GRUB  version 2.06

   Minimal BASH-like line editing is supported. For the first word, TAB lists
   possible command completions.

grub> """
NOT_BOOTABLE = """\
SeaBIOS (version 1.15.0-1)
Booting from Hard Disk...
Boot failed: not a bootable disk

No bootable device.
"""
FSCK = (
    KERNEL
    + """\
/dev/vda1: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.
	(i.e., without -a or -p options)
fsck exited with status code 4
The root filesystem on /dev/vda1 requires a manual fsck

BusyBox v1.35.0 (Debian 1:1.35.0-4+b4) built-in shell (ash)
(initramfs) """
)
XFS = (
    KERNEL
    + """\
[    2.914410] XFS (vda4): Metadata corruption detected at xfs_agf_verify+0x10f/0x1f0 [xfs], xfs_agf block 0x1
[    2.914977] XFS (vda4): Unmount and run xfs_repair
[    2.915420] XFS (vda4): First 128 bytes of corrupted metadata buffer:
"""
)
FULL = (
    KERNEL
    + MOUNTED
    + """\
[FAILED] Failed to start systemd-journald.service - Journal Service.
[    4.811228] systemd-journald[214]: Failed to create new system journal: No space left on device
[FAILED] Failed to start postgresql@16-main.service - PostgreSQL Cluster 16-main.
"""
    + LOGIN
)
NO_NETWORK = (
    KERNEL
    + MOUNTED
    + """\
[FAILED] Failed to start systemd-networkd-wait-online.service - Wait for Network to be Configured.
[  131.006112] cloud-init[611]: ci-info: +++++++++++++++++++Net device info++++++++++++++++++++
[  131.006220] cloud-init[611]: ci-info: +--------+-------+-----------+-----------+-------+
[  131.006331] cloud-init[611]: ci-info: | Device |   Up  |  Address  |    Mask   | Scope |
[  131.006442] cloud-init[611]: ci-info: |  ens3  | False |     .     |     .     |   .   |
[  131.006553] cloud-init[611]: ci-info: |   lo   |  True | 127.0.0.1 | 255.0.0.0 |  host |
"""
    + LOGIN
)
CLOUD_INIT = (
    KERNEL
    + MOUNTED
    + """\
[FAILED] Failed to start cloud-init.service - Initial cloud-init job (metadata service crawler).
[   12.511840] cloud-init[498]: 2026-11-24 09:00:11,302 - cc_users_groups.py[WARNING]: Running module users_groups failed
"""
    + LOGIN
)
