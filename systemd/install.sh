#!/bin/sh
# Puts this checkout on the machine as the service sluice: npm run install-service.
# Run it again to upgrade; what is in /etc/sluice and /var/lib/sluice stays.
#
#   --no-build   install what build/ holds
#   DESTDIR=DIR  install below DIR, for a package or a test; nothing outside of it is touched
set -eu

say() { printf '%s\n' "install-service: $*"; }
fail() {
  say "$*" >&2
  exit 1
}

build=yes
for argument in "$@"; do
  case $argument in
    --no-build) build=no ;;
    *)
      say "unknown argument $argument (known: --no-build)" >&2
      exit 64
      ;;
  esac
done

DESTDIR=${DESTDIR:-}
library=$DESTDIR/usr/lib/sluice
configuration=$DESTDIR/etc/sluice
units=$DESTDIR/usr/lib/systemd/system
cd -P "$(dirname "$0")/.."

# Node must lie where the sandbox lets the service see it, and be new enough.
node=$(command -v node) || fail "there is no node in PATH; install Node.js 20.19 or newer"
node=$(readlink -f "$node")
node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
  process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
  fail "Node.js $(node --version) is too old; install 20.19 or newer"
case $node in
  /home/* | /root/* | /tmp/* | /run/user/*)
    [ -n "$DESTDIR" ] || fail "$node is out of the service's reach; install Node.js for the whole machine"
    ;;
esac
if [ -z "$DESTDIR" ]; then
  [ "$(id -u)" -eq 0 ] || fail "run it as root: sudo npm run install-service"
  command -v systemd-notify >/dev/null || fail "systemd-notify is missing; install systemd"
fi

[ -d node_modules ] || fail "node_modules is missing; run npm ci --ignore-scripts first"
if [ "$build" = yes ]; then
  say "building"
  npm run --silent build
fi
[ -f build/src/main.js ] || fail "build/src/main.js is missing; run npm run build first"

# The whole program beside the old one first, so that neither is ever half there.
say "copying the program to $library"
draft=$library.new
rm -rf "$draft"
mkdir -p "$draft/build"
cp -R build/src "$draft/build/src"
cp -R package.json LICENSE config docs systemd "$draft/"
# What runs needs no development packages. Its list is npm's; its paths are below node_modules/.
npm ls --omit=dev --all --parseable 2>/dev/null | while read -r path; do
  relative=${path#"$PWD"/}
  case $relative in
    node_modules/*/node_modules/*) ;; # Copied with the package it lies in.
    node_modules/*)
      mkdir -p "$draft/$(dirname "$relative")"
      cp -R "$path" "$draft/$relative"
      ;;
  esac
done
[ -d "$draft/node_modules/aedes" ] || fail "node_modules is not complete; run npm ci --ignore-scripts"
# Readable by the service's user whatever umask and owner the checkout has.
chmod -R u=rwX,go=rX "$draft"
[ -n "$DESTDIR" ] || chown -R root:root "$draft"
rm -rf "$library.old"
[ ! -e "$library" ] || mv "$library" "$library.old"
mv "$draft" "$library"
rm -rf "$library.old"

mkdir -p "$DESTDIR/usr/bin" "$configuration" "$units" "$DESTDIR/usr/lib/sysusers.d" "$DESTDIR/usr/lib/tmpfiles.d"
if [ -e "$configuration/sluice.toml" ]; then
  say "keeping $configuration/sluice.toml"
else
  say "writing $configuration/sluice.toml"
  # The store's path is the unit's to say: a line in the file that does nothing would mislead. A box that
  # is installed serves its network, over TLS; until it is claimed it serves nobody.
  sed -e 's/^path = /# path = /' -e 's/^# host = "::"/host = "::"/' config/sluice.toml >"$configuration/sluice.toml"
  chmod 0640 "$configuration/sluice.toml"
fi
printf '#!/bin/sh\nexec %s /usr/lib/sluice/build/src/cli/main.js "$@"\n' "$node" >"$DESTDIR/usr/bin/sluice"
chmod 0755 "$DESTDIR/usr/bin/sluice"
install -m 0644 systemd/sluice.sysusers "$DESTDIR/usr/lib/sysusers.d/sluice.conf"
install -m 0644 systemd/sluice.tmpfiles "$DESTDIR/usr/lib/tmpfiles.d/sluice.conf"
sed "s|^ExecStart=/usr/bin/node |ExecStart=$node |" systemd/sluice.service >"$units/sluice.service"
chmod 0644 "$units/sluice.service"

if [ -n "$DESTDIR" ]; then
  say "done, below $DESTDIR"
  exit 0
fi
systemd-sysusers /usr/lib/sysusers.d/sluice.conf
systemd-tmpfiles --create /usr/lib/tmpfiles.d/sluice.conf
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart sluice.service
  say "done; start it now and at every boot: systemctl enable --now sluice"
else
  say "done; systemd does not run here, so the service is not started"
fi
