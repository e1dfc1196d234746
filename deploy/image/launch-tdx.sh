#!/usr/bin/env bash
# Starts the guest image as a TDX guest. NOT RUN by the project: no hardware was available; options are those of QEMU's documentation (deploy/HARDWARE.md).
#   launch-tdx.sh IMAGE_FOLDER DATA_DISK FIRMWARE MRCONFIGID_BASE64 [UDP_PORT]
# MRCONFIGID is the hash of the node's boot configuration, 48 bytes in base64: a node that was launched with another one refuses to start and names the one it needs.
# Kernel, command line and initrd are measured by the firmware into RTMR1 and RTMR2, memory layout and firmware tables into RTMR0 (Debian: ovmf-inteltdx).
# To stop it in good order: `echo sendkey ctrl-alt-delete` into the monitor's socket (MONITOR), and cut it off when it is not gone within 30 seconds.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '3,6s/^# *//p' "$0" >&2; exit 2; }
image="$1" disk="$2" firmware="$3" mr_config_id="$4" port="${5:-7400}" monitor="${MONITOR:-$PWD/monitor}"
quotes="${QUOTE_SERVICE:-{\"type\":\"vsock\",\"cid\":\"2\",\"port\":\"4050\"\}}"

exec qemu-system-x86_64 -accel kvm -cpu host -smp "${VCPUS:-4}" -m "${MEMORY:-4G}" -no-reboot -nodefaults -display none -serial stdio \
    -monitor "unix:$monitor,server=on,wait=off" \
    -object "{\"qom-type\":\"tdx-guest\",\"id\":\"tdx0\",\"mrconfigid\":\"$mr_config_id\",\"quote-generation-socket\":$quotes}" \
    -machine q35,kernel-irqchip=split,confidential-guest-support=tdx0,hpet=off \
    -bios "$firmware" -kernel "$image/vmlinuz" -initrd "$image/initrd" -append "$(tr -d '\n' <"$image/command_line")" \
    -drive "if=none,id=data,file=$disk,format=raw,cache=none" -device virtio-blk-pci,drive=data,disable-legacy=on,iommu_platform=on \
    -netdev "user,id=net,hostfwd=udp::$port-:7400" -device virtio-net-pci,netdev=net,disable-legacy=on,iommu_platform=on,romfile=
