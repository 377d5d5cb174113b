"""Runs ClickHouse from its library as a server on loopback.

usage: server.py LIBCHDB.so DATA_DIR HTTP_PORT TCP_PORT CONFIG.xml

The library holds ClickHouse's whole program. `clickhouse local` can open the server's own HTTP and native listeners
(SYSTEM START LISTEN); the last statement only keeps it running. SIGTERM ends it in order.
"""
import ctypes
import os
import sys

library, data, http_port, tcp_port, config = sys.argv[1:]
os.makedirs(data, exist_ok=True)
statements = (
    "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; "
    "SELECT sleepEachRow(3) FROM numbers(100000000) FORMAT Null "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_execution_time = 0"
)
arguments = [
    "clickhouse", "--path", data, "--http_port", http_port, "--tcp_port", tcp_port, "--listen_host", "127.0.0.1",
    "--config-file", config, "--query", statements,
]  # fmt: skip
loaded = ctypes.CDLL(library)
loaded.chdb_query_cmdline.restype = ctypes.c_void_p
loaded.chdb_result_error.restype = ctypes.c_char_p
loaded.chdb_result_error.argtypes = [ctypes.c_void_p]
argv = (ctypes.c_char_p * (len(arguments) + 1))(*[argument.encode() for argument in arguments], None)
result = loaded.chdb_query_cmdline(len(arguments), argv)
error = loaded.chdb_result_error(result) if result else b"no result"
if error:
    sys.exit("clickhouse: " + error.decode(errors="replace"))
