"""SecantusDB as MongoDB server: start, stop, kill -9, restart on the same port and storage, users, TLS, fail points.

The server's program `secantusd-py` comes with tests/requirements.txt; it is sought beside this Python, then on the
path.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services import child, ports  # noqa: E402


def find():
    """The server's program, or None."""
    beside = os.path.join(os.path.dirname(sys.executable), "secantusd-py")
    return beside if os.access(beside, os.X_OK) else shutil.which("secantusd-py")


class MongoDB:
    """One server. storage: directory, kept over restarts (default: a temporary one, removed by close()).

    user: (name, password), created before the server asks for logins. tls: an object with .cert and .key
    (services.tls); tls_ca then is what clients should trust. client: one with .both; clients then need a certificate
    that tls_ca has signed, and this is ours. sync_on_commit: acknowledged writes survive kill -9. fail_points: allow
    fail_point().
    """

    def __init__(
        self,
        port=0,
        storage=None,
        user=None,
        tls=None,
        tls_ca=None,
        sync_on_commit=True,
        standalone=False,
        fail_points=True,
        client=None,
    ):
        self._temporary = None if storage else tempfile.TemporaryDirectory(prefix="mongodb-")
        self.storage = str(storage or os.path.join(self._temporary.name, "data"))
        self.port = port
        self.user = user
        self.tls = tls
        self.tls_ca = tls_ca
        self.client_certificate = client
        self._flags = [
            flag
            for flag, on in (
                ("--sync-on-commit", sync_on_commit),
                ("--standalone", standalone),
                ("--enable-test-commands", fail_points),
            )
            if on
        ]
        self._user_made = False
        self.child = child.Child(self.storage.rstrip("/") + ".log")

    @property
    def uri(self):
        """For clients, without user and password."""
        return f"mongodb://127.0.0.1:{self.port}/" + ("?tls=true" if self.tls else "")

    def start(self):
        """Starts it and waits for a ping; the port stays the same over restarts."""
        self.port = self.port or ports.free_port()
        os.makedirs(self.storage, exist_ok=True)
        if self.user and not self._user_made:
            self._make_user()
        self._run(auth=bool(self.user))
        return self

    def stop(self):
        """An orderly end, by force after 5 s (it has been seen to hang); returns the exit code."""
        return self.child.end(timeout=5)

    def kill(self):
        return self.child.end(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()

    def suspend(self):
        """Stops it from answering while its connections stay open, until resume()."""
        os.kill(self.child.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.child.process.pid, signal.SIGCONT)

    def close(self):
        """Stop, and remove a temporary storage."""
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    def client(self, login=True, **options):
        """A pymongo client, logged in if there is a user and login is true; the caller closes it."""
        import pymongo

        settings = {"serverSelectionTimeoutMS": 30000, "directConnection": True}
        if self.tls:
            settings.update(tls=True, tlsCAFile=self.tls_ca)
        if self.client_certificate:
            settings.update(tlsCertificateKeyFile=self.client_certificate.both)
        if self.user and login:
            settings.update(username=self.user[0], password=self.user[1], authSource="admin")
        return pymongo.MongoClient("127.0.0.1", self.port, **{**settings, **options})

    def fail_point(self, mode=None, times=None, **data):
        """Arms failCommand: fail_point(times=3, failCommands=["insert"], closeConnection=True); mode="off" disarms
        it."""
        if mode is None:
            mode = {"times": times} if times else "alwaysOn"
        with contextlib.closing(self.client()) as client:
            client.admin.command("configureFailPoint", "failCommand", mode=mode, **({"data": data} if data else {}))

    def _run(self, auth):
        program = find()
        if program is None:
            raise FileNotFoundError("secantusd-py is not installed (tests/requirements.txt)")
        command = [
            program,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--storage-path",
            self.storage,
            *self._flags,
        ]
        if auth:
            command.append("--auth")
        if self.tls:
            command += ["--tls-cert-file", self.tls.cert, "--tls-key-file", self.tls.key]
        if self.client_certificate:
            command += ["--tls-ca-file", self.tls_ca, "--tls-require-client-cert"]
        self.child.start(command, lambda: self._answers(auth), timeout=60)

    def _answers(self, auth):
        import pymongo

        with contextlib.closing(self.client(login=auth, serverSelectionTimeoutMS=500)) as client:
            try:
                return client.admin.command("ping")["ok"] == 1
            except pymongo.errors.PyMongoError:
                return False

    def _make_user(self):
        self._run(auth=False)
        try:
            with contextlib.closing(self.client(login=False)) as client:
                client.admin.command("createUser", self.user[0], pwd=self.user[1], roles=["root"])
            self._user_made = True
        finally:
            self.child.end()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


def main(argv=None):
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, default=0, help="0 (default) takes a free port")
    options.add_argument("--storage", metavar="DIR", help="kept over restarts (default: a temporary directory)")
    options.add_argument("--user", metavar="NAME:PASSWORD", help="create this user and ask for logins")
    options.add_argument("--tls-cert", metavar="FILE")
    options.add_argument("--tls-key", metavar="FILE")
    options.add_argument("--tls-ca", metavar="FILE", help="what signed the certificate")
    options.add_argument("--no-sync-on-commit", action="store_true")
    options.add_argument("--standalone", action="store_true", help="no replica set in hello")
    args = options.parse_args(argv)
    tls = argparse.Namespace(cert=args.tls_cert, key=args.tls_key) if args.tls_cert else None
    user = tuple(args.user.split(":", 1)) if args.user else None
    server = MongoDB(args.port, args.storage, user, tls, args.tls_ca, not args.no_sync_on_commit, args.standalone)
    return child.run(server, lambda: server.uri)


if __name__ == "__main__":
    sys.exit(main())
