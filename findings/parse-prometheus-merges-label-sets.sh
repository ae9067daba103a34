#!/bin/sh
# All label sets of a histogram become one without a label, a sum or a count, and nothing is said.
#
# npm's parse-prometheus-text-format 1.1.1, Node 20. The text format groups what belongs to one point of a histogram by its
# labels but `le`. Here the answers of two paths are timed, as any exporter with a label on a histogram does. The buckets of the
# later path overwrite those of the earlier, and sum and count, which it takes only where there is no label, are gone.
# (A label on a counter is read well, and so is a histogram without labels.) prometheus_client 0.26.0 reads both.
#
# Guess: two label sets are two entries, each with its labels, buckets, sum and count.
# Seen:
#   parse-prometheus-text-format: [{"buckets":{"1":"0","+Inf":"9"}}]
#   prometheus_client: fast 5 of 7, sum 4; slow 0 of 9, sum 60
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check prometheus_client==0.26.0
npm install --silent --no-audit --no-fund --ignore-scripts parse-prometheus-text-format@1.1.1
cat >metrics <<'TEXT'
# HELP request_seconds How long.
# TYPE request_seconds histogram
request_seconds_bucket{path="fast",le="1"} 5
request_seconds_bucket{path="fast",le="+Inf"} 7
request_seconds_sum{path="fast"} 4
request_seconds_count{path="fast"} 7
request_seconds_bucket{path="slow",le="1"} 0
request_seconds_bucket{path="slow",le="+Inf"} 9
request_seconds_sum{path="slow"} 60
request_seconds_count{path="slow"} 9
TEXT
cat >read.mjs <<'JS'
import {readFileSync} from 'node:fs';
import parse from 'parse-prometheus-text-format';
console.log('parse-prometheus-text-format:', JSON.stringify(parse(readFileSync('metrics', 'utf8'))[0].metrics));
JS
cat >read.py <<'PY'
from prometheus_client.parser import text_string_to_metric_families as families

told = {}
for sample in next(iter(families(open("metrics").read()))).samples:
    told.setdefault(sample.labels["path"], {})[sample.name[16:] + sample.labels.get("le", "")] = sample.value
of = lambda path, it: f"{path} {it['bucket1']:g} of {it['count']:g}, sum {it['sum']:g}"
print("prometheus_client:", "; ".join(of(path, it) for path, it in told.items()))
PY
{
	node read.mjs
	venv/bin/python read.py
} >seen
cat seen
cat >expected <<'TEXT'
parse-prometheus-text-format: [{"buckets":{"1":"0","+Inf":"9"}}]
prometheus_client: fast 5 of 7, sum 4; slow 0 of 9, sum 60
TEXT
diff expected seen
