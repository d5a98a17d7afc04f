#!/bin/bash
# Replicas on GPUs: `pair_style quorum model.pt device cuda` in the script, or the GPU package of a LAMMPS
# of your own ([lammps] arguments = ["-sf", "gpu", "-pk", "gpu", "1"] in run.toml).
#
# Every rank sees one GPU: its number on the machine modulo the GPUs there. With 4 GPUs on a machine:
#   16 ranks, ranks_per_replica = 1, 16 states: 4 states share each GPU (small systems)
#    4 ranks, ranks_per_replica = 1, 16 states: each rank has a GPU, and 4 states that take turns
#   16 ranks, ranks_per_replica = 4,  4 states: each state on all 4 GPUs (large systems)
# Ranks that share a GPU are faster with CUDA's MPS than without.

#SBATCH --job-name=remd-gpu
#SBATCH --nodes=1                    # machines
#SBATCH --gpus-per-node=4            # GPUs of each
#SBATCH --ntasks-per-node=4          # MPI ranks of each: one for every GPU
#SBATCH --cpus-per-task=8            # cores of each rank
#SBATCH --gpu-bind=none              # all GPUs to all ranks: quorum remd chooses
#SBATCH --time=24:00:00              # [checkpoint] time_limit is some minutes less
#SBATCH --signal=USR1@300            # 5 minutes before the end: a checkpoint
#SBATCH --output=slurm-%j.out        # what is printed

set -u                               # a variable without a value is a mistake
cd "${SLURM_SUBMIT_DIR:-.}"          # the folder of run.toml
export OMP_NUM_THREADS=1             # the GPU works; cores feed it
export HDF5_USE_FILE_LOCKING=FALSE   # parallel file systems often have no locks

# several ranks on one GPU: uncomment
# nvidia-cuda-mps-control -d

resume=""
if [ -e remd/journal.json ]; then    # a run is there: go on with it
    resume="--resume"
fi
mpiexec -n "${SLURM_NTASKS:-4}" quorum remd run.toml $resume
