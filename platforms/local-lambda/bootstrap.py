"""Runs inside every Python instance: loads _HANDLER from the unpacked code and feeds it from the Runtime API.

Standard library only, since it shares an interpreter with users' code. What awslambdaric is to a container image.
"""

import http.client
import importlib
import json
import os
import sys
import threading
import time
import traceback

API = "/2018-06-01/runtime"


class Context:
    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = self.identity = None
        self._deadline_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))


class Runtime:
    def __init__(self):
        self._connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def call(self, method, path, body=None, headers=None):
        self._connection.request(method, f"{API}/{path}", body, headers or {})
        response = self._connection.getresponse()
        return response.headers, response.read()

    def post_error(self, path, error, kind=None):
        told = {
            "errorMessage": str(error),
            "errorType": kind or type(error).__name__,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }
        print(f"[ERROR] {told['errorType']}: {told['errorMessage']}\n{''.join(told['stackTrace'])}", flush=True)
        headers = {"content-type": "application/json", "lambda-runtime-function-error-type": told["errorType"]}
        self.call("POST", path, json.dumps(told), headers)


def load_handler():
    name = os.environ["_HANDLER"]
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ValueError(f"Bad handler '{name}': expected module.function")
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    return getattr(importlib.import_module(module.replace("/", ".")), attribute)


def end_with_supervisor():
    """Nobody writes to standard input: its end says that the supervisor is gone, and nobody wants this instance any more."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def main():
    threading.Thread(target=end_with_supervisor, daemon=True).start()
    # As under Lambda's own runtime, whatever is printed is in the log at once.
    sys.stdout.reconfigure(line_buffering=True)
    runtime = Runtime()
    try:
        handler = load_handler()
    except BaseException as error:
        kinds = {ImportError: "Runtime.ImportModuleError", ModuleNotFoundError: "Runtime.ImportModuleError"}
        kinds |= {AttributeError: "Runtime.HandlerNotFound", SyntaxError: "Runtime.UserCodeSyntaxError", ValueError: "Runtime.MalformedHandlerName"}
        runtime.post_error("init/error", error, kinds.get(type(error)))
        sys.exit(1)
    while True:
        headers, event = runtime.call("GET", "invocation/next")
        context = Context(headers)
        invocation = f"invocation/{context.aws_request_id}"
        try:
            answer = json.dumps(handler(json.loads(event), context))
        except Exception as error:
            runtime.post_error(f"{invocation}/error", error)
            continue
        runtime.call("POST", f"{invocation}/response", answer, {"content-type": "application/json"})


if __name__ == "__main__":
    main()
