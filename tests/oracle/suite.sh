#!/bin/sh
# The modules of the WebAssembly specification suite, or of another archive, through the oracle.
#
# usage: suite.sh TEST_ORACLE SCRATCH DATA [EVERY [ARCHIVE]]
#
# DATA is the directory with the archive; the environment variable SMELT_TEST_DATA overrides it.
# EVERY: one module in so many, 1 for all. Exit 77 (skipped) without the archive.
set -eu
oracle=$1 scratch=$2 data=${SMELT_TEST_DATA:-$3} every=${4-1} archive=${5-spec-testsuite.tar.gz}

if [ ! -r "$data/$archive" ]; then
    echo "skipped: no $archive in $data"
    exit 77
fi
rm -rf "$scratch/modules"
mkdir -p "$scratch/modules"
tar -xzf "$data/$archive" -C "$scratch/modules"
"$oracle" --every "$every" "$scratch" "$scratch/modules"
