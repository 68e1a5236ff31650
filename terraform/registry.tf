locals {
  # Host, region and repository of an image in ECR, of this deployment or of somebody else's.
  ecr_parts = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.[a-z.]+/([^:@]+)", coalesce(var.image, "-")), null)

  image = var.image != null ? var.image : "${aws_ecr_repository.worker[0].repository_url}:${var.image_tag}"
  repository_arn = (
    var.image == null ? aws_ecr_repository.worker[0].arn :
    local.ecr_parts == null ? null :
    "arn:${local.partition}:ecr:${local.ecr_parts[1]}:${local.ecr_parts[0]}:repository/${local.ecr_parts[2]}"
  )
  from_ecr = var.image == null || local.ecr_parts != null # known before apply, as the ARN is not
}

resource "aws_ecr_repository" "worker" {
  count = var.image == null ? 1 : 0

  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.force_destroy
  tags                 = local.tags

  image_scanning_configuration {
    scan_on_push = true
  }
}

# $0.10 a GB and month for what is stored.
resource "aws_ecr_lifecycle_policy" "worker" {
  count = var.image == null ? 1 : 0

  repository = aws_ecr_repository.worker[0].name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Images that lost their tag"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 1 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "All but the newest ten"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
        action       = { type = "expire" }
      },
    ]
  })
}
