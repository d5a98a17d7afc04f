#!/bin/bash
# A run that is longer than a job: several jobs one after the other, each from the checkpoint before.
# Use:  bash chain.sh 5

for _ in $(seq "${1:-5}"); do
    # singleton: starts when no other job of this name and user runs. Jobs that find all attempts done
    # end at once; one that failed does not keep the next from going on
    sbatch --dependency=singleton remd.sh
done
