#!/usr/bin/env bash
# Fetch the readers that the tests give our results to, by npm, into tests/.peers: install_readers.sh
#
# Only the packages themselves: both ship what they were built to (a page, one script), and npm
# would fetch hundreds of others to build them anew. Their digests are pinned here.
set -euo pipefail
cd "$(dirname "$0")/.."

# Our name, npm package, version, SHA-512 of its archive (npm's "integrity"), what is kept of it.
readers=(
  "ohif @ohif/app 3.13.2 WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA== dist"
  "dcmjs dcmjs 0.52.2 jt+kyCNcjCNcfQNDDph26NZUBh3alOEM36ao918aotkb2WxkUq3OVu84q3EOCsJcwkMfsEiojiCA8+RYaCR4Ag== build"
)
target=tests/.peers

fetch() { # name package version digest folder
  local kept=$target/$1 archive digest
  [[ $(cat "$kept/.version" 2>/dev/null) == "$2 $3" ]] && return
  echo "Fetching $2 $3"
  if ! archive=$(npm pack --silent --pack-destination "$scratch" "$2@$3"); then
    echo "Missing for some tests: $2, which npm could not fetch"
    [[ ${CI:-} != true ]]
    return
  fi
  digest=$(openssl dgst -sha512 -binary "$scratch/$archive" | base64 --wrap=0)
  if [[ $digest != "$4" ]]; then
    echo "$2 $3 is not what was pinned: its SHA-512 is $digest" >&2
    exit 1
  fi
  rm -rf "$kept"
  mkdir -p "$kept"
  # Maps from minified code to its source are half of the page, and no test reads them.
  tar --extract --gzip --file "$scratch/$archive" --directory "$kept" --strip-components 2 \
    --exclude '*.map' "package/$5"
  echo "$2 $3" >"$kept/.version"
}

if ! command -v npm >/dev/null; then
  echo "Missing for some tests: OHIF and dcmjs, which npm fetches (make peers)"
  exit 0
fi
mkdir -p "$target"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for reader in "${readers[@]}"; do
  # shellcheck disable=SC2086 # five words
  fetch $reader
done
