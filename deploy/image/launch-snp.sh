#!/usr/bin/env bash
# Starts the guest image as an SEV-SNP guest. NOT RUN by the project: no hardware was available; options are those of QEMU's documentation (deploy/HARDWARE.md).
#   launch-snp.sh IMAGE_FOLDER DATA_DISK FIRMWARE HOST_DATA_BASE64 [UDP_PORT]
# HOST_DATA is the hash of the node's boot configuration, 32 bytes in base64: a node that was launched with another one refuses to start and names the one it needs.
# kernel-hashes=on puts the digests of kernel, initrd and command line into the launch digest; FIRMWARE has to be built for that (Debian: ovmf-amdsev).
# To stop it in good order: `echo sendkey ctrl-alt-delete` into the monitor's socket (MONITOR), and cut it off when it is not gone within 30 seconds.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '3,6s/^# *//p' "$0" >&2; exit 2; }
image="$1" disk="$2" firmware="$3" host_data="$4" port="${5:-7400}" monitor="${MONITOR:-$PWD/monitor}"
# Both are part of the launch digest: `ringwall measure` is told the same.
vcpus="${VCPUS:-4}" model="${CPU_MODEL:-EPYC-v4}"

exec qemu-system-x86_64 -enable-kvm -cpu "$model" -smp "$vcpus" -m "${MEMORY:-4G}" -no-reboot -nodefaults -display none -serial stdio \
    -monitor "unix:$monitor,server=on,wait=off" \
    -machine q35,confidential-guest-support=sev0,memory-backend=ram1,vmport=off \
    -object "memory-backend-memfd,id=ram1,size=${MEMORY:-4G},share=true,prealloc=false" \
    -object "sev-snp-guest,id=sev0,cbitpos=${CBITPOS:-51},reduced-phys-bits=1,policy=0x30000,kernel-hashes=on,host-data=$host_data" \
    -bios "$firmware" -kernel "$image/vmlinuz" -initrd "$image/initrd" -append "$(tr -d '\n' <"$image/command_line")" \
    -drive "if=none,id=data,file=$disk,format=raw,cache=none" -device virtio-blk-pci,drive=data,disable-legacy=on,iommu_platform=on \
    -netdev "user,id=net,hostfwd=udp::$port-:7400" -device virtio-net-pci,netdev=net,disable-legacy=on,iommu_platform=on,romfile=
