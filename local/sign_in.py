"""Signs a caller in at the local stack's user pool and prints the token.

    python local/sign_in.py --role client_admin --client acme

The user is made when missing. The token is an ID token, valid for an hour. Claims that do not fit
together, so that every call would be answered 403 or find nothing, are refused: exit status 2.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from pathlib import Path

from settings import HOME, STACK_NAME, client, running_stack

ROLES = ("vendor_admin", "client_admin", "group_admin", "instructor", "service")
#: Those confined to groups.
GROUP_ROLES = ("group_admin", "instructor")

#: Ids as `shared/domain/src/ids.rs` reads them.
CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,38}[a-z0-9]")
RESERVED = ("api", "v1", "i", "admin", "static", "assets", "scim", "health", "docs")
GROUP_ID = re.compile(r"grp_[0-7][0-9a-hjkmnp-tv-z]{25}")


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


def refusal(role: str, client_id: str, groups: str) -> str:
    """Why nobody has such claims, as `shared/http/src/caller.rs` reads them; empty when they fit."""
    if role == "vendor_admin":
        return "" if client_id == "*" else "vendor_admin acts for all clients: say CLIENT='*'."
    if role == "service" and client_id == "*":
        return ""
    if client_id in ("", "*"):
        or_all = ", or for all: CLIENT='*'" if role == "service" else ""
        return f"{role} acts for one client: say its id, such as CLIENT=acme{or_all}."
    if not CLIENT_ID.fullmatch(client_id) or client_id in RESERVED:
        return f"No client has the id {client_id!r}: say one that was made, such as CLIENT=acme."
    if role not in GROUP_ROLES:
        return ""
    named = _listed(groups)
    if not named:
        path = f"/v1/clients/{client_id}/groups"
        return f"{role} acts for groups: say their ids, GROUPS=grp_a,grp_b. GET {path} lists them."
    strange = [group for group in named if not GROUP_ID.fullmatch(group)]
    return f"No group has the id {strange[0]!r}: it is grp_ and 26 characters." if strange else ""


def _address(role: str, client_id: str, groups: str) -> str:
    """One user for each combination, recognizable in an audit trail."""
    client_part = "vendor" if client_id == "*" else client_id
    groups_part = "".join(f"+{group}" for group in _listed(groups))
    return f"{role}{groups_part}@{client_part}.example"


def _listed(groups: str) -> list[str]:
    return [group for group in re.split(r"[,\s]+", groups) if group]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Prints a token for the local stack.")
    parser.add_argument("--stack", type=Path, default=HOME / "stack.json")
    parser.add_argument("--role", required=True, choices=ROLES)
    parser.add_argument("--client", required=True)
    parser.add_argument("--groups", default="")
    arguments = parser.parse_args()
    if why := refusal(arguments.role, arguments.client, arguments.groups):
        print(why, file=sys.stderr)
        sys.exit(2)
    stack = running_stack(arguments.stack)
    print(token(stack, arguments.role, arguments.client, arguments.groups))


if __name__ == "__main__":
    main()
