"""Optional parts of bulkpoint: packages that only some machines need (`pip install 'bulkpoint[kafka,slack]'`).

Executors and small hosts do not have them. Code that needs one asks here first, so that a missing package is a sentence
and not a traceback.
"""

import importlib
from typing import Literal

from bulkpoint.errors import UsageError

Extra = Literal["kafka", "slack", "web", "demo"]

# The extra as pyproject.toml names it, and the modules that come with it.
_MODULES: dict[Extra, tuple[str, ...]] = {
    "kafka": ("confluent_kafka",),
    "slack": ("slack_sdk", "ratelimit", "tenacity"),
    "web": ("starlette", "uvicorn", "python_multipart", "prometheus_client"),
    "demo": ("uvloop", "httptools", "confluent_kafka"),
}


def require_extra(extra: Extra) -> None:
    """Returns where the packages of an extra are installed.

    Raises:
        UsageError: one of them is not; the sentence names the command that installs it.
    """
    for module in _MODULES[extra]:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UsageError("EXTRA_MISSING", "install_extra", package=module, extra=extra) from error
