"""Logging in to an API server as kubectl does: the one place that imports its client library.

The library reads kubeconfigs and renews tokens; certificates and tokens in files that others renew
are read again by logging in again. Proxies are those of :mod:`pipeline.proxies`, or the
kubeconfig's own ``proxy-url``.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml

from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.kserve.api_server import Call
from pipeline.proxies import Pools, Proxy

_PORTS = {"http": 80, "https": 443}
_LONGEST = 500
_SPOILT = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)  # what a file of other shape leads to


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A client of the library's with a login; ``address`` holds no credentials."""

    address: str
    _api: Any = field(repr=False)

    def send(self, call: Call, timeout: tuple[float, float]) -> urllib3.BaseHTTPResponse:
        """Send a request, with the token as it is now, not reading the answer."""
        from kubernetes.client import ApiException  # noqa: PLC0415 - optional
        from kubernetes.config import ConfigException  # noqa: PLC0415 - optional

        try:
            method, url, headers, body, _ = self._api.param_serialize(
                call.method,
                call.path,
                query_params=list(call.query),
                header_params={"Accept": "application/json", "Content-Type": call.content_type},
                body=call.body,
                auth_settings=["BearerToken"],
            )
            answer = self._api.call_api(method, url, headers, body, _request_timeout=timeout)
        except ConfigException as error:
            asked = call.asked
            raise UnavailableError(
                asked.attempted, asked.subject, f"the login cannot be renewed: {_said(error)}"
            ) from error
        except ApiException as error:  # TLS; what a server answers is none
            raise urllib3.exceptions.SSLError(_said(error.reason)) from error
        response: urllib3.BaseHTTPResponse = answer.response
        return response


def log_in(kubeconfig: Path | None, context: str | None) -> LoggedIn:
    """Read the login as it is now; ``ConfigurationError`` where there is none."""
    try:
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415 - optional
        from kubernetes.config import ConfigException  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigurationError(
            f"serving.target: kserve needs the package {error.name}: pip install 'laurel[kserve]'"
        ) from error
    configuration = Configuration()
    configuration.retries = False  # whoever calls is patient; and a token follows no redirect
    configuration.keep_alive = True
    try:
        _load(configuration, kubeconfig, context)
    except (ConfigException, yaml.YAMLError, OSError, *_SPOILT) as error:
        raise ConfigurationError(_unusable(kubeconfig, error)) from error
    address = urlsplit(configuration.host)
    if address.scheme not in _PORTS or not address.hostname:
        raise ConfigurationError(
            "the kubeconfig's `server` is not the address of an API server: write https://host:port"
        )
    port = address.port or _PORTS[address.scheme]
    _choose_way(configuration, address.scheme, address.hostname, port)
    api = ApiClient(configuration)
    api.user_agent = "laurel"
    return LoggedIn(f"{address.scheme}://{address.netloc.rpartition('@')[2]}", api)


def _load(configuration: Any, kubeconfig: Path | None, context: str | None) -> None:  # noqa: ANN401 - the library brings no types
    from kubernetes import config  # noqa: PLC0415 - optional

    library: Any = config
    if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        library.load_incluster_config(client_configuration=configuration)
        return
    file = str(kubeconfig or os.environ.get("KUBECONFIG") or Path("~/.kube/config"))
    library.load_kube_config(config_file=file, context=context, client_configuration=configuration)


def _choose_way(configuration: Any, scheme: str, host: str, port: int) -> None:  # noqa: ANN401 - as above
    """Name the proxy; the library by itself would send it no credentials, nor spare loopback."""
    own = None if configuration._proxy_from_env else configuration.proxy  # noqa: SLF001 - it shows it nowhere else
    way = (
        Proxy.parse("the kubeconfig's proxy-url", own)
        if own
        else Pools().way_to(scheme, host, port)
    )
    configuration.no_proxy = ""
    configuration.proxy = None if way is None else f"{way.scheme}://{way.authority}"
    shown = {"Proxy-Authorization": way.authorization} if way and way.authorization else None
    configuration.proxy_headers = shown


def _unusable(kubeconfig: Path | None, error: Exception) -> str:
    where = (
        f"serving.kubeconfig {kubeconfig}" if kubeconfig else "no login for Kubernetes was found"
    )
    return f"{where}: {_said(error)}: give serving.kubeconfig (and context) that kubectl can use"


def _said(error: object) -> str:
    return " ".join(str(error).split())[:_LONGEST]
