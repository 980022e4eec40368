#!/usr/bin/env bash
# Fetch OHIF, the viewer of the worklist page, into worklist/vendor/ohif: install_viewer.sh
#
# With a folder that holds an unpacked OHIF, only make that one ready: install_viewer.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/npm_packages.sh

target=${1:-worklist/vendor/ohif}
if [[ -z ${1:-} ]] && ! keep_package "$target" "$OHIF"; then
  echo "Missing: OHIF could not be fetched; the worklist page works without it" >&2
  exit 1
fi
# Two thirds of it: segmentation by networks, and whole slide images.
rm -rf "$target/ort" "$target/dicom-microscopy-viewer"
# It was built to lie at /, and is served under /viewer/.
sed --in-place 's|__webpack_require__\.p = "/";|__webpack_require__.p = "/viewer/";|' "$target"/*.js
sed --in-place 's|url(/\([0-9a-f]\)|url(/viewer/\1|g' "$target"/*.css
