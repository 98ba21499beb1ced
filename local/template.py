"""Turns `template.yaml` into what the local emulator understands, without changing what it says.

The SAM transform is Amazon's own (`aws-sam-translator`). After it, three things differ from AWS:

- the emulator ignores an HTTP API's OpenAPI `Body`, so its paths become routes, integrations and
  authorizers, which is what API Gateway makes of them;
- the bucket policies demand TLS, and a loopback address has none; and
- the emulator has no alarms on sums of metrics, and no condition keys of SES.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

from settings import API_ID, REGION

Json = dict[str, Any]


def load(path: Path) -> Json:
    """Reads the template, with CloudFormation's short forms (`!Ref`) in their long ones."""
    from samtranslator.yaml_helper import yaml_parse

    return yaml_parse(path.read_text(encoding="utf-8"))


def functions(template: Json) -> dict[str, str]:
    """Logical id of each function and the binary it runs."""
    return {
        logical_id: resource["Metadata"]["BuildProperties"]["Binary"]
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def for_emulator(template: Json, code: dict[str, str]) -> Json:
    """Expands the template; `code` is the S3 URI of each function's archive, by logical id."""
    template = copy.deepcopy(template)
    for logical_id, uri in code.items():
        template["Resources"][logical_id]["Properties"]["CodeUri"] = uri
    expanded = _expand(template)
    resources = expanded["Resources"]
    for logical_id, resource in list(resources.items()):
        match resource["Type"]:
            case "AWS::ApiGatewayV2::Api":
                resources |= _explicit_routes(logical_id, resource)
            case "AWS::S3::BucketPolicy" if _only_demands_tls(resource):
                del resources[logical_id]
            case "AWS::CloudWatch::Alarm" if "Metrics" in resource["Properties"]:
                del resources[logical_id]
            case "AWS::IAM::Role":
                for policy in resource["Properties"]["Policies"]:
                    _without_ses_conditions(policy["PolicyDocument"]["Statement"])
    return expanded


def _expand(template: Json) -> Json:
    from samtranslator.translator.transform import transform

    class NoManagedPolicies:
        def load(self) -> Json:
            return {}

    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    return transform(template, {}, NoManagedPolicies())


def _only_demands_tls(resource: Json) -> bool:
    statements = resource["Properties"]["PolicyDocument"]["Statement"]
    return all("aws:SecureTransport" in str(s.get("Condition")) for s in statements)


def _without_ses_conditions(statements: list[Json]) -> None:
    for statement in statements:
        if "ses:" in str(statement.get("Condition")):
            del statement["Condition"]


def _explicit_routes(api: str, resource: Json) -> Json:
    """Replaces an API's OpenAPI body by resources of their own, which it returns."""
    properties = resource["Properties"]
    body = properties.pop("Body")
    properties.pop("FailOnWarnings", None)
    properties["Name"] = body["info"]["title"]
    properties["ProtocolType"] = "HTTP"
    properties["Tags"] = {"ms-custom-id": API_ID}
    made: Json = {}

    def make(name: str, kind: str, **props: Any) -> Json:
        made[name] = {
            "Type": f"AWS::ApiGatewayV2::{kind}",
            "Properties": {"ApiId": {"Ref": api}, **props},
        }
        return {"Ref": name}

    authorizers: Json = {}
    for name, scheme in body["components"].get("securitySchemes", {}).items():
        authorizer = scheme["x-amazon-apigateway-authorizer"]
        jwt = authorizer["jwtConfiguration"]
        authorizers[name] = make(
            f"{api}Authorizer{name}",
            "Authorizer",
            Name=name,
            AuthorizerType="JWT",
            IdentitySource=[authorizer["identitySource"]],
            JwtConfiguration={"Issuer": jwt["issuer"], "Audience": jwt["audience"]},
        )

    integrations = {
        f"#/components/x-amazon-apigateway-integrations/{name}": make(
            f"{api}Integration{name.capitalize()}",
            "Integration",
            IntegrationType="AWS_PROXY",
            IntegrationUri=integration["uri"],
            PayloadFormatVersion=integration["payloadFormatVersion"],
        )
        for name, integration in body["components"]["x-amazon-apigateway-integrations"].items()
    }

    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            target = integrations[operation["x-amazon-apigateway-integration"]["$ref"]]
            route: Json = {
                "RouteKey": f"{verb} {path}",
                "Target": {"Fn::Join": ["/", ["integrations", target]]},
            }
            for scheme in (name for entry in operation.get("security", []) for name in entry):
                route |= {"AuthorizationType": "JWT", "AuthorizerId": authorizers[scheme]}
            make(f"{api}Route{len(made)}", "Route", **route)
    return made
