#!/usr/bin/env bash
# Copies the jars of a real HDFS (Maven Central, 65 MB) into the cache, once a machine, and prints the folder they are in. The tests start
# NameNodes, DataNodes and FsShell from them: see tests/src/beds/hdfs.
. "$(dirname "$0")/environment.sh"

version=$(sed -n 's/.*<hadoop.version>\(.*\)<\/hadoop.version>.*/\1/p' "$repo/tests/hadoop/pom.xml")
hadoop="$cache/hadoop-$version"
command -v java >/dev/null && command -v mvn >/dev/null || "$repo/scripts/install.sh" default-jdk-headless maven >&2
if [ ! -e "$hadoop/complete" ]; then
    rm -rf "$hadoop"
    mkdir -p "$hadoop"
    mvn --quiet --batch-mode --file "$repo/tests/hadoop/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$hadoop/jars" >&2 ||
        die "Missing: the jars of Hadoop $version, and Maven cannot get them."
    # The jar has no web pages, and its HTTP server wants their folders on the class path.
    mkdir -p "$hadoop"/webroot/webapps/{hdfs,datanode,static}
    touch "$hadoop/complete"
fi
echo "$hadoop"
