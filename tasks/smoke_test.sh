#!/bin/sh
# On a new instance, past the load balancer: the container answers, and the machine has room to live.
set -eu
curl -fsS -m 5 http://localhost:5000/ready
test "$(df --output=pcent / | tail -n 1 | tr -dc '0-9')" -lt 90
