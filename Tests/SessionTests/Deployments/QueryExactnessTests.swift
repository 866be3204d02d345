import Families
import Foundation
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing

@testable import Datasets
@testable import OwnerRole

/// Answers of a trainer's deployment against the same weights in the clear: every family, task and pooling that a job can have.
@Suite(.waiting, .timeLimit(.minutes(10))) struct QueryExactnessTests {
  static let rows: [(name: String, job: SmallJob)] = [
    ("classification", SmallJob()),
    ("classification, standardised", SmallJob().changing { $0.standardize = true }),
    ("multilabel", SmallJob().changing { $0.task = .multilabel }),
    ("regression", SmallJob().changing { $0.task = .regression }),
    ("survival, linear", SmallJob().changing { ($0.task, $0.hidden, $0.microBatch) = (.survival, [], 8) }),
    ("adapter", SmallJob().changing { ($0.adapter, $0.padding) = (4, 0) }),
    ("padding", SmallJob().changing { $0.padding = 5 }),
    ("permutation, adamw", SmallJob().changing { ($0.strength, $0.optimizer) = (.permutation, SmallJob.adamw()) }),
    ("nothing masked", SmallJob().changing { ($0.strength, $0.padding) = (.none, 0) }),
    ("tanh", SmallJob().changing { $0.activation = .tanh }),
  ]

  static let tokens: [(name: String, job: TokenJob)] = [
    ("bert cls", TokenJob()),
    ("bert cls, drawn pooler", TokenJob().changing { $0.hasPooler = false }),
    ("bert mean", TokenJob().changing { $0.pool = .mean }),
    ("bert last", TokenJob().changing { $0.pool = .last }),
    ("bert tags", TokenJob().changing { $0.task = .tokenClassification }),
    ("bert multilabel", TokenJob().changing { $0.task = .multilabel }),
    ("bert regression", TokenJob().changing { $0.task = .regression }),
    ("bert lora", TokenJob().changing { $0.train = TokenJob.lora(["query", "value"]) }),
    ("bert head", TokenJob().changing { $0.train = .head }),
    ("roberta cls", TokenJob().changing { $0.family = .roberta }),
    (
      "roberta lora, mean",
      TokenJob().changing { ($0.family, $0.pool, $0.train) = (.roberta, .mean, TokenJob.lora(["query"])) }
    ),
    // Whose positions are not the columns that outputs go to.
    ("roberta tags", TokenJob().changing { ($0.family, $0.task) = (.roberta, .tokenClassification) }),
    ("distilbert tags", TokenJob().changing { ($0.family, $0.task) = (.distilbert, .tokenClassification) }),
    ("electra cls", TokenJob().changing { $0.family = .electra }),
    ("llama last", TokenJob().changing { $0.family = .llama }),
    ("llama mean", TokenJob().changing { ($0.family, $0.pool) = (.llama, .mean) }),
    ("llama tags", TokenJob().changing { ($0.family, $0.task) = (.llama, .tokenClassification) }),
    ("llama language model", TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }),
    ("llama lora", TokenJob().changing { ($0.family, $0.train) = (.llama, TokenJob.lora(["q_proj", "v_proj"])) }),
  ]

  /// Single precision: eight-wide models give errors of 1e-6; 1e-4 is the project's bar.
  private func expectEqual(_ found: [Float], _ expected: [Double], _ name: String) {
    #expect(found.count == expected.count)
    let worst = zip(found, expected).reduce(0.0) { worst, pair in
      pair.0.isNaN && pair.1.isNaN ? worst : max(worst, abs(Double(pair.0) - pair.1))
    }
    #expect(worst <= 1e-4, "\(name)")
    #expect(zip(found, expected).allSatisfy { $0.isNaN == $1.isNaN }, "\(name)")
  }

  /// The class of each group of outputs, −1 where there is none.
  private func classes(_ outputs: [Double], _ width: Int) -> [Int] {
    stride(from: 0, to: outputs.count, by: width).map { first in
      let group = outputs[first..<first + width]
      guard let largest = group.max(), !largest.isNaN, let place = group.firstIndex(of: largest) else { return -1 }
      return place - first
    }
  }

  @Test(arguments: rows.indices) func answersAboutRows(_ index: Int) throws {
    let (name, job) = Self.rows[index]
    let fixture = try DeploymentFixture<Float>()
    let host = TrainerHost<Float>(on: fixture.network, store: fixture.directory.url("store"))
    defer { host.shutDown() }
    let data = try SmallData(in: fixture.directory)
    let fitted = Standardization(
      mean: (0..<SmallData.columns).map { Double($0) / 10 }, scale: (0..<SmallData.columns).map { 0.3 + Double($0) / 3 }
    )
    let source = try fixture.source(
      try fixture.finishedRun(job.resolved(on: data), standardization: job.standardize ? fitted : nil))
    let deployment = try fixture.deployed(source)
    let new = try SmallData(in: fixture.directory, rows: 600, seed: 5)
    let report = try fixture.query(deployment, new.file, to: "answers.h5")
    // 600 rows in questions of 256.
    #expect(report.rows == 600 && report.questions == 3 && report.rowsSeen == 600)
    let expected = try PlaintextModel<Float>(source.open()).outputs(new.features).flatMap { $0 }
    expectEqual(try fixture.matrix("answers.h5", "outputs"), expected, name)
    if job.task == .classification {
      let predicted = try fixture.matrix("answers.h5", "predictions").map { Int($0) }
      #expect(predicted == classes(expected, SmallData.outputs))
    }
  }

  @Test(arguments: tokens.indices) func answersAboutTokens(_ index: Int) throws {
    let (name, job) = Self.tokens[index]
    let fixture = try DeploymentFixture<Float>()
    let host = TrainerHost<Float>(on: fixture.network, store: fixture.directory.url("store"))
    defer { host.shutDown() }
    let data = try TokenData(in: fixture.directory)
    let source = try fixture.source(try fixture.finishedRun(try job.resolved(on: data)))
    let deployment = try fixture.deployed(source)
    let new = try TokenData(in: fixture.directory, rows: 40, name: "new", seed: 8)
    let report = try fixture.query(deployment, new.file, to: "answers.h5")
    // The host counts what it sees a masked vector of: tokens, not samples.
    let mask = try HDF5File(path: new.file.path).openArray("mask")
    var isToken = [Float](repeating: 0, count: mask.rows * mask.columns)
    try mask.read(rows: 0..<mask.rows, as: .float, into: &isToken)
    #expect(report.rows == 40 && report.questions == 3 && report.rowsSeen == Int(isToken.reduce(0, +)))
    let model = try source.open()
    let expected = try PlaintextModel<Float>(model).outputs(of: new.file)
    expectEqual(try fixture.matrix("answers.h5", "outputs"), expected, name)
    if job.task.hasClasses {
      let predicted = try fixture.matrix("answers.h5", "predictions").map { Int($0) }
      #expect(predicted == classes(expected, model.data.outputs))
    }
  }

  /// In double, before anything is rounded for a file: 1e-10 is the bar, 1e-14 what is seen.
  @Test(arguments: rows.indices) func answersAboutRowsInDouble(_ index: Int) throws {
    let fixture = try DeploymentFixture<Double>()
    let data = try SmallData(in: fixture.directory)
    let source = try fixture.source(try fixture.finishedRun(Self.rows[index].job.resolved(on: data)))
    try expectDouble(fixture, source, data.file, Self.rows[index].name)
  }

  @Test(arguments: tokens.indices) func answersAboutTokensInDouble(_ index: Int) throws {
    let fixture = try DeploymentFixture<Double>()
    let data = try TokenData(in: fixture.directory)
    let source = try fixture.source(try fixture.finishedRun(try Self.tokens[index].job.resolved(on: data)))
    try expectDouble(fixture, source, data.file, Self.tokens[index].name)
  }

  private func expectDouble(
    _ fixture: DeploymentFixture<Double>, _ source: ModelSource, _ file: URL, _ name: String
  ) throws {
    let host = TrainerHost<Double>(on: fixture.network, store: fixture.directory.url("store"))
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    let model = try source.open()
    let asking = try DeploymentClient<Double>(
      deployment.directory.client("ward"), own: fixture.clients[0].keys, compute: Compute(threads: 1))
    let questions = try QuestionSource(asking.shape, file: file.path, features: nil)
    var reader = try QuestionReader(
      questions, from: 0, rowsPerQuestion: 7, standardization: asking.material.standardization)
    let connection = fixture.connection(deployment, as: 0)
    try connection.greet(patience: .seconds(60))
    #expect(try !asking.adopt(asking.open(over: connection)))
    let plain = try PlaintextModel<Double>(model)
    let expected = try plain.outputs(of: file)
    let width = model.data.outputs
    var (row, number, worst) = (0, 0, 0.0)
    while let content = try reader.question() {
      number += 1
      let (rows, delivery) = try asking.mask(content, draw: number, first: row)
      try connection.send(.question(.ask(number: number, keyNumber: 1, rows: delivery)))
      let masked: Tensor<Double> = try connection.waitFor { message in
        if case .deployment(.answered(number, _, let values)) = message { return values }
        return nil
      }
      let found = try asking.keys.unmaskOutputs(masked)
      var next = 0
      for sample in rows {
        let places = sample.columns.isEmpty ? [row] : sample.columns.map { row * (questions.columns ?? 1) + $0 }
        for place in places {
          for output in 0..<width { worst = max(worst, abs(found[next, output] - expected[place * width + output])) }
          next += 1
        }
        row += 1
      }
    }
    #expect(row == questions.rows)
    #expect(worst <= 1e-10, "\(name): \(worst)")
  }
}
