#!/usr/bin/env bash
# Install torch into the Python named first, choosing the build: install_torch.sh PYTHON
#
#   1. a wheel at hand (PIP_FIND_LINKS), as behind a hospital's firewall
#   2. TORCH_INDEX, if set; else, on Linux without an NVIDIA GPU, the index of CPU builds:
#      PyPI's build for Linux brings several GB of CUDA libraries that nothing would use
#   3. PyPI
set -euo pipefail

python=$1
cd "$(dirname "$0")/.."
torch=$(grep '^torch==' constraints.txt)

if "$python" -c "import torch, sys; sys.exit(torch.__version__.split('+')[0] != '${torch#torch==}')" \
    2>/dev/null; then
  exit 0
fi

# Its dependencies come with the rest of constraints.txt.
install() { "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$@" "$torch"; }

if install --no-index 2>/dev/null; then
  echo "torch: a wheel at hand"
  exit 0
fi

index=${TORCH_INDEX:-}
if [[ -z $index && $(uname -s) == Linux ]] && ! command -v nvidia-smi >/dev/null; then
  index=https://download.pytorch.org/whl/cpu
fi
if [[ -n $index ]]; then
  echo "torch: trying $index"
  if install --index-url "$index" --retries 1 --timeout 20 2>/dev/null; then
    exit 0
  fi
  echo "torch: not to be had there"
fi
echo "torch: trying PyPI (on Linux several GB; PIP_FIND_LINKS or TORCH_INDEX name another place)"
install
