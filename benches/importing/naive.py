"""An importer as it is written first: row by row, each by itself.

It reads the workbook with openpyxl, and for each row looks whether the learner is there, takes a seat from the contract
if one is left, and writes the learner. A crash between two of these calls loses or doubles a seat; that is what it is
compared for.
"""

from __future__ import annotations

import json
import sys
import time

import boto3
import openpyxl


def main(table_name: str, path: str, most: int) -> None:
    table = boto3.resource("dynamodb").Table(table_name)
    table.put_item(Item={"pk": "CONTRACT", "sk": "CONTRACT", "available": most, "used": 0})
    begun = time.monotonic()
    rows = 0
    sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).active
    for email, first_name, last_name in sheet.iter_rows(min_row=2, values_only=True):
        key = {"pk": f"L#{email}", "sk": "L"}
        if "Item" in table.get_item(Key=key, ConsistentRead=True):
            continue
        table.update_item(
            Key={"pk": "CONTRACT", "sk": "CONTRACT"},
            UpdateExpression="ADD available :less, used :more",
            ConditionExpression="available >= :more",
            ExpressionAttributeValues={":less": -1, ":more": 1},
        )
        table.put_item(Item={**key, "email": email, "first_name": first_name, "last_name": last_name})
        rows += 1
        if rows == most:
            break
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
