#!/usr/bin/env bash
# digits with a shadow pass in every step and in every third, seeds 1 2 3; results.csv and the picture beside this file.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:-runs/shadow_interval}
python=${PYTHON:-python}
$python -m kasmina -m experiment=digits_grow incubation.interval=1,3 seed=1,2,3 threads=1 report=false "hydra.sweep.dir=$out"
$python experiments/shadow_interval/collect.py "$out"
