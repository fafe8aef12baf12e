#!/bin/sh
# What a machine of the lab serves besides its agent: a UDP echo that says its name, and a web page for a watcher loop.
set -eu
install -d -m 0755 /opt/lab
echo '@ECHO_BASE64@' | base64 -d > /opt/lab/echo.py
echo '@WATCHER_BASE64@' | base64 -d > /opt/lab/watcher.py
address='@SERVICE_ADDRESS@'
[ -n "$address" ] || exit 0

cat > /etc/systemd/system/lab-address.service <<EOF
[Unit]
Description=The lab's service address, which only the Route Server tells of
Before=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip address replace $address/32 dev lo
[Install]
WantedBy=multi-user.target
EOF
cat > /etc/systemd/system/lab-echo.service <<EOF
[Unit]
Description=The lab's data path
Requires=lab-address.service
After=lab-address.service
[Service]
DynamicUser=yes
ExecStart=/usr/bin/python3 /opt/lab/echo.py --address $address --port 7777 --name @NAME@
Restart=always
RestartSec=0.1
[Install]
WantedBy=multi-user.target
EOF
cat > /etc/systemd/system/lab-web.service <<EOF
[Unit]
Description=The page that a watcher loop asks for
[Service]
DynamicUser=yes
AmbientCapabilities=CAP_NET_BIND_SERVICE
RuntimeDirectory=lab-web
ExecStart=/usr/bin/python3 -m http.server 80 --directory /run/lab-web
Restart=always
[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl enable --now lab-address.service lab-echo.service lab-web.service
