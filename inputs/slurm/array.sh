#!/bin/bash
# Many independent runs, one folder each (run-1, run-2, …: seeds, compositions, committees), as one
# array of jobs. Each folder has its own run.toml and scripts.

#SBATCH --job-name=remd-array
#SBATCH --array=1-8%4                # runs 1 to 8, at most 4 at a time
#SBATCH --nodes=1                    # of each run
#SBATCH --ntasks-per-node=16         # its MPI ranks
#SBATCH --cpus-per-task=1            # cores of each rank
#SBATCH --time=12:00:00              # of each run
#SBATCH --signal=USR1@300            # 5 minutes before the end: a checkpoint
#SBATCH --output=run-%a/slurm-%j.out # %a is the number in the array

set -u                               # a variable without a value is a mistake
cd "${SLURM_SUBMIT_DIR:-.}/run-${SLURM_ARRAY_TASK_ID}"   # the folder of this run
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"       # threads of each rank
export OMP_WAIT_POLICY=passive       # threads that wait leave their core to others
export HDF5_USE_FILE_LOCKING=FALSE   # parallel file systems often have no locks

resume=""
if [ -e remd/journal.json ]; then    # submitted again: go on
    resume="--resume"
fi
mpiexec -n "${SLURM_NTASKS:-2}" quorum remd run.toml $resume
