#!/usr/bin/env bash
# An S3 server for the tests: Debian's Ceph gateway over one monitor and one store in memory, on loopback only.
#
#   scripts/s3-gateway.sh start <folder>   starts it in an empty folder; <folder>/env then exports what tests need
#   scripts/s3-gateway.sh stop <folder>    ends its processes
#
# Needs: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common
set -euo pipefail

HOST=127.0.0.1
ACCESS_KEY=anyllmbatchtests
SECRET_KEY=anyllmbatchtestsecret

# Any that is free now. Ceph cannot take port 0.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits for a command to succeed, half a minute at the most.
wait_until() {
  for _ in $(seq 150); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  echo "s3-gateway: waited in vain for: $*" >&2
  return 1
}

write_configuration() {
  local monitor=$1 gateway=$2
  cat >ceph.conf <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:$HOST:$monitor]
public addr = $HOST
cluster addr = $HOST
ms bind ipv6 = false
# Sockets that are checked end to end cost more than they tell here.
ms mon client mode = crc
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
run dir = $PWD
admin socket = $PWD/\$name.sock
log file = $PWD/\$name.log
pid file = $PWD/\$name.pid
crash dir = $PWD/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
# One store, which need not be asked how full its machine's disk is.
mon data avail warn = 0
mon data avail crit = 0
mon osd full ratio = 1
mon osd nearfull ratio = 1
[mon.a]
mon data = $PWD/mon
[osd.0]
osd data = $PWD/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd max object size = 1073741824
[client.gateway]
# Else each small answer waits 40 ms for an acknowledgement.
rgw frontends = beast endpoint=$HOST:$gateway tcp_nodelay=1
rgw data = $PWD/gateway
rgw enable usage log = false
# What was deleted gives its memory back soon.
rgw gc obj min wait = 10
rgw gc processor period = 10
rgw gc processor max time = 10
CONF
}

start_monitor() {
  local monitor=$1
  monmaptool --create --fsid "$(sed -n 's/^fsid = //p' ceph.conf)" --addv a "[v2:$HOST:$monitor]" monmap >/dev/null
  mkdir mon
  ceph-mon -c ceph.conf --mkfs -i a --monmap monmap
  ceph-mon -c ceph.conf -i a
  wait_until ceph -c ceph.conf --connect-timeout 5 status
}

start_store() {
  mkdir osd
  ceph -c ceph.conf osd create >/dev/null
  ceph-osd -c ceph.conf --mkfs -i 0 --osd-uuid "$(cat /proc/sys/kernel/random/uuid)" 
  ceph-osd -c ceph.conf -i 0 
}

start_gateway() {
  local gateway=$1
  mkdir gateway
  radosgw-admin -c ceph.conf -n client.gateway user create --uid tests --display-name tests \
    --access-key "$ACCESS_KEY" --secret "$SECRET_KEY" >/dev/null
  radosgw -c ceph.conf -n client.gateway
  wait_until bash -c "exec 3<>/dev/tcp/$HOST/$gateway"
}

start() {
  mkdir -p "$1"
  cd "$1"
  local monitor gateway
  monitor=$(free_port)
  gateway=$(free_port)
  write_configuration "$monitor" "$gateway"
  start_monitor "$monitor"
  start_store
  start_gateway "$gateway"
  cat >env <<ENV
export TEST_S3_ENDPOINT=http://$HOST:$gateway
export TEST_S3_ACCESS_KEY_ID=$ACCESS_KEY
export TEST_S3_SECRET_ACCESS_KEY=$SECRET_KEY
ENV
}

# Not gracefully: nothing of it must last, and the store would write all it has to disk first.
stop() {
  local name
  cd "$1"
  for name in client.gateway osd.0 mon.a; do
    if [ -s "$name.pid" ]; then kill -9 "$(cat "$name.pid")" 2>/dev/null || true; fi
  done
}

case "${1:-} ${2:-}" in
  'start '?*) start "$2" ;;
  'stop '?*) stop "$2" ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
