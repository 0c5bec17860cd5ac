#!/usr/bin/env bash
# Static small, grown, and static large (the network that the grown run ended with, from scratch, for as
# many epochs): digits with seeds 1 2 3, CIFAR-10 and Shakespeare with seed 1.
#   experiments/first_growth/run.sh [folder with cifar10/ and shakespeare/]
# Without a folder only digits runs. Writes runs below runs/first_growth and results.csv beside this file;
# what has finished is not run again. ONLY=cifar10_grow leaves Shakespeare out, and the other way round.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:-}
out=${OUT:-runs/first_growth}
python=${PYTHON:-python}

train() { # folder, overrides
    local folder=$1
    shift
    [ -f "$folder/summary.json" ] && grep -q '"finished"' "$folder/summary.json" && return
    $python -m kasmina "$@" incubation.interval=1 "hydra.run.dir=$folder"
}

arms() { # experiment, seed, overrides
    local experiment=$1 seed=$2 base=$out/$1
    shift 2
    train "$base/grown/$seed" "experiment=$experiment" "seed=$seed" "$@"
    train "$base/static_small/$seed" "experiment=$experiment" "seed=$seed" controller=none "$@"
    local planted
    planted=$($python -c "import json, sys; print(','.join(f'{k}:{v}' for k, v in json.load(open(sys.argv[1]))['fossils'].items()))" \
        "$base/grown/$seed/summary.json")
    train "$base/static_large/$seed" "experiment=$experiment" "seed=$seed" controller=none \
        "slots.planted={$planted}" "$@"
}

for seed in 1 2 3; do arms digits_grow "$seed"; done
if [ -n "$data" ]; then
    for experiment in ${ONLY:-cifar10_grow shakespeare_grow}; do arms "$experiment" 1 "data_root=$data"; done
fi
$python experiments/first_growth/collect.py "$out" >experiments/first_growth/results.csv
cat experiments/first_growth/results.csv
