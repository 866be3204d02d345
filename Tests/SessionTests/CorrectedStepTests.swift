import Files
import Foundation
import Foundations
import Models
import Numerics
import Protocol
import Service
import TestSupport
import Testing
import Training

@testable import TrainerRole

/// Jobs whose steps are corrected, by hand: what is counted for them, and what must be there before they run.
@Suite(.waiting, .timeLimit(.minutes(10))) struct CorrectedStepTests {
  private let site: Site<Float>
  private var job = RawJob<Float>()

  init() throws {
    site = try Site<Float>()
    job.description.correction = StepCorrection(proximalStrength: 0.5, hasOffsets: true)
  }

  private var specifications: [ParameterSpecification] { Model(job.description.graph).structure.parameters }
  private var elements: Int { specifications.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  private func owner() -> RawOwner<Float> { RawOwner(site.network, site.keys.ownerKey, job: .random()) }

  private func changed(_ correction: StepCorrection?) -> JobDescription {
    var description = job.description
    description.correction = correction
    return description
  }

  @Test func `Memory and disk count the tensors of each kind`() throws {
    func needed(_ correction: StepCorrection?) throws -> (memory: Int, disk: Int) {
      let description = changed(correction)
      return (
        try #require(JobAdmission<Float>.memoryEstimate(description)),
        try #require(JobDisk<Float>.bytesNeeded(description, Model(description.graph)))
      )
    }
    let bare = try needed(nil)
    for (correction, times) in [
      (StepCorrection(proximalStrength: 0.5), 1), (StepCorrection(hasOffsets: true), 1),
      (StepCorrection(proximalStrength: 0.5, hasOffsets: true), 2),
    ] {
      let with = try needed(correction)
      #expect(with.memory - bare.memory == times * 4 * elements)
      #expect(with.disk - bare.disk == times * 4 * elements)
    }
  }

  @Test func `A job that fits without its correction and not with it is refused for memory`() throws {
    let limit = try #require(JobAdmission<Float>.memoryEstimate(changed(nil)))
    let trainer = site.trainer(memoryLimit: limit)
    defer { trainer.shutDown() }
    #expect(try owner().refusal(of: .submit(job.description)).reason.contains("of memory"))
    let other = owner()
    try other.send(.submit(changed(nil)))
    _ = try other.wait { message in
      if case .accepted = message { return true }
      return nil as Bool?
    }
  }

  @Test func `A job runs when its offsets are there, and not before`() throws {
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let owner = owner()
    try owner.send(.submit(job.description))
    try job.upload(owner)
    #expect(
      try owner.refusal(of: .attach(historySteps: 0)).reason.contains("before the starting weights are uploaded"))
  }

  @Test func `Offsets are checked as weights are`() throws {
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let count = specifications.count
    func refusal(_ values: Tensor<Float>, chunk: Int) throws -> String {
      let owner = owner()
      try owner.send(.submit(job.description))
      try job.upload(owner)
      return try owner.refusal(of: .parameters(chunk: chunk, values: values)).reason
    }
    let shape = specifications[0].shape
    #expect(try refusal(Tensor(repeating: .nan, shape: shape), chunk: count).contains("weight chunk \(count)"))
    #expect(try refusal(Tensor(zeros: [shape[0] + 1, shape[1]]), chunk: count).contains("weight chunk \(count) is"))
    #expect(try refusal(Tensor(zeros: shape), chunk: count + 1).contains("where \(count) of \(2 * count) is due"))
  }

  /// Everywhere the same weight 0.1 and offset 2, gradients of zeros: θ ← θ − η (2 + 0.5 (θ − 0.1)), η 0.05 with the momentum of the job.
  @Test func `Steps pull to the first weights and add the offsets`() throws {
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    var job = job
    job.description.optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 0.05, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil)
    job.description.schedule = ScheduleDescription(
      warmup: 0, decay: .linear, part: SchedulePart(firstStep: 4, totalSteps: 10))
    (job.description.epochs, job.description.stepsPerEpoch) = (1, 2)
    job.description.trainingRows = 16
    let owner = owner()
    try owner.send(.submit(job.description))
    try job.upload(owner)
    for (number, specification) in specifications.enumerated() {
      try owner.send(
        .parameters(chunk: specifications.count + number, values: Tensor(repeating: 2, shape: specification.shape)))
    }
    _ = try owner.wait { message in
      if case .stored(2 * specifications.count) = message { return true }
      return nil as Bool?
    }
    try job.attach(owner)
    var rates: [Double] = []
    for step in 0..<2 {
      for part in 0..<2 {
        let first = 8 * step + 4 * part
        try owner.send(.batch(step: step, part: part, rows: RawJob.rows(first..<first + 4)))
        _ = try owner.wait { message in
          if case .outputs(step, part, _) = message { return true }
          return nil as Bool?
        }
        try owner.send(.gradient(step: step, part: part, values: RawJob.gradient(value: 0)))
      }
      rates.append(
        try owner.wait { message in
          if case .stepApplied(step, _, let rate) = message { return rate }
          return nil
        })
    }
    // Linear over ten steps, of which these are the fifth and the sixth.
    #expect(zip(rates, [0.05 * 0.6, 0.05 * 0.5]).allSatisfy { abs($0 - $1) < 1e-15 })
    try owner.send(.finish)
    _ = try owner.wait { message in
      if case .finished = message { return true }
      return nil as Bool?
    }
    var weight = 0.1
    for rate in rates { weight -= rate * (2 + 0.5 * (weight - 0.1)) }
    for chunk in specifications.indices {
      try owner.send(.retrieve(chunk: chunk))
      let values: Tensor<Float> = try owner.wait { message in
        if case .parameters(chunk, let values) = message { return values }
        return nil
      }
      #expect(values.elements.allSatisfy { abs(Double($0) - weight) < 1e-6 })
    }
  }
}
