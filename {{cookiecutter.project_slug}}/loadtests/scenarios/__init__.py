"""One file each: who the clients are and what they do (docs/load-tests.md).

Next to it, as `.toml`, its levels: below how many milliseconds a percentile of a measure has to be, where the first
measure is the one that the chart shows, and `failures`, the share in per cent of measures that may fail. A message that
is lost, comes twice or out of order is one too many everywhere. A scenario, or levels, of a name that
`loadtests/engine/scenarios` has too take the place of those.
"""
