#!/usr/bin/env bash
# Makes a virtual environment with one version of Spark (about 500 MB, kept in the cache), and prints its python: scripts/spark.sh 4.1.4
. "$(dirname "$0")/environment.sh"

version=${1:?which version of pyspark}
wheels=("pyspark==$version" numpy==2.4.6)
venv="$cache/spark-$version"
command -v java >/dev/null || "$repo/scripts/install.sh" default-jdk-headless >&2
if [ "$(cat "$venv/wheels" 2>/dev/null)" != "${wheels[*]}" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || die "Missing: python3-venv. Install it: apt-get install -y python3-venv"
    "$venv/bin/pip" --quiet --disable-pip-version-check install "${wheels[@]}" >&2 ||
        die "Missing: ${wheels[*]} (Python packages), and pip cannot get them."
    echo "${wheels[*]}" >"$venv/wheels"
fi
echo "$venv/bin/python"
