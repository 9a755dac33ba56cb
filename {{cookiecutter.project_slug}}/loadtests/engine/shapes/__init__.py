"""One file each: how many clients there are at what time, up to `--users` within `--run-time`."""
