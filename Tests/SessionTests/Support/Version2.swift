import Foundation
import Models
import OwnerRole
import Protocol

/// A job's description as owners of wire version 2 wrote it.
struct Version2Description: Encodable, Sendable {
  let description: JobDescription
  let model: ModelDescription

  private enum CodingKeys: CodingKey {
    case purpose, model, optimizer, schedule, lossLocation, task, epochs, stepsPerEpoch, batch, microBatch, keep,
      checkpointEverySteps, trainingRows, validationRows, totalTokens
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(description.purpose, forKey: .purpose)
    try container.encode(model, forKey: .model)
    try container.encode(description.optimizer, forKey: .optimizer)
    try container.encode(description.schedule, forKey: .schedule)
    try container.encode(description.lossLocation, forKey: .lossLocation)
    try container.encodeIfPresent(description.task, forKey: .task)
    try container.encode(description.epochs, forKey: .epochs)
    try container.encode(description.stepsPerEpoch, forKey: .stepsPerEpoch)
    try container.encode(description.batch, forKey: .batch)
    try container.encode(description.microBatch, forKey: .microBatch)
    try container.encode(description.keep, forKey: .keep)
    try container.encode(description.checkpointEverySteps, forKey: .checkpointEverySteps)
    try container.encode(description.trainingRows, forKey: .trainingRows)
    try container.encode(description.validationRows, forKey: .validationRows)
    try container.encode(description.totalTokens, forKey: .totalTokens)
  }

  var json: Data {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = .sortedKeys
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      return try encoder.encode(self)
    }
  }

  /// The message that proposes the job, from what one of today is.
  func message(like submit: [Data]) throws -> [Data] {
    var header = submit[0].prefix(24)
    header[header.startIndex + 4] = 2
    return [header + (try json)]
  }
}

extension RawOwner {
  /// Proposes a job as an owner of wire version 2.
  func send(version2 description: JobDescription, _ model: ModelDescription) throws {
    let submit = codec.frames(.submit(description), job: job)
    try channel.send(Version2Description(description: description, model: model).message(like: submit))
  }
}
