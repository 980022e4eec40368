#!/usr/bin/env bash
# Fetch the scripts that the worklist page uses into worklist/static/vendor: install_assets.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/npm_packages.sh

vendor=worklist/static/vendor
missing() {
  echo "Missing: $1 could not be fetched; the worklist page works without it, but is not live" >&2
  [[ ${CI:-} != true ]]
}

keep_package $vendor/htmx "htmx.org 2.0.8 fm297iru0iWsNJlBrjvtN7V9zjaxd+69Oqjh4F/Vq9Wwi2kFisLcrLCiv5oBX0KLfOX/zG8AUo9ROMU5XUB44Q== dist/htmx.min.js" || missing htmx
keep_package $vendor/sse "htmx-ext-sse 2.2.4 LJmxVhykyflBWgh5PvbRidcyuqMHlgfajmmzumvKctv9puvsufeH6OaejSMZTNTnEI8O2wXXn4ZZtBdpEMqmEQ== dist/sse.min.js" || missing "its extension for server-sent events"
