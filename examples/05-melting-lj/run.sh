#!/usr/bin/env bash
# The example, in a folder of its own (default: run beside this file). Options go to `quorum pin run`.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
bin="$here/../../.venv/bin"
[ -x "$bin/quorum" ] && export PATH="$bin:$PATH"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
work="${WORK:-$here/run}"
mkdir -p "$work"
cp "$here"/{run.toml,in.lj,plumed.dat} "$work"
cd "$work"
quorum lammps build
mpiexec -n "${RANKS:-2}" quorum pin run run.toml "$@"
quorum pin analyse run.toml --plot results.png --json results.json
