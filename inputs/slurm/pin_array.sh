#!/bin/bash
# Interface pinning with a batch job for each of its jobs: bulk runs first, pinned runs when they are
# done. `quorum pin run pin.toml --list` numbers them, bulk runs first. For 3 temperatures and 1 seed:
#   first=$(sbatch --parsable --array=0-5 pin_array.sh)
#   sbatch --dependency=afterok:$first --array=6-8 pin_array.sh
# A job that was stopped goes on when its number is submitted again.

#SBATCH --job-name=pin-array         # as it is listed in the queue
#SBATCH --nodes=1                    # of each job
#SBATCH --ntasks-per-node=1          # its MPI ranks: as many as ranks_per_job of pin.toml, no more
#SBATCH --cpus-per-task=1            # cores of each rank
#SBATCH --time=12:00:00              # of each job
#SBATCH --signal=USR1@300            # 5 minutes before the end: a checkpoint
#SBATCH --output=slurm-%A-%a.out     # %a is the number in the array

set -u                               # a variable without a value is a mistake
cd "${SLURM_SUBMIT_DIR:-.}"          # the folder of pin.toml
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"   # threads of each rank

mpiexec -n "${SLURM_NTASKS:-1}" quorum pin run pin.toml --job "${SLURM_ARRAY_TASK_ID:-0}"
