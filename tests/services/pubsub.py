"""Google Cloud Pub/Sub over REST/JSON, as production behaves, with OAuth token endpoint and GCE metadata on the same
port.

Serves /v1/projects/P/topics/T (PUT, GET, DELETE, :publish, :testIamPermissions) and /v1/projects/P/subscriptions/S
(PUT, GET, PATCH, DELETE, :pull, :acknowledge, :modifyAckDeadline, :testIamPermissions), POST /token, and the metadata
paths under /computeMetadata/v1/.

Control API under /_control/ (no authentication, no faults): faults and log as in services/service.py, and
  GET   stats             per subscription: backlog, leased, acked, oldest; and waiting_pulls
  POST  revoke            drop every access token; {"keys": true} deletes the service accounts too, {"clients": true} the refresh tokens
  POST  keys              {"client_email", "private_key_id", "public_key"}: accept this service account
  POST  options           change at run time: pull_hang, auth, token_lifetime, expires_as_string, time_scale, retention_scale, late_ack,
                          grant (list of IAM permissions, or null for all)
Event kinds of the log: publish, deliver, ack, ack_ignored, modack, expire, dead_letter, retention,
subscription_expired, token, token_refused, revoke, http. With --state the log is kept over a restart, except token,
token_refused, revoke and http; its seq starts anew.

Fault types of its own: duplicate (a pull hands out leased messages too), partial (messages: so many at most), id_count
(delta: that many message ids more or fewer than published), revoke (drops all tokens, then serves the request).

The ack deadline begins when the reply is written; a pull whose client went away keeps what it was handed until then, as
in production.
"""

import re
import sys
import urllib.parse
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services import pubsub_api as api  # noqa: E402
from services import service  # noqa: E402
from services.httpd import Response  # noqa: E402
from services.oauth import TokenService, write_authorized_user, write_service_account  # noqa: E402
from services.pubsub_store import Exists, NotFound, Store  # noqa: E402

_PATH = re.compile(r"/v1/(projects/[^/]+/(topics|subscriptions)/[^/:]+)(?::(\w+))?")
_NOT_FOUND_PAGE = (
    "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error 404 (Not Found)!!1</title>\n"
    "  <p><b>404.</b> <ins>That’s an error.</ins>\n"
)


class PubSub(service.HttpService):
    """The service. state_dir: keep everything there over a kill -9; without it, in memory. Options are attributes,
    changeable any time."""

    fault_types = ("duplicate", "partial", "id_count", "revoke")

    def __init__(
        self,
        port=0,
        cert=None,
        key=None,
        state_dir=None,
        auth=False,
        pull_hang=90.0,
        token_lifetime=3600,
        expires_as_string=False,
        time_scale=1.0,
        retention_scale=1.0,
        late_ack=True,
        grant=None,
        project="my-project",
    ):
        super().__init__(port, cert, key)
        self.auth = auth
        self.pull_hang = pull_hang
        self.grant = grant
        self.store = Store(self.log, state_dir, time_scale, retention_scale, late_ack)
        self.oauth = TokenService(self.log, state_dir, token_lifetime, expires_as_string, project)
        self.api = api.Api(self.store)
        self.controls.update(
            stats=self._control_stats,
            revoke=self._control_revoke,
            keys=self._control_keys,
            options=self._control_options,
        )

    def stop(self):
        super().stop()
        self.store.close()
        self.oauth.close()

    @property
    def token_url(self):
        return f"{self.url}/token"

    def write_service_account(self, path, **options):
        """A service-account file that this service accepts; options as in services.oauth.write_service_account."""
        return write_service_account(path, options.pop("token_uri", self.token_url), self.oauth, **options)

    def write_authorized_user(self, path, **options):
        """An authorized_user file that this service accepts."""
        return write_authorized_user(path, self.oauth, token_uri=options.pop("token_uri", self.token_url), **options)

    def handle(self, request):
        fault = request.fault or {}
        if fault.get("type") == "revoke":
            self.oauth.revoke_all()
        if request.path == "/token":
            return self._token(request)
        if request.path == "/identity":
            return self.oauth.identity(request)
        if request.path.endswith(":generateAccessToken"):
            return self.oauth.impersonate(request)
        metadata = self.oauth.metadata(request)
        if metadata:
            return metadata
        try:
            return self._call(request, fault)
        except NotFound as error:
            return api.error_response(api.ApiError(404, f"Resource not found (resource={_short(error.args[0])})."))
        except Exists as error:
            return api.error_response(
                api.ApiError(
                    409, f"Resource already exists in the project (resource={_short(error.args[0])}).", "ALREADY_EXISTS"
                )
            )
        except api.ApiError as error:
            return api.error_response(error)

    def _call(self, request, fault):
        match = _PATH.fullmatch(request.path)
        call = match and _ROUTES.get((request.method, match[2], match[3]))
        if not call:
            return Response(404, _NOT_FOUND_PAGE, content_type="text/html; charset=UTF-8")
        if self.auth:
            api.check_token(request, self.oauth)
        api.check_size(request, match[3])
        name = urllib.parse.unquote(match[1])
        api.check_name(name)
        return call(self, name, request, fault)

    def _token(self, request):
        if request.method != "POST":
            return Response.json({"error": "invalid_request", "error_description": "Invalid method."}, 405)
        return self.oauth.token_endpoint(request, self.token_url)

    def _create_topic(self, name, request, _fault):
        return Response.json(self.api.create_topic(name, request.body))

    def _get_topic(self, name, _request, _fault):
        return Response.json(self.api.get_topic(name))

    def _delete_topic(self, name, _request, _fault):
        self.store.delete_topic(name)
        return Response.json({})

    def _publish(self, name, request, fault):
        ids = self.api.publish(name, request.body)
        if fault.get("type") == "id_count":
            delta = fault.get("delta", -1)
            ids = ids[: len(ids) + delta] if delta < 0 else ids + ids[-1:] * delta
        return Response.json({"messageIds": ids})

    def _create_subscription(self, name, request, _fault):
        return Response.json(self.api.create_subscription(name, request.body))

    def _get_subscription(self, name, _request, _fault):
        return Response.json(self.api.get_subscription(name))

    def _patch_subscription(self, name, request, _fault):
        return Response.json(self.api.patch_subscription(name, request.body, request.query))

    def _delete_subscription(self, name, _request, _fault):
        self.store.delete_subscription(name)
        return Response.json({})

    def _pull(self, name, request, fault):
        at_most = fault.get("messages", 1) if fault.get("type") == "partial" else api.MAX_PULL
        messages = self.api.pull(name, request.body, self.pull_hang, at_most, fault.get("type") == "duplicate")
        return Response.json({"receivedMessages": messages} if messages else {}, indent=None)

    def _acknowledge(self, name, request, _fault):
        self.api.acknowledge(name, request.body)
        return Response.json({})

    def _modify_deadline(self, name, request, _fault):
        self.api.modify_deadline(name, request.body)
        return Response.json({})

    def _test_permissions(self, name, request, _fault):
        return Response.json(self.api.test_permissions(name, request.body, self.grant))

    # Control

    def _control_stats(self, _request):
        return Response.json({**self.store.stats(), "waiting_pulls": self.store.waiting})

    def _control_revoke(self, request):
        what = request.json()
        self.oauth.revoke_all()
        if what.get("keys"):
            self.oauth.forget_keys()
        if what.get("clients"):
            self.oauth.forget_clients()
        return Response.json({})

    def _control_keys(self, request):
        info = request.json()
        self.oauth.register_key(info["client_email"], info["private_key_id"], info["public_key"])
        return Response.json({})

    def _control_options(self, request):
        owners = {
            "pull_hang": self,
            "auth": self,
            "grant": self,
            "token_lifetime": self.oauth,
            "expires_as_string": self.oauth,
            "time_scale": self.store,
            "retention_scale": self.store,
            "late_ack": self.store,
        }
        for name, value in request.json().items():
            setattr(owners[name], name, value)
        return Response.json({name: getattr(owner, name) for name, owner in owners.items()})


_ROUTES = {
    ("PUT", "topics", None): PubSub._create_topic,
    ("GET", "topics", None): PubSub._get_topic,
    ("DELETE", "topics", None): PubSub._delete_topic,
    ("POST", "topics", "publish"): PubSub._publish,
    ("POST", "topics", "testIamPermissions"): PubSub._test_permissions,
    ("PUT", "subscriptions", None): PubSub._create_subscription,
    ("GET", "subscriptions", None): PubSub._get_subscription,
    ("PATCH", "subscriptions", None): PubSub._patch_subscription,
    ("DELETE", "subscriptions", None): PubSub._delete_subscription,
    ("POST", "subscriptions", "pull"): PubSub._pull,
    ("POST", "subscriptions", "acknowledge"): PubSub._acknowledge,
    ("POST", "subscriptions", "modifyAckDeadline"): PubSub._modify_deadline,
    ("POST", "subscriptions", "testIamPermissions"): PubSub._test_permissions,
}


def _short(name):
    return name.rpartition("/")[2]


def main(argv=None):
    options = service.parser(__doc__)
    options.add_argument("--state", metavar="DIR", help="keep the state there, over a kill -9 (default: in memory)")
    options.add_argument("--auth", action="store_true", help="API calls need a live access token")
    options.add_argument(
        "--pull-hang", type=float, default=90, metavar="SECONDS", help="how long an empty pull hangs (default 90)"
    )
    options.add_argument("--token-lifetime", type=float, default=3600, metavar="SECONDS")
    options.add_argument("--expires-as-string", action="store_true", help="answer expires_in as a JSON string")
    options.add_argument(
        "--time-scale", type=float, default=1, metavar="F", help="ack deadlines and retry backoffs run F times as fast"
    )
    options.add_argument(
        "--retention-scale", type=float, default=1, metavar="F", help="retention and expiry run F times as fast"
    )
    options.add_argument("--ignore-late-ack", action="store_true", help="an ack after its deadline has no effect")
    options.add_argument(
        "--grant", metavar="PERMISSIONS", help="what testIamPermissions grants, comma separated (default: everything)"
    )
    options.add_argument("--project", default="my-project", help="the metadata server's project id")
    options.add_argument(
        "--service-account", metavar="FILE", help="write a service-account file there and accept it; kept if it exists"
    )
    options.add_argument("--pkcs1", action="store_true", help="... with a PKCS#1 key")
    options.add_argument(
        "--authorized-user", metavar="FILE", help="write an authorized_user file there and accept it; kept if it exists"
    )
    args = options.parse_args(argv)
    pubsub = PubSub(
        args.port,
        args.tls_cert,
        args.tls_key,
        args.state,
        args.auth,
        args.pull_hang,
        args.token_lifetime,
        args.expires_as_string,
        args.time_scale,
        args.retention_scale,
        not args.ignore_late_ack,
        None if args.grant is None else args.grant.split(","),
        args.project,
    )
    return service.run(pubsub, lambda: _write_credentials(pubsub, args))


def _write_credentials(pubsub, args):
    for path, write in (
        (args.service_account, lambda path: pubsub.write_service_account(path, pkcs1=args.pkcs1, project=args.project)),
        (args.authorized_user, pubsub.write_authorized_user),
    ):
        if path and Path(path).exists():
            pubsub.oauth.register_file(path)
        elif path:
            write(path)


if __name__ == "__main__":
    sys.exit(main())
