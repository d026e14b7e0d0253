#!/bin/sh
# A machine to throw away: systemd as process 1, with its own files, network and processes.
#   box.sh FOLDER CHECKOUT CGROUP
# Runs in new namespaces (see box.ts). The machine's own files lie below a layer that only this box
# writes; the checkout is at /mnt, read-only. Ends with 77 where the kernel does not let this be.
set -eu
folder=$1 checkout=$2 cgroup=$3
echo $$ >"$cgroup/cgroup.procs" || exit 77

exec unshare --fork --kill-child --pid --mount --cgroup --uts --ipc --net sh -eu -c '
  folder=$1 checkout=$2
  root=$folder/root
  (
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$folder"
    mkdir "$folder/written" "$folder/work" "$root"
    mount -t overlay -o "lowerdir=/,upperdir=$folder/written,workdir=$folder/work" overlay "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
      touch "$root/dev/$device"
      mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mount --bind "$checkout" "$root/mnt"
    mount -o remount,bind,ro "$root/mnt"
    hostname box
  ) || exit 77
  cd "$root"
  mkdir run/machine
  pivot_root . run/machine || exit 77
  umount -l run/machine
  PATH=/usr/sbin:/usr/bin:/sbin:/bin
  exec env -i container=sluice PATH=$PATH /lib/systemd/systemd --system --unit=basic.target \
    --log-target=console --show-status=0
' sh "$folder" "$checkout"
