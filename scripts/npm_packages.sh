# Sourced: fetch files out of npm packages whose digests are pinned.
#
# keep_package TARGET "PACKAGE VERSION SHA512 WHAT" keeps a file of it, or what is in FOLDER/, in
# TARGET; npm's "integrity" is the digest. It returns 1 where the package cannot be had.

# For the tests and for the worklist page.
OHIF="@ohif/app 3.13.2 WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA== dist/"

keep_package() { # target, four words
  local target=$1 package version pinned what archive digest scratch
  read -r package version pinned what <<<"$2"
  [[ $(cat "$target/.version" 2>/dev/null) == "$package $version" ]] && return
  echo "Fetching $package $version"
  scratch=$(mktemp -d)
  archive=$scratch/package.tgz
  if ! _download "$package" "$version" "$archive" "$scratch"; then
    rm -rf "$scratch"
    return 1
  fi
  digest=$(openssl dgst -sha512 -binary "$archive" | base64 --wrap=0)
  if [[ $digest != "$pinned" ]]; then
    echo "$package $version is not what was pinned: its SHA-512 is $digest" >&2
    exit 1
  fi
  rm -rf "$target"
  mkdir -p "$target"
  # Maps from minified code to its source are half of a page, and nothing reads them.
  local folders=${what//[^\/]/}
  tar --extract --gzip --file "$archive" --directory "$target" \
    --strip-components $((${#folders} + 1)) --exclude '*.map' "package/${what%/}"
  echo "$package $version" >"$target/.version"
  rm -rf "$scratch"
}

_download() { # package version archive scratch: by npm, which knows its registry, else from npmjs.org
  if command -v npm >/dev/null; then
    local name
    name=$(npm pack --silent --pack-destination "$4" "$1@$2") && mv "$4/$name" "$3"
  else
    curl --fail --silent --show-error --location --output "$3" \
      "https://registry.npmjs.org/$1/-/${1##*/}-$2.tgz"
  fi
}
