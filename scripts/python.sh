#!/usr/bin/env bash
# Makes a virtual environment with pinned wheels, installs the Python client (clients/python) in it, and prints where its
# programs are. With `test`, runs the client's tests there, against the gateway that is built; more arguments go to pytest.
. "$(dirname "$0")/environment.sh"

wheels=(fsspec==2026.9.0 hdfs==2.7.3 numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1 pytest==9.2.0 requests==2.34.2 setuptools==84.2.1 webdataset==1.0.2)
venv="$cache/python"
if [ "$(cat "$venv/wheels" 2>/dev/null)" != "${wheels[*]}" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || die "Missing: python3-venv. Install it: apt-get install -y python3-venv"
    "$venv/bin/pip" --quiet --disable-pip-version-check install "${wheels[@]}" >&2 ||
        die "Missing: ${wheels[*]} (Python wheels), and pip cannot get them."
    echo "${wheels[*]}" >"$venv/wheels"
fi

# From a copy: the build leaves its own files beside the sources.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$repo/clients/python/." "$copy"
"$venv/bin/pip" --quiet --disable-pip-version-check install --no-index --no-deps --no-build-isolation --force-reinstall "$copy" >&2

if [ "${1:-}" != test ]; then
    echo "$venv/bin"
    exit
fi
shift
cd "$repo/clients/python"
PYTHONDONTWRITEBYTECODE=1 MOONGATE_BIN="${MOONGATE_BIN:-$moongate}" "$venv/bin/python" -m pytest -q -p no:cacheprovider "$@"
