#!/usr/bin/python3
"""A case file as static files, and the nginx that serves them the way the portal does.

The same files are there for other downloaders under /documentos/ (with a listing, for rclone).
"""
import json
import os
import random
import shutil
import socket
import subprocess
import time
import uuid

CONF = """
{user}daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{
    listen 127.0.0.1:{port}; root {dir}/www;
    location = /api/v2/processos {{ default_type application/json; try_files /list.json =404; }}
    location ~ "^/api/v2/processos/[0-9]+$" {{ default_type application/json; try_files /detail.json =404; }}
    location ~ "/documentos/(?<doc>[0-9a-f-]+)/binario$" {{ default_type application/pdf; try_files /documentos/$doc =404; }}
    location /documentos/ {{ default_type application/pdf; autoindex on; }}
  }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("nginx did not start")


def check_digits(n):
    return 98 - int(n[:7] + n[9:] + "00") % 97


def case_number():
    raw = "9912345" + "00" + "2024" + "8" + "26" + "0100"
    return raw[:7] + f"{check_digits(raw):02d}" + raw[9:]


class Origin:
    """Distinct PDF-like files: a header, a stamp, filler, the end mark."""

    def __init__(self, folder, documents, size):
        self.dir, self.number = folder, case_number()
        docs = os.path.join(folder, "www", "documentos")
        os.makedirs(docs)
        rnd = random.Random(f"{documents} {size}")
        filler = rnd.randbytes(min(size, 1 << 20))
        self.ids, listed = [], []
        for i in range(documents):
            u = str(uuid.UUID(int=rnd.getrandbits(128), version=4))
            head, tail = b"%PDF-1.4\n% " + u.encode() + b"\n", b"\n%%EOF\n"
            with open(os.path.join(docs, u), "wb") as f:
                f.write(head)
                left = size - len(head) - len(tail)
                while left > 0:
                    n = min(left, len(filler))
                    f.write(filler[:n])
                    left -= n
                f.write(tail)
            self.ids.append(u)
            listed.append({"sequencia": documents - i, "dataHoraJuntada": f"2024-01-02T10:{i // 60 % 60:02d}:{i % 60:02d}",
                           "idOrigem": f"PG5_{i}", "nome": f"Documento {i}", "nivelSigilo": "PUBLICO",
                           "tipo": {"nome": "Peticao"},
                           "hrefBinario": f"/processos/{self.number}/documentos/{u}/binario"})
        case = {"numeroProcesso": self.number, "siglaTribunal": "TJSP", "nivelSigilo": 0}
        with open(os.path.join(folder, "www", "list.json"), "w") as f:
            json.dump({"total": 1, "content": [dict(case, tramitacoes=[])]}, f)
        with open(os.path.join(folder, "www", "detail.json"), "w") as f:
            json.dump([dict(case, tramitacaoAtual={"ativo": True, "grau": {"sigla": "G1"},
                                                   "tribunal": {"sigla": "TJSP"}, "documentos": listed[::-1]})], f)
        self.port = free_port()
        conf = os.path.join(folder, "nginx.conf")
        with open(conf, "w") as f:
            f.write(CONF.format(dir=folder, port=self.port, user="user root; " if os.getuid() == 0 else ""))
        self.proc = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", conf], stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        wait_for_port(self.port)

    def urls(self):
        return [f"{self.url}/documentos/{u}" for u in self.ids]

    def stop(self):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
