#!/bin/sh
# lt1: sends numbered packets to a service address at a steady pace, and files every answer.
set -eu
install -d -m 0755 /opt/lab /var/lib/lab
echo '@PROBER_BASE64@' | base64 -d > /opt/lab/prober.py
echo '@CONDUCTOR_BASE64@' | base64 -d > /opt/lab/fault_runner.py
cat > '/etc/systemd/system/lab-prober@.service' <<EOF
[Unit]
Description=Packets to %i, 200 a second
[Service]
ExecStart=/usr/bin/python3 /opt/lab/prober.py --to %i --per-second 200 --out /var/lib/lab/%i
Restart=always
EOF
systemctl daemon-reload
