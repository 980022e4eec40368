#!/usr/bin/env bash
# Fetch what the tests give our results and pages to, by npm, into tests/.peers: install_readers.sh
#
# Only the packages themselves: they ship what they were built to (a page, one script), and npm
# would fetch hundreds of others to build them anew.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/npm_packages.sh

target=tests/.peers
missing() {
  echo "Missing for some tests: $1, which npm could not fetch (make peers)"
  [[ ${CI:-} != true ]]
}

keep_package $target/ohif "$OHIF" || missing OHIF
keep_package $target/dcmjs "dcmjs 0.52.2 jt+kyCNcjCNcfQNDDph26NZUBh3alOEM36ao918aotkb2WxkUq3OVu84q3EOCsJcwkMfsEiojiCA8+RYaCR4Ag== build/" || missing dcmjs
keep_package $target/axe "axe-core 4.14.1 FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ== axe.min.js" || missing axe
