"""An fsspec file system over the file port: `moongate://HOST:PORT/path`."""

from __future__ import annotations

import tempfile
from datetime import datetime
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from fsspec.utils import stringify_path

from .client import Client, folder_form, is_folder
from .errors import Missing, Refused


class MoongateFileSystem(AbstractFileSystem):
    """Files and folders of a Moongate.

    Paths are `/folder/file`. Without `host`, MOONGATE_URL says where the server is, else it is on 127.0.0.1:8888.
    """

    protocol = "moongate"
    root_marker = "/"

    def __init__(self, host: str | None = None, port: int | None = None, retries: int = 8, **options: Any):
        super().__init__(**options)
        url = None if host is None else f"moongate://{host}:{port or 8888}"
        self.client = Client(url, retries=retries)

    # Paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        path = stringify_path(path)
        if path.startswith("moongate://"):
            path = "/" + path.removeprefix("moongate://").partition("/")[2]
        elif path.startswith("moongate:"):
            path = path.removeprefix("moongate:")
        return "/" + path.strip("/")

    def unstrip_protocol(self, name: str) -> str:
        """The URL of a path, with its server."""
        return f"moongate://{self.client.pool.host}:{self.client.pool.port}{self._strip_protocol(name)}"

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        host = stringify_path(path).removeprefix("moongate://").partition("/")[0]
        if not str(path).startswith("moongate://") or not host:
            return {}
        name, colon, port = host.rpartition(":")
        return {"host": name, "port": int(port)} if colon and port.isdigit() else {"host": host}

    # What is there

    def ls(self, path: str, detail: bool = True, **_: Any) -> list:
        """What is in a folder; a file is listed alone."""
        path = self._strip_protocol(path)
        info = self.info(path)
        infos = [info] if info["type"] == "file" else [_info(entry) for entry in self.client.list(path)]
        return infos if detail else [info["name"] for info in infos]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size, type, mtime (Unix seconds), crc32c, mimetype."""
        path = self._strip_protocol(path)
        info = _info(self.client.stat(path))
        return {**info, "name": path}

    def exists(self, path: str, **_: Any) -> bool:
        """Whether something is there; an error is raised, and not taken for a no."""
        try:
            self.info(path)
            return True
        except FileNotFoundError:
            return False

    def find(self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any) -> Any:
        """All files below a path, in one call."""
        path = self._strip_protocol(path)
        prefix = folder_form(path)
        found: dict[str, dict] = {}
        try:
            info = self.info(path)
        except FileNotFoundError:
            return {} if detail else []
        if info["type"] == "file":
            found[path] = info
        else:
            if withdirs and path != "/":
                found[path] = info
            for entry in self.client.list(path, recursive=True):
                deep = entry["FullPath"].removeprefix(prefix).count("/") + 1
                if (withdirs or not is_folder(entry)) and (maxdepth is None or deep <= maxdepth):
                    found[entry["FullPath"]] = _info(entry)
        return found if detail else list(found)

    def du(self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **options: Any) -> Any:
        """Bytes below a path; the server counts."""
        path = self._strip_protocol(path)
        if total and maxdepth is None and self.info(path)["type"] == "directory":
            return self.client.usage(path)["Bytes"]
        return super().du(path, total=total, maxdepth=maxdepth, withdirs=withdirs, **options)

    def checksum(self, path: str) -> int:
        """The CRC-32C of a file."""
        crc32c = self.info(path)["crc32c"]
        return super().checksum(path) if crc32c is None else int(crc32c, 16)

    def modified(self, path: str) -> datetime:
        """When it was changed."""
        return datetime.fromisoformat(self.info(path)["modified"])

    # Contents

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Bytes of a file; as a slice, so that negative numbers count from its end."""
        path = self._strip_protocol(path)
        if end is not None and end < 0 or (start is not None and start < 0 and end is not None):
            size = self.info(path)["size"]
            start, end, _ = slice(start, end).indices(size)
        return _no_folder(path, lambda: self._found(path, start, end))

    def _found(self, path: str, start: int | None, end: int | None) -> bytes:
        try:
            return self.client.get(path, start, end)
        except Refused as error:
            if error.status == 404:
                raise FileNotFoundError(path) from error
            raise

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """The contents of many files come in one stream."""
        paths = self.expand_path(path, recursive=recursive)
        if isinstance(path, str) and paths == [self._strip_protocol(path)]:
            return super().cat(path, recursive=recursive, on_error=on_error, **options)
        files = [one for one in paths if not recursive or not self.isdir(one)]
        contents: dict[str, Any] = {}
        try:
            contents.update(self.client.download(files))
        except Missing as error:
            if on_error == "raise":
                raise FileNotFoundError(str(error)) from error
            if on_error == "return":
                contents.update({name: FileNotFoundError(reason) for name, reason in error.errors.items()})
        return contents

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Stores bytes as a file."""
        if mode == "create" and self.exists(path):
            raise FileExistsError(path)
        self.client.put(self._strip_protocol(path), bytes(value))

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        """Stores a file from here."""
        from pathlib import Path

        if Path(lpath).is_dir():
            return self.makedirs(rpath, exist_ok=True)
        with open(lpath, "rb") as file:
            self.client.put(self._strip_protocol(rpath), file)
        return None

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, autocommit: bool = True, cache_options: Any = None, **options: Any) -> MoongateFile:
        if mode == "ab":
            raise NotImplementedError("files are not appended to: write them anew")
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        size = block_size if isinstance(block_size, int) else 4 << 20
        return MoongateFile(self, path, "wb" if mode == "xb" else mode, size, autocommit, cache_options=cache_options, **options)

    # Changes

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Makes a folder."""
        path = self._strip_protocol(path)
        if not create_parents and not self.exists(self._parent(path)):
            raise FileNotFoundError(self._parent(path))
        self.client.mkdir(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Makes a folder and those it is in."""
        try:
            self.mkdir(path)
        except FileExistsError:
            if not exist_ok or not self.isdir(path):
                raise

    def rmdir(self, path: str) -> None:
        """Removes an empty folder."""
        self.client.remove(self._strip_protocol(path))

    def rm_file(self, path: str) -> None:
        """Removes a file."""
        self.client.remove(self._strip_protocol(path))

    def _rm(self, path: str) -> None:
        self.rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Removes files, and with `recursive` folders with all that is in them."""
        for one in path if isinstance(path, list) else [path]:
            matches = self.glob(one) if any(letter in one for letter in "*?[") else [self._strip_protocol(one)]
            for match in matches:
                if self.isdir(match) and not recursive:
                    raise IsADirectoryError(f"{match}: recursive=True removes a folder")
                self.client.remove(match, recursive=recursive)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copies on the server."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.isdir(source):
            return self.makedirs(target, exist_ok=True)
        return self.client.copy(source, target)

    def mv(self, path1: str, path2: str, recursive: bool = False, maxdepth: int | None = None, **options: Any) -> None:
        """Moves a file or a folder at once; as `cp`, patterns are copied and removed."""
        if any(letter in path1 for letter in "*?["):
            return super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **options)
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if not self.exists(source):
            raise FileNotFoundError(source)
        if path2.endswith("/"):
            target = f"{target.rstrip('/')}/{source.rpartition('/')[2]}"
        return self.client.move(source, target)

    rename = mv


class MoongateFile(AbstractBufferedFile):
    """A file being read in blocks, or written: it appears there when it is closed, whole."""

    DEFAULT_BLOCK_SIZE = 4 << 20

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.cat_file(self.path, start, end)

    def _initiate_upload(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(max_size=16 << 20)  # noqa: SIM115: closed by commit or discard

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        self._spool.write(self.buffer.read())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        """Stores what was written."""
        self._spool.seek(0)
        self.fs.client.put(self.path, self._spool)
        self._spool.close()

    def discard(self) -> None:
        """Forgets what was written."""
        self._spool.close()


def _info(entry: dict) -> dict[str, Any]:
    folder = is_folder(entry)
    modified = entry.get("Mtime", "")[:26].rstrip("Z") + "+00:00"
    return {
        "name": entry["FullPath"],
        "size": 0 if folder else entry.get("FileSize", 0),
        "type": "directory" if folder else "file",
        "modified": modified,
        "mtime": datetime.fromisoformat(modified).timestamp(),
        "crc32c": entry.get("Crc32c"),
        "mimetype": entry.get("Mime") or None,
    }


def _no_folder(path: str, read: Any) -> bytes:
    if path == "/":
        raise IsADirectoryError(path)
    return read()
