"""What a job is, where its things are kept and for how long, and when AWS ends it."""

from __future__ import annotations

import base64
import email
import email.message
import json
import subprocess
import tomllib
from typing import Any, cast

from tests.terraform.conftest import PARAMETER, SECRET
from tests.terraform.offline import ROOT, Offline, Resources, applied, variables

OURS = ("mcp-cloud-agents", "mcp-cloud-agents")


def properties(resources: Resources, key: str) -> dict[str, Any]:
    definitions = resources.of("aws_batch_job_definition")
    return json.loads(definitions[f'this["{key}"]']["container_properties"])


def test_a_fargate_job_is_the_worker_without_privileges(made_default: Resources) -> None:
    arn = "arn:aws:iam::123456789012:role/mcp-cloud-agents"
    paths = ["/scratch"]
    mounts = [
        {"sourceVolume": f"writable-{index}", "containerPath": path, "readOnly": False}
        for index, path in enumerate(paths)
    ]
    found = properties(made_default, "x86_64")
    assert found.pop("image").endswith(":0.1.0")
    assert found == {
        "jobRoleArn": f"{arn}-job-us-east-1",
        "executionRoleArn": f"{arn}-execution-us-east-1",
        "privileged": False,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True},
        "volumes": [{"name": mount["sourceVolume"]} for mount in mounts],
        "mountPoints": mounts,
        "environment": [{"name": "MCP_CLOUD_AGENTS_BACKEND", "value": "aws_batch"}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "/mcp-cloud-agents/jobs",
                "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "job",
            },
        },
        "resourceRequirements": [
            {"type": "VCPU", "value": "1"},
            {"type": "MEMORY", "value": "2048"},
        ],
        "runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"},
        "networkConfiguration": {"assignPublicIp": "ENABLED"},
        "fargatePlatformConfiguration": {"platformVersion": "1.4.0"},
    }


def test_keys_of_models_come_by_reference(made_with_everything: Resources) -> None:
    for key in ("x86_64", "ec2"):
        assert properties(made_with_everything, key)["secrets"] == [
            {"name": "MODEL_KEY", "valueFrom": f"{SECRET}:anthropic::"},
            {"name": "OTHER_KEY", "valueFrom": PARAMETER},
            {"name": "WHOLE", "valueFrom": SECRET},
        ]


def test_with_models_of_bedrock_a_job_is_told_its_region(made_with_everything: Resources) -> None:
    region = {"name": "AWS_REGION", "value": "us-east-1"}
    for key in ("x86_64", "ec2"):
        assert region in properties(made_with_everything, key)["environment"]


def test_arm64_differs_in_its_architecture_only(made_default: Resources) -> None:
    x86, arm = (properties(made_default, key) for key in ("x86_64", "arm64"))
    assert arm.pop("runtimePlatform")["cpuArchitecture"] == "ARM64"
    del x86["runtimePlatform"]
    assert arm == x86


def test_in_private_no_task_has_a_public_address(made_private: Resources) -> None:
    network = [properties(made_private, key)["networkConfiguration"] for key in ("x86_64", "arm64")]
    assert network == [{"assignPublicIp": "DISABLED"}] * 2


def test_instances_run_the_same_container_without_what_fargate_alone_takes(
    made_with_everything: Resources,
) -> None:
    fargate, ec2, gpu = (properties(made_with_everything, key) for key in ("x86_64", "ec2", "gpu"))
    assert gpu["resourceRequirements"] == [
        *ec2["resourceRequirements"],
        {"type": "GPU", "value": "1"},
    ]
    of_fargate = {
        *("runtimePlatform", "networkConfiguration"),
        *("fargatePlatformConfiguration", "ephemeralStorage"),
    }
    assert fargate["ephemeralStorage"] == {"sizeInGiB": 50}
    assert ec2 == {key: value for key, value in fargate.items() if key not in of_fargate}


def test_each_definition_names_its_platform(made_with_everything: Resources) -> None:
    definitions = made_with_everything.of("aws_batch_job_definition")
    assert {key: one["platform_capabilities"] for key, one in definitions.items()} == {
        'this["x86_64"]': ["FARGATE"],
        'this["arm64"]': ["FARGATE"],
        'this["ec2"]': ["EC2"],
        'this["gpu"]': ["EC2"],
    }


def test_only_a_lost_host_is_tried_again_and_only_once(economy: Resources) -> None:
    for one in economy.of("aws_batch_job_definition").values():
        (retry,) = one["retry_strategy"]
        rules = [
            (rule["action"], rule["on_status_reason"] or rule["on_reason"])
            for rule in retry["evaluate_on_exit"]
        ]
        assert retry["attempts"] == 2
        assert rules == [("RETRY", "Host EC2*"), ("RETRY", "Your Spot Task*"), ("EXIT", "*")]
        assert one["timeout"] == [{"attempt_duration_seconds": 3600}]


def test_a_job_that_finds_no_capacity_does_not_wait_for_ever(economy: Resources) -> None:
    for queue in economy.of("aws_batch_job_queue").values():
        actions = queue["job_state_time_limit_action"]
        assert {one["reason"]: (one["action"], one["max_time_seconds"]) for one in actions} == {
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": ("CANCEL", 3600),
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": ("CANCEL", 600),
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": ("CANCEL", 600),
        }


def test_each_queue_has_one_price(made_default: Resources) -> None:
    arns = {
        one["arn"]: one["compute_resources"][0]["type"]
        for one in made_default.of("aws_batch_compute_environment").values()
    }
    queues = made_default.of("aws_batch_job_queue")
    assert {
        key: [arns[order["compute_environment"]] for order in queue["compute_environment_order"]]
        for key, queue in queues.items()
    } == {'this["fargate"]': ["FARGATE"], 'this["fargate_spot"]': ["FARGATE_SPOT"]}


def test_what_is_kept_goes_by_itself(economy: Resources) -> None:
    rules = economy.one("aws_s3_bucket_lifecycle_configuration")["rule"]
    expire = {rule["filter"][0]["prefix"]: rule["expiration"] for rule in rules}
    assert {prefix: [one["days"] for one in days] for prefix, days in expire.items()} == {
        "jobs/": [30],
        "packs/": [30],
        "environments/": [14],
        "": [],
    }
    (leftovers,) = [rule for rule in rules if rule["id"] == "leftovers"]
    assert leftovers["abort_incomplete_multipart_upload"] == [{"days_after_initiation": 1}]
    assert leftovers["noncurrent_version_expiration"][0]["noncurrent_days"] == 7
    assert economy.one("aws_cloudwatch_log_group")["retention_in_days"] == 14


def test_the_bucket_is_closed_to_the_public_and_encrypted(economy: Resources) -> None:
    block = economy.one("aws_s3_bucket_public_access_block")
    kinds = "block_public_acls", "block_public_policy", "ignore_public_acls"
    assert [block[kind] for kind in (*kinds, "restrict_public_buckets")] == [True] * 4
    (rule,) = economy.one("aws_s3_bucket_server_side_encryption_configuration")["rule"]
    assert rule["apply_server_side_encryption_by_default"][0]["sse_algorithm"] == "AES256"
    assert economy.one("aws_s3_bucket")["force_destroy"] is False


def test_every_resource_that_takes_tags_carries_ours(
    economy: Resources, made_with_everything: Resources
) -> None:
    bare = [
        address
        for resources in (economy, made_with_everything)
        for address, values in resources.values.items()
        if "tags" in values and OURS not in cast("dict[str, str]", values["tags"] or {}).items()
    ]
    assert bare == []
    teams = {one["tags"]["team"] for one in made_with_everything.of("aws_batch_job_queue").values()}
    assert teams == {"tools"}


def test_the_default_tag_of_the_image_is_the_projects_version(economy: Resources) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    default = (ROOT / "terraform/variables.tf").read_text(encoding="utf-8")
    declared = default.partition('variable "image_tag"')[2].partition("default     = ")[2]
    assert declared.startswith(f'"{project["version"]}"'), "server and worker are of one version"
    assert economy.one("aws_ecr_repository")["image_tag_mutability"] == "IMMUTABLE"


def test_an_image_of_another_registry_needs_no_permission_of_ecr(offline: Offline) -> None:
    image = f"ghcr.io/team/worker@sha256:{'0' * 64}"
    with offline.opened() as terraform:
        terraform.apply(*variables({"image": image}))
        assert terraform.outputs()["image"] == image
        resources = applied(terraform)
    assert "aws_ecr_repository" not in resources.counts()
    policies = [one["policy"] for one in resources.of("aws_iam_role_policy").values()]
    assert [text for text in policies if "ecr:" in text] == []


def test_commands_on_an_instance_do_not_reach_its_credentials(
    made_with_everything: Resources,
) -> None:
    template = made_with_everything.one("aws_launch_template")
    (options,) = template["metadata_options"]
    assert (options["http_tokens"], options["http_put_response_hop_limit"]) == ("required", 1)
    (disk,) = template["block_device_mappings"]
    assert disk["ebs"][0]["encrypted"] == "true"


def test_the_start_script_of_an_instance_is_one_that_bash_takes(
    made_with_everything: Resources,
) -> None:
    encoded = made_with_everything.one("aws_launch_template")["user_data"]
    message = email.message_from_bytes(base64.b64decode(encoded))
    (part,) = cast("list[email.message.Message]", message.get_payload())
    assert part.get_content_type() == "text/cloud-boothook"
    script = str(part.get_payload())
    assert script.startswith("#!/bin/bash\n")
    assert '-I OUTPUT "${@:2}"' in script
    assert 'iptables -d "$address" -m owner ! --uid-owner 0 -j DROP' in script
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_budget_tells_people_before_it_is_spent(made_with_everything: Resources) -> None:
    budget = made_with_everything.one("aws_budgets_budget")
    assert budget["cost_filter"] == [
        {"name": "TagKeyValue", "values": ["user:mcp-cloud-agents$mcp-cloud-agents"]}
    ]
    assert {(one["notification_type"], one["threshold"]) for one in budget["notification"]} == {
        ("ACTUAL", 50),
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    }
    mails = [one["subscriber_email_addresses"] for one in budget["notification"]]
    assert mails == [["a@example.org"]] * 4
