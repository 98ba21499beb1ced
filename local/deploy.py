"""Deploys `template.yaml` with the debug binaries into the running emulator."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import template
from settings import BINARIES, HOME, MAIL_FROM, ROOT, STACK_NAME, Settings, client

ARTIFACTS = f"{STACK_NAME}-artifacts"


def deploy(settings: Settings) -> dict[str, str]:
    """Creates or updates the stack and returns what `stack.json` says of it."""
    source = template.load(ROOT / "template.yaml")
    code = _upload(settings, template.functions(source))
    expanded = template.for_emulator(source, code)
    outputs = _apply(settings, expanded)
    _finish(settings, expanded, outputs["TableName"])
    return {
        "api_url": settings.api_url,
        "page_url": settings.api_url,
        "aws_endpoint_url": settings.endpoint,
        "region": _region(settings),
        "upload_bucket": outputs["UploadBucketName"],
        "report_bucket": outputs["ReportBucketName"],
        "table": outputs["TableName"],
        "inbox_url": settings.inbox_url,
    }


def _region(settings: Settings) -> str:
    return client("s3", settings.endpoint).meta.region_name


def _upload(settings: Settings, functions: dict[str, str]) -> dict[str, str]:
    """Uploads the binaries that changed; answers the archive of every function."""
    missing = sorted(b for b in functions.values() if not (BINARIES / b).is_file())
    if missing:
        raise SystemExit(f"not built: {', '.join(missing)}; run `make build`")
    s3 = client("s3", settings.endpoint)
    buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    if ARTIFACTS not in buckets:
        s3.create_bucket(Bucket=ARTIFACTS)
    there = {o["Key"] for o in s3.list_objects_v2(Bucket=ARTIFACTS).get("Contents", [])}

    def upload(binary: str) -> str:
        path = BINARIES / binary
        key = f"{binary}/{hashlib.sha256(path.read_bytes()).hexdigest()}.zip"
        if key not in there:
            s3.put_object(Bucket=ARTIFACTS, Key=key, Body=_archive(path))
        return key

    with ThreadPoolExecutor(4) as pool:
        keys = dict(zip(functions, pool.map(upload, functions.values()), strict=True))
    for key in there - set(keys.values()):
        s3.delete_object(Bucket=ARTIFACTS, Key=key)
    return {logical_id: f"s3://{ARTIFACTS}/{key}" for logical_id, key in keys.items()}


def _archive(binary: Path) -> bytes:
    """A Lambda archive: the binary, called `bootstrap`, without its debug information."""
    with tempfile.TemporaryDirectory() as folder:
        bootstrap = Path(folder) / "bootstrap"
        shutil.copy(binary, bootstrap)
        if strip := shutil.which("strip"):
            subprocess.run([strip, "--strip-debug", bootstrap], check=True)
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(entry, bootstrap.read_bytes())
        return buffer.getvalue()


def _apply(settings: Settings, expanded: template.Json) -> dict[str, str]:
    """Creates or updates the CloudFormation stack, waits, and returns its outputs."""
    from botocore.exceptions import ClientError, WaiterError

    cloudformation = client("cloudformation", settings.endpoint)
    s3 = client("s3", settings.endpoint)
    s3.put_object(Bucket=ARTIFACTS, Key="template.json", Body=json.dumps(expanded).encode())
    request = {
        "StackName": STACK_NAME,
        "TemplateURL": f"{settings.endpoint}/{ARTIFACTS}/template.json",
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {"PageBaseUrl": settings.api_url, "MailFrom": MAIL_FROM}.items()
        ],
    }
    if _exists(cloudformation):
        call, waiter = cloudformation.update_stack, "stack_update_complete"
    else:
        call, waiter = cloudformation.create_stack, "stack_create_complete"
    try:
        call(**request)
        cloudformation.get_waiter(waiter).wait(
            StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
    except WaiterError as error:
        raise SystemExit(
            f"the stack did not deploy: {_failures(cloudformation) or f'see {HOME}/emulator.log'}"
        ) from error
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}


def _exists(cloudformation: Any) -> bool:
    from botocore.exceptions import ClientError

    try:
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    except ClientError:
        return False
    if stack["StackStatus"] in ("ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_FAILED"):
        cloudformation.delete_stack(StackName=STACK_NAME)
        return False
    return stack["StackStatus"] != "DELETE_COMPLETE"


def _failures(cloudformation: Any) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    return "; ".join(
        f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', '')}"
        for e in events
        if e["ResourceStatus"].endswith("FAILED")
    )


def _finish(settings: Settings, expanded: template.Json, table: str) -> None:
    """What the emulator's CloudFormation leaves out, and what a user does once by hand on AWS."""
    from botocore.exceptions import ClientError

    ttl = expanded["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]
    client("dynamodb", settings.endpoint).update_time_to_live(TableName=table, TimeToLiveSpecification=ttl)
    try:
        client("sesv2", settings.endpoint).create_email_identity(EmailIdentity=MAIL_FROM)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AlreadyExistsException":
            raise
