#!/bin/bash
# One job of a replica exchange that goes on from its last checkpoint, if there is one.
# Submit it again (or chain.sh) until it ends with code 0. Copy it beside run.toml.

#SBATCH --job-name=remd              # jobs of one name can wait for each other: chain.sh
#SBATCH --nodes=2                    # machines
#SBATCH --ntasks-per-node=16         # MPI ranks on each: states × ranks_per_replica in all, or fewer
#SBATCH --cpus-per-task=1            # cores of each rank, for OMP_NUM_THREADS
#SBATCH --time=24:00:00              # [checkpoint] time_limit in run.toml is some minutes less
#SBATCH --signal=USR1@300            # 5 minutes before the end: a checkpoint, in case time_limit is not set
#SBATCH --output=slurm-%j.out        # what is printed; %j is the number of the job

set -u                               # a variable without a value is a mistake, not an empty word
cd "${SLURM_SUBMIT_DIR:-.}"          # the folder of run.toml
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"   # threads of each rank; 1 unless asked for
export OMP_WAIT_POLICY=passive       # threads that wait leave their core to others
export HDF5_USE_FILE_LOCKING=FALSE   # parallel file systems often have no locks

resume=""
if [ -e remd/journal.json ]; then    # a run is there: go on with it ([output] folder)
    resume="--resume"
fi

# mpiexec of the MPI that mpi4py uses: the one of pip here, `srun` where the cluster's own is used
mpiexec -n "${SLURM_NTASKS:-2}" quorum remd run.toml $resume
code=$?

# 0: all attempts are done; 3: stopped with a checkpoint, submit again; else a mistake or a dead rank
echo "quorum remd ended with code $code"
quorum remd run.toml --status        # acceptance, round trips, mixing so far
exit $code
