#!/usr/bin/env bash
# The example; options are passed on (see run.py --help).
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
python="$here/../../.venv/bin/python"
[ -x "$python" ] || python=python3
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$python" "$here/run.py" "$@"
