"""Signs a caller in at the local stack's user pool and prints the token.

    python local/sign_in.py --role client_admin --client acme

The user is made when missing. The token is an ID token, valid for an hour.
"""

from __future__ import annotations

import argparse
import re
import secrets
from pathlib import Path

from settings import HOME, STACK_NAME, client, running_stack

ROLES = ("vendor_admin", "client_admin", "group_admin", "instructor", "service")


def token(stack: dict[str, str], role: str, client_id: str, groups: str = "") -> str:
    """A bearer token of someone with this role for this client (`*` for vendor staff).

    `groups` are group ids separated by commas.
    """
    from botocore.exceptions import ClientError

    endpoint = stack["aws_endpoint_url"]
    outputs = client("cloudformation", endpoint).describe_stacks(StackName=STACK_NAME)["Stacks"][0]["Outputs"]
    by_name = {output["OutputKey"]: output["OutputValue"] for output in outputs}
    pool = by_name["UserPoolId"]
    cognito = client("cognito-idp", endpoint)
    email = _address(role, client_id, groups)
    password = secrets.token_urlsafe(24)
    try:
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=email,
            TemporaryPassword=password,
            MessageAction="SUPPRESS",
            UserAttributes=[
                {"Name": name, "Value": value}
                for name, value in {
                    "email": email,
                    "email_verified": "true",
                    "custom:client": client_id,
                    "custom:role": role,
                    "custom:groups": groups,
                }.items()
                if value
            ],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "UsernameExistsException":
            raise
    cognito.admin_set_user_password(UserPoolId=pool, Username=email, Password=password, Permanent=True)
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=by_name["UserPoolClientId"],
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )
    return str(answer["AuthenticationResult"]["IdToken"])


def _address(role: str, client_id: str, groups: str) -> str:
    """One user for each combination, recognizable in an audit trail."""
    client_part = "vendor" if client_id == "*" else client_id
    groups_part = "".join(f"+{group}" for group in re.split(r"[,\s]+", groups) if group)
    return f"{role}{groups_part}@{client_part}.example"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Prints a token for the local stack.")
    parser.add_argument("--stack", type=Path, default=HOME / "stack.json")
    parser.add_argument("--role", required=True, choices=ROLES)
    parser.add_argument("--client", required=True)
    parser.add_argument("--groups", default="")
    arguments = parser.parse_args()
    if not arguments.client:
        parser.error("argument --client: the client's id, or '*' for vendor staff")
    stack = running_stack(arguments.stack)
    print(token(stack, arguments.role, arguments.client, arguments.groups))


if __name__ == "__main__":
    main()
