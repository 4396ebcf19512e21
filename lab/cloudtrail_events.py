"""One management call as CloudTrail writes it down: who, from where, what, with secrets left out."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.utils import get_service_model
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

READING = re.compile(r"(Describe|Get|List|Head|Lookup|BatchGet|Filter|Search|Simulate|Test|Scan|Query|Select|Assume)")
# Data events: a trail may log them, the event history never does.
DATA_EVENTS = frozenset({"PutItem", "UpdateItem", "DeleteItem", "PutLogEvents", "PutMetricData", "PutObject"})
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
SECRET_NAMES = re.compile(r"password|secretstring|secretbinary|userdata", re.IGNORECASE)
RESOURCES = {
    "AutoScalingGroupName": "AWS::AutoScaling::AutoScalingGroup",
    "DBInstanceIdentifier": "AWS::RDS::DBInstance",
    "DBSnapshotIdentifier": "AWS::RDS::DBSnapshot",
    "GroupId": "AWS::EC2::SecurityGroup",
    "InstanceId": "AWS::EC2::Instance",
    "LaunchTemplateId": "AWS::EC2::LaunchTemplate",
    "LoadBalancerArn": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "TargetGroupArn": "AWS::ElasticLoadBalancingV2::TargetGroup",
    "SecretId": "AWS::SecretsManager::Secret",
}


def is_recorded(responses: Any) -> bool:
    name = str(responses._get_action() or "")
    return bool(name) and not READING.match(name) and name not in DATA_EVENTS and bool(_operation(responses, name))


def describe_call(responses: Any, at: datetime, event_id: str) -> dict[str, Any]:
    name = str(responses._get_action())
    operation = _operation(responses, name)
    parameters = _parameters(responses, operation)
    who = _identity(responses)
    source = f"{operation.service_model.endpoint_prefix}.amazonaws.com"
    record = {
        "eventVersion": "1.11",
        "userIdentity": who,
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": source,
        "eventName": name,
        "awsRegion": responses.region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": responses.headers.get("User-Agent", ""),
        "requestParameters": _as_written(parameters, operation.input_shape),
        "readOnly": False,
        "eventID": event_id,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        "recipientAccountId": responses.current_account,
    }
    return {
        "EventId": event_id,
        "EventName": name,
        "ReadOnly": "false",
        "AccessKeyId": who["accessKeyId"],
        "EventTime": at.replace(microsecond=0),
        "EventSource": source,
        "Username": who.get("userName") or who["principalId"].partition(":")[2],
        "Resources": [
            {"ResourceType": kind, "ResourceName": parameters[key]}
            for key, kind in RESOURCES.items()
            if isinstance(parameters.get(key), str)
        ],
        "CloudTrailEvent": json.dumps(record),
    }


def _operation(responses: Any, name: str) -> Any:
    try:
        return get_service_model(responses.boto3_service_name).operation_model(name)
    except (OperationNotFoundError, UnknownServiceError):
        return None


def _parameters(responses: Any, operation: Any) -> dict[str, Any]:
    parser = PROTOCOL_PARSERS[operation.service_model.resolved_protocol](operation)
    request = {
        "method": responses.method,
        "values": {key: values[0] for key, values in responses.querystring.items()},
        "headers": responses.headers,
        "body": responses.raw_body,
        "url_path": responses.path,
        "url_params": responses.uri_match,
    }
    try:
        return dict(parser.parse(request))
    except (RequestParserError, KeyError, ValueError):
        return {}


def _as_written(value: Any, shape: Any) -> Any:
    """Names begin in lower case, also DBInstanceIdentifier; what is secret is not written down."""
    if isinstance(value, dict) and shape is not None and shape.type_name == "structure":
        return {
            key[:1].lower() + key[1:]: HIDDEN
            if SECRET_NAMES.search(key) or getattr(shape.members.get(key), "metadata", {}).get("sensitive")
            else _as_written(one, shape.members.get(key))
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_as_written(one, getattr(shape, "member", None)) for one in value]
    if isinstance(value, dict):
        return {str(key): _as_written(one, None) for key, one in value.items()}
    if isinstance(value, datetime):
        return f"{value.replace(tzinfo=UTC):%b %d, %Y %I:%M:%S %p}"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _identity(responses: Any) -> dict[str, Any]:
    """Whose access key it is: an IAM user's or a role session's; any other is taken for a user of that name."""
    key, account = responses.access_key, responses.current_account
    for session in sts_backends[account]["aws"].assumed_roles:
        if session.access_key_id == key:
            role = session.role_arn.rsplit("/", 1)[-1]
            return {
                "type": "AssumedRole",
                "principalId": f"{role}:{session.session_name}",
                "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session.session_name}",
                "accountId": account,
                "accessKeyId": key,
            }
    users = iam_backends[account]["aws"].users.values()
    name = next((u.name for u in users if any(one.access_key_id == key for one in u.access_keys)), key)
    return {
        "type": "IAMUser",
        "principalId": name,
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": key,
        "userName": name,
    }
