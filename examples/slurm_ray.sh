#!/bin/bash
# `dermedge infer` on the machines of a Slurm job (sbatch slurm_ray.sh). Not run on a cluster yet.
#
# Change: the options below, the paths. The environment, the pictures and the results lie on a file system that all
# machines see under the same names.
#SBATCH --job-name=dermedge
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120          # two minutes before the end: what is done is written, and the next call goes on
set -euo pipefail

source "$HOME/dermedge/bin/activate"  # pip install 'dermedge[cpu,ray]'; cuda in the place of cpu with --gpus-per-node
export RAY_USAGE_STATS_ENABLED=0

head=$(hostname)
port=$((20000 + SLURM_JOB_ID % 10000))
address=$(hostname --ip-address | cut -d' ' -f1)
export RAY_ADDRESS="$address:$port"

# The step lives as long as its ray does, because of --block; it ends with the job.
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
    ray start --head --node-ip-address="$address" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" \
    --include-dashboard=false --block &
sleep 20
if [ "$SLURM_NNODES" -gt 1 ]; then
    srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" --overlap \
        ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
    sleep 20
fi

dermedge infer "$HOME/pictures" --recursive --table "$HOME/patients.csv" --id case --out "$HOME/results" \
    --ray auto --model box --device cpu &
work=$!
trap 'kill -TERM "$work"' TERM
wait "$work" || wait "$work"          # the first wait ends when the signal comes, the second with the command's code
