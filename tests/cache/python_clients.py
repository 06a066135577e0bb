"""What the `hdfs` package, fsspec and pyarrow do over WebHDFS, in the folder /m of a gateway (argument: HOST:PORT)."""

import os
import sys

import fsspec
import hdfs
import pyarrow as pa
import pyarrow.parquet as pq

address = sys.argv[1]

client = hdfs.InsecureClient(f"http://{address}", user="root")
client.makedirs("/m/by-hdfs")
client.write("/m/by-hdfs/f", data=b"hello", overwrite=True)
client.write("/m/by-hdfs/f", data=b" moon", append=True)
with client.read("/m/by-hdfs/f", offset=6, length=4) as reader:
    assert reader.read() == b"moon"
assert client.list("/m/by-hdfs") == ["f"]
assert client.content("/m/by-hdfs")["length"] == 10
assert client.status("/m/nope", strict=False) is None
client.write("/m/gone", data=b"x")
client.rename("/m/gone", "/m/moved")
assert client.delete("/m/moved") and not client.delete("/m/moved")
try:
    client.status("/m/nope")
except hdfs.HdfsError as error:
    assert "File does not exist: /m/nope" in str(error), error
else:
    raise AssertionError("a missing file has a status")

host, port = address.rsplit(":", 1)
fs = fsspec.filesystem("webhdfs", host=host, port=int(port), user="root")
assert fs.cat_file("/m/by-hdfs/f") == b"hello moon"
assert fs.info("/m/by-hdfs/f")["size"] == 10
with fs.open("/m/big", "wb") as file:
    for number in range(64):
        file.write(bytes([number]) * 100_000)
with fs.open("/m/big", "rb") as file:
    file.seek(3_200_000)
    assert file.read(3) == bytes([32]) * 3
assert not fs.exists("/m/nope")
fs.rm("/m/big")

table = pa.table({"n": list(range(200_000)), "s": [f"row {n}" for n in range(200_000)]})
with fs.open("/m/t.parquet", "wb") as file:
    pq.write_table(table, file)
assert pq.read_table("/m/t.parquet", filesystem=fs).equals(table)
assert pq.read_table("/m/t.parquet", filesystem=fs, columns=["n"])["n"][199_999].as_py() == 199_999

print("all is as it should be", flush=True)
# Not by way of the interpreter's end, where Arrow may abort after its work is done: its threads are still leaving Python's files
# (https://github.com/apache/arrow/issues/34314).
os._exit(0)
