import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Privacy
import Protocol
import TestSupport
import Testing
import Training

@testable import SiteRole

/// `unit: record` where a record is a sequence and has an output for every token: local steps against one engine a record, which knows nothing of
/// clipping, and a whole federation of them.
@Suite struct TokenRecordNoiseTests {
  private static let clip = 0.3
  private static let batch = 3

  private func federation(_ family: TinyFamily, task: String) throws -> SmallFederation {
    let rows = [24, 30, 18]
    let isBERT = family == .bert
    let model =
      isBERT
      ? "lora: {rank: 2, alpha: 4, targets: [query, dense]}, head: {classes: 3}"
      : "lora: {rank: 2, alpha: 4, targets: [q_proj, up_proj]}"
    let federation = try SmallFederation(
      rows: rows, task: task, rounds: 2, local: "{updates: 4}", strategy: "{name: fedavg, weighting: equal}",
      strength: "none", batch: Self.batch, updateClip: 64,
      model: "{huggingface: \(family.rawValue), train: lora, \(model)}", data: "{}",
      siteData: rows.indices.map {
        "{file: tokens\($0).h5, tokens: ids, mask: mask\(isBERT ? ", types: types, labels: tags" : ""), "
          + "split: {validation: 0.2, seed: 1}}"
      }, settings: ["privacy: {unit: record, clip_norm: \(Self.clip), epsilon: 8, delta: 1.0e-3}"])
    for (site, count) in rows.enumerated() {
      _ = try TokenData(in: federation.directory, rows: count, name: "tokens\(site)", seed: UInt64(40 + site))
    }
    try TinyCheckpoint.write(family, to: federation.directory.url(family.rawValue))
    return federation
  }

  private static let tasks: [(family: TinyFamily, task: String)] = [
    (.bert, "token-classification"), (.llama, "causal-lm"),
  ]

  /// The gradient of one record's own loss, of the trained parameters in their order: what a step of learning rate 1 takes off the weights.
  private func gradient(
    of slot: Int32, _ prepared: PreparedJob, _ samples: inout any MaskedSamples<Double>, at parameters: [Tensor<Double>]
  ) throws -> [Tensor<Double>] {
    let engine = try TrainingEngine<Double>(
      model: prepared.shape.graph,
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 1, batchRows: 1, partRows: 1,
      compute: Compute(threads: 1), parameters: parameters)
    let slots = [slot][...]
    let delivery = try samples.delivery(of: slots, pass: 0)
    let layout = SequenceLayout(lengths: delivery.lengths.elements, pooled: delivery.pooled.elements)
    try engine.beginBatch(rows: 1)
    let outputs = try engine.forward(rows: 0..<1, sequences: layout) { target in
      delivery.values.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
    }
    let targets = try samples.targets(of: slots, pass: 0)
    let loss = LossFunction(task: prepared.job.task)
    // The mean over the record's own tokens.
    let result = try loss.evaluate(
      outputs: outputs, targets: targets, normalizer: Double(max(1, samples.observedCount(of: slots))))
    try engine.setOutputGradient(result.gradient, rows: 0..<1)
    _ = try engine.finishStep()
    return zip(prepared.shape.structure.parameters, zip(parameters, engine.parameters)).filter { $0.0.isTrained }.map {
      Tensor(zip($0.1.0.elements, $0.1.1.elements).map { $0 - $1 }, shape: $0.1.0.shape)
    }
  }

  @Test(arguments: tasks.indices) func `Local steps are those of records one by one, each clipped, and the noise`(
    _ index: Int
  ) throws {
    let federation = try federation(Self.tasks[index].family, task: Self.tasks[index].task)
    let work = try federation.work(0, secret: PrivacyFixture.secret(0))
    let privacy = try #require(work.privacy)
    let prepared = try federation.data(0).prepared
    let count = prepared.plan.trainingRows
    let keys = JobKeys<Double>(master: MasterKey(), plan: prepared.shape.keyPlan, compute: Compute(threads: 1))
    func samples() throws -> any MaskedSamples<Double> {
      var times = PhaseTimes()
      return try prepared.readSamples(
        keys: keys, master: MasterKey(), noise: nil, standardization: nil, scratch: federation.directory.url,
        times: &times, progress: { _, _ in }
      ).samples
    }
    let start = prepared.shape.startingWeights(secret: try OrderSecret(ephemeralWithSeed: 1))
    var expected: [Tensor<Double>] = try prepared.shape.structure.parameters.map { try start.tensor($0) }
    let trained = expected.indices.filter { prepared.shape.structure.parameters[$0].isTrained }
    let training = try LocalTraining(
      prepared: prepared, samples: samples(), initial: expected, stepsPerRound: 4, rounds: 2,
      privateSteps: privacy.localSteps(federation.plan.charter, trainingRows: count), compute: Compute(threads: 1))
    let found = try training.train(
      round: 0, from: trained.map { expected[$0] }, noise: privacy.stepNoise(round: 0, model: "m")?.source
    ).weights
    var alone = try samples()
    alone.beginConversation(residentRows: 0)
    let slots = prepared.plan.slotOfRow(rows: federation.rows[0])
    let deviation = privacy.plan.mechanism.noiseMultiplier * Self.clip
    var clipped = 0
    for step in 0..<4 {
      var sums = trained.map { Tensor<Double>(zeros: expected[$0].shape) }
      for row in try training.rows(ofStep: step) {
        let gradients = try gradient(of: slots[Int(row)], prepared, &alone, at: expected)
        let norm = gradients.reduce(0) { $0 + $1.elements.reduce(0) { $0 + $1 * $1 } }.squareRoot()
        if norm > Self.clip { clipped += 1 }
        for (place, gradient) in gradients.enumerated() {
          for entry in 0..<gradient.count { sums[place][entry] += gradient[entry] * min(1, Self.clip / norm) }
        }
      }
      for (number, place) in trained.enumerated() {
        let noise = PrivacyFixture.normals(
          sums[number].count, federation, site: 0, round: 0, model: "m",
          label: "local steps/step \(step)/parameter \(number)")
        for entry in noise.indices {
          expected[place][entry] -= 0.05 * (sums[number][entry] + deviation * noise[entry]) / Double(Self.batch)
        }
      }
    }
    // Differences of weights of order 1 give gradients to some 1e-15; four steps of them.
    for (tensor, place) in zip(found, trained) {
      for (a, b) in zip(tensor.elements, expected[place].elements) { #expect(abs(a - b) < 1e-12) }
    }
    #expect(clipped > 0)
  }

  @Test(arguments: tasks.indices) func `A whole federation keeps to ε, has the same bits again, and sends no scores`(
    _ index: Int
  ) throws {
    var federation = try federation(Self.tasks[index].family, task: Self.tasks[index].task)
    let secrets = federation.rows.indices.map { PrivacyFixture.secret($0) }
    for result in try federation.run(secrets: secrets) { _ = try result.get() }
    for site in federation.rows.indices {
      let report = try #require(
        try RunFile.read(PrivacyReport.self, from: federation.runDirectory(site).privacyReport))
      #expect(report.steps == 8 && report.epsilon <= 8 && report.epsilon > 7.9)
    }
    let records = try SiteHistory(federation.runDirectory(0)).records
    #expect(records.map(\.purpose) == ["update 0", "update 1"] && records.allSatisfy(\.means.isEmpty))
    federation.place = "again-"
    for result in try federation.run(secrets: secrets) { _ = try result.get() }
    #expect(try SiteHistory(federation.runDirectory(0)).records.map(\.model) == records.map(\.model))
    // Other secrets, other noise.
    federation.place = "other-"
    for result in try federation.run(secrets: secrets.reversed()) { _ = try result.get() }
    #expect(try SiteHistory(federation.runDirectory(0)).records.map(\.model) != records.map(\.model))
  }
}
