"""What stands between a client and the daemon: nothing, or a proxy with its defaults or as docs/proxies.md shows it."""

import os
import re
import shutil
import socket
import subprocess
import time

from daemon import free_port

# Debian's nginx.conf without what names files of the system.
NGINX = """daemon off; pid DIR/pid; error_log DIR/error.log; worker_processes auto; events {{ worker_connections 768; }}
http {{ sendfile on; tcp_nopush on; gzip on; keepalive_timeout 65; access_log off; client_body_temp_path DIR/1;
proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
{0}
}}
"""
NGINX_PLAIN = "server { listen 127.0.0.1:443; location / { proxy_pass http://127.0.0.1:7867; } }"
# The `defaults` of Debian's haproxy.cfg.
HAPROXY_PLAIN = """defaults
    mode http
    timeout connect 5000
    timeout client 50000
    timeout server 50000
frontend runabout
    bind 127.0.0.1:443
    default_backend daemon
backend daemon
    server runabout 127.0.0.1:7867
"""
CADDY_PLAIN = "http://127.0.0.1:PORT {\n    reverse_proxy 127.0.0.1:7867\n}\n"
CADDY = "{\n    admin off\n    auto_https disable_redirects\n}\n"
COMMANDS = {
    "nginx": ["nginx", "-e", "{dir}/early.log", "-c", "{file}"],
    "haproxy": ["haproxy", "-db", "-f", "{file}"],
    "caddy": ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"],
}
SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])


def version(name):
    if name == "nothing":
        return ""
    option = {"nginx": "-v", "haproxy": "-v", "caddy": "version"}[name]
    said = subprocess.run([shutil.which(name, path=SBIN), option], capture_output=True, text=True)
    return re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)[0]


def shown(docs, name):
    return re.search(rf"```{name}\n(.*?)```", docs, re.S)[1]


class Authority:
    """A certificate for this machine, and the one that signed it."""

    def __init__(self, folder):
        self.folder = folder

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)

        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=matrix",
                "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", *key, "-keyout", "key", "-out", "csr", "-subj", "/CN=localhost")
        names = "IP:127.0.0.1,DNS:localhost,DNS:runabout.example"
        (folder / "names").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", "names", "-out", "crt")
        (folder / "pem").write_text((folder / "crt").read_text() + (folder / "key").read_text())


class Path:
    """A way to the daemon: `nothing`, `nginx`, or `nginx!` for the documented one, which speaks https."""

    def __init__(self, name, folder, authority, docs):
        self.name = name.rstrip("!")
        self.is_documented = name.endswith("!")
        self.folder = folder
        self.authority = authority
        self.docs = docs
        self.child = None
        self.port = None

    @property
    def scheme(self):
        return "https" if self.is_documented else "http"

    def open(self, to):
        """Starts it in front of a port."""
        if self.name == "nothing":
            self.port = to
            return
        self.port = free_port()
        text = shown(self.docs, self.name) if self.is_documented else {
            "nginx": NGINX_PLAIN, "haproxy": HAPROXY_PLAIN, "caddy": CADDY_PLAIN}[self.name]
        for kind in ("crt", "key", "pem"):
            text = text.replace(f"/etc/ssl/runabout.example.{kind}", str(self.authority.folder / kind))
        text = text.replace("127.0.0.1:7867", f"127.0.0.1:{to}")
        text = re.sub(r"(listen|bind) (127\.0\.0\.1)?:?443", rf"\1 127.0.0.1:{self.port}", text)
        names = f"https://127.0.0.1:{self.port}, https://runabout.example:{self.port} {{"
        text = text.replace("PORT", str(self.port)).replace("runabout.example {", names)
        if self.name == "nginx":
            text = NGINX.format(text).replace("DIR", str(self.folder))
        elif self.name == "caddy":
            text = CADDY + text
        (self.folder / "proxy.conf").write_text(text)
        self.start()

    def start(self):
        values = {"dir": self.folder, "file": self.folder / "proxy.conf"}
        command = [part.format(**values) for part in COMMANDS[self.name]]
        command[0] = shutil.which(command[0], path=SBIN)
        log = open(self.folder / "proxy.log", "ab")
        own = {**os.environ, "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=own)
        self.wait()

    def wait(self):
        """Waits until it listens; what is behind it may be away."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"{self.name} does not listen; see {self.folder}/proxy.log")

    def close(self):
        """Ends it at once, with all its connections."""
        if self.child:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
