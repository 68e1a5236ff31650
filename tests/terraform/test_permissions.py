"""Who may do what: each policy compared whole, so that whatever is added shows here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mcp_cloud_agents.backends import aws_batch
from mcp_cloud_agents.backends.aws_batch.request import JOB_TAG
from tests.terraform.conftest import (
    INFERENCE_PROFILE,
    KMS_KEY,
    MODEL,
    PARAMETER,
    SECRET,
    TOKEN,
)
from tests.terraform.offline import Resources
from tests.terraform.policies import ACCOUNT, BATCH, BUCKET, LOGS, allow, policy_texts, statements

BACKEND = Path(aws_batch.__file__ or "").parent
JOBS = f"{BATCH}:job/*"
QUEUES = [f"{BATCH}:job-queue/mcp-cloud-agents-{name}" for name in ("fargate", "fargate_spot")]
OBJECTS = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mcp-cloud-agents"


def policy(resources: Resources, address: str) -> dict[str, dict[str, Any]]:
    return statements(policy_texts(resources)[address])


def test_a_job_reaches_three_folders_of_one_bucket_and_nothing_else(
    made_default: Resources,
) -> None:
    assert policy(made_default, "aws_iam_role_policy.job") == {
        "ReadAndWrite": allow(
            OBJECTS, [f"{BUCKET}/{folder}/*" for folder in ("jobs", "packs", "environments")]
        ),
        "TellMissingFromRefused": allow(["s3:ListBucket"], [BUCKET]),
    }


def test_the_execution_role_pulls_one_image_and_writes_one_log(made_default: Resources) -> None:
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    assert policy(made_default, "aws_iam_role_policy.execution") == {
        "Log": allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{LOGS}:log-stream:*"]),
        "LogInToRegistry": allow(["ecr:GetAuthorizationToken"], ["*"]),
        "Pull": allow(pull, [REPOSITORY]),
    }


def test_the_execution_role_alone_reads_the_secrets_and_no_others(
    made_default: Resources, made_with_everything: Resources
) -> None:
    assert policy(made_with_everything, "aws_iam_role_policy.secrets[0]") == {
        "ReadSecrets": allow(["secretsmanager:GetSecretValue"], [SECRET]),
        "ReadParameters": allow(["ssm:GetParameters"], [PARAMETER]),
    }
    role = made_with_everything.of("aws_iam_role_policy")["secrets[0]"]["role"]
    assert role == made_with_everything.of("aws_iam_role")["execution"]["id"]
    assert readers_of_secrets(made_with_everything) == {
        "aws_iam_role_policy.secrets[0]",
        "aws_iam_role_policy.readable_secrets[0]",
    }
    assert readers_of_secrets(made_default) == set()
    assert "aws_iam_role_policy.secrets[0]" not in policy_texts(made_default)


def readers_of_secrets(made: Resources) -> set[str]:
    return {
        address
        for address, text in policy_texts(made).items()
        if "secretsmanager:" in text or "ssm:" in text
    }


def test_the_job_role_reads_the_named_secrets_and_decrypts_for_these_services(
    made_default: Resources, made_with_everything: Resources
) -> None:
    address = "aws_iam_role_policy.readable_secrets[0]"
    via = [f"{service}.us-east-1.amazonaws.com" for service in ("ssm", "secretsmanager")]
    assert policy(made_with_everything, address) == {
        "ReadSecrets": allow(["secretsmanager:GetSecretValue"], [SECRET]),
        "ReadParameters": allow(["ssm:GetParameter"], [TOKEN]),
        "DecryptSecrets": {
            **allow(["kms:Decrypt"], [KMS_KEY]),
            "Condition": {"StringEquals": {"kms:ViaService": via}},
        },
    }
    role = made_with_everything.of("aws_iam_role_policy")["readable_secrets[0]"]["role"]
    assert role == made_with_everything.of("aws_iam_role")["job"]["id"]
    assert address not in policy_texts(made_default)


def test_the_job_role_alone_asks_the_models_of_bedrock_that_were_named(
    made_default: Resources, made_with_everything: Resources
) -> None:
    ask = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    address = "aws_iam_role_policy.bedrock[0]"
    assert policy(made_with_everything, address) == {
        "AskModels": allow(ask, [MODEL, INFERENCE_PROFILE])
    }
    role = made_with_everything.of("aws_iam_role_policy")["bedrock[0]"]["role"]
    assert role == made_with_everything.of("aws_iam_role")["job"]["id"]
    assert about_bedrock(made_with_everything) == {
        address,
        'aws_vpc_endpoint.interface["bedrock-runtime"]',
    }
    assert about_bedrock(made_default) == set()


def about_bedrock(resources: Resources) -> set[str]:
    """Addresses of the policies that allow something there."""
    return {address for address, text in policy_texts(resources).items() if "bedrock:" in text}


def test_a_submitter_submits_follows_and_ends_jobs_here(made_default: Resources) -> None:
    definitions = [
        f"{BATCH}:job-definition/mcp-cloud-agents-{name}{revision}"
        for name in ("x86_64", "arm64")
        for revision in ("", ":*")
    ]
    (queue,) = made_default.of("aws_sqs_queue").values()
    look = ["ComputeEnvironments", "JobDefinitions", "JobQueues", "Jobs"]
    assert policy(made_default, "aws_iam_policy.submitter") == {
        "Submit": allow(["batch:SubmitJob"], [*QUEUES, *definitions, JOBS]),
        "TagWhatIsSubmitted": allow(["batch:TagResource"], [JOBS]),
        "End": allow(["batch:TerminateJob"], [JOBS], Null={f"aws:ResourceTag/{JOB_TAG}": "false"}),
        "SeeTheLine": allow(["batch:GetJobQueueSnapshot"], QUEUES),
        "Look": allow(
            [
                *(f"batch:Describe{what}" for what in look),
                *("batch:ListJobs", "logs:DescribeLogGroups", "servicequotas:GetServiceQuota"),
            ],
            ["*"],
        ),
        "ReadLogs": allow(["logs:GetLogEvents"], [f"{LOGS}:log-stream:*"]),
        "ReadAndWrite": allow(OBJECTS, [f"{BUCKET}/jobs/*", f"{BUCKET}/packs/*"]),
        "SeeTheBucket": allow(["s3:ListBucket"], [BUCKET]),
        "SeeTheImage": allow(["ecr:DescribeImages"], [REPOSITORY]),
        "WaitForEvents": allow(
            [f"sqs:{verb}Message" for verb in ("Receive", "Delete")]
            + ["sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"],
            [queue["arn"]],
        ),
    }


def test_a_submitter_may_nothing_that_the_backend_never_does(made_default: Resources) -> None:
    source = "".join(path.read_text() for path in BACKEND.glob("*.py"))
    allowed = {
        action
        for one in policy(made_default, "aws_iam_policy.submitter").values()
        for action in one["Action"]
        if not action.startswith("s3:")  # the store's, which has a test of its own
    }
    calls = {
        action: re.sub(r"(?<!^)(?=[A-Z])", "_", action.partition(":")[2]) for action in allowed
    }
    never = {action for action, call in calls.items() if f'"{call.lower()}' not in source}
    assert never == {"batch:SubmitJob", "batch:TagResource"}  # .submit_job( with tags


def test_a_submitter_policy_fits_into_a_managed_policy(made_with_everything: Resources) -> None:
    text = policy_texts(made_with_everything)["aws_iam_policy.submitter"]
    assert len("".join(text.split())) < 6144


def test_a_submitter_may_be_let_end_every_job_of_the_account(
    made_with_everything: Resources,
) -> None:
    end = policy(made_with_everything, "aws_iam_policy.submitter")["End"]
    assert end == allow(["batch:TerminateJob"], [JOBS])


def test_only_tasks_of_this_account_take_the_roles(made_default: Resources) -> None:
    trust = {
        json.dumps(json.loads(role["assume_role_policy"])["Statement"])
        for role in made_default.of("aws_iam_role").values()
    }
    assert [json.loads(one) for one in trust] == [
        [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            }
        ]
    ]


def test_every_role_has_the_boundary_that_was_given(made_with_everything: Resources) -> None:
    roles = made_with_everything.of("aws_iam_role")
    assert set(roles) == {"job", "execution", "instance[0]"}
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    assert {role["permissions_boundary"] for role in roles.values()} == {boundary}


def test_an_instance_joins_its_cluster_and_cannot_make_one(
    made_with_everything: Resources,
) -> None:
    instance = policy(made_with_everything, "aws_iam_role_policy.instance[0]")
    actions = {action for one in instance.values() for action in one["Action"]}
    assert "ecs:CreateCluster" not in actions
    assert not any("*" in action for action in actions)


def test_the_bucket_takes_tls_only(made_default: Resources) -> None:
    assert policy(made_default, "aws_s3_bucket_policy.this") == {
        "TlsOnly": {
            "Effect": "Deny",
            "Action": ["s3:*"],
            "Resource": [BUCKET, f"{BUCKET}/*"],
            "Principal": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    }


def test_write_once_refuses_to_overwrite_what_others_build_on(
    made_with_everything: Resources,
) -> None:
    once = policy(made_with_everything, "aws_s3_bucket_policy.this")["WriteOnce"]
    assert once == {
        "Effect": "Deny",
        "Action": ["s3:PutObject"],
        "Resource": [
            f"{BUCKET}/environments/*",
            f"{BUCKET}/jobs/*/result.json",
            f"{BUCKET}/packs/*",
        ],
        "Principal": "*",
        "Condition": {
            "Null": {"s3:if-none-match": "true"},
            "Bool": {"s3:ObjectCreationOperation": "true"},
        },
    }


def test_only_our_rule_writes_events(made_default: Resources) -> None:
    (rule,) = made_default.of("aws_cloudwatch_event_rule").values()
    (queue,) = made_default.of("aws_sqs_queue").values()
    assert policy(made_default, "aws_sqs_queue_policy.events[0]") == {
        "FromTheRule": allow(["sqs:SendMessage"], [queue["arn"]])
        | {
            "Principal": {"Service": "events.amazonaws.com"},
            "Condition": {"ArnEquals": {"aws:SourceArn": rule["arn"]}},
        }
    }


def test_in_private_s3_serves_this_bucket_and_image_layers_only(made_private: Resources) -> None:
    layers = "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"
    assert policy(made_private, "aws_vpc_endpoint.s3") == {
        "OwnBucket": allow([*OBJECTS, "s3:ListBucket"], [BUCKET, f"{BUCKET}/*"])
        | {"Principal": "*"},
        "LayersOfImages": allow(["s3:GetObject"], [layers]) | {"Principal": "*"},
    }


def test_in_private_endpoints_serve_this_account_and_its_resources_only(
    made_private: Resources,
) -> None:
    served = {
        address: [(one["Resource"], one["Condition"]) for one in json.loads(text)["Statement"]]
        for address, text in policy_texts(made_private).items()
        if "aws_vpc_endpoint." in address and not address.endswith(".s3")
    }
    ours = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
    pull = [("*", ours), (REPOSITORY, ours)]
    assert served == {
        "aws_vpc_endpoint.dynamodb": [(f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/*", ours)],
        'aws_vpc_endpoint.interface["ecr.api"]': pull,
        'aws_vpc_endpoint.interface["ecr.dkr"]': pull,
        'aws_vpc_endpoint.interface["logs"]': [(f"{LOGS}:log-stream:*", ours)],
    }
