#!/bin/sh
# install.sh FILE SHA256: install or upgrade the agent from its one runnable file, hopkeeper-agent.pyz.
# Nothing is changed unless the file's SHA-256 is the given one. State, keys, configuration and a running speaker stay as
# they are; the agent is restarted only if it runs. With DESTDIR, files are put there and nothing is started.
set -eu
if [ $# -ne 2 ]; then
  echo "usage: install.sh FILE SHA256: FILE is hopkeeper-agent.pyz, SHA256 its sum as make agent prints it" >&2
  exit 2
fi
file=$1 sha256=$2
root=${DESTDIR:-}

if ! echo "$sha256  $file" | sha256sum --check --status; then
  echo "install.sh: $file is not the file with SHA-256 $sha256: nothing is installed" >&2
  exit 1
fi
held() {
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' "$file" "$1"
}

if [ -z "$root" ] && ! getent passwd hopkeeper >/dev/null; then
  useradd --system --user-group --home-dir /var/lib/hopkeeper --no-create-home --shell /usr/sbin/nologin hopkeeper
fi
install -d -m 0755 "$root/opt/hopkeeper/bin" "$root/etc/hopkeeper" "$root/etc/systemd/system"
# A file for each version: an ExaBGP that an older agent started keeps running from the older one.
version=agent-$(echo "$sha256" | cut -c1-12).pyz
install -m 0755 "$file" "$root/opt/hopkeeper/$version.new"
mv "$root/opt/hopkeeper/$version.new" "$root/opt/hopkeeper/$version"
held install/hopkeeper-agent.service > "$root/etc/systemd/system/hopkeeper-agent.service"
ln -sfn "../$version" "$root/opt/hopkeeper/bin/hopkeeper-agent.new"
mv -T "$root/opt/hopkeeper/bin/hopkeeper-agent.new" "$root/opt/hopkeeper/bin/hopkeeper-agent"

[ -z "$root" ] || exit 0
systemctl daemon-reload
systemctl try-restart hopkeeper-agent.service
