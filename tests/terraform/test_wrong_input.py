"""What a person may get wrong is refused before anything is made, with what to do instead."""

from __future__ import annotations

from typing import Any

import pytest

from tests.terraform.conftest import INFERENCE_PROFILE, MODEL, PARAMETER, SECRET
from tests.terraform.offline import Terraform, variables

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"profile": "cheap"}, "profile must be economy or private."),
    ({"name": "My Agents"}, "name must be 3 to 24 lower-case letters, digits and single hyphens"),
    ({"name": "a" * 25}, "name must be 3 to 24"),
    ({"name": "agents--two"}, "single hyphens"),
    ({"tags": {"mcp-cloud-agents": "mine"}}, "which the module sets"),
    ({"vpc_cidr": "10.40.0.0"}, "vpc_cidr must be an IPv4 network such as 10.40.0.0/16"),
    ({"vpc_cidr": "10.40.0.1/16"}, "no bits set behind the prefix"),
    ({"vpc_cidr": "fd00::/56"}, "vpc_cidr must be an IPv4 network"),
    ({"vpc_cidr": "10.40.0.0/24"}, "vpc_cidr must be between /16 and /22"),
    ({"vpc_cidr": "8.8.0.0/16"}, "vpc_cidr must lie in a private range"),
    ({"zones": 0}, "zones must be 1, 2, 3 or 4."),
    ({"zones": 1.5}, "zones must be 1, 2, 3 or 4."),
    ({"nat_gateway": True, "dns_allowlist": ["a.io"]}, "nat_gateway is of the private profile"),
    ({"nat_gateway": True, "profile": "private"}, "nat_gateway needs dns_allowlist"),
    (
        {"dns_allowlist": ["a.io"], "profile": "private"},
        "dns_allowlist has no effect in private without nat_gateway",
    ),
    ({"dns_allowlist": ["https://packages.example.com"]}, "no URL, port or address"),
    ({"dns_allowlist": ["packages.example.com:443"]}, "no URL, port or address"),
    ({"dns_allowlist": ["10.0.0.1"]}, "no URL, port or address"),
    ({"dns_allowlist": ["a.*.org"]}, "the star stands for all names below"),
    ({"egress_ports": [80]}, "hold 443"),
    ({"egress_ports": [443, 70000]}, "egress_ports must be port numbers"),
    ({"interface_endpoints": ["sts"]}, "interface_endpoints are of the private profile"),
    (
        {"interface_endpoints": ["com.amazonaws.us-east-1.sts"], "profile": "private"},
        "without com.amazonaws.<region>",
    ),
    ({"max_vcpus": 0}, "max_vcpus must be a whole number between 1 and 10000."),
    ({"gpu_instance_types": ["m7i.large"]}, "with a GPU, such as g6.xlarge"),
    ({"ec2_instance_types": []}, "at least one type or family"),
    ({"image": "python:3.11"}, "image must be registry/repository:tag"),
    ({"image": "ghcr.io/team/worker"}, "image must be registry/repository:tag"),
    (
        {"image": "ghcr.io/team/worker:1", "profile": "private"},
        "no other registry can be reached",
    ),
    ({"image_tag": "a b"}, "image_tag must be a tag"),
    ({"writable_paths": ["/"]}, "absolute paths below the root"),
    ({"writable_paths": ["/a/../etc"]}, "absolute paths below the root"),
    ({"ephemeral_storage_gib": 201}, "whole number between 20 and 200"),
    ({"job_timeout_s": 59}, "between 60 and 1209600"),
    ({"runnable_limit_s": 60}, "between 600 and 86400"),
    ({"jobs_retention_days": 0}, "1 or more"),
    ({"packs_retention_days": 1}, "a queued job still needs its tree"),
    ({"environments_retention_days": 0.5}, "1 or more"),
    ({"audit": {"mode": "none"}}, "audit.mode must be governance or compliance."),
    ({"audit": {"days": 0}}, "audit.days must be a whole number between 1 and 36500."),
    ({"audit": {"days": 1.5}}, "audit.days must be a whole number"),
    ({"log_retention_days": 10}, "one that CloudWatch knows"),
    ({"monthly_budget_usd": 0, "budget_emails": ["a@example.org"]}, "must be above 0"),
    ({"monthly_budget_usd": 20}, "monthly_budget_usd needs budget_emails"),
    ({"budget_emails": ["a@example.org"]}, "budget_emails needs monthly_budget_usd"),
    ({"budget_emails": ["nobody"], "monthly_budget_usd": 9}, "at most 10 mail addresses"),
    ({"budget_by_tag": True}, "budget_by_tag needs monthly_budget_usd"),
    ({"permissions_boundary_arn": "boundary"}, "must be the ARN of an IAM policy"),
    ({"secrets": {"MODEL_KEY": "sk-ant-1"}}, "Never the key itself"),
    ({"secrets": {"MODEL_KEY": SECRET[:-7]}}, "with the six characters at their end"),
    ({"secrets": {"MODEL_KEY": f"{PARAMETER}*"}}, "secrets must be whole ARNs"),
    ({"readable_secrets": ["token"]}, "Never a value"),
    ({"readable_secrets": [f"{PARAMETER}/*"]}, "readable_secrets must be whole ARNs"),
    ({"readable_secrets": [f"{SECRET}:key::"]}, "readable_secrets must be whole ARNs"),
    (
        {"readable_secrets": [SECRET], "profile": "private"},
        "readable_secrets cannot be reached in private",
    ),
    (
        {"readable_secrets": [SECRET], "readable_secrets_kms_keys": ["alias/mine"]},
        "whole ARNs of KMS keys",
    ),
    (
        {"readable_secrets_kms_keys": ["arn:aws:kms:us-east-1:123456789012:key/a-1"]},
        "needs readable_secrets",
    ),
    ({"secrets": {"MODEL-KEY": SECRET}}, "secrets are named as variables"),
    ({"secrets": {"JOB_SPEC": SECRET}}, "names that AWS, the system or the worker set"),
    ({"secrets": {"AWS_SECRET_ACCESS_KEY": SECRET}}, "names that AWS, the system or the worker"),
    (
        {
            "secrets": {"MODEL_KEY": PARAMETER},
            "profile": "private",
            "interface_endpoints": ["secretsmanager"],
        },
        "secrets cannot be reached in private",
    ),
    ({"bedrock_models": ["*"]}, "bedrock_models must be ARNs such as"),
    ({"bedrock_models": ["anthropic.claude-sonnet-5"]}, "bedrock_models must be ARNs such as"),
    ({"bedrock_models": ["arn:aws:bedrock:*::foundation-model/*"]}, "never with a star"),
    ({"bedrock_models": ["arn:aws:bedrock:*:*:*/anthropic.a"]}, "bedrock_models must be ARNs"),
    ({"bedrock_models": [MODEL, INFERENCE_PROFILE.replace("123456789012", "*")]}, "must be ARNs"),
    ({"bedrock_models": ["arn:aws:s3:::bucket/anthropic.a"]}, "bedrock_models must be ARNs"),
    ({"bedrock_models": [INFERENCE_PROFILE]}, "add the foundation models that they lead to"),
]
RIGHT: list[dict[str, Any]] = [
    {
        "bedrock_models": [
            "arn:aws:bedrock:::foundation-model/anthropic.claude-sonnet-5",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:0:200k",
            "arn:aws:bedrock:us-*::foundation-model/amazon.nova-*",
            "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/anthropic.claude-v2",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
        ]
    },
    {"vpc_cidr": "172.16.0.0/22", "zones": 3},
    {"dns_allowlist": ["*.files.example.com", "xn--bcher-kva.example"]},
    {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/a/b:1", "profile": "private"},
    {"image": "localhost.localdomain:5000/worker:dev"},
    {"egress_ports": [22, 80, 443]},
    {
        "secrets": {"MODEL_KEY": f"{SECRET}:key:AWSCURRENT:"},
        "profile": "private",
        "interface_endpoints": ["secretsmanager"],
    },
]


def case(given: dict[str, Any]) -> str:
    """The id of a case."""
    return " ".join(f"{name}={value}" for name, value in given.items())[:60]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[case(given) for given, _ in WRONG])
def test_wrong_input_is_refused_with_a_clear_message(
    module: Terraform, given: dict[str, Any], said: str
) -> None:
    done = module.run("plan", "-refresh=false", *variables(given), check=False)
    message = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "Invalid value for variable" in message
    assert said in message


@pytest.mark.parametrize("given", RIGHT, ids=case)
def test_unusual_input_that_is_right_is_taken(module: Terraform, given: dict[str, Any]) -> None:
    done = module.run("plan", "-refresh=false", *variables(given), check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_image_of_another_region_is_refused_where_it_cannot_be_reached(
    module: Terraform,
) -> None:
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/worker:1"
    given = variables({"image": image, "profile": "private"})
    done = module.run("plan", "-refresh=false", *given, check=False)
    message = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "copy it to ECR in us-east-1, or set nat_gateway = true" in message
