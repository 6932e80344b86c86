#!/usr/bin/env bash
# Before the tests: what they need comes in by apt where this is Debian and we are root; elsewhere it says what is missing.
# A Docker Engine is started where none answers. Tests skip what they can't have, with a reason that is counted.
set -uo pipefail

# command → Debian package
needs=(
  "dockerd docker.io" "chromium chromium" "nginx nginx" "caddy caddy" "haproxy haproxy"
  "docker-registry docker-registry" "mmdebstrap mmdebstrap" "iptables iptables" "wrk wrk"
  "slowhttptest slowhttptest" "git git" "python3 python3" "rg ripgrep" "make make" "g++ g++" "curl curl" "openssl openssl"
  "ip iproute2" "mkfs.ext4 e2fsprogs" "setpriv util-linux" "ps procps"
)
PATH="$PATH:/usr/sbin:/sbin"

missing=()
for need in "${needs[@]}"; do
  read -r command package <<<"$need"
  command -v "$command" >/dev/null 2>&1 || missing+=("$package")
done
# Only a static one works inside an image that has nothing else.
{ [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1; } || missing+=(busybox-static)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)

install_missing() {
  echo "Installing for the tests: ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  # Packages must not start services of their own: the tests start what they need, where they need it.
  local policy=/usr/sbin/policy-rc.d made=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
  fi
  apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/tmp/postern-apt.$$ 2>&1
  local status=$?
  [ "$status" = 0 ] || tail -20 "/tmp/postern-apt.$$" >&2
  rm -f "/tmp/postern-apt.$$"
  [ "$made" = 1 ] && rm -f "$policy"
  return "$status"
}

if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null; then
    install_missing || echo "Some packages could not be installed; tests that need them skip." >&2
  else
    echo "Missing here, so tests that need them skip: ${missing[*]}" >&2
    echo "On Debian: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  fi
fi

docker_answers() {
  python3 - <<'EOF' 2>/dev/null
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect('/var/run/docker.sock')
s.sendall(b'GET /_ping HTTP/1.0\r\n\r\n'); sys.exit(0 if b' 200 ' in s.recv(64) else 1)
EOF
}

start_docker() {
  echo "Starting dockerd, since no Docker Engine answers." >&2
  mkdir -p /var/log
  setsid nohup dockerd >/var/log/postern-dockerd.log 2>&1 </dev/null &
  [ -z "${POSTERN_DOCKERD_PID_FILE:-}" ] || echo $! >"$POSTERN_DOCKERD_PID_FILE"
  for _ in $(seq 1 100); do
    docker_answers && return 0
    sleep 0.2
  done
  echo "dockerd did not come up; its log: /var/log/postern-dockerd.log. Tests on Docker skip." >&2
}

if ! docker_answers; then
  if [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null; then
    start_docker
  else
    echo "No Docker Engine answers this user: tests on Docker skip. Start one, and let this user use its socket." >&2
  fi
fi
exit 0
