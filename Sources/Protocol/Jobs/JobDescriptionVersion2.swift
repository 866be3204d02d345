import Models

/// A job as wire version 2 described it, and as stores of that time hold it: with `model`, the name of a family and its sizes, in place of
/// `graph`. Read only; what it stands for is the same job that an owner of today describes, so that a job which was begun then is
/// taken up again.
package struct JobDescriptionVersion2: Sendable, Decodable {
  package let description: JobDescription

  private enum CodingKeys: CodingKey {
    case purpose, model, optimizer, schedule, lossLocation, task, epochs, stepsPerEpoch, batch, microBatch, keep,
      checkpointEverySteps, trainingRows, validationRows, totalTokens
  }

  /// - Throws: `GraphError` for a model that cannot be; `DecodingError`.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func value<Value: Decodable>(_ key: CodingKeys, _: Value.Type = Value.self) throws -> Value {
      try container.decode(Value.self, forKey: key)
    }
    description = try JobDescription(
      purpose: value(.purpose), graph: value(.model, ModelDescription.self).graph(), optimizer: value(.optimizer),
      schedule: value(.schedule), lossLocation: value(.lossLocation),
      task: container.decodeIfPresent(LearningTask.self, forKey: .task), epochs: value(.epochs),
      stepsPerEpoch: value(.stepsPerEpoch), batch: value(.batch), microBatch: value(.microBatch), keep: value(.keep),
      checkpointEverySteps: value(.checkpointEverySteps), trainingRows: value(.trainingRows),
      validationRows: value(.validationRows), totalTokens: value(.totalTokens))
  }
}
