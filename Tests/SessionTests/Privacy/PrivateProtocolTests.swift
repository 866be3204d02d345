import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import OwnerRole
import Privacy
import Protocol
import TestSupport
import Testing

@testable import TrainerRole

/// Messages of private jobs by hand.
@Suite(.waiting, .timeLimit(.minutes(10))) struct PrivateProtocolTests {
  private struct Stage {
    let site: Site<Float>
    let trainer: TrainerHost<Float>
    let owner: RawOwner<Float>
    var job = RawJob<Float>()

    init(_ change: (inout JobDescription) -> Void = { _ in }) throws {
      site = try Site<Float>()
      trainer = site.trainer()
      owner = RawOwner(site.network, site.keys.ownerKey, job: .random())
      job.description.batch = 12
      job.description.stepsPerEpoch = 5
      job.description.privacy = NoiseSeed([UInt8](repeating: 3, count: 32)).map {
        StepPrivacy(clipNorm: 1, expectedBatch: 4, noiseMultiplier: 1, seed: $0)
      }
      change(&job.description)
    }

    func refusal(of message: OwnerMessage<Float>) throws -> String {
      defer { trainer.shutDown() }
      try job.begin(owner)
      return try owner.refusal(of: message).reason
    }
  }

  @Test func `Rows before their number`() throws {
    let reason = try Stage().refusal(of: .batch(step: 0, part: 0, rows: RawJob.rows(0..<4)))
    #expect(reason.contains("before the number of them"))
  }

  @Test func `The number of a later step`() throws {
    #expect(try Stage().refusal(of: .step(step: 1, rows: 4)).contains("step 1 are stated during step 0"))
  }

  @Test func `More rows than the job said`() throws {
    #expect(try Stage().refusal(of: .step(step: 0, rows: 13)).contains("exceeds the limit of 12"))
  }

  @Test func `The number of a step twice`() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    try stage.job.begin(stage.owner)
    try stage.owner.send(.step(step: 0, rows: 4))
    #expect(try stage.owner.refusal(of: .step(step: 0, rows: 5)).reason.contains("step 0"))
  }

  @Test func `A number of rows in a job that states it`() throws {
    let stage = try Stage {
      $0.privacy = nil
      ($0.batch, $0.stepsPerEpoch) = (8, 3)
    }
    #expect(try stage.refusal(of: .step(step: 0, rows: 4)).contains("stated for private jobs"))
  }

  @Test func `A step without rows is taken at once, and one that is stated ahead waits`() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    try stage.job.begin(stage.owner)
    try stage.owner.send(.step(step: 0, rows: 3))
    try stage.owner.send(.step(step: 1, rows: 0))
    try stage.owner.send(.batch(step: 0, part: 0, rows: RawJob.rows(0..<3)))
    _ = try stage.owner.wait { message in
      if case .outputs(0, 0, _) = message { return true }
      return nil as Bool?
    }
    try stage.owner.send(.gradient(step: 0, part: 0, values: RawJob.gradient(rows: 3)))
    var applied: [(step: Int, norm: Double)] = []
    while applied.count < 2 {
      applied.append(
        try stage.owner.wait { message in
          if case .stepApplied(let step, let norm, _) = message { return (step, norm) }
          return nil
        })
    }
    #expect(applied.map(\.step) == [0, 1])
    #expect(applied.allSatisfy { $0.norm > 0.1 })
  }

  @Test func `A layer without norms is refused by name`() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    var description = SequenceJob().description
    description.optimizer = SmallJob.sgd()
    description.privacy = NoiseSeed([UInt8](repeating: 3, count: 32)).map {
      StepPrivacy(clipNorm: 1, expectedBatch: description.batch, noiseMultiplier: 1, seed: $0)
    }
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    #expect(try owner.refusal(of: .submit(description)).reason.contains("LayerNorm"))
  }

  /// Where a seed could be shown.
  @Test func `A seed is in no description`() throws {
    let seed = try #require(NoiseSeed((0..<32).map { 0xA0 + $0 }))
    var description = RawJob<Float>().description
    description.privacy = StepPrivacy(clipNorm: 1, expectedBatch: 4, noiseMultiplier: 1, seed: seed)
    var text = ""
    dump(description, to: &text)
    for shown in ["\(description)", String(reflecting: description), text] {
      #expect(!shown.contains("a0a1") && !shown.contains("160, 161") && !shown.contains("- 160"))
      #expect(shown.contains("hidden") || shown == text)
    }
  }

  /// A trainer must not do without the noise that is asked for, whatever version the message says it is of.
  @Test func `Private and corrected steps in a job of wire version 2`() throws {
    let description = RawJob<Float>().description
    let old = Version2Description(
      description: description,
      model: .mlp(
        MLPDescription(
          input: HomogeneousColumns(features: 4, padding: 0), hidden: [6], activation: .relu, outputs: 3)))
    let codec = MessageCodec<Float>()
    let plain = try old.message(like: codec.frames(.submit(description), job: .none))
    #expect(throws: Never.self) { _ = try codec.ownerMessage(plain) }
    let header = plain[0].prefix(24)
    let json = String(decoding: plain[0].dropFirst(24), as: UTF8.self)
    #expect(json.hasPrefix("{"))
    for value in ["{}", "7", #"{"clipNorm":1,"expectedBatch":4,"noiseMultiplier":1,"seed":"00"}"#] {
      let asking = header + Data((#"{"privacy":\#(value),"# + json.dropFirst()).utf8)
      #expect(throws: WireError.invalidJob("private steps need wire version 4")) {
        _ = try codec.ownerMessage([asking])
      }
    }
    for asking in [
      header + Data((#"{"correction":{"hasOffsets":true},"# + json.dropFirst()).utf8),
      header
        + Data(
          json.replacing(#""schedule":{"#, with: #""schedule":{"part":{"firstStep":3,"totalSteps":90},"#).utf8),
    ] {
      #expect(
        throws: WireError.invalidJob("corrected steps and schedules over several jobs need wire version 5")
      ) {
        _ = try codec.ownerMessage([asking])
      }
    }
  }
}
