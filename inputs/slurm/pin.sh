#!/bin/bash
# A melting point by interface pinning: all jobs shared out among the ranks of one batch job.
# Submit it again until it ends with code 0: what is done is not done again. Copy it beside pin.toml.

#SBATCH --job-name=pin               # as it is listed in the queue
#SBATCH --nodes=1                    # machines
#SBATCH --ntasks-per-node=6          # ranks: jobs at a time × ranks_per_job; 2 bulk runs per temperature
#SBATCH --cpus-per-task=1            # cores of each rank
#SBATCH --time=24:00:00              # [output] time_limit in pin.toml is some minutes less
#SBATCH --signal=USR1@300            # 5 minutes before the end: a checkpoint, in case it is not set
#SBATCH --output=slurm-%j.out        # what is printed

set -u                               # a variable without a value is a mistake
cd "${SLURM_SUBMIT_DIR:-.}"          # the folder of pin.toml
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"   # threads of each rank

mpiexec -n "${SLURM_NTASKS:-2}" quorum pin run pin.toml
code=$?

# 0: all is done; 3: stopped with checkpoints, submit again; else a mistake or a dead rank
echo "quorum pin ended with code $code"
[ $code -eq 0 ] && quorum pin analyse pin.toml
exit $code
