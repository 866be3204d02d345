import Architecture

extension JobSpecification {
  /// Whether the job names a pretrained transformer.
  var isTransformer: Bool { written[JobFields.huggingFace.path] != nil }

  func resolvedModel(_ places: JobPlaces, task: LearningTask) throws(JobSpecError) -> JobModel {
    let mlp = [JobFields.hidden.path, JobFields.activation.path].first { written[$0] != nil }
    if isTransformer {
      if let mlp { throw contradiction(mlp, "`model.mlp` and `model.huggingface` are two models; keep one") }
      return .huggingFace(try resolvedTransformer(places, task: task))
    }
    for path in Self.transformerKeys where written[path] != nil {
      throw contradiction(path, "`\(path)` needs `model.huggingface`; delete it")
    }
    guard mlp != nil else {
      throw JobSpecError(
        .missingKey(
          "model",
          meaning:
            "which model to train, such as mlp: {hidden: [512, 128], activation: relu}, or huggingface: DIRECTORY."),
        at: SourceLocation(source: source))
    }
    return .mlp(hidden: try required(JobFields.hidden), activation: try value(JobFields.activation))
  }

  /// Keys without a meaning where a row is a sample.
  private static let transformerKeys = [
    JobFields.pool.path, JobFields.classes.path, JobFields.trainedPart.path, JobFields.rank.path,
    JobFields.alpha.path, JobFields.targets.path, JobFields.shuffleTokens.path, JobFields.baseModel.path,
    JobFields.recompute.path,
  ]

  private func resolvedTransformer(
    _ places: JobPlaces, task: LearningTask
  ) throws(JobSpecError) -> HuggingFaceModel {
    let path = JobFields.huggingFace.path
    let location = location(of: path)
    var directory = places.absolute(try required(JobFields.huggingFace), at: location)
    if places.mustExist {
      directory = try JobPath.existingDirectory(directory, holding: "config.json", key: path, at: location)
    }
    if self[JobFields.padding] ?? 0 > 0 {
      throw contradiction(
        JobFields.padding.path,
        "`masking.padding` is for `model.mlp`: the vectors of a transformer's tokens keep "
          + "their width; delete it")
    }
    if task.isPerToken {
      try refuse(
        JobFields.pool.path, "`task: \(task.rawValue)` has an output for every token; delete `model.head.pool`")
    }
    if task == .causalLanguageModel {
      try refuse(
        JobFields.classes.path,
        "the classes of `task: causal-lm` are the model's vocabulary; delete "
          + "`model.head.classes`")
    }
    return HuggingFaceModel(
      directory: directory, pool: self[JobFields.pool], classes: self[JobFields.classes],
      train: try resolvedTrainedPart())
  }

  private func resolvedTrainedPart() throws(JobSpecError) -> TrainedPart {
    let kind = try value(JobFields.trainedPart)
    if kind == .lora {
      return .lora(
        LowRankAdaptation(
          rank: try value(JobFields.rank), alpha: try value(JobFields.alpha),
          targets: Set(try required(JobFields.targets)).sorted()))
    }
    // Adapters' settings may stay in a job that trains without them: `model.train` alone says which is meant.
    return kind == .head ? .head : .all
  }
}
