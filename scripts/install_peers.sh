#!/usr/bin/env bash
# Install the programs that the tests talk to, by apt: install_peers.sh [--throwaway]
#
# With --throwaway (as `make test` calls it) it installs only where nobody lives: under CI=true
# or where no systemd runs, as in a container. Elsewhere it names the command and goes on; tests
# whose program is missing are skipped, with their reason.
set -euo pipefail

# Debian package and a file that it brings (a pattern).
peers=(
  chromium:/usr/bin/chromium
  default-jre-headless:/usr/bin/java
  dcmtk:/usr/bin/storescu
  libpixelmed-java:/usr/share/java/pixelmed.jar
  libsaxonhe-java:/usr/share/java/Saxon-HE.jar
  npm:/usr/bin/npm
  orthanc:/usr/sbin/Orthanc
  orthanc-dicomweb:/usr/share/orthanc/plugins/libOrthancDicomWeb.so
  postgresql:/usr/lib/postgresql/*/bin/initdb
  redis-server:/usr/bin/redis-server
)

missing=()
for peer in "${peers[@]}"; do
  compgen -G "${peer#*:}" >/dev/null || missing+=("${peer%%:*}")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $EUID -eq 0 ]]; then
  as_root=()
elif sudo --non-interactive true 2>/dev/null; then
  as_root=(sudo --non-interactive)
else
  as_root=(none)
fi

say_which() {
  echo "Missing for some tests: ${missing[*]}"
  echo "  $1"
}
if ! command -v apt-get >/dev/null; then
  say_which "install them as your system does; these are Debian's names"
  exit 0
fi
if [[ ${as_root[*]} == none ]]; then
  say_which "sudo apt-get install ${missing[*]}"
  exit 0
fi
if [[ ${1:-} == --throwaway && ${CI:-} != true && -d /run/systemd/system ]]; then
  say_which "make peers installs them; Debian then also runs redis, postgresql and orthanc at boot"
  exit 0
fi

# Debian starts a service when it is installed, on its standard port. Nothing here needs that:
# policy-rc.d (Debian Policy 9.3.3) says no for as long as the installation takes.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update --quiet=2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}" >/dev/null
