#!/usr/bin/env bash
# Does an installed easing-fastai do what README says? Run it in an empty folder, the environment's bin first in PATH.
set -euo pipefail

answers() { # ADDRESS COMMAND...: the command goes on until it is stopped; once it has answered, it is
    setsid "${@:2}" &
    curl --silent --show-error --fail --output /dev/null --retry 90 --retry-delay 2 --retry-all-errors "$1" || { kill -- -$!; return 1; }
    kill -- -$!
    wait $! || true
    echo "answered: ${*:2}"
}

easing-fastai --version
easing-fastai doctor
easing-fastai run 01
export JUPYTER_PORT=8931
root=()
[ "$(id -u)" != 0 ] || root=(--allow-root) # in a container
answers "http://127.0.0.1:$JUPYTER_PORT/api" easing-fastai lab mine --no-browser "${root[@]}"
python -c "from easing_fastai.core import mnist_sample; import shutil; shutil.copytree(mnist_sample()/'valid', 'digits')"
easing-fastai train digits --epochs 1 --arch digits_resnet18 --out model
answers http://127.0.0.1:7931 easing-fastai serve model --port 7931
